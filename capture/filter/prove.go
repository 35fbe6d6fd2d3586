package filter

// maxCases bounds the work of a proof.
const maxCases = 64

// prove says whether n holds wherever f does. Facts are single tests; what is
// known beside them is looked at case by case: after "tcp port 80" a packet is
// either of IPv6, or of IPv4, of TCP, and no later fragment.
func prove(n node, f *fact) bool {
	cases := []*fact{f}
	for c := f; c != nil; c = c.next {
		if c.open == nil {
			continue
		}
		var more []*fact
		for _, known := range cases {
			more = append(more, known.assume(c.open, c.result)...)
		}
		if len(more) > maxCases {
			break
		}
		cases = more
	}
	for _, c := range cases {
		if simplify(n, c) != constant(true) {
			return false
		}
	}
	return true
}

// assume gives the ways in which n can come out as result where f holds. They
// may overlap, and there may be none.
func (f *fact) assume(n node, result bool) []*fact {
	switch n := n.(type) {
	case constant:
		if bool(n) != result {
			return nil
		}
		return []*fact{f}
	case negated:
		return f.assume(n.x, !result)
	case both:
		if !result {
			return append(f.assume(n.left, false), f.assume(n.right, false)...)
		}
		return f.assumeNext(n.left, true, n.right, true)
	case either:
		if result {
			return append(f.assume(n.left, true), f.assume(n.right, true)...)
		}
		return f.assumeNext(n.left, false, n.right, false)
	case choice:
		return append(f.assumeNext(n.cond, true, n.yes, result), f.assumeNext(n.cond, false, n.no, result)...)
	case test:
		if known, ok := f.known(n); ok && known != result {
			return nil
		}
		return []*fact{f.learn(n, result)}
	}
	return []*fact{f}
}

// assumeNext is for two nodes in a row.
func (f *fact) assumeNext(first node, firstResult bool, second node, secondResult bool) (cases []*fact) {
	for _, c := range f.assume(first, firstResult) {
		if len(cases) <= maxCases {
			cases = append(cases, c.assume(second, secondResult)...)
		}
	}
	return cases
}
