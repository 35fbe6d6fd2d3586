package netfilter

import "fmt"

// The bases of a payload expression (NFT_PAYLOAD_*_HEADER).
const (
	baseLink      = 0
	baseNetwork   = 1
	baseTransport = 2
	baseInner     = 3
)

// field is a field of a header that nft has a name for.
type field struct {
	off, size uint32
	name      string
	typ       datatype
}

var headerFields = map[string][]field{
	"ether": {{0, 6, "daddr", typeEther}, {6, 6, "saddr", typeEther}, {12, 2, "type", typeEtherType}},
	"arp": {{6, 2, "operation", typeARPOp}, {8, 6, "saddr ether", typeEther}, {14, 4, "saddr ip", typeIPv4},
		{18, 6, "daddr ether", typeEther}, {24, 4, "daddr ip", typeIPv4}},
	"ip": {{0, 1, "version", typeRaw}, {1, 1, "dscp", typeDSCP}, {2, 2, "length", typeNumber}, {4, 2, "id", typeNumber},
		{6, 2, "frag-off", typeNumber}, {8, 1, "ttl", typeNumber}, {9, 1, "protocol", typeProto},
		{10, 2, "checksum", typeNumber}, {12, 4, "saddr", typeIPv4}, {16, 4, "daddr", typeIPv4}},
	"ip6": {{4, 2, "length", typeNumber}, {6, 1, "nexthdr", typeProto}, {7, 1, "hoplimit", typeNumber},
		{8, 16, "saddr", typeIPv6}, {24, 16, "daddr", typeIPv6}},
	"tcp": {{0, 2, "sport", typePort}, {2, 2, "dport", typePort}, {4, 4, "sequence", typeNumber},
		{8, 4, "ackseq", typeNumber}, {13, 1, "flags", typeTCPFlags}, {14, 2, "window", typeNumber},
		{16, 2, "checksum", typeNumber}, {18, 2, "urgptr", typeNumber}},
	"udp": {{0, 2, "sport", typePort}, {2, 2, "dport", typePort}, {4, 2, "length", typeNumber},
		{6, 2, "checksum", typeNumber}},
	"sctp": {{0, 2, "sport", typePort}, {2, 2, "dport", typePort}},
	"dccp": {{0, 2, "sport", typePort}, {2, 2, "dport", typePort}},
	"icmp": {{0, 1, "type", typeICMP}, {1, 1, "code", typeNumber}, {2, 2, "checksum", typeNumber},
		{4, 2, "id", typeNumber}, {6, 2, "sequence", typeNumber}},
	"icmpv6": {{0, 1, "type", typeICMPv6}, {1, 1, "code", typeNumber}, {2, 2, "checksum", typeNumber},
		{4, 2, "id", typeNumber}, {6, 2, "sequence", typeNumber}},
	"th": {{0, 2, "sport", typePort}, {2, 2, "dport", typePort}},
}

// header is the protocol, in nft's word, that stands at a base.
func (x *nftText) header(base uint32) string {
	switch base {
	case baseLink:
		return "ether"
	case baseNetwork:
		return x.l3
	case baseTransport:
		switch x.l4 {
		case "":
			return "th"
		case "ipv6-icmp":
			return "icmpv6"
		}
		return x.l4
	}
	return ""
}

// field names what stands at an offset; where nft has no name it writes base,
// offset and length in bits, as nft does.
func (x *nftText) field(base, off, size uint32) (o operand, named bool) {
	proto := x.header(base)
	for _, f := range headerFields[proto] {
		isAddr := f.typ == typeIPv4 || f.typ == typeIPv6
		if f.off == off && (f.size == size || isAddr && size < f.size) {
			return operand{text: proto + " " + f.name, typ: f.typ, size: int(size)}, true
		}
	}
	name := "<base>"
	if base <= baseInner {
		name = []string{"@ll", "@nh", "@th", "@ih"}[base]
	}
	return operand{text: fmt.Sprintf("%s,%d,%d", name, off*8, size*8), size: int(size)}, false
}

func (x *nftText) payload(a attrs) bool {
	base, off, size := a.u32(2), a.u32(3), a.u32(4)
	if base > baseInner || size > 256 {
		return false
	}
	o, named := x.field(base, off, size)
	if a.has(5) {
		x.impliedBy(base, named)
		x.emit("%s set %s", o.text, x.constant(a.u32(5), o.typ))
		return true
	}
	// nft loads two neighbouring ports at once.
	if base == baseTransport && off == 0 && size == 4 && x.portProtocol() {
		x.impliedBy(base, true)
		x.set(a.u32(1), operand{text: x.header(base) + " sport", typ: typePort, size: 4})
		return true
	}
	x.impliedBy(base, named)
	x.set(a.u32(1), o)
	return true
}

func (x *nftText) portProtocol() bool {
	switch x.l4 {
	case "tcp", "udp", "sctp", "dccp":
		return true
	}
	return false
}

// impliedBy takes back the statements that a field of a named header says
// again.
func (x *nftText) impliedBy(base uint32, named bool) {
	if !named {
		return
	}
	switch base {
	case baseNetwork:
		x.drop(layerNetwork)
	case baseTransport:
		x.drop(layerTransport)
		if x.l4 == "icmp" || x.l4 == "ipv6-icmp" {
			x.drop(layerNetwork)
		}
	}
}
