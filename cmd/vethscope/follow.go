package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"sync"
	"time"

	"vethscope/capture"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// batch is what following packets has brought since the last one.
type batch struct {
	records  []*capture.Record
	rewrites []*capture.Rewrite
	journeys []*capture.Journey // only of a follower that was told to
	notices  []string           // what went wrong on the way, for the user
}

// follower captures at several points and tells which packets were rewritten
// between them, and by which rule: it joins the capture with conntrack and the
// rules of the namespaces that the points are in, and of the host.
type follower struct {
	points  []capture.Point
	session *capture.Session
	matcher *capture.Matcher
	// journeys, when set before run, tells of every packet's way.
	journeys *capture.Journeys
	flows    chan capture.Translation
	notices  chan string
	watches  sync.WaitGroup
	cancel   context.CancelFunc
}

// tick is how often the matcher is told the time when no packet tells it.
const tick = 50 * time.Millisecond

// follow opens the points. When it returns, every packet and every flow from now
// on is seen.
func follow(ctx context.Context, points []capture.Point, o capture.Options) (*follower, error) {
	ctx, cancel := context.WithCancel(ctx)
	f := &follower{
		points: points, matcher: capture.NewMatcher(points...), cancel: cancel,
		flows: make(chan capture.Translation, 1024), notices: make(chan string, 16),
	}
	for _, ns := range natNamespaces(points) {
		err := f.watchFlows(ctx, ns)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, netfilter.ErrUnsupported) {
			// The packets can be shown all the same.
			f.notice(fmt.Sprintf("rewritten packets are not recognized: %v", err))
		} else if err != nil {
			f.close()
			return nil, err
		}
	}
	if o.VXLANPorts == nil {
		o.VXLANPorts = vxlanPorts(ctx)
	}
	session, err := capture.Open(ctx, points, o)
	if err != nil {
		f.close()
		return nil, err
	}
	f.session = session
	return f, nil
}

// vxlanPorts are the UDP ports of all vxlan links: an underlay sees the packets
// of links that live elsewhere.
func vxlanPorts(ctx context.Context) []uint16 {
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return nil // the usual ports are known all the same
	}
	var out []uint16
	for _, n := range snap.Namespaces {
		for _, l := range n.Links {
			if d := l.Detail; d != nil && d.Port > 0 && !slices.Contains(out, uint16(d.Port)) {
				out = append(out, uint16(d.Port))
			}
		}
	}
	return out
}

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

// notice never blocks: a user who got sixteen needs no seventeenth.
func (f *follower) notice(text string) {
	select {
	case f.notices <- text:
	default:
	}
}

// run hands out what comes, until ctx ends or all points have ended. It is
// called once; everything is closed when it returns.
func (f *follower) run(ctx context.Context, emit func(batch)) {
	defer f.close()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		var b batch
		select {
		case records, ok := <-f.session.Records():
			if !ok {
				b.rewrites = f.matcher.Flush()
				f.travel(&b, (*capture.Journeys).Flush)
				emit(b)
				return
			}
			b.records = records
			for _, r := range records {
				b.rewrites = append(b.rewrites, f.matcher.Add(r)...)
				f.travel(&b, func(j *capture.Journeys) []*capture.Journey { return j.Add(r) })
			}
		case t := <-f.flows:
			b.rewrites = f.matcher.Translate(t)
			f.travel(&b, func(j *capture.Journeys) []*capture.Journey { return j.Translate(t) })
		case text := <-f.notices:
			b.notices = []string{text}
		case now := <-ticker.C:
			// What is on its way through the rings is not late yet.
			b.rewrites = f.matcher.Advance(now.Add(-tick))
			f.travel(&b, func(j *capture.Journeys) []*capture.Journey { return j.Advance(now.Add(-tick)) })
		case <-ctx.Done():
			f.session.Stop()
			ctx = context.Background() // go on until the records are through
		}
		emit(b) // also when it is empty: time passes
	}
}

// travel adds the journeys that are complete after do.
func (f *follower) travel(b *batch, do func(*capture.Journeys) []*capture.Journey) {
	if f.journeys != nil {
		b.journeys = append(b.journeys, do(f.journeys)...)
	}
}

// stats are the counts of every point.
func (f *follower) stats() []capture.Stats { return f.session.Stats() }

func (f *follower) close() {
	f.cancel()
	if f.session != nil {
		f.session.Close()
	}
	f.watches.Wait()
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

// errNoPoint says that a point was not named right.
var errNoPoint = errors.New("a point is NAMESPACE:LINK, such as host:up0")
