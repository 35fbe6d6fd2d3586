package netfilter

import "net/netip"

// Attributor is Attribute for many flows. It remembers for which addresses and
// ports an answer holds, from what the rules looked at, so that most flows cost
// no more than a look-up. It is for one goroutine.
type Attributor struct {
	rs     *Ruleset
	routes Routes
	kinds  []kind // by what was looked at
	count  int    // of answers
}

// Routes is what an Attributor asks the namespace's routing; the answers must
// not change during its life.
type Routes interface {
	// Local says whether an address is one of the namespace's own.
	Local(netip.Addr) bool
	// Link is the one that leads to an address, "" for the namespace itself. It
	// is asked for only where the rules decide by it. ok is false when it cannot
	// be told.
	Link(netip.Addr) (name string, ok bool)
}

// Attributor makes an Attributor for these rules.
func (rs *Ruleset) Attributor(routes Routes) *Attributor { return &Attributor{rs: rs, routes: routes} }

// Bounds of what an Attributor remembers: more kinds are a longer search.
const (
	maxKinds   = 32
	maxAnswers = 1 << 14
)

// kind are the answers that hold for all flows that are the same in mask.
type kind struct {
	mask    used
	answers map[question]answer
}

// question is what an answer depends on.
type question struct {
	facts   facts // as far as the mask goes
	traits  traits
	in, out string
	open    bool // the links are not known
}

// traits are what else can decide about a flow.
type traits struct {
	protocol                      string
	v4, related                   bool
	icmpType                      uint8
	local                         [4]bool // in the order of facts
	multicast                     [4]bool
	special                       [4]bool // a broadcast or loopback address
	dst, src, srcAddr, sameTarget bool    // what is changed
}

type answer struct{ dnat, snat *Rule }

// Attribute names the rules that rewrote a flow, as Ruleset.Attribute does.
func (a *Attributor) Attribute(f *Flow) (dnat, snat *Rule) {
	q := question{facts: f.facts(), traits: a.traits(f), open: true}
	got := a.answer(f, &q)
	if (got.dnat != nil || !f.ChangesDestination()) && (got.snat != nil || !f.ChangesSource()) {
		return got.dnat, got.snat
	}
	in, ok1 := a.routes.Link(f.Original.Src.Addr())
	out, ok2 := a.routes.Link(f.Reply.Src.Addr())
	if !ok1 || !ok2 {
		return got.dnat, got.snat
	}
	q.in, q.out, q.open = in, out, false
	got = a.answer(f, &q)
	return got.dnat, got.snat
}

func (a *Attributor) traits(f *Flow) traits {
	t := traits{
		protocol: f.Protocol, v4: f.Original.Dst.Addr().Is4(), related: f.Related, icmpType: f.ICMPType,
		dst: f.ChangesDestination(), src: f.ChangesSource(),
		srcAddr:    f.Reply.Dst.Addr() != f.Original.Src.Addr(),
		sameTarget: f.Reply.Src == f.Original.Dst,
	}
	for i, end := range []netip.AddrPort{f.Original.Src, f.Original.Dst, f.Reply.Src, f.Reply.Dst} {
		addr := end.Addr()
		t.local[i], t.multicast[i] = a.routes.Local(addr), addr.IsMulticast()
		t.special[i] = addr.IsLoopback() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255})
	}
	return t
}

// answer looks an answer up, or works it out.
func (a *Attributor) answer(f *Flow, q *question) answer {
	for i := range a.kinds {
		k := &a.kinds[i]
		if got, ok := k.answers[k.mask.apply(q)]; ok {
			return got
		}
	}
	p := f.first(a.routes.Local)
	p.InLink, p.OutLink, p.LinksOpen = q.in, q.out, q.open
	var mask used
	var got answer
	got.dnat, got.snat = a.rs.attribute(f, p, &mask)
	a.remember(mask, q, got)
	return got
}

// apply leaves of a question what the mask covers.
func (u *used) apply(q *question) question {
	out := *q
	for i, m := range u {
		out.facts[i] &= m
	}
	return out
}

func (a *Attributor) remember(mask used, q *question, got answer) {
	if a.count >= maxAnswers {
		a.kinds, a.count = nil, 0
	}
	a.count++
	for i := range a.kinds {
		if k := &a.kinds[i]; k.mask == mask {
			k.answers[mask.apply(q)] = got
			return
		}
	}
	if len(a.kinds) == maxKinds {
		a.kinds = a.kinds[1:]
	}
	a.kinds = append(a.kinds, kind{mask, map[question]answer{mask.apply(q): got}})
}
