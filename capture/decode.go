package capture

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Decode fills in rec's Summary from its Data. Session does it for every
// record that it hands out; a caller needs it only for records of his own
// making. TCP numbers in Info are relative to this one packet, there being no
// connection known.
func Decode(rec *Record) { newDecoder().decode(rec) }

// decoder makes summaries of packets of one point. It reuses its memory and
// remembers where TCP connections started, so it belongs to one goroutine.
type decoder struct {
	ether, ip4first, ip6first *gopacket.DecodingLayerParser

	eth   layers.Ethernet
	vlan  layers.Dot1Q
	arp   layers.ARP
	ip4   outerIPv4
	ip6   outerIPv6
	skip  layers.IPv6ExtensionSkipper
	frag6 fragment6
	icmp4 layers.ICMPv4
	icmp6 layers.ICMPv6
	tcp   layers.TCP
	udp   layers.UDP

	decoded []gopacket.LayerType
	macs    map[[6]byte]string
	starts  tcpStarts
}

// outerIPv4 stops at a packet within the packet: the summary is of the outer.
type outerIPv4 struct{ layers.IPv4 }

// NextLayerType implements gopacket.DecodingLayer.
func (ip *outerIPv4) NextLayerType() gopacket.LayerType { return notIP(ip.IPv4.NextLayerType()) }

// outerIPv6 is to IPv6 what outerIPv4 is to IPv4.
type outerIPv6 struct{ layers.IPv6 }

// NextLayerType implements gopacket.DecodingLayer.
func (ip *outerIPv6) NextLayerType() gopacket.LayerType { return notIP(ip.IPv6.NextLayerType()) }

func notIP(t gopacket.LayerType) gopacket.LayerType {
	if t == layers.LayerTypeIPv4 || t == layers.LayerTypeIPv6 {
		return gopacket.LayerTypePayload
	}
	return t
}

// fragment6 is the IPv6 fragment header, behind which nothing can be decoded
// until the packet is whole again. gopacket has it only as a Layer.
type fragment6 struct{ layers.IPv6ExtensionSkipper }

// CanDecode implements gopacket.DecodingLayer.
func (*fragment6) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPv6Fragment }

// NextLayerType implements gopacket.DecodingLayer.
func (*fragment6) NextLayerType() gopacket.LayerType { return gopacket.LayerTypeFragment }

func newDecoder() *decoder {
	d := &decoder{macs: map[[6]byte]string{}}
	all := []gopacket.DecodingLayer{&d.eth, &d.vlan, &d.arp, &d.ip4, &d.ip6, &d.skip, &d.frag6,
		&d.icmp4, &d.icmp6, &d.tcp, &d.udp}
	parser := func(first gopacket.LayerType) *gopacket.DecodingLayerParser {
		p := gopacket.NewDecodingLayerParser(first, all...)
		p.IgnoreUnsupported = true
		return p
	}
	d.ether = parser(layers.LayerTypeEthernet)
	d.ip4first = parser(layers.LayerTypeIPv4)
	d.ip6first = parser(layers.LayerTypeIPv6)
	return d
}

// parserFor finds where to begin.
func (d *decoder) parserFor(rec *Record) *gopacket.DecodingLayerParser {
	switch {
	case !rec.unframed:
		return d.ether
	case len(rec.Data) > 0 && rec.Data[0]>>4 == 6:
		return d.ip6first
	}
	return d.ip4first
}

