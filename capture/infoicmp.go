package capture

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/gopacket/layers"
)

// icmpInfo is the info line of ICMP and ICMPv6.
func (d *decoder) icmpInfo(rec *Record) string {
	s := &rec.Summary
	if s.Protocol == "icmp6" {
		return d.icmp6Info(rec)
	}
	switch s.ICMPType {
	case layers.ICMPv4TypeEchoRequest:
		return echoInfo(s, "request", "ttl")
	case layers.ICMPv4TypeEchoReply:
		return echoInfo(s, "reply", "ttl")
	}
	return icmpMeaning(s) + aboutQuoted(rec)
}

func echoInfo(s *Summary, kind, hops string) string {
	return fmt.Sprintf("Echo (ping) %s id=0x%04x, seq=%d, %s=%d", kind, s.ICMPID, s.ICMPSeq, hops, s.TTL)
}

// aboutQuoted tells of which packet an error speaks; Wireshark does not.
func aboutQuoted(rec *Record) string {
	q := rec.quoted
	if q.Protocol == "" {
		return ""
	}
	return fmt.Sprintf(", about %s %s → %s", q.Protocol, endpoint(q.Protocol, q.Src), endpoint(q.Protocol, q.Dst))
}

func (d *decoder) icmp6Info(rec *Record) string {
	s := &rec.Summary
	switch s.ICMPType {
	case layers.ICMPv6TypeEchoRequest:
		return echoInfo(s, "request", "hop limit")
	case layers.ICMPv6TypeEchoReply:
		return echoInfo(s, "reply", "hop limit")
	case layers.ICMPv6TypeRouterSolicitation:
		return "Router Solicitation" + ndLink(rec.payload, " from ")
	case layers.ICMPv6TypeRouterAdvertisement:
		return "Router Advertisement" + ndLink(skip(rec.payload, 8), " from ")
	}
	if len(rec.payload) < 16 {
		return icmpMeaning(s) + aboutQuoted(rec)
	}
	target, rest := netip.AddrFrom16([16]byte(rec.payload)), rec.payload[16:]
	switch s.ICMPType {
	case layers.ICMPv6TypeNeighborSolicitation:
		return fmt.Sprintf("Neighbor Solicitation for %s%s", target, ndLink(rest, " from "))
	case layers.ICMPv6TypeNeighborAdvertisement:
		return fmt.Sprintf("Neighbor Advertisement %s%s%s", target, ndFlags(d.icmp6.Payload[0]), ndLink(rest, " is at "))
	}
	return icmpMeaning(s) + aboutQuoted(rec)
}

// ndLink is the link layer address in the options of a Neighbor Discovery
// message (RFC 4861, section 4.6.1), "" without one.
func ndLink(options []byte, before string) string {
	for b := options; len(b) >= 8 && b[1] > 0 && len(b) >= int(b[1])*8; b = b[int(b[1])*8:] {
		if b[0] == 1 || b[0] == 2 {
			return before + hardware(b[2:8])
		}
	}
	return ""
}

// ndFlags are a Neighbor Advertisement's (RFC 4861, section 4.4).
func ndFlags(b byte) string {
	var on []string
	for i, name := range []string{"rtr", "sol", "ovr"} {
		if b&(0x80>>i) != 0 {
			on = append(on, name)
		}
	}
	if len(on) == 0 {
		on = []string{"none"}
	}
	return " (" + strings.Join(on, ", ") + ")"
}

// icmpMeaning is type and code in Wireshark's words.
func icmpMeaning(s *Summary) string {
	kinds := icmpKinds
	if s.Protocol == "icmp6" {
		kinds = icmp6Kinds
	}
	k, ok := kinds[s.ICMPType]
	switch {
	case !ok:
		return fmt.Sprintf("type %d, code %d", s.ICMPType, s.ICMPCode)
	case int(s.ICMPCode) < len(k.codes):
		return fmt.Sprintf("%s (%s)", k.name, k.codes[s.ICMPCode])
	case len(k.codes) > 0:
		return fmt.Sprintf("%s (code %d)", k.name, s.ICMPCode)
	}
	return k.name
}

// icmpKind names a type and its codes, from 0 on.
type icmpKind struct {
	name  string
	codes []string
}

// icmpKinds are the types of ICMP (RFC 792, 950, 1122, 1256, 1812).
var icmpKinds = map[uint8]icmpKind{
	0: {"Echo (ping) reply", nil},
	3: {"Destination unreachable", []string{"Network unreachable", "Host unreachable", "Protocol unreachable", "Port unreachable",
		"Fragmentation needed", "Source route failed", "Network unknown", "Host unknown", "Source host isolated",
		"Network administratively prohibited", "Host administratively prohibited", "Network unreachable for TOS",
		"Host unreachable for TOS", "Communication administratively filtered", "Host precedence violation", "Precedence cutoff in effect"}},
	4:  {"Source quench (flow control)", nil},
	5:  {"Redirect", []string{"Redirect for network", "Redirect for host", "Redirect for Type of Service and network", "Redirect for Type of Service and host"}},
	8:  {"Echo (ping) request", nil},
	9:  {"Router advertisement", nil},
	10: {"Router solicitation", nil},
	11: {"Time-to-live exceeded", []string{"Time to live exceeded in transit", "Fragment reassembly time exceeded"}},
	12: {"Parameter problem", []string{"Pointer indicates the error", "Required option missing", "Bad length"}},
	13: {"Timestamp request", nil},
	14: {"Timestamp reply", nil},
	17: {"Address mask request", nil},
	18: {"Address mask reply", nil},
}

// icmp6Kinds are the types of ICMPv6 (RFC 2710, 3810, 4443, 4861).
var icmp6Kinds = map[uint8]icmpKind{
	1: {"Destination Unreachable", []string{"no route to destination", "Administratively prohibited", "Beyond scope of source address",
		"Address unreachable", "Port unreachable", "Source address failed ingress/egress policy", "Reject route to destination"}},
	2:   {"Packet Too Big", nil},
	3:   {"Time Exceeded", []string{"hop limit exceeded in transit", "fragment reassembly time exceeded"}},
	4:   {"Parameter Problem", []string{"erroneous header field encountered", "unrecognized Next Header type encountered", "unrecognized IPv6 option encountered"}},
	128: {"Echo (ping) request", nil},
	129: {"Echo (ping) reply", nil},
	130: {"Multicast Listener Query", nil},
	131: {"Multicast Listener Report", nil},
	132: {"Multicast Listener Done", nil},
	133: {"Router Solicitation", nil},
	134: {"Router Advertisement", nil},
	135: {"Neighbor Solicitation", nil},
	136: {"Neighbor Advertisement", nil},
	137: {"Redirect", nil},
	143: {"Multicast Listener Report Message v2", nil},
}

// endpoint is an address with its port, or without where there is none.
func endpoint(protocol string, a netip.AddrPort) string {
	if protocol == "tcp" || protocol == "udp" {
		return a.String()
	}
	return a.Addr().String()
}
