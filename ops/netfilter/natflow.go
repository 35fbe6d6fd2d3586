package netfilter

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Attributes of a conntrack message (linux/netfilter/nfnetlink_conntrack.h).
const (
	ctaTupleOrig  = 1
	ctaTupleReply = 2
	ctaStatus     = 3
	ctaMark       = 8
	ctaID         = 12
	ctaZone       = 18

	ctaTupleIP    = 1
	ctaTupleProto = 2
	ctaTupleZone  = 3

	ctaIPv4Src, ctaIPv4Dst, ctaIPv6Src, ctaIPv6Dst = 1, 2, 3, 4

	ctaProtoNum, ctaProtoSrcPort, ctaProtoDstPort = 1, 2, 3
	ctaProtoICMPID, ctaProtoICMPType              = 4, 5
	ctaProtoICMPv6ID, ctaProtoICMPv6Type          = 7, 8
)

// Further bits of a flow's status (enum ip_conntrack_status).
const (
	ipsSeenReply = 1 << 1
	ipsAssured   = 1 << 2
)

const nfgenmsg = 4 // size of struct nfgenmsg

// eachMessage calls f with the body of every message in a datagram, and with
// the subsystem of Netfilter that it is of.
func eachMessage(b []byte, f func(subsystem byte, body []byte)) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return
		}
		if n >= unix.NLMSG_HDRLEN+nfgenmsg {
			f(byte(binary.NativeEndian.Uint16(b[4:])>>8), b[unix.NLMSG_HDRLEN+nfgenmsg:n])
		}
		b = b[min((n+3)&^3, len(b)):]
	}
}

// ctAttrs calls f with every attribute.
func ctAttrs(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		n, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if n < 4 || n > len(b) {
			return
		}
		f(kind&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

func u32(b []byte) uint32 {
	if len(b) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(b)
}

func u16(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.BigEndian.Uint16(b)
}

// natFlow reads a message about a flow that is rewritten; ok is false for
// others. It does what newFlow does with a library's, where that takes too long.
func natFlow(body []byte) (f Flow, ok bool) {
	var status uint32
	var original, reply ctTuple
	ctAttrs(body, func(kind uint16, v []byte) {
		switch kind {
		case ctaStatus:
			status = u32(v)
		case ctaTupleOrig:
			original.read(v)
		case ctaTupleReply:
			reply.read(v)
		case ctaID:
			f.ID = u32(v)
		case ctaZone:
			f.Zone = u16(v)
		case ctaMark:
			f.Mark = u32(v)
		}
	})
	if status&(ipsSNAT|ipsDNAT) == 0 || !original.Src.IsValid() || !reply.Src.IsValid() {
		return f, false
	}
	f.Protocol, f.ICMPType, f.Zone = protocolText(original.protocol), original.icmpType, max(f.Zone, original.zone)
	f.Original, f.Reply = original.Tuple, reply.Tuple
	f.SNAT, f.DNAT = status&ipsSNAT != 0, status&ipsDNAT != 0
	f.SeenReply, f.Assured, f.Related = status&ipsSeenReply != 0, status&ipsAssured != 0, status&ipsExpected != 0
	return f, true
}

// protocolText spares the most frequent protocols a search.
func protocolText(number uint8) string {
	switch number {
	case unix.IPPROTO_TCP:
		return "tcp"
	case unix.IPPROTO_UDP:
		return "udp"
	}
	return protocolName(number)
}

// ctTuple is a tuple as the kernel sends it.
type ctTuple struct {
	Tuple
	protocol, icmpType uint8
	zone               uint16
}

func (t *ctTuple) read(b []byte) {
	var src, dst netip.Addr
	var sport, dport uint16
	ctAttrs(b, func(kind uint16, v []byte) {
		switch kind {
		case ctaTupleIP:
			src, dst = addresses(v)
		case ctaTupleProto:
			sport, dport = t.ports(v)
		case ctaTupleZone:
			t.zone = u16(v)
		}
	})
	t.Src, t.Dst = netip.AddrPortFrom(src, sport), netip.AddrPortFrom(dst, dport)
}

func addresses(b []byte) (src, dst netip.Addr) {
	ctAttrs(b, func(kind uint16, v []byte) {
		a, _ := netip.AddrFromSlice(v)
		switch kind {
		case ctaIPv4Src, ctaIPv6Src:
			src = a
		case ctaIPv4Dst, ctaIPv6Dst:
			dst = a
		}
	})
	return src, dst
}

// ports are the identifier, twice, for ICMP.
func (t *ctTuple) ports(b []byte) (src, dst uint16) {
	ctAttrs(b, func(kind uint16, v []byte) {
		switch kind {
		case ctaProtoNum:
			if len(v) > 0 {
				t.protocol = v[0]
			}
		case ctaProtoSrcPort:
			src = u16(v)
		case ctaProtoDstPort:
			dst = u16(v)
		case ctaProtoICMPID, ctaProtoICMPv6ID:
			src, dst = u16(v), u16(v)
		case ctaProtoICMPType, ctaProtoICMPv6Type:
			if len(v) > 0 {
				t.icmpType = v[0]
			}
		}
	})
	return src, dst
}
