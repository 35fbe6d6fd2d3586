package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Decode fills in rec's Summary from its Data, with VXLAN on its usual ports.
// Session does it for every record that it hands out; a caller needs it only
// for records of his own making. TCP numbers in Info are relative to this one
// packet, there being no connection known.
func Decode(rec *Record) { newDecoder().decode(rec) }

// Decoder fills in the Summary and the Inner of records, one after the other.
// It reuses its memory and remembers where TCP connections started, so it is
// for the packets of one point and for one goroutine.
type Decoder struct{ d *decoder }

// NewDecoder makes a Decoder that looks for VXLAN on these UDP ports, too,
// besides 4789 (IANA) and 8472 (the kernel's default).
func NewDecoder(vxlanPorts ...uint16) *Decoder { return &Decoder{newDecoder(vxlanPorts...)} }

// Decode fills in rec's Summary and Inner from its Data.
func (d *Decoder) Decode(rec *Record) { d.d.decode(rec) }

// decoder makes summaries of packets of one point.
type decoder struct {
	ether, ip4first, ip6first, arpfirst, loopback, sll *gopacket.DecodingLayerParser

	eth   layers.Ethernet
	loop  layers.Loopback
	slled layers.LinuxSLL
	vlan  vlanTags
	arp   layers.ARP
	ip4   outerIPv4
	ip6   outerIPv6
	skip  extension6
	auth  authHeader
	frag6 fragment6
	icmp4 layers.ICMPv4
	icmp6 layers.ICMPv6
	tcp   layers.TCP
	udp   outerUDP

	decoded    []gopacket.LayerType
	vxlanPorts []uint16
	macs       map[[6]byte]string
	starts     tcpStarts
}

func newDecoder(vxlanPorts ...uint16) *decoder {
	d := &decoder{macs: map[[6]byte]string{}, vxlanPorts: append([]uint16{vxlanPort, vxlanKernelPort}, vxlanPorts...)}
	all := []gopacket.DecodingLayer{&d.eth, &d.loop, &d.slled, &d.vlan, &d.arp, &d.ip4, &d.ip6, &d.skip, &d.auth, &d.frag6,
		&d.icmp4, &d.icmp6, &d.tcp, &d.udp}
	parser := func(first gopacket.LayerType) *gopacket.DecodingLayerParser {
		p := gopacket.NewDecodingLayerParser(first, all...)
		p.IgnoreUnsupported = true
		return p
	}
	d.ether = parser(layers.LayerTypeEthernet)
	d.ip4first = parser(layers.LayerTypeIPv4)
	d.ip6first = parser(layers.LayerTypeIPv6)
	d.arpfirst = parser(layers.LayerTypeARP)
	d.loopback = parser(layers.LayerTypeLoopback)
	d.sll = parser(layers.LayerTypeLinuxSLL)
	return d
}

// parserFor finds where to begin, and with what; nil when the link's header
// says that it is nothing of ours.
func (d *decoder) parserFor(rec *Record) (*gopacket.DecodingLayerParser, []byte, error) {
	switch {
	case rec.unframed && len(rec.Data) > 0 && rec.Data[0]>>4 == 6:
		return d.ip6first, rec.Data, nil
	case rec.unframed:
		return d.ip4first, rec.Data, nil
	case rec.link == linkLoopback:
		return d.loopback, rec.Data, nil
	case rec.link == linkSLL:
		return d.sll, rec.Data, nil
	case rec.link == linkSLL2:
		return d.afterSLL2(rec)
	case rec.link == linkOther:
		return nil, nil, errors.New("link type not supported")
	}
	return d.ether, rec.Data, nil
}

