package capture

import (
	"encoding/binary"
	"time"
)

// Conversations counts who talks with whom, both directions together. A
// conversation is what has the same addresses, ports and protocol inside the
// same tunnel; a TCP connection that takes up the ports of another one is a
// conversation of its own. Of a packet in a tunnel the inner one counts, with
// the length of the whole packet. For ICMP queries the identifier stands for
// ports; packets without ports, fragments among them, are told apart by their
// addresses and protocol.
//
// A packet is seen at every point that it passes. So each point has its own
// counts, and a conversation shows those of the point that saw the most of it.
// A flow that NAT rewrites has two tuples and is two conversations: Tell links
// them by the flow's number.
//
// Memory is bounded: when there are too many, the conversation that was not used
// for longest is let go, and counted. It is for one goroutine.
type Conversations struct {
	limit  int
	byKey  map[conversationKey]int32
	convs  []conversation
	sides  []side
	freeC  int32 // list of convs that are not used, by older
	freeS  int32 // of sides, by next
	latest int32 // of the last packet
	newest int32
	oldest int32
	kept   int // conversations
	opened int // so far
	counts ConversationCounts
	now    int64 // the latest packet's time

	points map[Point]uint16
	flows  map[Key]int // numbers of flows, by canonical keys
	linked []bool      // by a flow's number and direction: it is in flows
}

// ConversationCounts tell what Conversations did with the packets.
type ConversationCounts struct {
	Packets   uint64 `json:"packets"`   // sightings that were taken
	Addressed uint64 `json:"addressed"` // of which so many have addresses and belong to a conversation
	LetGo     uint64 `json:"let_go"`    // conversations that made room for others
}

// Conversation is what is known of a conversation at one moment. It has a fixed
// size and no pointers.
type Conversation struct {
	Number   int    // numbers the conversations from 1, in the order of their first packets
	Flow     int    // the number of the flow that NAT rewrites, as in Rewrite; 0 for none
	Key      Key    // of the packets from A to B: A is who opened it, or who was seen first
	Protocol uint8  // as IANA numbers it
	Tunnel   uint8  // what carries it; NoTunnel without one
	VNI      uint32 // the network's number in VXLAN and GENEVE
	ARP      bool
	State    TCPState
	// First and Last are the times of the first and the last packet at any point,
	// and their serials.
	First, Last             int64 // in nanoseconds since 1970
	FirstSerial, LastSerial uint64
	// Point saw most of it, and what it saw is counted here. Points is how many
	// there were. Opened says that A's first number was seen, StartA, and Answered
	// that B's was, StartB.
	Point            uint16
	Points           int
	AB, BA           Traffic
	StartA, StartB   uint32
	Opened, Answered bool
}

// Traffic is one direction of a conversation.
type Traffic struct {
	Packets uint64
	Bytes   uint64 // on the wire, headers included
	// PacketRate and ByteRate are per second, over the last second or two.
	PacketRate, ByteRate float64
	// Again is how many TCP segments brought bytes that had been seen before:
	// retransmissions and duplicates.
	Again uint64
	// Late is how many TCP segments came behind such that followed them: out of
	// order, or sent again after they were lost before the point.
	Late uint64
}

// Name of the protocol, as in Summary.Protocol.
func (c *Conversation) Name() string { return protocolName(c.Protocol, c.Key.Version, c.ARP) }

// Start is the time of the first packet.
func (c *Conversation) Start() time.Time { return time.Unix(0, c.First) }

// Duration is the time between the first packet and the last.
func (c *Conversation) Duration() time.Duration { return time.Duration(c.Last - c.First) }

// Packets of both directions.
func (c *Conversation) Packets() uint64 { return c.AB.Packets + c.BA.Packets }

// Bytes of both directions.
func (c *Conversation) Bytes() uint64 { return c.AB.Bytes + c.BA.Bytes }

// PacketRate is the packets per second of both directions.
func (c *Conversation) PacketRate() float64 { return c.AB.PacketRate + c.BA.PacketRate }

// Rate is the bytes per second of both directions.
func (c *Conversation) Rate() float64 { return c.AB.ByteRate + c.BA.ByteRate }

func protocolName(protocol, version uint8, arp bool) string {
	if arp {
		return "arp"
	}
	return Key{Version: version, Protocol: protocol}.name()
}

// conversationKey is what the packets of a conversation have in common, in both
// directions: the source is the lesser one. Without gaps between its fields it is
// hashed and compared in one piece.
type conversationKey struct {
	src, dst          [16]byte
	vni               uint32
	sport, dport      uint16
	version, protocol uint8
	tunnel            uint8
	arp               uint8 // 1 for ARP
}

// tuple is that of a packet from the source to the destination.
func (k *conversationKey) tuple() Key {
	return Key{Src: k.src, Dst: k.dst, SrcPort: k.sport, DstPort: k.dport, Version: k.version, Protocol: k.protocol}
}

// conversation is a Conversation while it is counted. What every packet needs
// stands at the beginning.
type conversation struct {
	last         int64
	to           uint64 // serial of the last packet
	state        tcpTalk
	side         int32 // the first of a list, in the order of their first packets
	used         int32 // how many conversations had been opened then
	swapped      bool  // A is the destination of the key
	key          conversationKey
	newer, older int32 // by last use, roughly
	number, flow int
	first        int64
	from         uint64
}

