package capture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// sendMany sends n datagrams with their number as the payload, and those in
// between.
func sendMany(t *testing.T, ns, to string, from, n int) {
	t.Helper()
	c := dial(t, ns, "udp", to)
	defer c.Close()
	for i := range n {
		if _, err := fmt.Fprintf(c, "datagram %06d", from+i); err != nil && !strings.Contains(err.Error(), unix.ECONNREFUSED.Error()) {
			t.Fatal(err)
		}
	}
}

// arrived waits until a session has seen n packets and has them in order.
func arrived(t *testing.T, s *Session, n uint64) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " packets"), func() bool {
		_, end := s.Store().Span()
		return end > n
	})
}

func TestStoreKeepsTheLast(t *testing.T) {
	newLab(t)
	sysctl(t, "router", "net/ipv4/icmp_ratelimit", "0")
	s := open(t, Options{Keep: 1000, Snaplen: 256}, routerUp)
	for i := range 30 {
		sendMany(t, "outside", "10.10.0.1:9", i*100, 100)
	}
	arrived(t, s, 3000)
	settle()
	st := s.Store()
	first, end := st.Span()
	if st.Len() != 1000 || end-first != 1000 || st.Evicted() != first-1 {
		t.Errorf("%d kept, serials %d to %d, %d evicted", st.Len(), first, end, st.Evicted())
	}
	if used, limit := st.Memory(); used == 0 || used > limit || limit > 1<<26 {
		t.Errorf("%d bytes of %d", used, limit)
	}
	rows := make([]Brief, 2000)
	if n := st.View(1, rows); n != 1000 || rows[0].Serial != first {
		t.Errorf("%d rows from serial %d, want 1000 from %d", n, rows[0].Serial, first)
	}
	for i := range rows[:1000] {
		b := &rows[i]
		if b.Serial != first+uint64(i) || i > 0 && b.Time < rows[i-1].Time {
			t.Fatalf("row %d has the serial %d and the time %d", i, b.Serial, b.Time)
		}
		rec, ok := st.Record(b.Serial)
		if !ok || rec.Serial != b.Serial || rec.Time.UnixNano() != b.Time || rec.Summary.Protocol != b.Outer.Name() || rec.Length != int(b.Length) {
			t.Fatalf("record %v of %+v", rec, b)
		}
	}
	if _, ok := st.Record(first - 1); ok {
		t.Error("a packet is found that was let go")
	}
	if _, ok := st.Record(end); ok {
		t.Error("a packet is found that has not come")
	}
	if n := st.View(end, rows); n != 0 {
		t.Errorf("%d rows behind the end", n)
	}
}

// TestStoreUnderPressure gives the store less room than the packets of a ring
// need, while it is looked at.
func TestStoreUnderPressure(t *testing.T) {
	newLab(t)
	s := open(t, Options{Keep: 600, Snaplen: 256}, routerUp, routerIn, insidePoint)
	done, cancel := context.WithCancel(context.Background())
	seen := make(chan error, 1)
	go func() {
		rows := make([]Brief, 700)
		for done.Err() == nil {
			n := s.Store().View(0, rows)
			for i := 1; i < n; i++ {
				if rows[i].Serial != rows[i-1].Serial+1 || rows[i].Time < rows[i-1].Time {
					seen <- fmt.Errorf("%+v before %+v", rows[i-1], rows[i])
					return
				}
			}
			if n > 0 {
				s.Store().Record(rows[n/2].Serial)
			}
		}
		seen <- nil
	}()
	for i := range 20 {
		sendMany(t, "outside", "10.10.0.1:8080", i*1000, 1000)
	}
	settle()
	cancel()
	if err := <-seen; err != nil {
		t.Error(err)
	}
	s.Stop()
	for s.Store().Wait(context.Background(), maxSerial(s)) { // until it has ended
	}
	var packets, overrun uint64
	for _, st := range s.Stats() {
		packets += st.Packets
		overrun += st.Overrun
	}
	if _, end := s.Store().Span(); end-1 != packets-overrun {
		t.Errorf("%d packets in order, %d were read and %d had no room", end-1, packets, overrun)
	}
}

