package capture

import "slices"

// flow is a connection, with the keys that its packets bear on their way when
// NAT rewrites it once or several times.
type flow struct {
	id     uint64 // never given again
	number int    // given with what is told of it first; 0 before
	// keys of the original direction, from the one who opened the flow on; one
	// key when nothing rewrites it. The replies bear their mirror images, in the
	// opposite order.
	keys  []Key
	steps []step // steps[i] makes keys[i+1] of keys[i]

	groups     *group // that wait for sightings
	keyRoom    [2]Key // few flows have more
	stepRoom   [1]step
	newer, old *flow // in flows, by their last use
}

// step is what a Translation tells beside the addresses.
type step struct {
	id         uint32
	time       int64
	dnat, snat *RuleRef
}

// translation is a Translation, as flows know it: it makes to of from.
type translation struct {
	from, to Key
	step
}

func newTranslation(t *Translation) translation {
	out := translation{from: keyOf(t.Original), to: keyOf(t.Reply.Mirror()), step: step{id: t.ID, dnat: t.DNAT, snat: t.SNAT}}
	if !t.Time.IsZero() {
		out.time = t.Time.UnixNano()
	}
	return out
}

// place says where in which flow a key stands.
type place struct {
	flow  *flow
	reply bool
	rank  int // grows along the way of a packet
}

// index is that of the place's key in the flow's keys.
func (p place) index() int {
	if p.reply {
		return -p.rank
	}
	return p.rank
}

func (p place) direction() string {
	if p.reply {
		return Reply
	}
	return Original
}

// rules names the rules behind what was changed between two ranks. The
// destination of a flow is the source of its replies, so there a DNAT rule
// shows in the source.
func (f *flow) rules(reply bool, from, to int, src, dst bool) (out []*RuleRef) {
	if reply {
		from, to = -to, -from
	}
	for i := max(from, 0); i < min(to, len(f.steps)); i++ {
		t := &f.steps[i]
		dnat, snat := dst, src
		if reply {
			dnat, snat = src, dst
		}
		if dnat && t.dnat != nil {
			out = append(out, t.dnat)
		}
		if snat && t.snat != nil {
			out = append(out, t.snat)
		}
	}
	return out
}

// flows finds the flow of a key. It holds a bounded number of flows: the one
// that was not used for longest makes room. Those that are rewritten are counted
// apart: what conntrack told once cannot be found out again from the packets.
type flows struct {
	// A key and its mirror image share one entry, that of the lesser source.
	byKey     map[Key]spot
	plain     flowList
	rewritten flowList
	forgotten uint64 // rewritten flows that made room
	ids       uint64
}

// flowList are flows by their last use.
type flowList struct {
	newest, oldest *flow
	count, limit   int
}

// listOf is the list that f is in.
func (fs *flows) listOf(f *flow) *flowList {
	if len(f.steps) > 0 {
		return &fs.rewritten
	}
	return &fs.plain
}

// spot is a key's entry: the flow, and which of its keys. swapped says that the
// mirror image of the entry's key stands in the flow.
type spot struct {
	flow    *flow
	index   int32
	swapped bool
}

// canonical is the one of a key and its mirror image that flows are found by.
func canonical(k Key) (_ Key, swapped bool) {
	c := slices.Compare(k.Src[:], k.Dst[:])
	if c > 0 || c == 0 && k.SrcPort > k.DstPort {
		return k.mirror(), true
	}
	return k, false
}

// lookup returns the place of a key that is known.
func (fs *flows) lookup(k Key) (p place, ok bool) {
	c, swapped := canonical(k)
	s, ok := fs.byKey[c]
	if !ok {
		return p, false
	}
	p = place{flow: s.flow, reply: s.swapped != swapped, rank: int(s.index)}
	if p.reply {
		p.rank = -p.rank
	}
	return p, true
}

// find returns the place of a packet's key, in a new flow if there is none.
func (fs *flows) find(k Key, answer bool) place {
	if p, ok := fs.lookup(k); ok {
		fs.use(p.flow)
		return p
	}
	f := fs.make()
	if answer {
		f.keys = append(f.keys, k.mirror())
	} else {
		f.keys = append(f.keys, k)
	}
	fs.add(f)
	return place{flow: f, reply: answer}
}

func (fs *flows) make() *flow {
	fs.ids++
	f := &flow{id: fs.ids}
	f.keys, f.steps = f.keyRoom[:0], f.stepRoom[:0]
	return f
}

// add makes f the owner of its keys; a former owner keeps its others.
func (fs *flows) add(f *flow) {
	for i := range f.keys {
		fs.own(f, i)
	}
	l := fs.listOf(f)
	l.link(f)
	fs.trim(l)
}

// trim makes the list as long as it may be.
func (fs *flows) trim(l *flowList) {
	for l.count > l.limit {
		fs.remove(l.oldest)
		if l == &fs.rewritten {
			fs.forgotten++
		}
	}
}

