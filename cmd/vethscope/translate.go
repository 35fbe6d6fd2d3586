package main

import (
	"context"
	"fmt"
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

// watchFlows listens to conntrack of one namespace, and returns when nothing
// will be missed.
func (f *follower) watchFlows(ctx context.Context, ns capture.Point) error {
	ready := make(chan struct{})
	failed := make(chan error, 1)
	a := newAttributor(ns.NS, ns.Path)
	f.watches.Add(1)
	go func() {
		defer f.watches.Done()
		var once sync.Once
		err := netfilter.WatchFlows(ctx, ns.Path, func(e netfilter.FlowEvent) {
			switch e.Kind {
			case netfilter.FlowReset:
				if e.Lost > 0 {
					f.notice(ns.NS + ": the kernel dropped conntrack events: some packets may stay unmatched")
				}
			case netfilter.FlowSynced:
				once.Do(func() { close(ready) })
			case netfilter.FlowPresent, netfilter.FlowNew:
				f.learn(ctx, a, e.Flow)
			}
		})
		failed <- err
		if err != nil && ctx.Err() == nil {
			f.notice(fmt.Sprintf("%s: flows are no longer followed: %v", ns.NS, err))
		}
	}()
	select {
	case <-ready:
		return nil
	case err := <-failed:
		if err == nil {
			err = ctx.Err()
		}
		return fmt.Errorf("follow the flows of %s: %w", ns.NS, err)
	}
}

// learn hands a flow that is rewritten to run.
func (f *follower) learn(ctx context.Context, a *attributor, flow netfilter.Flow) {
	t, ok := a.translation(ctx, flow)
	if !ok {
		return
	}
	select {
	case f.flows <- t:
	case <-ctx.Done():
	}
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