func maxSerial(s *Session) uint64 {
	_, end := s.Store().Span()
	return end - 1
}

func TestPointsComeAndGo(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	s := open(t, Options{}, routerUp)
	records := s.Records()
	if err := s.Add(routerUp); err == nil || !strings.Contains(err.Error(), "given twice") {
		t.Errorf("added twice: %v", err)
	}
	if err := s.Add(Point{NS: "router", Link: "up9"}); err == nil {
		t.Error("a link was added that is none")
	}
	if err := s.Add(insidePoint); err != nil {
		t.Fatal(err)
	}
	exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "while both see")
	settle()
	if !s.Remove(routerUp) || s.Remove(routerUp) {
		t.Error("a point cannot be removed once")
	}
	eventually(t, "the end of the point", func() bool { return s.Stats()[0].Ended == Stopped })
	exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "while one sees")
	if err := s.Add(routerUp); err != nil { // again
		t.Fatal(err)
	}
	exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "at the end")
	settle()
	s.Stop()
	seen := map[string]int{}
	for batch := range records {
		for _, r := range batch {
			if r.Summary.Protocol == "udp" {
				seen[r.Point.String()+" "+string(r.payload)]++
			}
		}
	}
	for text, want := range map[string]int{
		"router:up0 while both see": 2, "inside:eth0 while both see": 2,
		"router:up0 while one sees": 0, "inside:eth0 while one sees": 2,
		"router:up0 at the end": 2, "inside:eth0 at the end": 2,
	} {
		if seen[text] != want {
			t.Errorf("%s: seen %d times, want %d", text, seen[text], want)
		}
	}
	if got := s.Points(); len(got) != 3 || got[0] != routerUp || got[1] != insidePoint || got[2] != routerUp {
		t.Errorf("points %v", got)
	}
	if err := s.Add(routerIn); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("added after the end: %v", err)
	}
}

// TestMergeOrder merges made-up runs in pieces.
func TestMergeOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		m, want := &merger{runs: make([]run, 1+rng.IntN(5))}, map[ref]int64{}
		point := map[ref]int{}
		for piece := range 4 {
			for i := range m.runs {
				var entries []entry
				for range rng.IntN(20) {
					e := entry{int64(piece*100 + rng.IntN(100)), ref(len(want))}
					want[e.ref], point[e.ref] = e.time, i
					entries = append(entries, e)
				}
				m.runs[i].take(entries)
			}
			m.merge(int64(piece*100 + 50))
		}
		m.merge(endOfTime)
		if len(m.final) != len(want) {
			t.Fatalf("%d of %d", len(m.final), len(want))
		}
		for i := 1; i < len(m.final); i++ {
			a, b := m.final[i-1], m.final[i]
			if want[a] > want[b] || want[a] == want[b] && point[a] > point[b] {
				t.Fatalf("time %d of point %d before %d of %d", want[a], point[a], want[b], point[b])
			}
		}
	}
}

func TestOptionsOfManyPoints(t *testing.T) {
	o, err := Options{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]time.Duration{0: 4, 7: 4, 8: 8, 15: 8, 16: 16} {
		c := o.ring(n)
		if c.Timeout != want*time.Millisecond || (c.Blocks == 16) != (n >= 16) || c.BlockSize < 128<<10 {
			t.Errorf("point %d: %+v", n, c)
		}
		save := o
		save.Keep = KeepNone
		s := save.ring(n)
		if s.BlockSize*s.Blocks != c.BlockSize*c.Blocks || s.BlockSize <= c.BlockSize || s.Timeout != saveTimeout {
			t.Errorf("point %d of who saves: %+v", n, s)
		}
	}
	view, whole := Options{Keep: 100_000, Snaplen: 256}, Options{Keep: 100_000, Snaplen: 65535}
	if v, w := view.chunks(), whole.chunks(); v < 100_000/chunkPackets || w < 128<<20/(320<<10) {
		t.Errorf("%d and %d chunks", v, w)
	}
}
