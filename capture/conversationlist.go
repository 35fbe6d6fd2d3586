package capture

import (
	"cmp"
	"net/netip"
	"slices"
)

// sidesPerConversation bounds the sides: on average so many points see a
// conversation, or fewer conversations are kept.
const sidesPerConversation = 4

// open begins a conversation with a packet; one with the same key stays as it
// is and is not found by it any more.
func (c *Conversations) open(key conversationKey, b *Brief, h *Headers, swapped bool) int32 {
	if c.kept >= c.limit {
		c.evict()
	}
	i := c.freeC
	if i == none {
		c.convs = append(c.convs, conversation{})
		i = int32(len(c.convs) - 1)
	} else {
		c.freeC = c.convs[i].older
	}
	c.opened++
	c.kept++
	c.convs[i] = conversation{
		key: key, number: c.opened, flow: c.flows[key.tuple()], used: int32(c.opened), first: b.Time, from: b.Serial, last: b.Time, side: none,
		swapped: swapped != (h.answers() && !b.isError()), // who answers is B
	}
	c.byKey[key] = i
	c.link(i)
	return i
}

// sideOf is the side of a conversation at a point.
func (c *Conversations) sideOf(i int32, point uint16) int32 {
	last := none
	for s := c.convs[i].side; s != none; s = c.sides[s].next {
		if c.sides[s].point == point {
			return s
		}
		last = s
	}
	c.use(i)
	for c.freeS == none && len(c.sides) >= c.limit*sidesPerConversation && c.oldest != i {
		c.evict()
	}
	s := c.freeS
	if s == none {
		c.sides = append(c.sides, side{})
		s = int32(len(c.sides) - 1)
	} else {
		c.freeS = c.sides[s].next
	}
	c.sides[s] = side{next: none, point: point}
	if last == none {
		c.convs[i].side = s
	} else {
		c.sides[last].next = s
	}
	return s
}

// evict lets the conversation go that was not used for longest.
func (c *Conversations) evict() {
	i := c.oldest
	if i == none {
		return
	}
	conv := &c.convs[i]
	if c.byKey[conv.key] == i {
		delete(c.byKey, conv.key)
	}
	for s := conv.side; s != none; {
		next := c.sides[s].next
		c.sides[s].next, c.freeS = c.freeS, s
		s = next
	}
	c.unlink(i)
	if c.latest == i {
		c.latest = none
	}
	conv.number, conv.older, c.freeC = 0, c.freeC, i
	c.kept--
	c.counts.LetGo++
}

func (c *Conversations) use(i int32) {
	c.convs[i].used = int32(c.opened)
	if c.newest != i {
		c.unlink(i)
		c.link(i)
	}
}

func (c *Conversations) link(i int32) {
	conv := &c.convs[i]
	conv.older, conv.newer = c.newest, none
	if conv.older != none {
		c.convs[conv.older].newer = i
	} else {
		c.oldest = i
	}
	c.newest = i
}

func (c *Conversations) unlink(i int32) {
	conv := &c.convs[i]
	if conv.newer != none {
		c.convs[conv.newer].older = conv.older
	} else {
		c.newest = conv.older
	}
	if conv.older != none {
		c.convs[conv.older].newer = conv.newer
	} else {
		c.oldest = conv.newer
	}
}

// Tell links the conversations of a flow that was rewritten, before and after.
func (c *Conversations) Tell(r *Rewrite) {
	if b, a := &r.Before, &r.After; b.Src == a.Src && b.Dst == a.Dst && b.ID == a.ID {
		return // routed, not rewritten
	}
	n := 2 * r.Flow
	if r.Direction == Reply {
		n++
	}
	if r.Flow <= 0 || r.Flow > maxFlows || n < len(c.linked) && c.linked[n] {
		return
	}
	for len(c.linked) <= n {
		c.linked = append(c.linked, false)
	}
	c.linked[n] = true
	for _, side := range []struct {
		seen *Seen
		rec  *Record
	}{{&r.Before, r.BeforeRecord}, {&r.After, r.AfterRecord}} {
		if k, ok := side.seen.key(r.Protocol); ok {
			c.setFlow(k, side.rec, r.Flow)
		}
	}
}

// key is the tuple of a sighting of this protocol.
func (s *Seen) key(protocol string) (k Key, ok bool) {
	t := Tuple{Protocol: protocol}
	var err1, err2 error
	if protocol == "icmp" || protocol == "icmp6" {
		var src, dst netip.Addr
		src, err1 = netip.ParseAddr(s.Src)
		dst, err2 = netip.ParseAddr(s.Dst)
		t.Src, t.Dst = netip.AddrPortFrom(src, uint16(s.ID)), netip.AddrPortFrom(dst, uint16(s.ID))
	} else {
		t.Src, err1 = netip.ParseAddrPort(s.Src)
		t.Dst, err2 = netip.ParseAddrPort(s.Dst)
	}
	return keyOf(t), err1 == nil && err2 == nil
}

