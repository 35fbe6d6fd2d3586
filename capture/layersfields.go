package capture

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/google/gopacket/layers"
)

// spans says where in its header a field stands: first byte and how many. What
// shares bytes with other fields has those that it is in.
var spans = map[string]map[string][2]int{
	"Ethernet":        {"dst": {0, 6}, "src": {6, 6}, "type": {12, 2}},
	"802.1Q":          {"priority": {0, 1}, "drop_eligible": {0, 1}, "id": {0, 2}, "type": {2, 2}},
	"Loopback":        {"family": {0, 4}},
	"Linux cooked":    {"packet_type": {0, 2}, "src": {6, 8}, "type": {14, 2}},
	"Linux cooked v2": {"type": {0, 2}, "ifindex": {4, 4}, "packet_type": {10, 1}, "src": {12, 8}},
	"ARP": {"operation": {6, 2}, "sender_mac": {8, 6}, "sender_ip": {14, 4}, "target_mac": {18, 6},
		"target_ip": {24, 4}},
	"IPv4":                     ip4Spans,
	"Quoted IPv4":              ip4Spans,
	"IPv6":                     ip6Spans,
	"Quoted IPv6":              ip6Spans,
	"IPv6 Hop-by-Hop Options":  {"next_header": {0, 1}, "length": {1, 1}},
	"IPv6 Destination Options": {"next_header": {0, 1}, "length": {1, 1}},
	"IPv6 Routing":             {"next_header": {0, 1}, "type": {2, 1}, "segments_left": {3, 1}},
	"IPv6 Fragment":            {"next_header": {0, 1}, "offset": {2, 2}, "more": {3, 1}, "id": {4, 4}},
	"IPsec AH":                 {"next_header": {0, 1}, "spi": {4, 4}, "seq": {8, 4}},
	"TCP": {"src_port": {0, 2}, "dst_port": {2, 2}, "seq": {4, 4}, "ack": {8, 4}, "header_length": {12, 1},
		"flags": {12, 2}, "window": {14, 2}, "checksum": {16, 2}, "urgent": {18, 2}},
	"UDP":         {"src_port": {0, 2}, "dst_port": {2, 2}, "length": {4, 2}, "checksum": {6, 2}},
	"Quoted TCP":  {"src_port": {0, 2}, "dst_port": {2, 2}},
	"Quoted UDP":  {"src_port": {0, 2}, "dst_port": {2, 2}},
	"Quoted ICMP": {"type": {0, 1}, "code": {1, 1}, "id": {4, 2}},
	"ICMP":        icmpSpans,
	"ICMPv6":      icmpSpans,
	"VXLAN":       {"flags": {0, 1}, "reserved": {1, 3}, "policy_flags": {1, 1}, "group_policy": {2, 2}, "vni": {4, 3}, "reserved_2": {7, 1}},
	"GENEVE": {"version": {0, 1}, "options_length": {0, 1}, "oam": {1, 1}, "critical": {1, 1}, "protocol": {2, 2},
		"vni": {4, 3}},
	"GRE": {"flags": {0, 2}, "protocol": {2, 2}},
}

var ip4Spans = map[string][2]int{"header_length": {0, 1}, "dscp": {1, 1}, "ecn": {1, 1}, "length": {2, 2}, "id": {4, 2},
	"flags": {6, 1}, "offset": {6, 2}, "ttl": {8, 1}, "protocol": {9, 1}, "checksum": {10, 2}, "src": {12, 4}, "dst": {16, 4}}

var ip6Spans = map[string][2]int{"traffic_class": {0, 2}, "flow_label": {1, 3}, "length": {4, 2}, "next_header": {6, 1},
	"hop_limit": {7, 1}, "src": {8, 16}, "dst": {24, 16}}

var icmpSpans = map[string][2]int{"type": {0, 1}, "code": {1, 1}, "meaning": {0, 2}, "checksum": {2, 2}, "id": {4, 2}, "seq": {6, 2}}

// layer makes a Layer of names and values in turn.
func layer(name string, namesAndValues ...any) Layer {
	l := Layer{Name: name}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		l.Fields = append(l.Fields, Field{Name: namesAndValues[i].(string), Value: clean(fmt.Sprint(namesAndValues[i+1]))})
	}
	return l
}

func arpLayer(l *layers.ARP) Layer {
	op := strconv.Itoa(int(l.Operation))
	switch l.Operation {
	case layers.ARPRequest:
		op = "request"
	case layers.ARPReply:
		op = "reply"
	}
	return layer("ARP", "operation", op, "sender_mac", hardware(l.SourceHwAddress),
		"sender_ip", addr(l.SourceProtAddress).Addr(), "target_mac", hardware(l.DstHwAddress),
		"target_ip", addr(l.DstProtAddress).Addr())
}

func hardware(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(parts, ":")
}

func hex16(v uint16) string { return string(appendHex16(nil, v)) }

func appendHex16(b []byte, v uint16) []byte {
	const digits = "0123456789abcdef"
	return append(b, '0', 'x', digits[v>>12], digits[v>>8&15], digits[v>>4&15], digits[v&15])
}

func etherType(t layers.EthernetType) string {
	switch t {
	case layers.EthernetTypeIPv4:
		return "IPv4 (0x0800)"
	case layers.EthernetTypeIPv6:
		return "IPv6 (0x86dd)"
	case layers.EthernetTypeARP:
		return "ARP (0x0806)"
	case layers.EthernetTypeDot1Q:
		return "802.1Q (0x8100)"
	case layers.EthernetTypeQinQ:
		return "802.1ad (0x88a8)"
	case layers.EthernetTypeTransparentEthernetBridging:
		return "Ethernet (0x6558)"
	}
	return hex16(uint16(t))
}

func ipProtocol(p layers.IPProtocol) string { return fmt.Sprintf("%s (%d)", p, uint8(p)) }

func ipFlags(f layers.IPv4Flag) string {
	var on []string
	if f&layers.IPv4DontFragment != 0 {
		on = append(on, "DF")
	}
	if f&layers.IPv4MoreFragments != 0 {
		on = append(on, "MF")
	}
	return strings.Join(on, ", ")
}
