package netfilter

import "net/netip"

// Translate says which rules rewrite the addresses of the first packet of a
// flow, and to what: it follows the rules of NAT, and those that set marks, of
// the hooks that the packet passes, in the kernel's order. It reads only what
// it is given. Where something cannot be decided and makes a difference,
// Unsure says what, and the answer is the first of the possibilities.
func (rs *Ruleset) Translate(p Packet) Translation {
	all, unsure, complete := rs.explore(p, nil, nil)
	first := all[0]
	for _, o := range all {
		if !o.dropped { // what gets through is the better guess
			first = o
			break
		}
	}
	out := Translation{
		DNAT: rs.rewrite(first.dnat, p.Dst), SNAT: rs.rewrite(first.snat, p.Src), Dropped: first.dropped,
	}
	certain := complete && !first.opaqueD && !first.opaqueS
	for _, o := range all {
		certain = certain && o.same(first)
	}
	if !certain {
		out.Unsure = unsure
	}
	return out
}

// same says that two outcomes name the same rules with the same effect.
func (o outcome) same(other outcome) bool {
	return o.dropped == other.dropped && o.opaqueD == other.opaqueD && o.opaqueS == other.opaqueS &&
		sameRewrite(o.dnat, other.dnat) && sameRewrite(o.snat, other.snat)
}

func sameRewrite(a, b *rewrite) bool { return a == b || a != nil && b != nil && *a == *b }

func (rs *Ruleset) rewrite(r *rewrite, from netip.AddrPort) *Rewrite {
	if r == nil {
		return nil
	}
	return &Rewrite{Rule: &rs.Rules[r.rule.index], To: r.target(from)}
}

// Attribute names the rules that rewrote a flow: dnat its destination, snat
// its source. in and out are the links that its first packet came in and left
// by; in is "" for a flow that the namespace opened itself, out for one that
// was delivered to it. local says which addresses are the namespace's own.
//
// A rule is only named when it is certain: nil stands for a side that was not
// rewritten, and for one where the rules as they are now do not explain what
// conntrack says, or explain it in more than one way.
func (rs *Ruleset) Attribute(f Flow, in, out string, local func(netip.Addr) bool) (dnat, snat *Rule) {
	p := f.first(local)
	p.InLink, p.OutLink, p.LinksOpen = in, out, false
	return rs.attribute(&f, p, nil)
}

// first is the flow's first packet, with links that are not known.
func (f *Flow) first(local func(netip.Addr) bool) Packet {
	return Packet{
		Protocol: f.Protocol, Src: f.Original.Src, Dst: f.Original.Dst,
		ICMPType: f.ICMPType, Related: f.Related, IsLocal: local, LinksOpen: true,
	}
}

func (rs *Ruleset) attribute(f *Flow, p Packet, used *used) (dnat, snat *Rule) {
	all, _, complete := rs.explore(p, f, used)
	if !complete {
		return nil, nil
	}
	var ds, ss candidates
	for _, o := range all {
		if o.dropped || o.dnat == nil && !o.opaqueD && f.ChangesDestination() {
			continue
		}
		ds.add(o.dnat, o.opaqueD)
		// A source port may change with no rule, where two flows would be one.
		if o.snat == nil && !o.opaqueS && f.Reply.Dst.Addr() != f.Original.Src.Addr() {
			continue
		}
		ss.add(o.snat, o.opaqueS)
	}
	if f.ChangesDestination() {
		dnat = rs.only(ds)
	}
	if f.ChangesSource() {
		snat = rs.only(ss)
	}
	return dnat, snat
}

// candidates are the rules that may have done a rewrite.
type candidates struct {
	rule  *rule
	mixed bool // more than one, or something not understood
	some  bool
}

func (c *candidates) add(r *rewrite, opaque bool) {
	var found *rule
	if r != nil {
		found = r.rule
	}
	c.mixed = c.mixed || opaque || c.some && c.rule != found
	c.rule, c.some = found, true
}

func (rs *Ruleset) only(c candidates) *Rule {
	if c.mixed || c.rule == nil {
		return nil
	}
	return &rs.Rules[c.rule.index]
}
