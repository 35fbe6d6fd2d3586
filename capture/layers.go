package capture

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Layers is everything in the packet, header by header, for the detail pane.
// The names of layers and fields are fixed, so that two sightings of one
// packet can be laid side by side. What cannot be decoded is shown raw.
func (r *Record) Layers() []Layer {
	first := gopacket.Decoder(layers.LayerTypeEthernet)
	if r.unframed {
		first = layers.LayerTypeIPv4
		if len(r.Data) > 0 && r.Data[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
	}
	pkt := gopacket.NewPacket(r.Data, first, gopacket.DecodeOptions{NoCopy: true, Lazy: true})
	var out []Layer
	var rest []byte // behind the last header that was shown
	for _, l := range pkt.Layers() {
		shown, last := r.layer(l)
		if shown.Name == "" {
			break
		}
		out = append(out, shown)
		rest = l.LayerPayload()
		if last {
			rest = r.behind(shown.Name, rest)
			break
		}
	}
	if len(out) == 0 {
		rest = r.Data
	}
	if r.Summary.Malformed != "" {
		out = append(out, Layer{"Malformed", []Field{
			{"reason", r.Summary.Malformed},
			{"raw", hex.EncodeToString(r.Data[:min(len(r.Data), shownBytes)])},
		}})
	}
	return appendPayload(out, rest)
}

// behind is what follows the last header: behind ARP there is only padding,
// and gopacket counts the second half of an ICMPv6 header as payload.
func (r *Record) behind(name string, rest []byte) []byte {
	switch name {
	case "ARP":
		return nil
	case "ICMPv6":
		return r.payload
	}
	return rest
}

// layer is one gopacket layer as we show it; last says that what follows is
// payload. A layer without a name is not one that we show.
func (r *Record) layer(l gopacket.Layer) (shown Layer, last bool) {
	switch l := l.(type) {
	case *layers.Ethernet:
		return layer("Ethernet", "dst", l.DstMAC, "src", l.SrcMAC, "type", etherType(l.EthernetType)), false
	case *layers.Dot1Q:
		return layer("802.1Q", "priority", l.Priority, "drop_eligible", l.DropEligible, "id", l.VLANIdentifier,
			"type", etherType(l.Type)), false
	case *layers.ARP:
		return arpLayer(l), true
	case *layers.IPv4:
		return layer("IPv4", "header_length", int(l.IHL)*4, "dscp", l.TOS>>2, "ecn", l.TOS&3, "length", l.Length,
			"id", hex16(l.Id), "flags", ipFlags(l.Flags), "offset", int(l.FragOffset)*8, "ttl", l.TTL,
			"protocol", ipProtocol(l.Protocol), "checksum", hex16(l.Checksum),
			"src", l.SrcIP, "dst", l.DstIP, "options", len(l.Options)), ipInside(l.Protocol)
	case *layers.IPv6:
		return layer("IPv6", "traffic_class", l.TrafficClass, "flow_label", fmt.Sprintf("0x%05x", l.FlowLabel),
			"length", l.Length, "next_header", ipProtocol(l.NextHeader), "hop_limit", l.HopLimit,
			"src", l.SrcIP, "dst", l.DstIP), ipInside(l.NextHeader)
	case *layers.IPv6HopByHop:
		return layer("IPv6 Hop-by-Hop Options", "next_header", ipProtocol(l.NextHeader), "length", l.ActualLength), false
	case *layers.IPv6Destination:
		return layer("IPv6 Destination Options", "next_header", ipProtocol(l.NextHeader), "length", l.ActualLength), false
	case *layers.IPv6Routing:
		return layer("IPv6 Routing", "next_header", ipProtocol(l.NextHeader), "type", l.RoutingType,
			"segments_left", l.SegmentsLeft), false
	case *layers.IPv6Fragment:
		return layer("IPv6 Fragment", "next_header", ipProtocol(l.NextHeader), "offset", int(l.FragmentOffset)*8,
			"more", l.MoreFragments, "id", fmt.Sprintf("0x%08x", l.Identification)), true
	}
	return r.transportLayer(l), true
}

func (r *Record) transportLayer(l gopacket.Layer) Layer {
	switch l := l.(type) {
	case *layers.TCP:
		return layer("TCP", "src_port", uint16(l.SrcPort), "dst_port", uint16(l.DstPort), "seq", l.Seq, "ack", l.Ack,
			"header_length", int(l.DataOffset)*4, "flags", tcpFlags(l, ", "), "window", l.Window,
			"checksum", r.checksum(l.Checksum), "urgent", l.Urgent, "options", tcpOptions(l.Options))
	case *layers.UDP:
		return layer("UDP", "src_port", uint16(l.SrcPort), "dst_port", uint16(l.DstPort), "length", l.Length,
			"checksum", r.checksum(l.Checksum))
	case *layers.ICMPv4:
		return r.icmpLayer("ICMP", l.TypeCode.String(), l.Checksum)
	case *layers.ICMPv6:
		return r.icmpLayer("ICMPv6", l.TypeCode.String(), l.Checksum)
	}
	return Layer{}
}

// layer makes a Layer of names and values in turn.
func layer(name string, namesAndValues ...any) Layer {
	l := Layer{Name: name}
	for i := 0; i+1 < len(namesAndValues); i += 2 {
		l.Fields = append(l.Fields, Field{namesAndValues[i].(string), clean(fmt.Sprint(namesAndValues[i+1]))})
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

func (r *Record) icmpLayer(name, typeCode string, sum uint16) Layer {
	s := &r.Summary
	l := layer(name, "type", s.ICMPType, "code", s.ICMPCode, "meaning", icmpText(typeCode), "checksum", r.checksum(sum))
	if s.ICMPID != 0 || s.ICMPSeq != 0 {
		l.Fields = append(l.Fields, Field{"id", hex16(s.ICMPID)}, Field{"seq", strconv.Itoa(int(s.ICMPSeq))})
	}
	if q := r.quoted; q.Protocol != "" {
		l.Fields = append(l.Fields, Field{"quoted_protocol", q.Protocol},
			Field{"quoted_src", endpoint(q.Protocol, q.Src)}, Field{"quoted_dst", endpoint(q.Protocol, q.Dst)})
	}
	return l
}

func hardware(b []byte) string {
	parts := make([]string, len(b))
	for i, c := range b {
		parts[i] = fmt.Sprintf("%02x", c)
	}
	return strings.Join(parts, ":")
}

func hex16(v uint16) string { return fmt.Sprintf("0x%04x", v) }

// checksum is the transport's. Between local links it is left to be filled in
// by hardware that never comes: that is not an error.
func (r *Record) checksum(v uint16) string {
	if r.Offload {
		return hex16(v) + " (offloaded, not filled in)"
	}
	return hex16(v)
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
	}
	return hex16(uint16(t))
}

func ipProtocol(p layers.IPProtocol) string { return fmt.Sprintf("%s (%d)", p, uint8(p)) }

// ipInside says that the payload is an IP packet of its own.
func ipInside(p layers.IPProtocol) bool {
	return p == layers.IPProtocolIPv4 || p == layers.IPProtocolIPv6
}

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

func tcpOptions(options []layers.TCPOption) string {
	var out []string
	for _, o := range options {
		switch o.OptionType {
		case layers.TCPOptionKindNop, layers.TCPOptionKindEndList:
			continue
		}
		text := o.OptionType.String()
		if len(o.OptionData) > 0 {
			text += " 0x" + hex.EncodeToString(o.OptionData)
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
