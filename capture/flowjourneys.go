package capture

import (
	"slices"
	"time"
)

// Packets are found by their serials: a Store has them, and a file.
type Packets interface {
	// Span is the serials of those that are there, from first up to end.
	Span() (first, end uint64)
	// View copies the summaries from serial on, or from the oldest one that is
	// there, into dst, and returns how many.
	View(serial uint64, dst []Brief) int
	// Record decodes one; ok is false when it is not there.
	Record(serial uint64) (rec *Record, ok bool)
	// Points are what Brief.Point is an index into.
	Points() []Point
}

// FlowJourneys tells of the journeys of a few flows, among all packets that are
// kept and those that come. It looks at nothing until it is asked to, so that it
// costs a capture nothing. It is for one goroutine at a time.
type FlowJourneys struct {
	from  Packets
	nat   *Translations
	flows map[Key]bool    // keys that the packets bear on their way, in one of their two directions
	asked map[uint64]bool // packets whose flow shows when one comes by them
	begin uint64
	next  uint64 // what is looked at next
	read  int    // of nat
	known []Translation
	j     *Journeys
	look  Look
	told  []*group // complete, and not yet put into words

	// Of a file there are no translations: they are concluded.
	guess   *concluder
	guessed uint64 // up to this serial
	buf     []Brief
}

// Look says how FlowJourneys looks.
type Look struct {
	// Now is the time by the clock of the packets: what was not seen elsewhere by
	// then is told as it is.
	Now time.Time
	// May is how long it may take, about.
	May time.Duration
	// Most is how many journeys it may bring: it ends with these, or, when Latest
	// is true, goes on and brings the last ones.
	Most   int
	Latest bool
}

// FlowPart is what one look of FlowJourneys has found.
type FlowPart struct {
	Journeys []*Journey
	Skipped  int // journeys that are not told, as there are Most later ones
	// Again says that it has begun anew, as a flow turned out to be rewritten:
	// what was told before is told again.
	Again   bool
	Next    uint64 // the serial of the packet that comes next
	More    bool   // there are packets that were not looked at yet
	Waiting bool   // some journeys are not complete yet
	Missed  uint64 // packets that were let go before they were looked at
}

// NewFlowJourneys looks at packets from serial begin on, for those of the same
// flows as the given ones. nat is what conntrack told; when it is nil, what was
// rewritten is concluded from the packets, as by a FileMatcher. ok is false when
// none of the packets belongs to a flow, as ARP does not.
func NewFlowJourneys(from Packets, nat *Translations, begin uint64, of ...Brief) (f *FlowJourneys, ok bool) {
	f = &FlowJourneys{from: from, nat: nat, flows: map[Key]bool{}, asked: map[uint64]bool{}, begin: begin, buf: make([]Brief, 512)}
	var t tracker
	for i := range of {
		if of[i].Innermost().part.kind == laterPart { // of a packet whose first part says more
			f.asked[of[i].Serial] = true
		} else if k, ok := t.flowKey(&of[i]); ok {
			f.add(k)
		}
	}
	if nat == nil {
		t := newTracker(nil)
		c := newConcluder(&t)
		f.guess = &c
	}
	f.restart()
	return f, len(f.flows)+len(f.asked) > 0
}

// add looks for packets with this key, too; more is false when that was so
// already.
func (f *FlowJourneys) add(k Key) (more bool) {
	c, _ := canonical(k)
	more = !f.flows[c]
	f.flows[c] = true
	return more
}

func (f *FlowJourneys) has(k Key) bool {
	c, _ := canonical(k)
	return f.flows[c]
}

func (f *FlowJourneys) restart() {
	f.j, f.next, f.told = NewJourneys(f.from.Record, f.from.Points()...), f.begin, nil
	f.j.sink = func(g *group) {
		f.told = append(f.told, &group{flow: g.flow, reply: g.reply, key: g.key, seen: slices.Clone(g.seen)})
	}
	for _, t := range f.known {
		f.j.Translate(t)
	}
}

// Look looks at the packets that it has not seen yet.
func (f *FlowJourneys) Look(l Look) (out FlowPart) {
	f.look = l
	until, begin := time.Now().Add(l.May), f.next
	f.learn(&out)
	for {
		n := f.from.View(f.next, f.buf)
		if n == 0 {
			f.rest(f.next == begin)
			break
		}
		f.see(f.buf[:n], &out)
		f.trim(&out, 2*l.Most)
		if out.More = !time.Now().Before(until) || f.full(); out.More {
			break
		}
	}
	f.trim(&out, l.Most)
	for _, g := range f.told {
		out.Journeys = append(out.Journeys, f.j.journey(g))
	}
	f.told = nil
	out.Next, out.Waiting = f.next, f.j.m.t.count > 0
	return out
}