// setFlow says that the conversation of this tuple belongs to a flow, in the
// tunnel that rec, which may be nil, was seen in. It need not have come yet.
func (c *Conversations) setFlow(k Key, rec *Record, flow int) {
	if k.descends() {
		k = k.mirror()
	}
	if len(c.flows) >= sidesPerConversation*c.limit {
		clear(c.flows)
	}
	c.flows[k] = flow
	keys := []conversationKey{{src: k.Src, dst: k.Dst, sport: k.SrcPort, dport: k.DstPort, version: k.Version, protocol: k.Protocol}}
	if rec != nil && rec.inner != nil {
		b := rec.Brief(0)
		var inside conversationKey
		inside.set(&b, b.Innermost())
		keys = append(keys, inside)
	}
	for _, key := range keys {
		if i, ok := c.byKey[key]; ok {
			c.convs[i].flow = flow
		}
	}
}

// Counts are those of all packets.
func (c *Conversations) Counts() ConversationCounts { return c.counts }

// Len is how many conversations are kept.
func (c *Conversations) Len() int { return c.kept }

// Snapshot appends all conversations to dst, in the order of their numbers.
// Rates are as of now, in nanoseconds since 1970, or of the last packet if that
// is later, as it is when now is 0.
func (c *Conversations) Snapshot(now int64, dst []Conversation) []Conversation {
	now = max(now, c.now)
	begin := len(dst)
	dst = slices.Grow(dst, c.kept)
	for i := range c.convs {
		if c.convs[i].number != 0 {
			dst = append(dst, c.told(&c.convs[i], now))
		}
	}
	slices.SortFunc(dst[begin:], func(a, b Conversation) int { return cmp.Compare(a.Number, b.Number) })
	return dst
}

// told is a conversation as its side tells it that saw the most.
func (c *Conversations) told(conv *conversation, now int64) Conversation {
	out := Conversation{
		Number: conv.number, Flow: conv.flow, Key: conv.key.tuple(), Protocol: conv.key.protocol,
		Tunnel: conv.key.tunnel, VNI: conv.key.vni, ARP: conv.key.arp != 0,
		First: conv.first, Last: conv.last, FirstSerial: conv.from, LastSerial: conv.to,
		StartA: conv.state.start[0], StartB: conv.state.start[1],
		Opened: conv.state.started[0], Answered: conv.state.started[1],
	}
	if conv.swapped {
		out.Key = out.Key.mirror()
	}
	if out.Protocol == protoTCP {
		out.State = conv.state.state()
	}
	best := none
	for s := conv.side; s != none; s = c.sides[s].next {
		out.Points++
		if best == none || c.sides[s].packets() > c.sides[best].packets() {
			best = s
		}
	}
	if best != none {
		s := &c.sides[best]
		out.Point, out.AB, out.BA = s.point, s.ways[0].traffic(now, conv.first), s.ways[1].traffic(now, conv.first)
	}
	return out
}

func (s *side) packets() uint64 { return s.ways[0].packets + s.ways[1].packets }

func (w *way) traffic(now, first int64) Traffic {
	t := Traffic{Packets: w.packets, Bytes: w.bytes, Again: uint64(w.order.again), Late: uint64(w.order.late)}
	t.PacketRate, t.ByteRate = w.rates(now, first)
	return t
}

// Of is the conversation that a packet belongs to which was seen last of it; ok
// is false when it belongs to none.
func (c *Conversations) Of(b *Brief) (found Conversation, ok bool) {
	h := b.Innermost()
	if h.Key.Version == 0 {
		return found, false
	}
	var key conversationKey
	key.set(b, h)
	i, ok := c.byKey[key]
	if !ok {
		return found, false
	}
	return c.told(&c.convs[i], c.now), true
}

// Sides are what each point saw of the conversation with this number, in the
// order in which they saw it first: the same Conversation with other counts.
func (c *Conversations) Sides(number int, now int64) (out []Conversation) {
	now = max(now, c.now)
	for i := range c.convs {
		conv := &c.convs[i]
		if conv.number != number || number == 0 {
			continue
		}
		told := c.told(conv, now)
		for s := conv.side; s != none; s = c.sides[s].next {
			side := &c.sides[s]
			told.Point, told.AB, told.BA = side.point, side.ways[0].traffic(now, conv.first), side.ways[1].traffic(now, conv.first)
			out = append(out, told)
		}
	}
	return out
}
