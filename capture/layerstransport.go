package capture

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// transport shows the last header, if it is one that we know.
func (w *walk) transport(t gopacket.LayerType, b []byte) gopacket.LayerType {
	r := w.r
	switch t {
	case layers.LayerTypeTCP:
		if l := new(layers.TCP); take(l, b) {
			w.show(layer("TCP", "src_port", uint16(l.SrcPort), "dst_port", uint16(l.DstPort), "seq", l.Seq, "ack", l.Ack,
				"header_length", int(l.DataOffset)*4, "flags", tcpFlags(l, ", "), "window", l.Window,
				"checksum", r.checksum(l.Checksum), "urgent", l.Urgent, "options", tcpOptions(l.Options)), l.Contents, l.Payload)
		}
	case layers.LayerTypeUDP:
		if l := new(layers.UDP); take(l, b) {
			w.show(layer("UDP", "src_port", uint16(l.SrcPort), "dst_port", uint16(l.DstPort), "length", l.Length,
				"checksum", r.udpChecksum(l.Checksum)), l.Contents, l.Payload)
		}
	case layers.LayerTypeICMPv4:
		if l := new(layers.ICMPv4); take(l, b) {
			w.icmp(r.icmpLayer("ICMP", l.Checksum), b, 8)
		}
	case layers.LayerTypeICMPv6:
		if l := new(layers.ICMPv6); take(l, b) {
			head, n := w.neighbor(r.icmpLayer("ICMPv6", l.Checksum), b)
			w.icmp(head, b, n)
		}
	}
	return gopacket.LayerTypeZero
}

// checksum is the transport's. Between local links it is left to be filled in
// by hardware that never comes: that is not an error.
func (r *Record) checksum(v uint16) string {
	if r.Offload {
		return hex16(v) + " (offloaded, not filled in)"
	}
	return hex16(v)
}