// own makes f the owner of one of its keys.
func (fs *flows) own(f *flow, index int) {
	c, swapped := canonical(f.keys[index])
	fs.byKey[c] = spot{f, int32(index), swapped}
}

// remove forgets f. Its packets that wait for their partners stay with the
// matcher until their time is over.
func (fs *flows) remove(f *flow) {
	for _, k := range f.keys {
		c, _ := canonical(k)
		if fs.byKey[c].flow == f {
			delete(fs.byKey, c)
		}
	}
	fs.listOf(f).unlink(f)
}

func (fs *flows) use(f *flow) {
	if l := fs.listOf(f); l.newest != f {
		l.unlink(f)
		l.link(f)
	}
}

func (l *flowList) link(f *flow) {
	f.old, f.newer = l.newest, nil
	if f.old != nil {
		f.old.newer = f
	} else {
		l.oldest = f
	}
	l.newest = f
	l.count++
}

func (l *flowList) unlink(f *flow) {
	if f.newer != nil {
		f.newer.old = f.old
	} else {
		l.newest = f.old
	}
	if f.old != nil {
		f.old.newer = f.newer
	} else {
		l.oldest = f.newer
	}
	l.count--
}

// ends are what is known of the two ends of a translation.
type ends struct {
	before, after       place
	hasBefore, hasAfter bool
}

func (fs *flows) ends(t *translation) (e ends) {
	e.before, e.hasBefore = fs.lookup(t.from)
	e.after, e.hasAfter = fs.lookup(t.to)
	return e
}

// rival is the latest of what is known that contradicts t: a flow with the same
// addresses and ports becomes, or comes of, something else. One of the two has
// ended before the other began.
func (e *ends) rival(t *translation) *step {
	var found *step
	if p := e.before; e.hasBefore {
		if i := p.index(); i < len(p.flow.steps) && (p.reply || p.flow.keys[i+1] != t.to) {
			found = &p.flow.steps[i]
		}
	}
	if p := e.after; e.hasAfter {
		if i := p.index() - 1; i >= 0 && (p.reply || p.flow.keys[i] != t.from) && (found == nil || p.flow.steps[i].time > found.time) {
			found = &p.flow.steps[i]
		}
	}
	return found
}

// translate makes the flow that t tells of, with what is known of its way
// before and behind. It returns the flows that it takes the place of; f is nil
// when nothing new is told but perhaps a rule, or when a known flow goes on.
func (fs *flows) translate(t *translation, e *ends) (f *flow, replaced []*flow) {
	before, hasBefore, after, hasAfter := e.before, e.hasBefore, e.after, e.hasAfter
	if i := before.index(); hasBefore && !before.reply {
		k := before.flow
		switch {
		case i+1 < len(k.keys) && k.keys[i+1] == t.to && after.flow == k:
			if k.steps[i].id != t.id {
				k.number = 0 // the same addresses and ports, but a new connection
			}
			k.steps[i] = t.step
			return nil, nil
		case i+1 == len(k.keys) && !hasAfter:
			fs.listOf(k).unlink(k)
			k.keys, k.steps = append(k.keys, t.to), append(k.steps, t.step)
			fs.rewritten.link(k)
			fs.own(k, i+1)
			fs.trim(&fs.rewritten)
			return nil, nil
		}
	}
	f = fs.make()
	if hasBefore && !before.reply {
		i := before.index()
		f.keys, f.steps = append(f.keys, before.flow.keys[:i]...), append(f.steps, before.flow.steps[:i]...)
	}
	f.keys, f.steps = append(f.keys, t.from, t.to), append(f.steps, t.step)
	if hasAfter && !after.reply && after.flow != before.flow {
		i := after.index()
		f.keys, f.steps = append(f.keys, after.flow.keys[i+1:]...), append(f.steps, after.flow.steps[i:]...)
	}
	for i, p := range []place{before, after} {
		if p.flow == nil || i == 1 && p.flow == before.flow {
			continue
		}
		replaced = append(replaced, p.flow)
		// One that begins or ends here is a part of this one now.
		if covers(f.keys, p.flow.keys) && !p.flow.earlier(t) {
			f.number = max(f.number, p.flow.number)
		}
	}
	return f, replaced
}

// earlier says that f was a connection with the same addresses and ports that
// became the same, and not the one that t tells of.
func (f *flow) earlier(t *translation) bool {
	for i := range f.steps {
		if f.keys[i] == t.from && f.keys[i+1] == t.to && f.steps[i].id != t.id {
			return true
		}
	}
	return false
}

// covers says that all of part's keys are among keys, in either direction.
func covers(keys, part []Key) bool {
	for _, k := range part {
		if !slices.Contains(keys, k) && !slices.Contains(keys, k.mirror()) {
			return false
		}
	}
	return true
}