// side is what one point saw of a conversation.
type side struct {
	point uint16
	next  int32  // of the same conversation
	ways  [2]way // from A to B, and back
}

// way is one direction of a side.
type way struct {
	packets, bytes uint64
	slot           int64 // of time, that now counts for
	now            burst // what came in that slot
	order          tcpOrder
	before         burst // what came in the slot before
}

type burst struct{ packets, bytes uint64 }

// A rate is taken over a slot of time and as much of the one before as makes it
// whole. A slot is 2^30 ns.
const slotBits = 30

// maxConversations are kept by default.
const maxConversations = 10000

const none int32 = -1

// NewConversations makes a Conversations that keeps at most limit of them, or
// 10,000 if that is 0.
func NewConversations(limit int) *Conversations {
	if limit <= 0 {
		limit = maxConversations
	}
	return &Conversations{
		limit: limit, byKey: map[conversationKey]int32{}, points: map[Point]uint16{}, flows: map[Key]int{},
		freeC: none, freeS: none, latest: none, newest: none, oldest: none,
	}
}

// Add takes a record that was decoded, in the order of time. Points are numbered
// in the order in which records tell of them.
func (c *Conversations) Add(rec *Record) {
	n, ok := c.points[rec.Point]
	if !ok {
		n = uint16(len(c.points))
		c.points[rec.Point] = n
	}
	b := rec.Brief(n)
	c.See(&b)
}

// See takes the next packet, in the order of time. It does not allocate, except
// for a conversation or a point that is new.
func (c *Conversations) See(b *Brief) {
	c.counts.Packets++
	c.now = max(c.now, b.Time)
	h := b.Innermost()
	if h.Key.Version == 0 {
		return
	}
	c.counts.Addressed++
	var key conversationKey
	swapped := key.set(b, h)
	i, ok := c.latest, true
	if i == none || c.convs[i].key != key {
		i, ok = c.byKey[key]
	}
	if !ok || h.Key.Protocol == protoTCP && c.convs[i].state.another(h, swapped != c.convs[i].swapped) {
		i = c.open(key, b, h, swapped)
	} else if c.opened-int(c.convs[i].used) > c.limit/4 {
		c.use(i) // not more often: its place in the list is still far from the end
	}
	c.latest = i
	conv := &c.convs[i]
	conv.last, conv.to = max(conv.last, b.Time), b.Serial
	dir := 0
	if swapped != conv.swapped {
		dir = 1
	}
	s := conv.side
	if s == none || c.sides[s].point != b.Point {
		s = c.sideOf(i, b.Point)
	}
	w := &c.sides[s].ways[dir]
	w.count(b.Time, uint64(b.Length))
	if h.Key.Protocol == protoTCP {
		w.order.segment(h)
		conv.state.segment(h, dir)
	}
}

// set makes k the key of the packet's conversation; swapped says that the packet
// goes from the key's destination to its source.
func (k *conversationKey) set(b *Brief, h *Headers) (swapped bool) {
	k.vni, k.tunnel, k.version, k.protocol = b.VNI, b.Tunnel, h.Key.Version, h.Protocol
	if h.arp {
		k.arp, k.protocol = 1, 0
	}
	if swapped = h.Key.descends(); swapped {
		k.src, k.dst, k.sport, k.dport = h.Key.Dst, h.Key.Src, h.Key.DstPort, h.Key.SrcPort
	} else {
		k.src, k.dst, k.sport, k.dport = h.Key.Src, h.Key.Dst, h.Key.SrcPort, h.Key.DstPort
	}
	return swapped
}

// descends says that the source is greater than the destination.
func (k *Key) descends() bool {
	for i := 0; i < 16; i += 8 {
		a, b := binary.BigEndian.Uint64(k.Src[i:]), binary.BigEndian.Uint64(k.Dst[i:])
		if a != b {
			return a > b
		}
	}
	return k.SrcPort > k.DstPort
}

// count takes a packet.
func (w *way) count(at int64, bytes uint64) {
	w.packets++
	w.bytes += bytes
	if slot := at >> slotBits; slot > w.slot {
		if w.before = w.now; slot > w.slot+1 {
			w.before = burst{}
		}
		w.now, w.slot = burst{}, slot
	}
	w.now.packets++
	w.now.bytes += bytes
}

// rates are per second, as of a time not before the last packet's, of a
// conversation that began at first.
func (w *way) rates(now, first int64) (packets, bytes float64) {
	latest, before := w.now, w.before
	switch slot := now >> slotBits; {
	case slot == w.slot+1:
		latest, before = burst{}, w.now
	case slot > w.slot+1:
		return 0, 0
	}
	const span = 1 << slotBits
	left := 1 - float64(now&(span-1))/span // of the slot before
	// One that has just begun had less time; half a slot at least, so that its
	// first packets are not taken for a flood.
	seconds := float64(min(max(now-first, span/2), span)) / 1e9
	return (float64(latest.packets) + left*float64(before.packets)) / seconds,
		(float64(latest.bytes) + left*float64(before.bytes)) / seconds
}