// udpChecksum is 0 where the sender made none, as VXLAN's do (RFC 768; RFC
// 7348, section 4.1).
func (r *Record) udpChecksum(v uint16) string {
	if v == 0 {
		return hex16(v) + " (none)"
	}
	return r.checksum(v)
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

func (r *Record) icmpLayer(name string, sum uint16) Layer {
	s := &r.Summary
	l := layer(name, "type", s.ICMPType, "code", s.ICMPCode, "meaning", icmpMeaning(s), "checksum", r.checksum(sum))
	add := func(name, value string) { l.Fields = append(l.Fields, Field{Name: name, Value: value}) }
	if s.ICMPID != 0 || s.ICMPSeq != 0 {
		add("id", hex16(s.ICMPID))
		add("seq", fmt.Sprint(s.ICMPSeq))
	}
	if q := r.quoted; q.Protocol != "" {
		add("quoted_protocol", q.Protocol)
		add("quoted_src", endpoint(q.Protocol, q.Src))
		add("quoted_dst", endpoint(q.Protocol, q.Dst))
	}
	return l
}

// neighbor adds what a Neighbor Discovery message is about; such a message has
// nothing behind its header, other ones have a header of 8 bytes.
func (w *walk) neighbor(l Layer, b []byte) (_ Layer, header int) {
	s, p := &w.r.Summary, w.r.payload
	switch s.ICMPType {
	case layers.ICMPv6TypeNeighborSolicitation, layers.ICMPv6TypeNeighborAdvertisement:
		if len(p) >= 16 {
			l.Fields = append(l.Fields, Field{Name: "target", Value: netip.AddrFrom16([16]byte(p)).String(), Offset: w.at(b) + 8, Length: 16})
			p = p[16:]
		}
	case layers.ICMPv6TypeRouterAdvertisement:
		p = skip(p, 8)
	case layers.ICMPv6TypeRouterSolicitation:
	default:
		return l, 8
	}
	if mac := ndLink(p, ""); mac != "" {
		l.Fields = append(l.Fields, Field{Name: "link_address", Value: mac})
	}
	return l, len(b)
}

// icmp shows the header, of n bytes, and the packet that an error quotes.
func (w *walk) icmp(l Layer, b []byte, n int) {
	n = min(n, len(b))
	w.show(l, b[:n], b[n:])
	if w.r.quoted.Protocol == "" {
		return
	}
	q := quotedPacket(w.rest)
	switch {
	case q.src.Is4():
		ip := new(layers.IPv4)
		if take(ip, w.rest) {
			w.show(ip4Layer("Quoted IPv4", ip), q.header, q.transport)
		}
	default:
		ip := new(layers.IPv6)
		if take(ip, w.rest) {
			w.show(ip6Layer("Quoted IPv6", ip), q.header, q.transport)
		}
	}
	if len(w.rest) == len(q.transport) && len(q.transport) >= 8 {
		t := &w.r.quoted
		head := layer("Quoted "+strings.ToUpper(t.Protocol), "src_port", t.Src.Port(), "dst_port", t.Dst.Port())
		if t.Protocol != "tcp" && t.Protocol != "udp" {
			head = layer("Quoted ICMP", "type", q.transport[0], "code", q.transport[1], "id", hex16(t.Src.Port()))
		}
		w.show(head, q.transport[:8], q.transport[8:])
	}
}

// carrier shows the header between a packet and the packet within.
func (w *walk) carrier(b []byte) {
	switch s := &w.r.Summary; s.Tunnel {
	case "vxlan":
		if l := new(layers.VXLAN); take(l, b) {
			w.show(vxlanLayer(l, b), b, nil)
		}
	case "geneve":
		l := new(layers.Geneve)
		if l.DecodeFromBytes(b, gopacket.NilDecodeFeedback) == nil {
			w.show(layer("GENEVE", "version", l.Version, "options_length", l.OptionsLength, "oam", l.OAMPacket,
				"critical", l.CriticalOption, "protocol", etherType(l.Protocol), "vni", l.VNI), b, nil)
		}
	case "gre":
		if l := new(layers.GRE); take(l, b) {
			w.show(greLayer(l, b, w.at(b)), b, nil)
		}
	}
}

// vxlanLayer is the header of RFC 7348, section 5. What is reserved there holds
// flags and a group with the extension for group policies
// (draft-smith-vxlan-group-policy).
func vxlanLayer(l *layers.VXLAN, b []byte) Layer {
	shown := layer("VXLAN", "flags", fmt.Sprintf("0x%02x", b[0]), "reserved", fmt.Sprintf("0x%x", b[1:4]), "vni", l.VNI,
		"reserved_2", fmt.Sprintf("0x%x", b[7:8]))
	if l.GBPExtension {
		shown.Fields[1] = Field{Name: "policy_flags", Value: fmt.Sprintf("0x%02x", b[1])}
		shown.Fields = slices.Insert(shown.Fields, 2, Field{Name: "group_policy", Value: fmt.Sprint(l.GBPGroupPolicyID)})
	}
	return shown
}

// greLayer is the header of RFC 2784, section 2, with RFC 2890's fields, which
// begins at start.
func greLayer(l *layers.GRE, b []byte, start int) Layer {
	shown := layer("GRE", "flags", fmt.Sprintf("0x%x", b[:2]), "protocol", etherType(l.Protocol))
	at := start + 4
	add := func(name, value string, size int) {
		shown.Fields = append(shown.Fields, Field{Name: name, Value: value, Offset: at, Length: size})
	}
	if l.ChecksumPresent || l.RoutingPresent { // the two share a word
		if l.ChecksumPresent {
			add("checksum", hex16(l.Checksum), 2)
		}
		at += 4
	}
	if l.KeyPresent {
		add("key", fmt.Sprintf("0x%08x", l.Key), 4)
		at += 4
	}
	if l.SeqPresent {
		add("seq", fmt.Sprint(l.Seq), 4)
	}
	return shown
}
