package main

import (
	"context"
	"net/netip"
	"time"

	"vethscope/capture"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
)

// attributor finds the rules that rewrote the flows of one namespace. It is for
// one goroutine.
type attributor struct {
	ns, path string
	routes   *nsRoutes
	looked   time.Time // when routes were read
	book     *ruleBook // the rules as they are; nil when they are yet to be read
	retry    time.Time // not to read the rules before
}

// ruleBook is a ruleset with what was asked of it.
type ruleBook struct {
	rules  *netfilter.Ruleset
	asker  *netfilter.Attributor // by routes
	routes *nsRoutes
	refs   map[*netfilter.Rule]*capture.RuleRef
}

const (
	// fresh is how long routes are believed without another look.
	fresh = time.Second
	// A ruleset that takes slow to read is read again after slowShare times as
	// long at the earliest. Until then no rule is named.
	slow      = 50 * time.Millisecond
	slowShare = 20
	// commit is how long the kernel may take from putting new rules to work to
	// telling of it.
	commit = 10 * time.Millisecond
)

func newAttributor(ns, path string) *attributor { return &attributor{ns: ns, path: path} }

// translations says what the packets of flows become, and by which rules, as far
// as that is certain. Between the flows stands where the rules were changed. A
// flow that was there before the first call is explained by the rules that there
// are. unchanged says that they were not changed since the last of the events.
func (a *attributor) translations(ctx context.Context, events []netfilter.FlowEvent, unchanged func() bool) []capture.Translation {
	first, last := len(events), -1
	for i := range events {
		if events[i].Kind == netfilter.FlowRules {
			first, last = min(first, i), i
		}
	}
	old := a.book
	if last >= 0 {
		a.book = nil
	}
	if len(events) > 1 || last < 0 { // there is a flow
		a.refresh(ctx, unchanged)
	}
	if last < 0 {
		old = a.book
	}
	out := make([]capture.Translation, 0, len(events))
	for i := range events {
		e := &events[i]
		switch {
		case e.Kind == netfilter.FlowRules:
		case i > last:
			out = append(out, a.translation(e, a.book, a.book))
		case i < first && e.Time.Before(events[first].Time.Add(-commit)):
			out = append(out, a.translation(e, old, old))
		default: // if both explain it, and the same way
			out = append(out, a.translation(e, old, a.book))
		}
	}
	return out
}

// refresh reads the rules if they are not known, and the routes every now and
// then.
func (a *attributor) refresh(ctx context.Context, unchanged func() bool) {
	if a.book == nil {
		if a.book = a.read(ctx); a.book != nil && !unchanged() {
			a.book = nil // it may be too new for the flows
		}
	}
	if time.Since(a.looked) > fresh {
		a.looked, a.routes = time.Now(), nil
		if locals, err := inventory.LocalsOf(ctx, a.path); err == nil {
			a.routes = &nsRoutes{ctx: ctx, path: a.path, locals: locals, hops: map[netip.Addr]inventory.Hop{}}
		}
	}
	if a.routes != nil {
		a.routes.left = mostHops
	}
}

// read is nil when the rules cannot be read, or it would take too long.
func (a *attributor) read(ctx context.Context) *ruleBook {
	began := time.Now()
	if began.Before(a.retry) {
		return nil
	}
	rules, err := netfilter.Read(ctx, a.path)
	if took := time.Since(began); err != nil || took > slow {
		a.retry = time.Now().Add(slowShare * took)
	}
	if err != nil {
		return nil
	}
	return &ruleBook{rules: rules, refs: map[*netfilter.Rule]*capture.RuleRef{}}
}

// translation says what a flow's packets become, and by which rules: those that
// both books name.
func (a *attributor) translation(e *netfilter.FlowEvent, one, other *ruleBook) capture.Translation {
	f := &e.Flow
	t := capture.Translation{NS: a.ns, ID: f.ID, Time: e.Time, Original: tuple(f.Protocol, f.Original), Reply: tuple(f.Protocol, f.Reply)}
	if a.routes == nil || one == nil || other == nil {
		return t
	}
	t.DNAT, t.SNAT = one.ask(a, f)
	if one != other {
		dnat, snat := other.ask(a, f)
		t.DNAT, t.SNAT = either(t.DNAT, dnat), either(t.SNAT, snat)
	}
	return t
}

// either is the rule if both are the same.
func either(a, b *capture.RuleRef) *capture.RuleRef {
	if a == nil || b == nil || *a != *b {
		return nil
	}
	return a
}

func (b *ruleBook) ask(a *attributor, f *netfilter.Flow) (dnat, snat *capture.RuleRef) {
	if b.routes != a.routes { // its answers are of the old ones
		b.asker, b.routes = b.rules.Attributor(a.routes), a.routes
	}
	d, s := b.asker.Attribute(f)
	return b.ref(a.ns, d), b.ref(a.ns, s)
}

func (b *ruleBook) ref(ns string, r *netfilter.Rule) *capture.RuleRef {
	if r == nil {
		return nil
	}
	ref, ok := b.refs[r]
	if !ok {
		ref = &capture.RuleRef{NS: ns, Engine: r.Engine, Family: r.Family, Table: r.Table, Chain: r.Chain, Handle: r.Handle, Text: r.Text}
		b.refs[r] = ref
	}
	return ref
}

// nsRoutes is the routing of a namespace at one moment.
type nsRoutes struct {
	ctx    context.Context // of the refresh that made it; a look-up takes microseconds
	path   string
	locals *inventory.Locals
	hops   map[netip.Addr]inventory.Hop
	left   int // look-ups until the next refresh
}

// mostHops bounds how long looking up where addresses lead may hold up the
// packets: each takes some ten microseconds.
const mostHops = 500

// Local implements netfilter.Routes.
func (r *nsRoutes) Local(a netip.Addr) bool { return r.locals.Has(a) }

// Link implements netfilter.Routes.
func (r *nsRoutes) Link(a netip.Addr) (name string, ok bool) {
	h, ok := r.hops[a]
	if !ok {
		if r.left == 0 {
			return "", false
		}
		r.left--
		h, _ = inventory.HopTo(r.ctx, r.path, a)
		r.hops[a] = h
	}
	if h.Local {
		return "", true
	}
	return h.Link, h.Link != ""
}
