package netfilter

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"

	"vethscope/ops/netns"
)

// eventLog collects what a watch tells.
type eventLog struct {
	mu     sync.Mutex
	events []FlowEvent
}

func (l *eventLog) add(e FlowEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// nat lists the rewritten flows that were told, by their text.
func (l *eventLog) nat(kind FlowEventKind) map[string]Flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := map[string]Flow{}
	for _, e := range l.events {
		if e.Kind == kind && (e.Flow.SNAT || e.Flow.DNAT) {
			f := e.Flow
			f.Sent, f.Received = Counter{}, Counter{}
			out[flowText(f)] = f
		}
	}
	return out
}

func (l *eventLog) synced() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Kind == FlowSynced {
			return true
		}
	}
	return false
}

func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

func watchNAT(t *testing.T, ns string, f func(FlowEvent)) *NATWatch {
	t.Helper()
	w, err := WatchNAT(t.Context(), netns.Path(ns), f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// TestWatchNATTellsWhatALibraryTells compares the two flow by flow.
func TestWatchNATTellsWhatALibraryTells(t *testing.T) {
	l := newLab(t, "nat")
	load(t, l.host, nativeLab)
	serve(t, l.container, ":80")
	serve(t, l.outside, ":80")
	visit(t, l.outside, hostAddr+":8080") // there before the watch
	ctx, cancel := context.WithCancel(t.Context())
	var theirs, ours eventLog
	var both sync.WaitGroup
	both.Go(func() { libraryWatch(ctx, t, l.host, theirs.add) })
	w := watchNAT(t, l.host, ours.add)
	if !ours.synced() {
		t.Error("the flows that there are were not told at once")
	}
	soon(t, "the other to be in step", theirs.synced)
	visit(t, l.outside, hostAddr+":8082")
	visit(t, l.container, outsideAddr+":80")
	visit(t, l.container, "["+outsideAddr6+"]:80")
	ping(t, l.container, outsideAddr)
	w.CatchUp()
	if n := len(ours.nat(FlowNew)); n != 4 {
		t.Errorf("%d flows are known when all four have begun", n)
	}
	soon(t, "four new flows", func() bool { return len(theirs.nat(FlowNew)) >= 4 })
	cancel()
	both.Wait()
	w.Close()
	if err := w.Ended(); err != nil {
		t.Error(err)
	}
	for _, kind := range []FlowEventKind{FlowPresent, FlowNew} {
		want, got := theirs.nat(kind), ours.nat(kind)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || len(want) == 0 {
			t.Errorf("%s: got\n%+v\nwant\n%+v", kind, got, want)
		}
	}
}

// A change of the rules is told between the flows before and behind it, once,
// however many rules it makes.
func TestWatchNATTellsOfRules(t *testing.T) {
	l := newLab(t, "natrules")
	load(t, l.host, nativeLab)
	serve(t, l.container, ":80")
	var log eventLog
	w := watchNAT(t, l.host, log.add)
	visit(t, l.outside, hostAddr+":8080")
	load(t, l.host, "table ip more { chain c { "+strings.Repeat("ip saddr 192.0.2.1 counter; ", 200)+"}; }")
	visit(t, l.outside, hostAddr+":8082")
	w.CatchUp()
	var kinds []FlowEventKind
	for _, e := range log.events {
		kinds = append(kinds, e.Kind)
	}
	if want := []FlowEventKind{FlowReset, FlowSynced, FlowNew, FlowRules, FlowNew}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
}

// What was lost is told as present, while events go on.
func TestWatchNATMakesGoodWhatWasLost(t *testing.T) {
	l := newLab(t, "natlost")
	load(t, l.host, "table ip x { chain c { type nat hook output priority -100; udp dport 1-65535 dnat to 127.0.0.1; }; }")
	flooded := make(chan struct{})
	var log eventLog
	w := watchNAT(t, l.host, func(e FlowEvent) {
		if log.add(e); e.Kind == FlowNew {
			<-flooded // the slow reader
		}
	})
	flood(t, l, 40000)
	close(flooded)
	soon(t, "the dump after the loss", func() bool {
		log.mu.Lock()
		defer log.mu.Unlock()
		lost, resynced := false, false
		for _, e := range log.events {
			lost = lost || e.Kind == FlowReset && e.Lost > 0
			resynced = resynced || lost && e.Kind == FlowSynced
		}
		return resynced
	})
	flows, err := Flows(t.Context(), netns.Path(l.host))
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	told := map[uint32]bool{}
	for _, e := range log.events {
		told[e.Flow.ID] = true
	}
	missing := 0
	for _, f := range flows {
		if f.DNAT && !told[f.ID] {
			missing++
		}
	}
	if missing > 0 || len(flows) < 30000 {
		t.Errorf("%d of %d flows were never told", missing, len(flows))
	}
}

// FuzzNATFlow compares the decoder with a library's, on messages that both take
// for one of a rewritten flow.
func FuzzNATFlow(f *testing.F) {
	f.Add([]byte{8, 0, 3, 0, 0, 0, 0, 0x30})
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := natFlow(body)
		var e conntrack.Event
		m := netlink.Message{Header: netlink.Header{Type: 1 << 8}, Data: append([]byte{2, 0, 0, 0}, body...)}
		if !ok || e.Unmarshal(m) != nil || e.Flow == nil {
			return
		}
		if want := newFlow(e.Flow); got.Original != want.Original || got.Reply != want.Reply || got.ID != want.ID {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