// decode summarizes rec and the packets within it. The outermost Info tells of
// the innermost packet.
func (d *decoder) decode(rec *Record) {
	rec.inner = nil
	outer := []*Record{rec}
	for in := rec; in != nil && len(outer) <= maxDepth; {
		if in = d.decodeOne(in); in != nil {
			outer[len(outer)-1].inner = in
			outer = append(outer, in)
		}
	}
	for i := len(outer) - 2; i >= 0; i-- {
		// The kernel marks the frame; whose checksum it means must be found out.
		outer[i+1].Offload = rec.Offload && leftToHardware(outer[i+1])
		outer[i].Summary.Info = tunnelInfo(&outer[i].Summary, &outer[i+1].Summary)
	}
}

// decodeOne summarizes one packet up to what its transport carries, and
// returns the packet that lies in there, yet to be decoded.
func (d *decoder) decodeOne(rec *Record) (inner *Record) {
	s := &rec.Summary
	*s = Summary{Protocol: "?"}
	rec.payload, rec.header, rec.quoted = nil, 0, Tuple{}
	d.decoded, d.vlan.outer = d.decoded[:0], 0
	parser, data, err := d.parserFor(rec)
	if err == nil && parser != nil {
		err = parser.DecodeLayers(data, &d.decoded)
	}
	missing := d.summarize(rec)
	s.Payload = len(rec.payload) + max(missing, 0)
	if err != nil {
		s.Malformed = malformed(rec, err)
	}
	info := ""
	if err == nil && len(d.decoded) > 0 {
		if inner, err = d.tunnel(rec); err == nil && inner == nil {
			s.App, info, err = d.application(rec)
		}
		if err != nil {
			s.Malformed = malformed(rec, err)
		}
	}
	s.Info = clean(d.info(rec, info))
	return inner
}

// summarize takes over what the layers say. It returns how many bytes of the
// IP payload were not kept.
func (d *decoder) summarize(rec *Record) (missing int) {
	s := &rec.Summary
	for _, t := range d.decoded {
		switch t {
		case layers.LayerTypeEthernet:
			s.SrcMAC, s.DstMAC = d.mac(d.eth.SrcMAC), d.mac(d.eth.DstMAC)
		case layers.LayerTypeLinuxSLL:
			s.SrcMAC = d.mac(d.slled.Addr)
		case layers.LayerTypeDot1Q:
			if s.VLAN == 0 {
				s.VLAN = d.vlan.outer
			}
		case layers.LayerTypeARP:
			d.summarizeARP(s)
		case layers.LayerTypeIPv4:
			missing = d.summarizeIPv4(rec)
		case layers.LayerTypeIPv6:
			missing = d.summarizeIPv6(rec)
		case layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Routing, layers.LayerTypeIPv6Destination:
			rec.payload = d.skip.LayerPayload()
		case layers.LayerTypeIPSecAH:
			rec.payload = d.auth.LayerPayload()
		case layers.LayerTypeIPv6Fragment:
			rec.payload = d.frag6.LayerPayload()
		case layers.LayerTypeTCP:
			d.summarizeTCP(rec)
		case layers.LayerTypeUDP:
			s.Protocol, s.Checksum, rec.payload, rec.header = "udp", d.udp.Checksum, d.udp.LayerPayload(), len(d.udp.Contents)
			s.Src, s.Dst = withPorts(s, uint16(d.udp.SrcPort), uint16(d.udp.DstPort))
		case layers.LayerTypeICMPv4:
			d.summarizeICMPv4(rec)
		case layers.LayerTypeICMPv6:
			d.summarizeICMPv6(rec)
		}
	}
	return missing
}

// malformed says in one line why decoding stopped.
func malformed(rec *Record, err error) string {
	if len(rec.Data) < rec.Length {
		return fmt.Sprintf("only the first %d of %d bytes were kept", len(rec.Data), rec.Length)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return clean(text)
}

// guarded turns a panic on a packet that nobody foresaw into an error, as
// gopacket's own parser does.
func guarded(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoder: %v", r)
		}
	}()
	return f()
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
	s.Protocol, s.Checksum, rec.payload, rec.header = "tcp", t.Checksum, t.Payload, len(t.Contents)
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
