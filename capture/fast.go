package capture

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"time"
)

// Tunnel kinds of a Brief, as in Summary.Tunnel.
const (
	NoTunnel uint8 = iota
	VXLAN
	Geneve
	GRE
	IPIP
)

var tunnelNames = [...]string{"", "vxlan", "geneve", "gre", "ipip"}

// TunnelName is the name of a Brief's Tunnel, as in Summary.Tunnel.
func TunnelName(kind uint8) string { return tunnelNames[kind] }

// Brief is what a packet list shows of a packet, and what packets are matched
// by. It has a fixed size and no pointers: a hundred thousand of them are
// nothing to the garbage collector. What it says is what the Summary of the
// packet's Record says; there the rest is found.
type Brief struct {
	Serial   uint64 // grows with time over all points of a session
	Time     int64  // the kernel's timestamp, in nanoseconds since 1970
	Hash     uint64 // of the beginning of the innermost payload; 0 for an ICMP error; comparable within this process
	Length   uint32 // on the wire, in bytes
	Kept     uint32 // bytes that are kept of it
	VNI      uint32 // the network's number in VXLAN and GENEVE
	Point    uint16 // index into Session.Points
	InnerAt  uint16 // where the packet within begins
	Tunnel   uint8  // what carries Inner; NoTunnel without one
	Outgoing bool   // the host sent it out of the link
	Offload  bool   // the transport checksum was left to hardware
	quotes   bool   // Quoted says something
	Outer    Headers
	Inner    Headers // of the packet within, when Tunnel says so
	Quoted   Key     // of the packet that an ICMP error quotes; if it is a tunnel's, of the one within, as far as it is quoted
}

// Headers are the fields of one packet's headers.
type Headers struct {
	Key        Key
	SrcMAC     [6]byte
	DstMAC     [6]byte
	TCPSeq     uint32
	TCPAck     uint32
	Payload    int32  // bytes behind the last header
	EtherType  uint16 // behind the VLAN tags
	VLAN       uint16 // of the outermost 802.1Q tag, 0 without one
	IPID       uint16
	IPChecksum uint16 // 0 for IPv6
	Checksum   uint16 // of the transport header
	ICMPSeq    uint16
	Protocol   uint8 // behind the IP header and its extensions, as IANA numbers it
	TTL        uint8 // or hop limit
	TCPFlags   uint8 // as they stand in the header
	ICMPType   uint8
	ICMPCode   uint8
	Malformed  bool // it could not be decoded to the end
	framed     bool // there is an Ethernet header
	arp        bool
	part       part // of a fragmented packet
}

// Key is the tuple of a packet, comparable and without pointers.
type Key struct {
	Src, Dst         [16]byte // an IPv4 address stands in the first 4 bytes
	SrcPort, DstPort uint16   // for ICMP both are the identifier
	Version          uint8    // of IP: 4, 6, or 0 when there are no addresses
	Protocol         uint8    // as IANA numbers it; 0 when the packet is matched by its addresses alone
}

// IP protocol numbers (IANA).
const (
	protoHopByHop = 0
	protoICMP     = 1
	protoIPIP     = 4
	protoTCP      = 6
	protoUDP      = 17
	protoIPv6     = 41
	protoRouting  = 43
	protoFragment = 44
	protoGRE      = 47
	protoAuth     = 51
	protoICMPv6   = 58
	protoOptions  = 60
)

const (
	etherTypeIPv4  = 0x0800
	etherTypeARP   = 0x0806
	etherTypeVLAN  = 0x8100
	etherTypeIPv6  = 0x86dd
	etherTypeQinQ  = 0x88a8
	etherTypeFirst = 0x0600 // below it is a length (IEEE 802.3)
	etherTypeTEB   = 0x6558 // an Ethernet frame in a tunnel
)

// mirror is the key of a packet that goes the other way.
func (k Key) mirror() Key {
	k.Src, k.Dst, k.SrcPort, k.DstPort = k.Dst, k.Src, k.DstPort, k.SrcPort
	return k
}

// Addrs are the source and the destination, with port 0 where the protocol has
// none; invalid when there are no addresses.
func (k Key) Addrs() (src, dst netip.AddrPort) {
	return netip.AddrPortFrom(k.addr(k.Src), k.SrcPort), netip.AddrPortFrom(k.addr(k.Dst), k.DstPort)
}

func (k Key) addr(b [16]byte) netip.Addr {
	switch k.Version {
	case 4:
		return netip.AddrFrom4([4]byte(b[:4]))
	case 6:
		return netip.AddrFrom16(b)
	}
	return netip.Addr{}
}

// Name of the protocol, as in Summary.Protocol.
func (h *Headers) Name() string {
	if h.arp {
		return "arp"
	}
	return h.Key.name()
}

func (k Key) name() string {
	switch {
	case k.Version == 0:
		return "?"
	case k.Protocol == protoTCP:
		return "tcp"
	case k.Protocol == protoUDP:
		return "udp"
	case k.Protocol == protoICMP:
		return "icmp"
	case k.Protocol == protoICMPv6:
		return "icmp6"
	}
	return "ip"
}

