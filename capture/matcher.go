package capture

import "time"

// Matcher tells what was changed in packets on their way between points: it
// pairs the sightings of one packet. Flows that NAT rewrites it learns from
// Translate. A packet is found again by what NAT and routers leave alone (IP
// id, TCP numbers and flags, ICMP type and sequence, payload). Of a packet in a
// tunnel the inner one counts.
//
// It works while packets stream in, in packet time, with bounded memory. It is
// for one goroutine.
type Matcher struct {
	t tracker
	// Lookup finds the record of a packet that was seen as a Brief; nil when
	// there is no need of records.
	Lookup func(serial uint64) (*Record, bool)
	// OnlyRewritten leaves out the packets whose addresses, ports and ICMP ids
	// stayed what they were: they cost no more than to be found again.
	OnlyRewritten bool
}

// NewMatcher makes a Matcher for packets of these points. With one or two
// points a rewrite is told as soon as it has been seen on both sides; with
// more, or when none are given, a moment later, when no further sighting is to
// be expected.
func NewMatcher(points ...Point) *Matcher {
	m := &Matcher{t: newTracker(points)}
	if len(points) <= 2 {
		m.t.early = len(points)
	}
	return m
}

// Add takes the next record, in the order of time, and returns the rewrites
// that it completes, in the order of their first sightings.
func (m *Matcher) Add(rec *Record) []*Rewrite {
	m.t.see(&sighting{Brief: m.t.brief(rec), rec: rec})
	return m.tell()
}

// See is Add for a packet that was not decoded. Its Point is an index into the
// points that the Matcher was made for, and AddPoint.
func (m *Matcher) See(b *Brief) []*Rewrite {
	m.t.see(&sighting{Brief: *b})
	return m.tell()
}

// AddPoint tells of one more point, whose index is next.
func (m *Matcher) AddPoint(p Point) {
	m.t.number(p)
	m.t.early = 0
}

// Translate tells of a flow that NAT rewrites. It may come before the packets
// of the flow, after them, and again when a rule was found for it. It returns
// the rewrites that it completes. What several namespaces rewrite one after the
// other is one flow.
func (m *Matcher) Translate(t Translation) []*Rewrite {
	m.t.translate(t)
	return m.tell()
}

// Advance tells that it is now past this time, so that what waited long enough
// is told although no further packet comes.
func (m *Matcher) Advance(now time.Time) []*Rewrite {
	m.t.expire(now.UnixNano())
	return m.tell()
}

// Flush returns all rewrites that were still waiting for further sightings.
func (m *Matcher) Flush() []*Rewrite {
	m.t.flush()
	return m.tell()
}

// Unmatched is the number of packets that were seen at one point only.
func (m *Matcher) Unmatched() uint64 { return m.t.lone }

// Forgotten is the number of rewritten flows that are not known any more, as
// there were too many: their next packets stay unmatched.
func (m *Matcher) Forgotten() uint64 { return m.t.flows.forgotten }

func (m *Matcher) tell() (out []*Rewrite) {
	m.t.tell(func(g *group) {
		if len(g.seen) > 1 && !(m.OnlyRewritten && g.unchanged()) {
			out = append(out, m.rewrite(g))
		}
	})
	return out
}
