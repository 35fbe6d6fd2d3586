package capture

import "time"

// FileMatcher is a Matcher for the packets of a file, of which no conntrack can
// be asked: that a flow was rewritten, and into what, it concludes from packets
// that are the same in all that NAT leaves alone and were seen at two points
// with other addresses. It takes no chances: where two flows could be meant, it
// concludes nothing. Rules it cannot know. It is for one goroutine.
type FileMatcher struct {
	m      *Matcher
	recent map[invariants][]*Record
	order  []agedKey // what to forget, the oldest first
	known  map[Tuple]bool
}

type agedKey struct {
	key  invariants
	time time.Time
}

// How long after its first sighting a packet may be seen at another point, and
// how many packets are remembered for that.
const (
	fileWindow  = 2 * time.Second
	maxSighted  = 1 << 16
	tellingData = 8 // bytes of payload that tell packets without numbers apart
)

// NewFileMatcher makes a FileMatcher for records of these points.
func NewFileMatcher(points ...Point) *FileMatcher {
	return &FileMatcher{
		m:      NewMatcher(points...),
		recent: map[invariants][]*Record{}, known: map[Tuple]bool{},
	}
}

// Add takes the next record, in the order of the file, and returns the rewrites
// that it completes.
func (m *FileMatcher) Add(rec *Record) []*Rewrite {
	m.forget(rec.Time)
	var out []*Rewrite
	if t, ok := m.conclude(rec); ok {
		out = m.m.Translate(t)
	}
	return append(out, m.m.Add(rec)...)
}

// Flush returns the rewrites that were still waiting for further sightings.
func (m *FileMatcher) Flush() []*Rewrite { return m.m.Flush() }

// Unmatched is the number of packets that were seen at one point only.
func (m *FileMatcher) Unmatched() uint64 { return m.m.Unmatched() }

// conclude finds out whether rec is a packet that was seen before, with another
// tuple.
func (m *FileMatcher) conclude(rec *Record) (t Translation, ok bool) {
	tuple, ok := tupleOf(rec)
	if !ok || rec.Summary.Protocol == "ip" || !fixedPayload(rec) || !telling(rec) {
		return t, false
	}
	b := m.m.t.brief(rec)
	key := invariantsOf(&b)
	var before *Record
	several := false
	for _, r := range m.recent[key] {
		other, _ := tupleOf(r)
		switch {
		case r.Point == rec.Point || !samePayload(r, rec) || !plausible(other, tuple):
		case other == tuple:
			several = true // it came this way as it is
		case before != nil:
			was, _ := tupleOf(before)
			several = several || was != other
		default:
			before = r
		}
	}
	m.remember(key, rec)
	if before == nil || several {
		return t, false
	}
	was, _ := tupleOf(before)
	if m.known[was] && m.known[tuple] {
		return t, false
	}
	t = Translation{Original: was, Reply: tuple.Mirror()}
	if b.Innermost().answers() {
		t = Translation{Original: tuple.Mirror(), Reply: was}
	}
	for _, k := range []Tuple{was, tuple, was.Mirror(), tuple.Mirror()} {
		m.known[k] = true
	}
	return t, true
}

// telling says that the packet is not like any other.
func telling(rec *Record) bool {
	return rec.Summary.Protocol == "tcp" || rec.Summary.IPID != 0 || rec.Summary.Payload >= tellingData
}

// plausible says that one can be the other after NAT: an address stays, except
// where source and destination are rewritten, which only TCP's numbers prove.
func plausible(a, b Tuple) bool {
	return a.Src.Addr() == b.Src.Addr() || a.Dst.Addr() == b.Dst.Addr() || a.Protocol == "tcp"
}

func (m *FileMatcher) remember(key invariants, rec *Record) {
	m.recent[key] = append(m.recent[key], rec)
	m.order = append(m.order, agedKey{key, rec.Time})
}

// forget drops what is too old, or too much.
func (m *FileMatcher) forget(now time.Time) {
	n := 0
	for n < len(m.order) && (now.Sub(m.order[n].time) > fileWindow || len(m.order)-n > maxSighted) {
		key := m.order[n].key
		if left := m.recent[key]; len(left) > 1 {
			m.recent[key] = left[1:]
		} else {
			delete(m.recent, key)
		}
		n++
	}
	m.order = m.order[n:]
	if len(m.known) > maxFlows {
		clear(m.known)
	}
}
