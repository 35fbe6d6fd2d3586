package capture

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// follow matches all that s sees with what the router's conntrack tells, until
// stop is called, which returns the rewrites.
func follow(t *testing.T, s *Session, points ...Point) (stop func() ([]*Rewrite, *Matcher)) {
	m := NewMatcher(points...)
	nat := listen(t)
	var all []*Rewrite
	var done sync.WaitGroup
	done.Go(func() {
		for batch := range s.Records() {
			for _, tr := range nat.take() {
				all = append(all, m.Translate(tr)...)
			}
			for _, rec := range batch {
				all = append(all, m.Add(rec)...)
			}
		}
		for _, tr := range nat.take() {
			all = append(all, m.Translate(tr)...)
		}
	})
	return func() ([]*Rewrite, *Matcher) {
		settle()
		s.Stop()
		done.Wait()
		return append(all, m.Flush()...), m
	}
}

// traffic sends n requests each way, every one of a flow of its own and with a
// payload of its own, and some again with the same bytes.
func traffic(t *testing.T, n int) {
	var all sync.WaitGroup
	for _, d := range [][3]string{{"outside", "10.10.0.1:8080", "in"}, {"inside", "10.10.0.2:9000", "out"}} {
		all.Go(func() {
			for i := range n {
				text := fmt.Sprintf("%s %06d", d[2], i)
				network := "udp"
				if i%10 == 0 {
					network = "tcp"
				}
				c := dial(t, d[0], network, d[1])
				if network == "udp" && i%3 == 0 { // the same datagram twice
					_, _ = c.Write([]byte(text))
				}
				exchange(t, c, text)
			}
		})
	}
	all.Wait()
}

// TestRewritesAreTrue compares what the matcher tells with the payloads, which
// nothing rewrites.
func TestRewritesAreTrue(t *testing.T) {
	for _, points := range [][]Point{
		{routerUp, insidePoint},
		{routerUp, routerIn, insidePoint, {NS: "outside", Link: "eth0"}},
	} {
		t.Run(fmt.Sprintf("%d points", len(points)), func(t *testing.T) {
			newLab(t)
			echoServers(t, "inside", 80)
			echoServers(t, "outside", 9000)
			s := open(t, Options{}, points...)
			stop := follow(t, s, points...)
			traffic(t, 1500)
			rewrites, m := stop()
			for _, st := range s.Stats() {
				if st.Dropped+st.Skipped != 0 {
					t.Fatalf("packets were lost, nothing can be said: %+v", st)
				}
			}
			checkTruth(t, rewrites)
			if m.Unmatched() != 0 {
				t.Errorf("%d packets unmatched", m.Unmatched())
			}
		})
	}
}

func checkTruth(t *testing.T, rewrites []*Rewrite) {
	t.Helper()
	told := map[string]int{} // payload and direction -> how often
	for _, w := range rewrites {
		before, after := string(w.BeforeRecord.payload), string(w.AfterRecord.payload)
		if w.Protocol == "icmp" { // an asker that is gone; the end of what the error quotes is the payload
			before, after = before[28:], after[28:]
		}
		if before != after || w.BeforeRecord.Summary.TCPSeq != w.AfterRecord.Summary.TCPSeq {
			t.Fatalf("not the same packet: %s: %q and %q", short(w), before, after)
		}
		if w.Elapsed < 0 || w.Flow == 0 {
			t.Errorf("elapsed %v, flow %d: %s", w.Elapsed, w.Flow, short(w))
		}
		// Outside is the client of what is published, and the server of what is masqueraded.
		inwards := w.Rule == dnatRule
		field := "src"
		if inwards == (w.Direction == Original) {
			field = "dst"
		}
		if w.Rule == nil {
			t.Fatalf("no rule is named: %s", short(w))
		}
		if before != "" && strings.HasPrefix(before, "in") != inwards || !slices.Contains(w.Changed, field) || !slices.Contains(w.Changed, "ttl") {
			t.Fatalf("wrong: %s, %s -> %s to %s -> %s", short(w), w.Before.Src, w.Before.Dst, w.After.Src, w.After.Dst)
		}
		if before != "" && w.Protocol != "icmp" {
			told[before+" "+w.Direction]++
		}
	}
	for _, way := range []string{"in", "out"} {
		for i := range 1500 {
			for _, direction := range []string{Original, Reply} {
				text, want := fmt.Sprintf("%s %06d", way, i), 1
				if i%10 != 0 && i%3 == 0 {
					want = 2
				}
				if got := told[text+" "+direction]; got != want {
					t.Errorf("%q %s is told %d times, want %d", text, direction, got, want)
				}
			}
		}
	}
}

