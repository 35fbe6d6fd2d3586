package capture

import (
	"testing"
	"time"
)

// crossing are summaries of packets of n flows at four points, rewritten in the
// middle, with their translations.
func crossing(tb testing.TB, n int) (points []Point, nat []Translation, out []Brief) {
	points = []Point{uplink, container, veth, {NS: "far", Link: "eth0"}}
	a := see(tb, 0, uplink, pkt{proto: "udp", src: "10.10.0.2:1", dst: "10.10.0.1:8080", payload: "some data", ttl: 64})
	b := see(tb, 0, veth, pkt{proto: "udp", src: "10.10.0.2:1", dst: "172.18.0.2:80", payload: "some data", ttl: 63})
	for i := range n {
		host := [4]byte{10, 11, byte(i >> 8), byte(i)}
		for p := range points {
			s := a.Brief(uint16(p))
			if p >= 2 {
				s = b.Brief(uint16(p))
			}
			s.Serial, s.Time, s.Outer.IPID = uint64(len(out)+1), epoch.Add(time.Duration(len(out))*time.Microsecond).UnixNano(), uint16(i)
			copy(s.Outer.Key.Src[:], host[:])
			out = append(out, s)
		}
		was, is := out[len(out)-4].Outer.Key, out[len(out)-1].Outer.Key
		src, dst := was.Addrs()
		_, to := is.Addrs()
		nat = append(nat, Translation{NS: "host", ID: uint32(i + 1), Original: Tuple{"udp", src, dst}, Reply: Tuple{"udp", to, src}})
	}
	return points, nat, out
}

// BenchmarkJourneys is what telling every packet's way costs, a sighting.
func BenchmarkJourneys(b *testing.B) {
	points, nat, seen := crossing(b, 5000)
	b.ReportAllocs()
	told := 0
	for b.Loop() {
		j := NewJourneys(nil, points...)
		for _, t := range nat {
			j.Translate(t)
		}
		for i := range seen {
			told += len(j.See(&seen[i]))
		}
		told += len(j.Flush())
	}
	if told%5000 != 0 {
		b.Errorf("%d journeys", told)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(seen)), "ns/sighting")
}

// BenchmarkMatcherAtFourPoints is the same for a Matcher, which tells of rewrites alone.
func BenchmarkMatcherAtFourPoints(b *testing.B) {
	points, nat, seen := crossing(b, 5000)
	b.ReportAllocs()
	for b.Loop() {
		m := NewMatcher(points...)
		for _, t := range nat {
			m.Translate(t)
		}
		for i := range seen {
			m.See(&seen[i])
		}
		m.Flush()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(seen)), "ns/sighting")
}

// kept are summaries that are there already.
type kept struct {
	held
	briefs []Brief
}

func (k *kept) Span() (first, end uint64) { return 1, uint64(len(k.briefs)) + 1 }
func (k *kept) View(serial uint64, dst []Brief) int {
	return copy(dst, k.briefs[min(int(serial)-1, len(k.briefs)):])
}
func (k *kept) Record(uint64) (*Record, bool) { return nil, false }

// BenchmarkFlowJourneys is what it costs to find one flow among many, a sighting.
func BenchmarkFlowJourneys(b *testing.B) {
	points, nat, seen := crossing(b, 25_000)
	store := &kept{held: held{points: points}, briefs: seen}
	var log Translations
	for _, t := range nat {
		log.Add(t)
	}
	for b.Loop() {
		f, _ := NewFlowJourneys(store, &log, 1, seen[777])
		if got := f.Look(Look{Now: time.Now(), May: time.Minute, Most: 1000}); len(got.Journeys) != 1 {
			b.Fatalf("%d journeys", len(got.Journeys))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(seen)), "ns/sighting")
}
