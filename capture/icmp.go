package capture

import (
	"encoding/binary"
	"net/netip"

	"github.com/google/gopacket/layers"
)

func (d *decoder) summarizeICMPv4(rec *Record) {
	m, s := &d.icmp4, &rec.Summary
	s.Protocol, s.Checksum, rec.payload = "icmp", m.Checksum, m.Payload
	s.ICMPType, s.ICMPCode = m.TypeCode.Type(), m.TypeCode.Code()
	switch s.ICMPType {
	case layers.ICMPv4TypeEchoRequest, layers.ICMPv4TypeEchoReply,
		layers.ICMPv4TypeTimestampRequest, layers.ICMPv4TypeTimestampReply,
		layers.ICMPv4TypeInfoRequest, layers.ICMPv4TypeInfoReply,
		layers.ICMPv4TypeAddressMaskRequest, layers.ICMPv4TypeAddressMaskReply:
		s.ICMPID, s.ICMPSeq = m.Id, m.Seq
	case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeSourceQuench,
		layers.ICMPv4TypeRedirect, layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem:
		rec.quoted = quotedTuple(m.Payload)
	}
}

func (d *decoder) summarizeICMPv6(rec *Record) {
	m, s := &d.icmp6, &rec.Summary
	s.Protocol, s.Checksum, rec.payload = "icmp6", m.Checksum, nil
	s.ICMPType, s.ICMPCode = m.TypeCode.Type(), m.TypeCode.Code()
	if len(m.Payload) < 4 {
		return
	}
	// gopacket's header is 4 bytes; the next 4 belong to the header as well
	// (RFC 4443, sections 3 and 4).
	rec.payload = m.Payload[4:]
	switch s.ICMPType {
	case layers.ICMPv6TypeEchoRequest, layers.ICMPv6TypeEchoReply:
		s.ICMPID, s.ICMPSeq = binary.BigEndian.Uint16(m.Payload), binary.BigEndian.Uint16(m.Payload[2:])
	case layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6TypePacketTooBig,
		layers.ICMPv6TypeTimeExceeded, layers.ICMPv6TypeParameterProblem:
		rec.quoted = quotedTuple(rec.payload)
	}
}

// quotedTuple reads the beginning of the packet that an ICMP error quotes, of
// which there may be no more than 8 bytes behind the IP header (RFC 792).
func quotedTuple(b []byte) Tuple {
	q := quotedPacket(b)
	if len(q.transport) < 8 {
		return Tuple{}
	}
	sport, dport, name := binary.BigEndian.Uint16(q.transport), binary.BigEndian.Uint16(q.transport[2:]), ""
	switch q.protocol {
	case layers.IPProtocolTCP:
		name = "tcp"
	case layers.IPProtocolUDP:
		name = "udp"
	case layers.IPProtocolICMPv4:
		name, sport = "icmp", binary.BigEndian.Uint16(q.transport[4:])
		dport = sport
	case layers.IPProtocolICMPv6:
		name, sport = "icmp6", binary.BigEndian.Uint16(q.transport[4:])
		dport = sport
	default:
		return Tuple{}
	}
	return Tuple{Protocol: name, Src: netip.AddrPortFrom(q.src, sport), Dst: netip.AddrPortFrom(q.dst, dport)}
}

// quoted is the beginning of a quoted packet.
type quoted struct {
	src, dst  netip.Addr
	protocol  layers.IPProtocol
	header    []byte // IP's, with its extensions
	transport []byte // what follows; nil in a fragment that is not the first
}

// quotedPacket takes the packet apart; the parts that are missing are nil.
func quotedPacket(b []byte) (q quoted) {
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		q.protocol = layers.IPProtocol(b[9])
		q.src, q.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		n := min(max(int(b[0]&15)*4, 20), len(b))
		q.header = b[:n]
		if binary.BigEndian.Uint16(b[6:])&0x1fff == 0 {
			q.transport = b[n:]
		}
	case len(b) >= 40 && b[0]>>4 == 6:
		q.src, q.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		protocol, n, first := behindExtensions(layers.IPProtocol(b[6]), b, 40)
		q.protocol = protocol
		q.header = b[:n]
		if first {
			q.transport = b[n:]
		}
	}
	return q
}

// behindExtensions walks over IPv6 extension headers that begin at n. first is
// false behind the header of a fragment that is not the first of its packet.
func behindExtensions(next layers.IPProtocol, b []byte, n int) (_ layers.IPProtocol, end int, first bool) {
	first = true
	for len(b) >= n+8 {
		size := 8
		switch next {
		case layers.IPProtocolIPv6HopByHop, layers.IPProtocolIPv6Routing, layers.IPProtocolIPv6Destination:
			size += int(b[n+1]) * 8
		case layers.IPProtocolIPv6Fragment:
			first = first && binary.BigEndian.Uint16(b[n+2:])&^7 == 0
		default:
			return next, n, first
		}
		next, n = layers.IPProtocol(b[n]), min(n+size, len(b))
	}
	return next, n, first
}
