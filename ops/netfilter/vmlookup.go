package netfilter

import (
	"bytes"
	"slices"
)

// lookup finds a key in a set or a map.
func (m *machine) lookup(a attrs) action {
	s := m.rule.chain.table.sets[a.str(1)]
	if s == nil {
		return test(m.either("set " + a.str(1)))
	}
	inverted := a.u32(5)&1 != 0
	e, open := m.find(s, a.u32(2))
	if open {
		return m.openLookup(s, a, inverted)
	}
	if e == nil || inverted {
		return test((e == nil) == inverted)
	}
	return m.found(e, a)
}

// find is the element for what the register holds. open says that it cannot be
// known: the key is not, or the packets themselves change the set.
func (m *machine) find(s *set, reg uint32) (e *element, open bool) {
	key, known := m.load(reg, int(min(s.keyLen, registerBytes+1)))
	if !known || s.flags&(setDynamic|setTimeout) != 0 {
		return nil, true
	}
	return s.find(key), false
}

// openLookup tries all that a map could give; of a set, both answers.
func (m *machine) openLookup(s *set, a attrs, inverted bool) action {
	const maxElements = 32
	why := "lookup in " + m.place()
	if !a.has(3) || inverted {
		return test(m.either(why))
	}
	if len(s.elems) > maxElements {
		if !m.either(why) {
			return mismatch
		}
		m.forget(a.u32(3), int(min(s.dataLen, registerBytes)))
		if a.u32(3) == 0 {
			m.opaque()
		}
		return proceed
	}
	i := m.pickOf(len(s.elems)+1, why)
	if i == len(s.elems) {
		return mismatch
	}
	return m.found(&s.elems[i], a)
}

// found hands on what a map holds for a key.
func (m *machine) found(e *element, a attrs) action {
	switch {
	case !a.has(3):
		return proceed
	case e.verdict != nil:
		m.verdict = *e.verdict
		return decided
	case len(e.data) > 0:
		m.store(a.u32(3), e.data)
		return proceed
	}
	return mismatch
}

// find is the element that holds key, or the one for all other keys, or nil.
func (s *set) find(key []byte) *element {
	var e *element
	switch {
	case s.isTree():
		e = s.findInterval(key)
	case s.flags&setConcat != 0:
		e = s.findRange(key)
	default:
		e = s.first(func(e *element) bool { return bytes.Equal(e.key, key) })
	}
	if e == nil {
		e = s.firstCatchall()
	}
	return e
}

func (s *set) first(f func(*element) bool) *element {
	i := slices.IndexFunc(s.elems, func(e element) bool { return e.flags&elemCatchall == 0 && f(&e) })
	if i < 0 {
		return nil
	}
	return &s.elems[i]
}

func (s *set) firstCatchall() *element {
	i := slices.IndexFunc(s.elems, func(e element) bool { return e.flags&elemCatchall != 0 })
	if i < 0 {
		return nil
	}
	return &s.elems[i]
}

// findInterval is the interval with the highest start that is not above key;
// an end mark in that place means that key is in none.
func (s *set) findInterval(key []byte) *element {
	var hit *element
	for _, e := range s.elems {
		if e.flags&elemCatchall != 0 {
			continue
		}
		if bytes.Compare(e.key, key) > 0 {
			break
		}
		hit = &e
	}
	if hit == nil || hit.flags&elemIntervalEnd != 0 {
		return nil
	}
	return hit
}

// findRange compares field by field: each field of a concatenation has its own
// range.
func (s *set) findRange(key []byte) *element {
	types := concatTypes(s.keyType)
	return s.first(func(e *element) bool {
		if len(e.key) != len(key) {
			return false
		}
		last := e.keyEnd
		if len(last) != len(key) {
			last = e.key
		}
		off := 0
		for _, t := range types {
			end := off + slots(typeSize(t))*4
			if end > len(key) {
				return false
			}
			if bytes.Compare(key[off:end], e.key[off:end]) < 0 || bytes.Compare(key[off:end], last[off:end]) > 0 {
				return false
			}
			off = end
		}
		return off == len(key)
	})
}
