package capture

import (
	"container/list"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"
)

// Bounds of a Matcher's memory.
const (
	maxFlows  = 1 << 16
	maxGroups = 1 << 16
)

// Matcher finds the sightings of one packet at several points, and tells what
// was changed on its way. A packet is the same if its invariants (IP id, TCP
// numbers and flags, ICMP type and sequence, payload) are the same and its
// addresses are equal, or are what conntrack says that they become; among
// packets that are the same in all this, the first is paired with the first.
//
// It works while packets stream in, in packet time, with bounded memory. It is
// for one goroutine.
type Matcher struct {
	points    int // 0 when not known
	flows     flows
	waiting   [stages]list.List // of *group, the latest sighting at the back
	groups    int
	now       time.Time // the latest packet's time
	numbers   int       // of flows given so far
	unmatched uint64
	seed      maphash.Seed
}

// NewMatcher makes a Matcher for records of these points. With one or two
// points a rewrite is told as soon as it has been seen on both sides; with
// more, or when none are given, a moment later, when no further sighting is to
// be expected.
func NewMatcher(points ...Point) *Matcher {
	return &Matcher{
		points: len(points), seed: maphash.MakeSeed(),
		flows: flows{byTuple: make(map[Tuple]place), limit: maxFlows},
	}
}

// Add takes the next record, in the order of time, and returns the rewrites
// that it completes, in the order of their first sightings.
func (m *Matcher) Add(rec *Record) []*Rewrite {
	done := m.expire(rec.Time)
	if t, ok := tupleOf(rec); ok {
		done = append(done, m.sight(rec, m.flows.find(t, rec))...)
	}
	return m.tell(done)
}

// tupleOf is the tuple by which conntrack knows the packet. An ICMP error
// belongs to the flow of the packet that it quotes and goes the other way.
func tupleOf(rec *Record) (Tuple, bool) {
	s := &rec.Summary
	switch s.Protocol {
	case "tcp", "udp", "ip":
		return Tuple{s.Protocol, s.Src, s.Dst}, true
	case "icmp", "icmp6":
		if !fixedPayload(rec) {
			return rec.quoted.Mirror(), true
		}
		return Tuple{s.Protocol, netip.AddrPortFrom(s.Src.Addr(), s.ICMPID),
			netip.AddrPortFrom(s.Dst.Addr(), s.ICMPID)}, true
	}
	return Tuple{}, false
}

// sight adds a sighting to the first group that it fits, or begins a group. It
// returns the group when it is complete with that.
func (m *Matcher) sight(rec *Record, at place) []*group {
	key := invariantsOf(rec, at.direction, m.seed)
	for _, g := range at.flow.pending[key] {
		if !g.accepts(rec, at.rank) {
			continue
		}
		g.add(rec, at.rank)
		complete := !g.emitted && m.points != 0 && m.points <= 2 && g.rewritten() && g.spread() == m.points
		g.emitted = g.emitted || complete
		m.restage(g)
		if complete {
			return []*group{g}
		}
		return nil
	}
	g := &group{flow: at.flow, key: key, seen: []sighting{{rec, at.rank}}}
	if at.flow.pending == nil {
		at.flow.pending = make(map[invariants][]*group)
	}
	at.flow.pending[key] = append(at.flow.pending[key], g)
	m.groups++
	g.stage = alone
	g.waiting = m.waiting[alone].PushBack(g)
	return nil
}

func (m *Matcher) restage(g *group) {
	m.waiting[g.stage].Remove(g.waiting)
	g.stage = g.stageNow()
	g.waiting = m.waiting[g.stage].PushBack(g)
}

// drop takes the group out of the waiting.
func (m *Matcher) drop(g *group) {
	m.waiting[g.stage].Remove(g.waiting)
	m.groups--
	left := slices.DeleteFunc(g.flow.pending[g.key], func(o *group) bool { return o == g })
	if len(left) == 0 {
		delete(g.flow.pending, g.key)
		return
	}
	g.flow.pending[g.key] = left
}

// Translate tells of a flow that NAT rewrites. It may come before the packets
// of the flow, after them, and again when a rule was found for it. It returns
// the rewrites that it completes.
func (m *Matcher) Translate(t Translation) []*Rewrite {
	if known := m.flows.byTuple[t.Original].flow; known != nil && known.translation != nil &&
		known.translation.Original == t.Original && known.translation.Reply == t.Reply {
		if known.translation.ID != t.ID {
			known.number = 0 // the same addresses and ports, but a new connection
		}
		known.translation = &t
		return nil
	}
	f := &flow{original: t.Original, translation: &t}
	early := m.takeEarly(f)
	m.flows.add(f)
	var done []*group
	for _, rec := range early {
		tuple, _ := tupleOf(rec)
		done = append(done, m.sight(rec, m.flows.find(tuple, rec))...)
	}
	return m.tell(append(done, m.expire(m.now)...))
}

// takeEarly takes back the records that were sorted by f's tuples before it
// was known what they mean, in the order in which they came.
func (m *Matcher) takeEarly(f *flow) []*Record {
	var early []*Record
	for t := range f.tuples() {
		old := m.flows.byTuple[t].flow
		if old == nil {
			continue
		}
		for _, groups := range old.pending {
			for _, g := range slices.Clone(groups) {
				if g.emitted {
					continue
				}
				for _, s := range g.seen {
					early = append(early, s.rec)
				}
				m.drop(g)
			}
		}
		if old.translation == nil {
			if f.number == 0 {
				f.number = old.number
			}
			m.flows.remove(old)
		}
	}
	slices.SortStableFunc(early, func(a, b *Record) int { return a.Time.Compare(b.Time) })
	return early
}

// Advance tells that it is now past this time, so that what waited long enough
// is told although no further packet comes.
func (m *Matcher) Advance(now time.Time) []*Rewrite { return m.tell(m.expire(now)) }

// Flush returns all rewrites that were still waiting for further sightings.
func (m *Matcher) Flush() []*Rewrite {
	var done []*group
	for st := range m.waiting {
		for m.waiting[st].Len() > 0 {
			done = m.finish(m.waiting[st].Front().Value.(*group), done)
		}
	}
	return m.tell(done)
}

// Unmatched is the number of packets that were seen at one point only.
func (m *Matcher) Unmatched() uint64 { return m.unmatched }

// expire moves packet time on, and ends the waiting of what waited too long by
// then, and of the oldest when there is no room for one more.
func (m *Matcher) expire(now time.Time) (done []*group) {
	if now.After(m.now) {
		m.now = now
	}
	for st := range m.waiting {
		for e := m.waiting[st].Front(); e != nil; e = m.waiting[st].Front() {
			g := e.Value.(*group)
			if m.now.Sub(g.last()) < patience[st] && m.groups < maxGroups {
				break
			}
			done = m.finish(g, done)
		}
	}
	return done
}

// finish ends the waiting of g.
func (m *Matcher) finish(g *group, done []*group) []*group {
	m.drop(g)
	switch {
	case g.emitted:
	case len(g.seen) > 1:
		g.emitted = true
		return append(done, g)
	default:
		m.unmatched++
	}
	return done
}

// tell makes rewrites of groups and numbers their flows.
func (m *Matcher) tell(done []*group) []*Rewrite {
	slices.SortStableFunc(done, func(a, b *group) int { return a.seen[0].rec.Time.Compare(b.seen[0].rec.Time) })
	var out []*Rewrite
	for _, g := range done {
		if g.flow.number == 0 {
			m.numbers++
			g.flow.number = m.numbers
		}
		out = append(out, g.rewrite())
	}
	return out
}