// Innermost is what the packet is about: Inner when there is a tunnel.
func (b *Brief) Innermost() *Headers {
	if b.Tunnel != NoTunnel {
		return &b.Inner
	}
	return &b.Outer
}

// When is the time of the packet.
func (b *Brief) When() time.Time { return time.Unix(0, b.Time) }

// isError says that the packet is an ICMP error, and belongs to the flow that
// it quotes.
func (b *Brief) isError() bool { return b.Quoted.Version != 0 }

// briefer fills in Briefs. It keeps nothing between two packets.
type briefer struct {
	vxlanPorts []uint16
}

// hashSeed makes hashes that nobody outside can foresee.
var hashSeed = maphash.MakeSeed()

// hashedBytes of the payload go into the hash: few enough that two points that
// keep the same number of bytes of a packet both have them, whatever tags,
// tunnels and headers stand before.
const hashedBytes = 96

// fill fills in all of b that is found in data, and nothing else. framed says
// that data begins with an Ethernet header.
func (f *briefer) fill(b *Brief, data []byte, framed bool) {
	f.parseInto(b, data, framed)
	b.settle()
}

// settle clears what parseInto left as it was.
func (b *Brief) settle() {
	if b.Tunnel == NoTunnel {
		b.Inner = Headers{}
	}
	if !b.quotes {
		b.Quoted = Key{}
	}
}

// parseInto is fill, except that it does not touch Inner without a tunnel, nor
// Quoted without a quote: where packets go by by the million, each line of memory
// that is not written counts.
func (f *briefer) parseInto(b *Brief, data []byte, framed bool) {
	b.Tunnel, b.VNI, b.Hash, b.InnerAt, b.quotes = NoTunnel, 0, 0, 0, false
	payload, ok := f.parse(&b.Outer, data, framed)
	h := &b.Outer
	if ok {
		if inner, unframed, carried := f.carried(b, payload); carried {
			h, b.InnerAt = &b.Inner, uint16(cap(data)-cap(inner))
			payload, _ = f.parse(h, inner, !unframed)
		}
	}
	switch {
	case h.Key.Protocol == protoICMP && quotesV4(h.ICMPType), h.Key.Protocol == protoICMPv6 && h.ICMPType >= 1 && h.ICMPType <= 4:
		if b.Quoted, b.quotes = f.quoted(payload); b.quotes {
			return
		}
	}
	if payload = h.part.fixed(payload); len(payload) > 0 {
		b.Hash = maphash.Bytes(hashSeed, payload[:min(len(payload), hashedBytes)])
	}
}

// quotesV4 says that messages of this type quote a packet (RFC 792).
func quotesV4(icmpType uint8) bool {
	switch icmpType {
	case 3, 4, 5, 11, 12:
		return true
	}
	return false
}

// parse fills in h. ok is false when the packet is malformed, or when there is
// nothing in it that could be a tunnel.
func (f *briefer) parse(h *Headers, data []byte, framed bool) (payload []byte, ok bool) {
	*h = Headers{}
	if !framed {
		if len(data) > 0 && data[0]>>4 == 6 {
			return h.ipv6(data)
		}
		return h.ipv4(data)
	}
	return h.ethernet(data)
}

// ethernet takes an Ethernet header, its tags, and what follows.
func (h *Headers) ethernet(data []byte) ([]byte, bool) {
	if len(data) < 14 {
		return h.malformed(nil)
	}
	h.framed = true
	h.DstMAC, h.SrcMAC = [6]byte(data[:6]), [6]byte(data[6:12])
	kind := binary.BigEndian.Uint16(data[12:14])
	data = data[14:]
	for (kind == etherTypeVLAN || kind == etherTypeQinQ) && len(data) > 0 {
		if len(data) < 4 {
			return h.malformed(nil)
		}
		if h.VLAN == 0 {
			h.VLAN = binary.BigEndian.Uint16(data) & 0xfff
		}
		kind, data = binary.BigEndian.Uint16(data[2:]), data[4:]
	}
	h.EtherType = kind
	if len(data) == 0 {
		return nil, false
	}
	switch kind {
	case etherTypeIPv4:
		return h.ipv4(data)
	case etherTypeIPv6:
		return h.ipv6(data)
	case etherTypeARP:
		return h.resolution(data)
	case etherTypeTEB:
		return h.ethernet(data)
	}
	return nil, false
}

func (h *Headers) malformed(payload []byte) ([]byte, bool) {
	h.Malformed = true
	return payload, false
}

// resolution takes the addresses of the sender and of the target (RFC 826).
func (h *Headers) resolution(data []byte) ([]byte, bool) {
	if len(data) < 8 {
		return h.malformed(nil)
	}
	hw, proto := int(data[4]), int(data[5])
	end := 8 + 2*hw + 2*proto
	if end > 255 || len(data) < end { // gopacket counts in bytes
		return h.malformed(nil)
	}
	h.arp = true
	switch proto {
	case 4:
		h.Key.Version = 4
	case 16:
		h.Key.Version = 6
	default:
		return nil, false
	}
	copy(h.Key.Src[:], data[8+hw:8+hw+proto])
	copy(h.Key.Dst[:], data[8+2*hw+proto:end])
	return nil, false
}