func (d *decoder) decode(rec *Record) {
	s := &rec.Summary
	*s = Summary{Protocol: "?"}
	rec.payload, rec.quoted = nil, Tuple{}
	err := d.parserFor(rec).DecodeLayers(rec.Data, &d.decoded)
	missing := 0 // bytes of the IP payload that were not kept
	for _, t := range d.decoded {
		switch t {
		case layers.LayerTypeEthernet:
			s.SrcMAC, s.DstMAC = d.mac(d.eth.SrcMAC), d.mac(d.eth.DstMAC)
		case layers.LayerTypeARP:
			d.summarizeARP(s)
		case layers.LayerTypeIPv4:
			missing = d.summarizeIPv4(rec)
		case layers.LayerTypeIPv6:
			missing = d.summarizeIPv6(rec)
		case layers.LayerTypeIPv6Fragment:
			rec.payload = d.frag6.LayerPayload()
		case layers.LayerTypeTCP:
			d.summarizeTCP(rec)
		case layers.LayerTypeUDP:
			s.Protocol, s.Checksum, rec.payload = "udp", d.udp.Checksum, d.udp.LayerPayload()
			s.Src, s.Dst = withPorts(s, uint16(d.udp.SrcPort), uint16(d.udp.DstPort))
		case layers.LayerTypeICMPv4:
			d.summarizeICMPv4(rec)
		case layers.LayerTypeICMPv6:
			d.summarizeICMPv6(rec)
		}
	}
	s.Payload = len(rec.payload) + max(missing, 0)
	if err != nil {
		s.Malformed = malformed(rec, err)
	}
	s.Info = clean(d.info(rec))
}

// malformed says in one line why decoding stopped.
func malformed(rec *Record, err error) string {
	if len(rec.Data) < rec.Length {
		return fmt.Sprintf("only the first %d of %d bytes were kept", len(rec.Data), rec.Length)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return clean(text)
}

// mac is a hardware address as text, made once for each address.
func (d *decoder) mac(a net.HardwareAddr) string {
	if len(a) != 6 {
		return a.String()
	}
	key := [6]byte(a)
	text, ok := d.macs[key]
	if !ok {
		if len(d.macs) >= 1024 { // forged addresses must not fill the memory
			clear(d.macs)
		}
		text = a.String()
		d.macs[key] = text
	}
	return text
}

func withPorts(s *Summary, src, dst uint16) (netip.AddrPort, netip.AddrPort) {
	return netip.AddrPortFrom(s.Src.Addr(), src), netip.AddrPortFrom(s.Dst.Addr(), dst)
}

func addr(ip net.IP) netip.AddrPort {
	a, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(a, 0)
}

func (d *decoder) summarizeARP(s *Summary) {
	s.Protocol = "arp"
	s.Src, s.Dst = addr(d.arp.SourceProtAddress), addr(d.arp.DstProtAddress)
}

func (d *decoder) summarizeIPv4(rec *Record) (missing int) {
	ip, s := &d.ip4.IPv4, &rec.Summary
	s.Protocol, s.Src, s.Dst = "ip", addr(ip.SrcIP), addr(ip.DstIP)
	s.TTL, s.IPID, s.IPChecksum = ip.TTL, ip.Id, ip.Checksum
	rec.payload = ip.Payload
	return int(ip.Length) - int(ip.IHL)*4 - len(ip.Payload)
}

func (d *decoder) summarizeIPv6(rec *Record) (missing int) {
	ip, s := &d.ip6.IPv6, &rec.Summary
	s.Protocol, s.Src, s.Dst, s.TTL = "ip", addr(ip.SrcIP), addr(ip.DstIP), ip.HopLimit
	rec.payload = ip.Payload
	kept := len(ip.Payload)
	if ip.HopByHop != nil {
		kept += ip.HopByHop.ActualLength
	}
	return int(ip.Length) - kept
}

func (d *decoder) summarizeTCP(rec *Record) {
	t, s := &d.tcp, &rec.Summary
	s.Protocol, s.Checksum, rec.payload = "tcp", t.Checksum, t.Payload
	s.Src, s.Dst = withPorts(s, uint16(t.SrcPort), uint16(t.DstPort))
	s.TCPSeq, s.TCPAck = t.Seq, t.Ack
	s.TCPFlags = tcpFlags(t, " ")
}

func tcpFlags(t *layers.TCP, sep string) string {
	var on []string
	for _, f := range []struct {
		set  bool
		name string
	}{{t.FIN, "FIN"}, {t.SYN, "SYN"}, {t.RST, "RST"}, {t.PSH, "PSH"}, {t.ACK, "ACK"}, {t.URG, "URG"}, {t.ECE, "ECE"}, {t.CWR, "CWR"}} {
		if f.set {
			on = append(on, f.name)
		}
	}
	return strings.Join(on, sep)
}