// TestPartsAreRewrittenTogether: of a fragmented datagram, too, every part is
// found again behind the NAT, although only the first has ports.
func TestPartsAreRewrittenTogether(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	points := []Point{routerUp, insidePoint}
	s := open(t, Options{}, points...)
	stop := follow(t, s, points...)
	const n = 50
	for i := range n {
		exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), strings.Repeat(fmt.Sprintf("%03d ", i), 1000))
	}
	rewrites, m := stop()
	ways := map[string]int{}
	for _, w := range rewrites {
		if w.Rule != dnatRule || w.BeforeRecord.Summary.Info == "" {
			t.Fatalf("wrong: %s", short(w))
		}
		before, after := w.BeforeRecord.Data[34:], w.AfterRecord.Data[34:]
		if before[20] != after[20] || string(before[20:]) != string(after[20:]) {
			t.Fatalf("not the same part: %s", short(w))
		}
		ways[fmt.Sprintf("%s %s > %s", w.Direction, w.Before.Dst, w.After.Dst)]++
	}
	want := map[string]int{"original 10.10.0.1 > 172.18.0.2": 3 * n, "reply 10.10.0.2 > 10.10.0.2": 3 * n}
	if !maps.Equal(ways, want) || m.Unmatched() != 0 {
		t.Errorf("%v, %d unmatched; want %v", ways, m.Unmatched(), want)
	}
}

// TestMatcherOnShuffledTranslations plays a made-up flood: translations come
// up to 200 ms late, packets are sent again and lost in between.
func TestMatcherOnShuffledTranslations(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	type event struct {
		at time.Duration
		do func(*Matcher) []*Rewrite
	}
	var events []event
	lost, flows := 0, 2000
	for i := range flows {
		src := fmt.Sprintf("10.%d.%d.%d:5000", 1+i>>16, i>>8&255, i&255)
		text := strings.Repeat(fmt.Sprint(i%7, " "), 50)
		tr := Translation{NS: "host", ID: uint32(i), DNAT: dnatRule,
			Original: tuple("udp", src, "10.10.0.1:8080"), Reply: tuple("udp", "172.18.0.2:80", src)}
		at := time.Duration(i) * 100 * time.Microsecond
		before := see(t, int(at.Microseconds()), uplink, pkt{proto: "udp", src: src, dst: "10.10.0.1:8080", payload: text})
		after := see(t, int(at.Microseconds())+20, container, pkt{proto: "udp", src: src, dst: "172.18.0.2:80", payload: text})
		events = append(events,
			event{at, func(m *Matcher) []*Rewrite { return m.Add(before) }},
			event{at + time.Duration(rng.IntN(200_000))*time.Microsecond, func(m *Matcher) []*Rewrite { return m.Translate(tr) }})
		if i%50 == 0 {
			lost++
			continue
		}
		events = append(events, event{at + 20*time.Microsecond, func(m *Matcher) []*Rewrite { return m.Add(after) }})
	}
	slices.SortStableFunc(events, func(a, b event) int { return int(a.at - b.at) })
	m, told := NewMatcher(uplink, container), 0
	check := func(rewrites []*Rewrite) {
		for _, w := range rewrites {
			told++
			if w.Before.Src != w.After.Src || w.Rule != dnatRule || w.Elapsed != 20*time.Microsecond {
				t.Fatalf("wrong: %s", short(w))
			}
		}
	}
	for _, e := range events {
		check(e.do(m))
	}
	check(m.Flush())
	if told != flows-lost || m.Unmatched() != uint64(lost) {
		t.Errorf("%d rewrites and %d unmatched, want %d and %d", told, m.Unmatched(), flows-lost, lost)
	}
}
