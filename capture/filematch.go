package capture

import (
	"net/netip"
	"time"
)

// FileMatcher is a Matcher for the packets of a file, of which no conntrack can
// be asked: that a flow was rewritten, and into what, it concludes from packets
// that are the same in all that NAT leaves alone and were seen at two points
// with other addresses. It takes no chances: where two flows could be meant, it
// concludes nothing. Rules it cannot know. It is for one goroutine.
type FileMatcher struct {
	m *Matcher
	c concluder
}

// NewFileMatcher makes a FileMatcher for records of these points.
func NewFileMatcher(points ...Point) *FileMatcher {
	m := NewMatcher(points...)
	return &FileMatcher{m: m, c: newConcluder(&m.t)}
}

// Add takes the next record, in the order of the file, and returns the rewrites
// that it completes.
func (m *FileMatcher) Add(rec *Record) []*Rewrite {
	var out []*Rewrite
	if t, ok := m.c.conclude(rec); ok {
		out = m.m.Translate(t)
	}
	return append(out, m.m.Add(rec)...)
}

// Flush returns the rewrites that were still waiting for further sightings.
func (m *FileMatcher) Flush() []*Rewrite { return m.m.Flush() }

// Unmatched is the number of packets that were seen at one point only.
func (m *FileMatcher) Unmatched() uint64 { return m.m.Unmatched() }

// FileJourneys is Journeys for the packets of a file. What was rewritten it
// concludes as a FileMatcher does. It is for one goroutine.
type FileJourneys struct {
	j *Journeys
	c concluder
}

// NewFileJourneys makes a FileJourneys for records of these points.
func NewFileJourneys(points ...Point) *FileJourneys {
	j := NewJourneys(nil, points...)
	return &FileJourneys{j: j, c: newConcluder(&j.m.t)}
}

// Add takes the next record, in the order of the file, and returns the journeys
// that are complete by then.
func (m *FileJourneys) Add(rec *Record) []*Journey {
	var out []*Journey
	if t, ok := m.c.conclude(rec); ok {
		out = m.j.Translate(t)
	}
	return append(out, m.j.Add(rec)...)
}

// Flush returns all journeys that were still waiting for further hops.
func (m *FileJourneys) Flush() []*Journey { return m.j.Flush() }

// Other is the number of packets that have no journey, as of Journeys.
func (m *FileJourneys) Other() uint64 { return m.j.Other() }

// concluder finds the translations of flows in their packets.
type concluder struct {
	t      *tracker
	recent map[invariants][]*Record
	order  []agedKey // what to forget, the oldest first
	held   int       // bytes of what is remembered
	known  map[Tuple]bool
}

type agedKey struct {
	key  invariants
	time time.Time
	size int
}

// How long after its first sighting a packet may be seen at another point, and
// how many packets, and bytes of them, are remembered for that.
const (
	fileWindow  = 2 * time.Second
	maxSighted  = 1 << 16
	maxHeld     = 64 << 20
	tellingData = 8 // bytes of payload that tell packets without numbers apart
)

func newConcluder(t *tracker) concluder {
	return concluder{t: t, recent: map[invariants][]*Record{}, known: map[Tuple]bool{}}
}

// conclude finds out whether rec is a packet that was seen before, with another
// tuple.
func (c *concluder) conclude(rec *Record) (t Translation, ok bool) {
	c.forget(rec.Time)
	tuple, ok := tupleOf(rec)
	b := c.t.brief(rec)
	if !ok || !translatable(&b, tuple) || !telling(rec) {
		return t, false
	}
	key := invariantsOf(&b)
	was, ok := c.before(c.recent[key], rec, tuple)
	c.remember(key, rec)
	if !ok || c.known[was] && c.known[tuple] {
		return t, false
	}
	t = Translation{Original: was, Reply: tuple.Mirror()}
	if b.Innermost().answers() {
		t = Translation{Original: tuple.Mirror(), Reply: was}
	}
	for _, k := range []Tuple{was, tuple, was.Mirror(), tuple.Mirror()} {
		c.known[k] = true
	}
	return t, true
}

// before is the tuple that rec bore before, by sightings that are the same in
// all that NAT leaves alone; ok is false when there is none, or several are
// possible.
func (c *concluder) before(alike []*Record, rec *Record, tuple Tuple) (was Tuple, ok bool) {
	if len(alike) >= maxAlike {
		return was, false // it is like many others, and telling too little
	}
	for _, r := range alike {
		other, _ := tupleOf(r)
		switch {
		case r.Point == rec.Point || !samePayload(r, rec):
		case other == tuple:
			return was, false // it came this way as it is
		case !plausible(r, rec, other, tuple):
		case ok && was != other && !c.oneFlow(was, other):
			return was, false
		default:
			was, ok = other, true // the last: it may have been rewritten several times
		}
	}
	return was, ok
}

// oneFlow says that one tuple is known to become the other.
func (c *concluder) oneFlow(a, b Tuple) bool {
	x, okX := c.t.flows.lookup(keyOf(a))
	y, okY := c.t.flows.lookup(keyOf(b))
	return okX && okY && x.flow == y.flow
}

// translatable says that NAT could rewrite the packet: it has ports or an
// echo's identifier, and goes from one host to another.
func translatable(b *Brief, t Tuple) bool {
	switch t.Protocol {
	case "tcp", "udp":
	case "icmp", "icmp6":
		if b.isError() || !isEcho(b.Innermost()) {
			return false
		}
	default:
		return false
	}
	return single(t.Src.Addr()) && single(t.Dst.Addr())
}

// single says that the address is one host's, and of more than one link.
func single(a netip.Addr) bool {
	return a.IsGlobalUnicast() || a.IsLoopback()
}

// telling says that the packet is not like any other.
func telling(rec *Record) bool {
	s := &inmost(rec).Summary
	return s.Protocol == "tcp" || s.IPID != 0 || s.Payload >= tellingData
}

// plausible says that NAT can have made one tuple of the other. TCP's numbers
// prove it. Of others one address stays, as both are seldom rewritten, and they
// were routed meanwhile: two machines can send the same.
func plausible(before, after *Record, a, b Tuple) bool {
	if a.Protocol == "tcp" {
		return true
	}
	return (a.Src.Addr() == b.Src.Addr() || a.Dst.Addr() == b.Dst.Addr()) && inmost(after).Summary.TTL < inmost(before).Summary.TTL
}

func (c *concluder) remember(key invariants, rec *Record) {
	c.recent[key] = append(c.recent[key], rec)
	c.order = append(c.order, agedKey{key, rec.Time, len(rec.Data)})
	c.held += len(rec.Data)
}

// forget drops what is too old, or too much.
func (c *concluder) forget(now time.Time) {
	n := 0
	for n < len(c.order) && (now.Sub(c.order[n].time) > fileWindow || len(c.order)-n > maxSighted || c.held > maxHeld) {
		old := &c.order[n]
		if left := c.recent[old.key]; len(left) > 1 {
			left[0] = nil
			c.recent[old.key] = left[1:]
		} else {
			delete(c.recent, old.key)
		}
		c.held -= old.size
		n++
	}
	c.order = c.order[n:]
	if len(c.known) > maxFlows {
		clear(c.known)
	}
}
