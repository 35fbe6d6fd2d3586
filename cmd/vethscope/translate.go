package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"time"

	"vethscope/capture"
	"vethscope/ops/inventory"
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

// learn keeps a flow for take.
func (s *natSpace) learn(e netfilter.FlowEvent, notice func(string)) {
	switch e.Kind {
	case netfilter.FlowReset:
		if e.Lost > 0 {
			notice(s.name + ": the kernel dropped conntrack events: some packets may stay unmatched")
		}
	case netfilter.FlowPresent, netfilter.FlowNew:
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.pending) < maxPending {
			s.pending = append(s.pending, e)
			return
		}
		if s.dropped++; s.dropped == 1 {
			notice(s.name + ": flows come faster than they are shown: some packets may stay unmatched")
		}
	}
}

// take returns what was learned since the last call: all flows that had begun
// before the call. So of packets that were seen before it, none has left a
// namespace rewritten by a flow that is yet to be told. It is for one goroutine.
func (t *translator) take(ctx context.Context) (out []capture.Translation) {
	for _, s := range t.spaces {
		s.watch.CatchUp()
		s.mu.Lock()
		flows := s.pending
		s.pending, s.spare = s.spare[:0], flows
		s.mu.Unlock()
		for i := range flows {
			if tr, ok := s.attr.translation(ctx, flows[i].Flow); ok {
				tr.Time = flows[i].Time
				out = append(out, tr)
			}
		}
	}
	return out
}

func (t *translator) close() {
	for _, s := range t.spaces {
		s.watch.Close()
	}
	t.ends.Wait()
}

// attributor finds the rules that rewrote the flows of one namespace. It is for
// one goroutine.
type attributor struct {
	ns, path string
	rules    *netfilter.Ruleset
	read     time.Time // when rules were
	hops     map[netip.Addr]inventory.Hop
}

// fresh is how long rules and routes are believed without another look.
const fresh = time.Second

func newAttributor(ns, path string) *attributor {
	return &attributor{ns: ns, path: path, hops: map[netip.Addr]inventory.Hop{}}
}

// translation says what a flow's packets become; ok is false for a flow that is
// not rewritten.
func (a *attributor) translation(ctx context.Context, f netfilter.Flow) (t capture.Translation, ok bool) {
	if !f.SNAT && !f.DNAT {
		return t, false
	}
	t = capture.Translation{NS: a.ns, ID: f.ID, Original: tuple(f.Protocol, f.Original), Reply: tuple(f.Protocol, f.Reply)}
	if a.refresh(ctx) != nil {
		return t, true // the rewrite is shown all the same, without its rule
	}
	in, out := a.hop(ctx, f.Original.Src.Addr()), a.hop(ctx, f.Reply.Src.Addr())
	local := func(addr netip.Addr) bool { return a.hop(ctx, addr).Local }
	dnat, snat := a.rules.Attribute(f, wire(in), wire(out), local)
	t.DNAT, t.SNAT = a.ref(dnat), a.ref(snat)
	return t, true
}

// wire is the link of a hop, "" for the namespace itself.
func wire(h inventory.Hop) string {
	if h.Local {
		return ""
	}
	return h.Link
}

func (a *attributor) refresh(ctx context.Context) error {
	if a.rules != nil && time.Since(a.read) < fresh {
		return nil
	}
	rules, err := netfilter.Read(ctx, a.path)
	if err != nil {
		return err
	}
	a.rules, a.read = rules, time.Now()
	clear(a.hops)
	return nil
}

func (a *attributor) hop(ctx context.Context, addr netip.Addr) inventory.Hop {
	h, ok := a.hops[addr]
	if !ok {
		// Without a route there is no link, and no rule that asks for one fits.
		h, _ = inventory.HopTo(ctx, a.path, addr)
		a.hops[addr] = h
	}
	return h
}

func (a *attributor) ref(r *netfilter.Rule) *capture.RuleRef {
	if r == nil {
		return nil
	}
	return &capture.RuleRef{NS: a.ns, Engine: r.Engine, Family: r.Family, Table: r.Table, Chain: r.Chain, Handle: r.Handle, Text: r.Text}
}

func tuple(protocol string, t netfilter.Tuple) capture.Tuple {
	if protocol == "icmpv6" {
		protocol = "icmp6" // as capture calls it
	}
	return capture.Tuple{Protocol: protocol, Src: t.Src, Dst: t.Dst}
}
