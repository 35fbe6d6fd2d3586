package netfilter

import (
	"context"
	"fmt"
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

// TestWatchNATTellsWhatWatchFlowsTells compares it with the decoding of a
// library, flow by flow.
func TestWatchNATTellsWhatWatchFlowsTells(t *testing.T) {
	l := newLab(t, "nat")
	load(t, l.host, nativeLab)
	serve(t, l.container, ":80")
	serve(t, l.outside, ":80")
	visit(t, l.outside, hostAddr+":8080") // there before the watch
	ctx, cancel := context.WithCancel(t.Context())
	var theirs, ours eventLog
	var both sync.WaitGroup
	start := func(watch func(context.Context, string, func(FlowEvent)) error, log *eventLog) {
		both.Go(func() {
			if err := watch(ctx, netns.Path(l.host), log.add); err != nil {
				t.Error(err)
			}
		})
	}
	start(WatchFlows, &theirs)
	start(WatchNAT, &ours)
	soon(t, "both to be in step", func() bool { return theirs.synced() && ours.synced() })
	visit(t, l.outside, hostAddr+":8082")
	visit(t, l.container, outsideAddr+":80")
	visit(t, l.container, "["+outsideAddr6+"]:80")
	ping(t, l.container, outsideAddr)
	soon(t, "four new flows", func() bool { return len(theirs.nat(FlowNew)) >= 4 && len(ours.nat(FlowNew)) >= 4 })
	cancel()
	both.Wait()
	for _, kind := range []FlowEventKind{FlowPresent, FlowNew} {
		want, got := theirs.nat(kind), ours.nat(kind)
		if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) || len(want) == 0 {
			t.Errorf("%s: got\n%+v\nwant\n%+v", kind, got, want)
		}
	}
}

// What was lost is told as present, while events go on.
func TestWatchNATMakesGoodWhatWasLost(t *testing.T) {
	l := newLab(t, "natlost")
	load(t, l.host, "table ip x { chain c { type nat hook output priority -100; udp dport 1-65535 dnat to 127.0.0.1; }; }")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	synced, flooded := make(chan struct{}), make(chan struct{})
	var log eventLog
	done := make(chan error, 1)
	go func() {
		first := true
		done <- WatchNAT(ctx, netns.Path(l.host), func(e FlowEvent) {
			log.add(e)
			if e.Kind == FlowSynced && first {
				first = false
				close(synced)
				<-flooded // the slow reader
			}
		})
	}()
	<-synced
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
	flows, err := Flows(ctx, netns.Path(l.host))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
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
