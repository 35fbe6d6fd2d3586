package netfilter

import "slices"

// marks says whether a chain, or one that it leads to, sets a mark.
func marks(ch *chain, seen map[*chain]bool) bool {
	if ch == nil || seen[ch] {
		return false
	}
	seen[ch] = true
	for _, r := range ch.rules {
		for _, e := range r.exprs {
			if e.setsMark() {
				return true
			}
			if slices.ContainsFunc(e.targets(ch.table), func(name string) bool { return marks(ch.table.chains[name], seen) }) {
				return true
			}
		}
	}
	return false
}

func (e expr) setsMark() bool {
	switch e.name {
	case "meta":
		return e.attrs.has(3) && e.attrs.u32(2) == metaMark
	case "ct":
		return e.attrs.has(4) && e.attrs.u32(2) == ctMark
	case "target":
		name := e.attrs.str(attrXTName)
		return name == "MARK" || name == "CONNMARK"
	}
	return false
}

// targets are the chains that an expression may jump to.
func (e expr) targets(t *table) []string {
	var out []string
	switch e.name {
	case "immediate":
		if b, ok := e.attrs.nested(2)[2]; ok {
			out = append(out, parseVerdict(b).chain)
		}
	case "lookup":
		if s := t.sets[e.attrs.str(1)]; s != nil {
			for _, el := range s.elems {
				if el.verdict != nil {
					out = append(out, el.verdict.chain)
				}
			}
		}
	}
	return out
}

// canMatter says whether a rule can send a packet anywhere or change what other
// rules ask for. Those that only count and log need not be run.
func (r *rule) canMatter() bool {
	return slices.ContainsFunc(r.exprs, func(e expr) bool { return !e.harmless() })
}

func (e expr) harmless() bool {
	switch e.name {
	case "meta", "ct":
		return !e.setsMark()
	case "immediate":
		return !e.attrs.nested(2).has(2)
	case "lookup":
		return !e.attrs.has(3) || e.attrs.u32(3) != 0
	case "target":
		return slices.Contains(harmlessTargets, e.attrs.str(attrXTName))
	case "payload", "fib", "bitwise", "byteorder", "cmp", "range", "limit", "quota", "connlimit", "dynset", "numgen",
		"rt", "exthdr", "osf", "xfrm", "hash", "socket", "counter", "log", "notrack", "objref", "match":
		return true
	}
	return false
}