// full says that there are as many journeys as were asked for.
func (f *FlowJourneys) full() bool { return !f.look.Latest && len(f.told) >= f.look.Most }

// trim lets go of the oldest journeys, when the latest are asked for and there
// are more than most.
func (f *FlowJourneys) trim(out *FlowPart, most int) {
	if n := len(f.told) - most; f.look.Latest && n > 0 {
		out.Skipped += n
		f.told = slices.Delete(f.told, 0, n)
	}
}

// see looks at packets, until it has to begin anew.
func (f *FlowJourneys) see(packets []Brief, out *FlowPart) {
	for i := range packets {
		b := &packets[i]
		if f.full() {
			return
		}
		out.Missed += b.Serial - f.next
		f.next = b.Serial + 1
		if f.conclude(b.Serial, out) {
			return
		}
		k, ok := f.j.m.t.flowKey(b)
		if ok && f.asked[b.Serial] {
			if delete(f.asked, b.Serial); f.add(k) {
				f.relearn(out)
				return
			}
		}
		if ok && f.has(k) {
			f.point(b.Point)
			f.j.See(b)
		}
	}
}

// rest completes what is complete when there are no more packets now. idle says
// that there were none the last time.
func (f *FlowJourneys) rest(idle bool) {
	if f.nat != nil {
		f.j.Advance(f.look.Now.Add(-journeyDelay)) // what is on its way through the rings is not late yet
		return
	}
	// The times of a file are long past. It may still be looked through for packets.
	if file, ok := f.from.(interface{ Indexed() bool }); idle || ok && file.Indexed() {
		f.j.Flush()
	}
}

// journeyDelay is how long after a packet its sightings elsewhere may become
// known, at most.
const journeyDelay = 50 * time.Millisecond

// point makes the journeys know a point that was opened later.
func (f *FlowJourneys) point(n uint16) {
	points := f.from.Points()
	for i := len(f.j.m.t.points); i <= int(n) && i < len(points); i++ {
		f.j.AddPoint(points[i])
	}
}

// learn takes what conntrack has told since.
func (f *FlowJourneys) learn(out *FlowPart) {
	if f.nat == nil {
		return
	}
	fresh, next := f.nat.Since(f.read)
	f.read = next
	var ours []Translation
	grown := false
	for _, t := range fresh {
		is, more := f.ours(t)
		if grown = grown || more; is {
			ours = append(ours, t)
		}
	}
	if !grown {
		f.known = append(f.known, ours...)
		for _, t := range ours {
			f.j.Translate(t)
		}
		return
	}
	f.relearn(out) // packets passed by unseen
}

// relearn begins anew, with all that is known of the flows.
func (f *FlowJourneys) relearn(out *FlowPart) {
	for grown := f.nat != nil; grown; { // what is about one flow may add another
		all, next := f.nat.Since(0)
		f.read, f.known, grown = next, f.known[:0], false
		for _, t := range all {
			is, more := f.ours(t)
			if grown = grown || more; is {
				f.known = append(f.known, t)
			}
		}
	}
	f.again(out)
}

func (f *FlowJourneys) again(out *FlowPart) {
	f.restart()
	*out = FlowPart{Again: true}
}

// ours says whether a translation is about a flow that is looked for, and
// whether packets bear one more key for it.
func (f *FlowJourneys) ours(t Translation) (is, more bool) {
	from, to := keyOf(t.Original), keyOf(t.Reply)
	if !f.has(from) && !f.has(to) {
		return false, false
	}
	before, after := f.add(from), f.add(to)
	return true, before || after
}

// conclude looks at a packet of a file for what was rewritten, and says whether
// that lets all begin anew.
func (f *FlowJourneys) conclude(serial uint64, out *FlowPart) (again bool) {
	if f.guess == nil || serial <= f.guessed {
		return false
	}
	f.guessed = serial
	rec, ok := f.from.Record(serial)
	if !ok {
		return false
	}
	t, ok := f.guess.conclude(rec)
	if !ok {
		return false
	}
	f.guess.t.translate(t)
	f.known = append(f.known, t)
	is, grown := f.ours(t)
	for more := grown; more; { // those of other flows may turn out to be about this one
		more = slices.ContainsFunc(f.known, func(t Translation) bool { _, m := f.ours(t); return m })
	}
	switch {
	case grown:
		f.again(out)
	case is:
		f.j.Translate(t)
	}
	return grown
}
