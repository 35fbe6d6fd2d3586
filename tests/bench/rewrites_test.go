package bench

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"vethscope/capture"
	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// truth is what was told, held against what the payloads say.
type truth struct {
	sent    int // datagrams, of which arrived came through the router
	arrived int
	right   int
	wrong   int
	lost    int // packets that the capture lost, by its own count
	events  int // how often the kernel dropped conntrack's events
	told    []uint8
	first   string // of what was wrong
}

func (r *truth) missing() int { return max(r.arrived-r.right, 0) }

func (r *truth) String() string {
	return fmt.Sprintf("%d sent, %d came through, %d told right (%.4f %%), %d wrong, %d missing, %d packets lost by the capture, %d losses of events",
		r.sent, r.arrived, r.right, 100*float64(r.right)/float64(max(r.arrived, 1)), r.wrong, r.missing(), r.lost, r.events)
}

func (r *truth) fail(why string, w *capture.Rewrite) {
	if r.wrong++; r.first == "" {
		r.first = fmt.Sprintf("%s: %+v", why, w)
	}
}

// expect says what must be so at any rate, on any machine.
func (r *truth) expect(t testing.TB) {
	t.Helper()
	if r.wrong > 0 {
		t.Errorf("wrong: %s", r.first)
	}
	if r.arrived < r.sent/2 {
		t.Errorf("the router let only %d of %d through", r.arrived, r.sent)
	}
	if r.missing() > r.lost && r.events == 0 {
		t.Errorf("%d are missing, and only %d were lost", r.missing(), r.lost)
	}
}

// check takes what is told of one packet.
func (r *truth) check(w *capture.Rewrite) {
	if w.Before.Src == w.After.Src {
		return // seen, and not rewritten
	}
	if w.BeforeRecord == nil || w.AfterRecord == nil {
		r.lost++ // let go before it could be looked at
		return
	}
	n, before, ok := readPayload(w.BeforeRecord.Data)
	m, after, ok2 := readPayload(w.AfterRecord.Data)
	switch {
	case !ok || !ok2:
		r.fail("not of the load", w)
	case n != m || n >= len(r.told):
		r.fail(fmt.Sprintf("%d is taken for %d", n, m), w)
	case before != datagramOf(n) || w.Before.Src != before.src.String() || w.Before.Dst != before.dst.String() ||
		w.After.Src != after.src.String() || w.After.Dst != after.dst.String():
		r.fail("other addresses", w)
	case int(r.told[n]) == copies(n) || before.refused():
		r.fail("told too often", w)
	default:
		r.told[n]++
		r.right++
	}
}

// engine pairs packets as the program does: the capture's summaries, and what
// conntrack tells.
func engine(t testing.TB, o flowOrder) *truth {
	t.Helper()
	o.MAC = natLoad(t)
	points := []capture.Point{beforeNAT, afterNAT}
	r := &truth{told: make([]uint8, o.Flows)}
	var mu sync.Mutex
	var heard []netfilter.FlowEvent
	nat, err := netfilter.WatchNAT(t.Context(), netns.Path("router"), func(e netfilter.FlowEvent) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == netfilter.FlowReset {
			r.events = e.Lost
		} else if e.Kind != netfilter.FlowSynced {
			heard = append(heard, e)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer nat.Close()
	s, err := capture.Open(t.Context(), points, capture.Options{Snaplen: 256})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := capture.NewMatcher(points...)
	m.Lookup = s.Store().Record
	tell := func(all []*capture.Rewrite) {
		for _, w := range all {
			r.check(w)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		view := make([]capture.Brief, 4096)
		for serial := uint64(0); s.Store().Wait(context.Background(), serial); {
			n := s.Store().View(serial+1, view)
			r.lost += int(view[0].Serial - serial - 1)
			nat.CatchUp()
			mu.Lock()
			flows := heard
			heard = nil
			mu.Unlock()
			for i := range flows {
				tell(m.Translate(translationOf(&flows[i])))
			}
			for i := range view[:n] {
				tell(m.See(&view[i]))
			}
			serial = view[n-1].Serial
		}
		tell(m.Flush())
	}()
	report := sendFlows(t, o)
	r.sent = report.Sent
	t.Logf("sent in %v", report.Elapsed)
	time.Sleep(200 * time.Millisecond)
	s.Stop()
	<-done
	for _, st := range s.Stats() {
		r.lost += int(st.Dropped + st.Overrun)
		r.arrived = int(st.Packets + st.Dropped) // of the last point: there is nothing but the load
	}
	return r
}

func translationOf(e *netfilter.FlowEvent) capture.Translation {
	f := &e.Flow
	return capture.Translation{NS: "router", ID: f.ID, Time: e.Time,
		Original: capture.Tuple{Protocol: f.Protocol, Src: f.Original.Src, Dst: f.Original.Dst},
		Reply:    capture.Tuple{Protocol: f.Protocol, Src: f.Reply.Src, Dst: f.Reply.Dst}}
}

// TestNewFlowsAreToldRight: all of 10,000 new flows a second, where the machine
// sends as many. At any rate nothing is told that is not true, and what is
// missing was lost by the kernel, and counted.
func TestNewFlowsAreToldRight(t *testing.T) {
	for _, rate := range []int{10_000, 50_000} {
		t.Run(rateName(rate), func(t *testing.T) {
			r := engine(t, flowOrder{Link: "eth0", Rate: rate, Flows: 3 * rate})
			t.Log(r)
			r.expect(t)
		})
	}
}
