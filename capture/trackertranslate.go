package capture

import (
	"cmp"
	"slices"
)

// later are translations that wait until packet time has come to them: they
// take the place of others, whose packets may be on their way.
type later struct {
	list []translation // by their time
	keys map[Key]int   // how often each stands in list
}

// maxLater bounds how many wait.
const maxLater = 1 << 16

// holds says that a translation of these addresses and ports waits.
func (l *later) holds(t *translation) bool {
	return len(l.list) > 0 && (l.keys[t.from] > 0 || l.keys[t.to] > 0)
}

func (l *later) add(t *translation) {
	i := len(l.list)
	for i > 0 && l.list[i-1].time > t.time {
		i--
	}
	l.list = slices.Insert(l.list, i, *t)
	l.keys[t.from]++
	l.keys[t.to]++
}

// take returns the first.
func (l *later) take() translation {
	t := l.list[0]
	l.list = l.list[1:]
	for _, k := range []Key{t.from, t.to} {
		if l.keys[k]--; l.keys[k] == 0 {
			delete(l.keys, k)
		}
	}
	return t
}

// translate tells of a flow that NAT rewrites. One that contradicts what is
// known waits for its time: what is known may have ended a moment ago, and its
// last packets may not have been seen yet.
func (m *tracker) translate(told Translation) {
	t := newTranslation(&told)
	e := m.flows.ends(&t)
	if t.time <= m.now || e.rival(&t) == nil && !m.later.holds(&t) {
		m.apply(&t, &e)
		return
	}
	if m.later.add(&t); len(m.later.list) > maxLater {
		m.applyFirst()
	}
}

// applyFirst applies the first translation that waits.
func (m *tracker) applyFirst() {
	t := m.later.take()
	e := m.flows.ends(&t)
	m.apply(&t, &e)
}

// mature applies the translations whose time has come by now.
func (m *tracker) mature(now int64) {
	for len(m.later.list) > 0 && m.later.list[0].time <= now {
		m.applyFirst()
	}
}

// apply makes what waits for a translation find its partners.
func (m *tracker) apply(t *translation, e *ends) {
	if r := e.rival(t); r != nil && t.time < r.time && t.time != 0 {
		return // it had ended when the other began, and is told late
	}
	f, replaced := m.flows.translate(t, e)
	if f == nil {
		return
	}
	var early []sighting
	for _, old := range replaced {
		for g := old.groups; g != nil; {
			next := g.nextOf
			if !g.emitted {
				early = append(early, g.seen...)
				m.drop(g)
				m.recycle(g)
			}
			g = next
		}
		if covers(f.keys, old.keys) {
			m.flows.remove(old)
		}
	}
	m.flows.add(f)
	slices.SortStableFunc(early, func(a, b sighting) int { return cmp.Compare(a.Time, b.Time) })
	for i := range early {
		s := &early[i]
		k, _ := m.flowKey(&s.Brief)
		m.sight(s, m.flows.find(k, s.Innermost().answers() && !s.isError()))
	}
	m.expire(m.now)
}
