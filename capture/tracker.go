package capture

import (
	"cmp"
	"slices"
	"time"
)

// Bounds of a tracker's memory.
const (
	maxFlows = 1 << 17
	// maxRewritten is as many as conntrack itself holds by default
	// (nf_conntrack_max); they take some 100 MB.
	maxRewritten = 1 << 18
	maxGroups    = 1 << 17
	// maxAlike is how many packets that are the same in all that can be known of
	// them wait for their partners: the same bytes, sent again and again.
	maxAlike = 256
)

// tracker finds the sightings of one packet at several points. A packet is the
// same if its invariants (IP id, TCP numbers and flags, ICMP type and sequence,
// payload) are the same and its addresses are equal, or are what conntrack says
// that they become; among packets that are the same in all this, the first is
// paired with the first. Of a packet in a tunnel the inner one counts.
//
// It works while packets stream in, in packet time, with bounded memory.
type tracker struct {
	early    int // tell as soon as this many points saw a rewritten packet; 0 to wait for more
	patience [stages]time.Duration
	flows    flows
	groups   map[invariants]*group // the first of those with the same
	count    int
	waiting  [stages]queue
	now      int64 // the latest packet's time
	numbers  int   // of flows given so far
	free     *group
	done     []*group // complete, to be told
	later    later
	parts    parts
	lone     uint64

	points   []Point
	names    []string // of points
	numbered map[Point]uint16
}

func newTracker(points []Point) tracker {
	t := tracker{
		patience: patience, groups: map[invariants]*group{}, numbered: map[Point]uint16{},
		flows: flows{byKey: map[Key]spot{}, plain: flowList{limit: maxFlows}, rewritten: flowList{limit: maxRewritten}}, later: later{keys: map[Key]int{}},
	}
	for _, p := range points {
		t.number(p)
	}
	return t
}

// number is the index of p in points.
func (m *tracker) number(p Point) uint16 {
	n, ok := m.numbered[p]
	if !ok {
		n = uint16(len(m.points))
		m.points = append(m.points, p)
		m.names = append(m.names, p.String())
		m.numbered[p] = n
	}
	return n
}

// brief summarizes a record.
func (m *tracker) brief(rec *Record) Brief { return rec.Brief(m.number(rec.Point)) }

// flowKey is the key by which conntrack knows the packet. An ICMP error belongs
// to the flow of the packet that it quotes and goes the other way.
func flowKey(b *Brief) (k Key, ok bool) {
	if b.isError() {
		return b.Quoted.mirror(), true
	}
	h := b.Innermost()
	return h.Key, h.Key.Version != 0 && !h.arp
}

// flowKey is that of the whole packet, for a part of one.
func (m *tracker) flowKey(b *Brief) (k Key, ok bool) {
	if h := b.Innermost(); h.part.kind != wholePacket {
		return m.parts.key(h), true
	}
	return flowKey(b)
}

// answers says that the packet cannot be the first of its flow.
func (h *Headers) answers() bool {
	switch h.Key.Protocol {
	case protoTCP:
		return h.TCPFlags&0x12 == 0x12 // SYN ACK
	case protoICMP:
		return h.ICMPType == 0
	case protoICMPv6:
		return h.ICMPType == 129
	}
	return false
}

// see takes the next sighting.
func (m *tracker) see(s *sighting) {
	m.expire(s.Time)
	m.mature(m.now)
	k, ok := m.flowKey(&s.Brief)
	if !ok {
		return
	}
	m.sight(s, m.flows.find(k, s.Innermost().answers() && !s.isError()))
}

