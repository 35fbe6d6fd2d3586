package capture

import "time"

// content is what makes a packet the same as one that was sent before, at the
// same place.
type content struct {
	key      Key
	hash     uint64
	seq      uint32 // of TCP; of others the IP id and the number of an echo
	length   int32
	point    uint16
	flags    uint8 // SYN and FIN of TCP; of others the ICMP type
	tunnel   bool
	outgoing bool
}

// contentOf is the packet's content; ok is false for one that nothing can tell
// from others like it, or that is sent again and again by intent: a bare
// acknowledgement, a datagram without an IP id.
func contentOf(b *Brief) (c content, ok bool) {
	h := b.Innermost()
	c = content{
		key: h.Key, hash: b.Hash, length: h.Payload, point: b.Point,
		tunnel: b.Tunnel != NoTunnel, outgoing: b.Outgoing,
	}
	switch h.Key.Protocol {
	case protoTCP:
		const synFin = 3
		// The acknowledgements in it may be newer.
		c.seq, c.flags = h.TCPSeq, h.TCPFlags&synFin
		return c, h.Payload > 0 || c.flags != 0
	case protoICMP, protoICMPv6:
		c.seq, c.flags = uint32(h.ICMPSeq), h.ICMPType
		return c, isEcho(h)
	case protoUDP:
		c.seq = uint32(h.IPID)
		return c, h.IPID != 0
	}
	return c, false
}

func isEcho(h *Headers) bool {
	if h.Key.Protocol == protoICMPv6 {
		return h.ICMPType == 128 || h.ICMPType == 129
	}
	return h.ICMPType == 8 || h.ICMPType == 0
}

// repeated is the first packet with a content, and how it is repeated; kind is
// "" when it is not.
type repeated struct {
	kind string
	time int64
}

// repeats remembers what was sent, for a while. Its memory is bounded.
type repeats struct {
	first map[content]sentAt
	order []content // a ring: what to forget
	next  int
}

type sentAt struct {
	time int64
	ipID uint16
	ttl  uint8
	at   int32 // in order
}

const (
	maxContents = 1 << 15
	// Within this time TCP sends again what got lost (RFC 6298: up to a minute
	// between two attempts), and a packet that took two ways arrives twice.
	resentWithin     = 2 * time.Minute
	duplicatedWithin = 2 * time.Second
)

func newRepeats() repeats { return repeats{first: map[content]sentAt{}} }

// see takes the next sighting and says what it repeats.
func (r *repeats) see(b *Brief) (out repeated) {
	c, ok := contentOf(b)
	if !ok {
		return out
	}
	h := b.Innermost()
	within := duplicatedWithin
	if h.Key.Protocol == protoTCP {
		within = resentWithin
	}
	was, ok := r.first[c]
	if !ok || b.Time-was.time > int64(within) {
		r.remember(c, sentAt{time: b.Time, ipID: h.IPID, ttl: h.TTL})
		return out
	}
	switch {
	case h.Key.Protocol == protoTCP && (h.IPID == 0 || h.IPID != was.ipID):
		return repeated{Retransmission, was.time}
	case h.TTL < was.ttl:
		return repeated{Loop, was.time}
	}
	return repeated{Duplicate, was.time}
}

func (r *repeats) remember(c content, s sentAt) {
	s.at = int32(r.next)
	if r.next == len(r.order) {
		r.order = append(r.order, c)
	} else {
		old := r.order[r.next]
		if r.first[old].at == s.at { // otherwise it was remembered again since
			delete(r.first, old)
		}
		r.order[r.next] = c
	}
	r.first[c] = s
	r.next = (r.next + 1) % maxContents
}

// repeats is what the group's packet repeats, nil when it is the first of its
// kind.
func (g *group) repeats() *Repeat {
	for i := range g.seen {
		if r := g.seen[i].repeats; r.kind != "" {
			return &Repeat{r.kind, time.Unix(0, r.time)}
		}
	}
	return nil
}
