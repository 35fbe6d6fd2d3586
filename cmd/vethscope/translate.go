package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"vethscope/capture"
	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// natNamespaces are those where the packets of the points may be rewritten.
func natNamespaces(points []capture.Point) []capture.Point {
	out := []capture.Point{{NS: netns.Host, Path: netns.Path(netns.Host)}}
	seen := map[string]bool{netns.Host: true}
	for _, p := range points {
		if !seen[p.NS] {
			seen[p.NS] = true
			out = append(out, p)
		}
	}
	return out
}

// translator tells what the flows become that NAT rewrites in the namespaces of
// the points, and in the host's, and by which rules.
type translator struct {
	spaces []*natSpace
	notice func(string)
	ends   sync.WaitGroup
}

// natSpace is one namespace that is watched.
type natSpace struct {
	name  string
	watch *netfilter.NATWatch
	attr  *attributor // of who calls take

	mu      sync.Mutex
	pending []netfilter.FlowEvent
	spare   []netfilter.FlowEvent
	dropped int // flows for which there was no room
}

// maxPending bounds how many flows wait for who takes them.
const maxPending = 1 << 18

// watchTranslations listens to conntrack, from before it returns until close is
// called. What a namespace refuses is told by notice, which does not block.
func watchTranslations(ctx context.Context, points []capture.Point, notice func(string)) (*translator, error) {
	t := &translator{notice: notice}
	for _, p := range natNamespaces(points) {
		err := t.watch(ctx, p)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, netfilter.ErrUnsupported) {
			// The packets can be shown all the same.
			notice(fmt.Sprintf("rewritten packets are not recognized: %v", err))
		} else if err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

func (t *translator) watch(ctx context.Context, p capture.Point) error {
	s := &natSpace{name: p.NS, attr: newAttributor(p.NS, p.Path)}
	// The watch ends with close: what is on its way when ctx ends counts.
	watch, err := netfilter.WatchNAT(context.WithoutCancel(ctx), p.Path, func(e netfilter.FlowEvent) { s.learn(e, t.notice) })
	if err != nil {
		return fmt.Errorf("follow the flows of %s: %w", p.NS, err)
	}
	s.watch = watch
	t.spaces = append(t.spaces, s)
	t.ends.Go(func() {
		if err := watch.Ended(); err != nil {
			t.notice(fmt.Sprintf("%s: flows are no longer followed: %v", p.NS, err))
		}
	})
	return nil
}

// learn keeps for take what happens.
func (s *natSpace) learn(e netfilter.FlowEvent, notice func(string)) {
	switch e.Kind {
	case netfilter.FlowSynced:
		return
	case netfilter.FlowReset:
		if e.Lost == 0 {
			return
		}
		notice(s.name + ": the kernel dropped conntrack events: some packets may stay unmatched")
		e.Kind = netfilter.FlowRules // that may have been among them
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.pending); e.Kind == netfilter.FlowRules && n > 0 && s.pending[n-1].Kind == e.Kind {
		return
	}
	if len(s.pending) < maxPending {
		s.pending = append(s.pending, e)
		return
	}
	if s.dropped++; s.dropped == 1 {
		notice(s.name + ": flows come faster than they are shown: some packets may stay unmatched")
	}
}

// take returns what was learned since the last call: all flows that had begun
// before the call. So of packets that were seen before it, none has left a
// namespace rewritten by a flow that is yet to be told. It is for one goroutine.
func (t *translator) take(ctx context.Context) (out []capture.Translation) {
	for _, s := range t.spaces {
		s.watch.CatchUp()
		s.mu.Lock()
		events := s.pending
		s.pending, s.spare = s.spare[:0], events
		s.mu.Unlock()
		if len(events) > 0 {
			out = append(out, s.attr.translations(ctx, events, s.unchanged)...)
		}
	}
	return out
}

// unchanged says that the rules were not changed since the last take.
func (s *natSpace) unchanged() bool {
	s.watch.CatchUp()
	s.mu.Lock()
	defer s.mu.Unlock()
	return !slices.ContainsFunc(s.pending, func(e netfilter.FlowEvent) bool { return e.Kind == netfilter.FlowRules })
}

func (t *translator) close() {
	for _, s := range t.spaces {
		s.watch.Close()
	}
	t.ends.Wait()
}

func tuple(protocol string, t netfilter.Tuple) capture.Tuple {
	if protocol == "icmpv6" {
		protocol = "icmp6" // as capture calls it
	}
	return capture.Tuple{Protocol: protocol, Src: t.Src, Dst: t.Dst}
}
