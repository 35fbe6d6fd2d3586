package capture

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/gopacket/layers"
)

// info is the line that Wireshark's info column would show. It runs right
// after the layers were decoded, while they still hold this packet.
func (d *decoder) info(rec *Record) string {
	s := &rec.Summary
	line := ""
	switch s.Protocol {
	case "arp":
		line = d.arpInfo(s)
	case "tcp":
		line = d.tcpInfo(rec)
	case "udp":
		line = fmt.Sprintf("%d → %d Len=%d", s.Src.Port(), s.Dst.Port(), s.Payload)
	case "icmp", "icmp6":
		line = icmpInfo(rec)
	case "ip":
		line = d.ipInfo(s)
	default:
		line = d.linkInfo(rec)
	}
	if s.Malformed != "" {
		line = strings.TrimSpace(line + " [Malformed: " + s.Malformed + "]")
	}
	return line
}

func (d *decoder) linkInfo(rec *Record) string {
	if len(d.decoded) == 0 {
		return fmt.Sprintf("%d bytes", rec.Length)
	}
	typ := d.eth.EthernetType
	if d.decoded[len(d.decoded)-1] == layers.LayerTypeDot1Q {
		typ = d.vlan.Type
	}
	if typ == layers.EthernetTypeLLC {
		return fmt.Sprintf("LLC, %d bytes", rec.Length)
	}
	return fmt.Sprintf("EtherType 0x%04x, %d bytes", uint16(typ), rec.Length)
}

func (d *decoder) arpInfo(s *Summary) string {
	sender, target := s.Src.Addr(), s.Dst.Addr()
	switch {
	case d.arp.Operation == layers.ARPRequest && sender == target:
		return fmt.Sprintf("ARP Announcement for %s", target)
	case d.arp.Operation == layers.ARPRequest && sender.IsUnspecified():
		return fmt.Sprintf("Who has %s? (ARP Probe)", target)
	case d.arp.Operation == layers.ARPRequest:
		return fmt.Sprintf("Who has %s? Tell %s", target, sender)
	case d.arp.Operation == layers.ARPReply:
		return fmt.Sprintf("%s is at %s", sender, d.mac(d.arp.SourceHwAddress))
	}
	return fmt.Sprintf("ARP operation %d", d.arp.Operation)
}

func (d *decoder) ipInfo(s *Summary) string {
	last := layers.LayerTypeIPv4
	if len(d.decoded) > 0 {
		last = d.decoded[len(d.decoded)-1]
	}
	switch {
	case last == layers.LayerTypeIPv6Fragment:
		return fmt.Sprintf("IPv6 fragment, %d bytes", s.Payload)
	case s.Src.Addr().Is4() && (d.ip4.FragOffset != 0 || d.ip4.Flags&layers.IPv4MoreFragments != 0):
		return fmt.Sprintf("Fragmented IP protocol (proto=%s %d, off=%d, ID=%04x)",
			d.ip4.Protocol, uint8(d.ip4.Protocol), int(d.ip4.FragOffset)*8, s.IPID)
	case s.Src.Addr().Is4():
		return fmt.Sprintf("%s (%d), %d bytes", d.ip4.Protocol, uint8(d.ip4.Protocol), s.Payload)
	}
	return fmt.Sprintf("%s (%d), %d bytes", d.ip6.NextHeader, uint8(d.ip6.NextHeader), s.Payload)
}

func (d *decoder) tcpInfo(rec *Record) string {
	if line := httpLine(rec.payload); line != "" {
		return line
	}
	t, s := &d.tcp, &rec.Summary
	seq, ack := d.starts.relative(Tuple{"tcp", s.Src, s.Dst}, t)
	var b strings.Builder
	fmt.Fprintf(&b, "%d → %d [%s] Seq=%d", s.Src.Port(), s.Dst.Port(), tcpFlags(t, ", "), seq)
	if t.ACK {
		fmt.Fprintf(&b, " Ack=%d", ack)
	}
	fmt.Fprintf(&b, " Win=%d Len=%d", t.Window, s.Payload)
	for _, o := range t.Options {
		switch {
		case o.OptionType == layers.TCPOptionKindMSS && len(o.OptionData) == 2:
			fmt.Fprintf(&b, " MSS=%d", int(o.OptionData[0])<<8|int(o.OptionData[1]))
		case o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1:
			fmt.Fprintf(&b, " WS=%d", 1<<min(o.OptionData[0], 14)) // RFC 7323: at most 14
		}
	}
	return b.String()
}

// httpLine is the request or status line that the payload begins with, "" if
// it begins with none (RFC 9112, sections 3 and 4).
func httpLine(payload []byte) string {
	line, _, whole := bytes.Cut(payload[:min(len(payload), 2048)], []byte("\r\n"))
	if !whole {
		return ""
	}
	if bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return string(line)
	}
	word := bytes.Split(line, []byte(" "))
	if len(word) != 3 || !bytes.HasPrefix(word[2], []byte("HTTP/1.")) {
		return ""
	}
	switch string(word[0]) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return string(line)
	}
	return ""
}

func icmpInfo(rec *Record) string {
	s := &rec.Summary
	v6 := s.Protocol == "icmp6"
	echo := func(kind string) string {
		hops := "ttl"
		if v6 {
			hops = "hop limit"
		}
		return fmt.Sprintf("Echo (ping) %s id=0x%04x, seq=%d, %s=%d", kind, s.ICMPID, s.ICMPSeq, hops, s.TTL)
	}
	switch {
	case !v6 && s.ICMPType == layers.ICMPv4TypeEchoRequest, v6 && s.ICMPType == layers.ICMPv6TypeEchoRequest:
		return echo("request")
	case !v6 && s.ICMPType == layers.ICMPv4TypeEchoReply, v6 && s.ICMPType == layers.ICMPv6TypeEchoReply:
		return echo("reply")
	case v6 && s.ICMPType == layers.ICMPv6TypeNeighborSolicitation && len(rec.payload) >= 16:
		return fmt.Sprintf("Neighbor Solicitation for %s", netip.AddrFrom16([16]byte(rec.payload[:16])))
	case v6 && s.ICMPType == layers.ICMPv6TypeNeighborAdvertisement && len(rec.payload) >= 16:
		return fmt.Sprintf("Neighbor Advertisement %s", netip.AddrFrom16([16]byte(rec.payload[:16])))
	case v6 && s.ICMPType == layers.ICMPv6TypeMLDv2MulticastListenerReportMessageV2: // gopacket has no name for it
		return "Multicast Listener Report v2"
	}
	text := layers.CreateICMPv4TypeCode(s.ICMPType, s.ICMPCode).String()
	if v6 {
		text = layers.CreateICMPv6TypeCode(s.ICMPType, s.ICMPCode).String()
	}
	text = icmpText(text)
	if q := rec.quoted; q.Protocol != "" {
		text += fmt.Sprintf(", about %s %s → %s", q.Protocol, endpoint(q.Protocol, q.Src), endpoint(q.Protocol, q.Dst))
	}
	return text
}

// icmpText spells gopacket's "DestinationUnreachable(Port)" in words.
func icmpText(s string) string {
	var b strings.Builder
	for i, r := range s {
		upper := r >= 'A' && r <= 'Z'
		switch {
		case r == '(':
			b.WriteByte(' ')
		case upper && i > 0 && s[i-1] >= 'a' && s[i-1] <= 'z':
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// endpoint is an address with its port, or without where there is none.
func endpoint(protocol string, a netip.AddrPort) string {
	if protocol == "tcp" || protocol == "udp" {
		return a.String()
	}
	return a.Addr().String()
}