// sight adds a sighting to the first group that it fits, or begins a group.
func (m *tracker) sight(s *sighting, at place) {
	s.rank = at.rank
	key := invariantsOf(&s.Brief)
	key.flow, key.reply = at.flow.id, at.reply
	first := m.groups[key]
	if first != nil && !first.refuses(s) {
		for g := first; g != nil; g = g.next {
			if g.accepts(s) {
				first.row.mixed = true
				m.join(g, s)
				return
			}
		}
		first.row.mixed = first.row.mixed || !s.samePlace(&first.seen[0])
	}
	if first != nil && first.row.length == maxAlike {
		m.finish(first)
		first = m.groups[key]
	}
	g := m.newGroup()
	g.flow, g.reply, g.key, g.stage = at.flow, at.reply, key, alone
	g.seen = append(g.seen, *s)
	if first == nil {
		m.groups[key], first = g, g
	} else {
		first.row.last.next = g
	}
	first.row.last = g
	first.row.length++
	if g.nextOf = at.flow.groups; g.nextOf != nil {
		g.nextOf.prevOf = g
	}
	at.flow.groups = g
	m.count++
	m.waiting[alone].push(g)
}

func (m *tracker) join(g *group, s *sighting) {
	g.add(s)
	if !g.emitted && m.early != 0 && g.rewritten() && g.spread() == m.early {
		g.emitted = true
		m.done = append(m.done, g)
	}
	m.waiting[g.stage].remove(g)
	g.stage = g.stageNow()
	m.waiting[g.stage].push(g)
}

func (m *tracker) newGroup() *group {
	g := m.free
	if g == nil {
		return &group{seen: make([]sighting, 0, 2)}
	}
	m.free = g.next
	clear(g.seen)
	*g = group{seen: g.seen[:0]}
	return g
}

// drop takes the group out of the waiting.
func (m *tracker) drop(g *group) {
	m.waiting[g.stage].remove(g)
	m.count--
	if g.prevOf != nil {
		g.prevOf.nextOf = g.nextOf
	} else {
		g.flow.groups = g.nextOf
	}
	if g.nextOf != nil {
		g.nextOf.prevOf = g.prevOf
	}
	first := m.groups[g.key]
	switch {
	case first != g:
		before := first
		for before.next != g {
			before = before.next
		}
		if before.next = g.next; g.next == nil {
			first.row.last = before
		}
		first.row.length--
	case g.next == nil:
		delete(m.groups, g.key)
	default:
		g.next.row = g.row
		g.next.row.length--
		m.groups[g.key] = g.next
	}
	g.next = nil
}

// recycle lets a group be used again that nothing refers to.
func (m *tracker) recycle(g *group) {
	g.next, g.flow = m.free, nil
	m.free = g
}

// expire moves packet time on, and ends the waiting of what waited too long by
// then, and of the oldest when there is no room for one more.
func (m *tracker) expire(now int64) {
	m.now = max(m.now, now)
	for st := range m.waiting {
		for g := m.waiting[st].oldest; g != nil; g = m.waiting[st].oldest {
			if m.now-g.last() < int64(m.patience[st]) && m.count < maxGroups {
				break
			}
			m.finish(g)
		}
	}
}

// finish ends the waiting of g.
func (m *tracker) finish(g *group) {
	m.drop(g)
	if len(g.seen) == 1 {
		m.lone++
	}
	g.over = true
	switch {
	case !g.emitted:
		m.done = append(m.done, g)
	case g.told:
		m.recycle(g)
	}
}

func (m *tracker) flush() {
	m.mature(endOfTime)
	for st := range m.waiting {
		for m.waiting[st].oldest != nil {
			m.finish(m.waiting[st].oldest)
		}
	}
}

// tell calls f with every group that is complete, in the order of their first
// sightings.
func (m *tracker) tell(f func(*group)) {
	if len(m.done) == 0 {
		return
	}
	slices.SortStableFunc(m.done, func(a, b *group) int { return cmp.Compare(a.seen[0].Time, b.seen[0].Time) })
	for _, g := range m.done {
		f(g)
		if g.told = true; g.over { // otherwise it still waits for late sightings
			m.recycle(g)
		}
	}
	clear(m.done)
	m.done = m.done[:0]
}

// numberOf is the number of a group's flow.
func (m *tracker) numberOf(g *group) int {
	if g.flow.number == 0 {
		m.numbers++
		g.flow.number = m.numbers
	}
	return g.flow.number
}
