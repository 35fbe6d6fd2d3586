package capture

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/gopacket/layers"
)

// info is the line that Wireshark's info column would show: app's, if there is
// one. It runs right after the layers were decoded, while they still hold this
// packet.
func (d *decoder) info(rec *Record, app string) string {
	s, line := &rec.Summary, app
	if s.Protocol == "tcp" { // also to count the numbers of what has a line of its own
		if t := d.tcpInfo(rec); app == "" {
			line = t
		}
	}
	switch {
	case line != "":
	case s.Protocol == "arp":
		line = d.arpInfo(s)
	case s.Protocol == "udp":
		line = string(appendNumber(appendPorts(make([]byte, 0, 32), s), " Len=", uint64(s.Payload)))
	case s.Protocol == "icmp", s.Protocol == "icmp6":
		line = d.icmpInfo(rec)
	case s.Protocol == "ip":
		line = d.ipInfo(rec)
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
	var typ layers.EthernetType
	switch d.decoded[len(d.decoded)-1] {
	case layers.LayerTypeDot1Q:
		typ = d.vlan.Type
	case layers.LayerTypeEthernet:
		typ = d.eth.EthernetType
	case layers.LayerTypeLinuxSLL:
		typ = d.slled.EthernetType
	default:
		return fmt.Sprintf("address family %d, %d bytes", d.loop.Family, rec.Length)
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
	case d.arp.Operation == layers.ARPReply && sender == target:
		return fmt.Sprintf("Gratuitous ARP for %s (Reply)", target)
	case d.arp.Operation == layers.ARPReply:
		return fmt.Sprintf("%s is at %s", sender, d.mac(d.arp.SourceHwAddress))
	}
	return fmt.Sprintf("ARP operation %d", d.arp.Operation)
}

func (d *decoder) ipInfo(rec *Record) string {
	s := &rec.Summary
	protocol, whole := d.ipPayload()
	last := d.decoded[len(d.decoded)-1]
	switch {
	case last == layers.LayerTypeIPv6Fragment && !whole:
		more := "n"
		if d.frag6.more {
			more = "y"
		}
		return fmt.Sprintf("IPv6 fragment (off=%d more=%s ident=0x%08x nxt=%d)", d.frag6.offset, more, d.frag6.id, uint8(d.frag6.next))
	case last == layers.LayerTypeIPv4 && !whole:
		return fmt.Sprintf("Fragmented IP protocol (proto=%s %d, off=%d, ID=%04x)",
			protocol, uint8(protocol), int(d.ip4.FragOffset)*8, s.IPID)
	case protocol == layers.IPProtocolESP && len(rec.payload) >= 4:
		return fmt.Sprintf("ESP (SPI=0x%08x)", binary.BigEndian.Uint32(rec.payload))
	case protocol == layers.IPProtocolNoNextHeader:
		return "IPv6 no next header"
	}
	return fmt.Sprintf("%s (%d), %d bytes", protocol, uint8(protocol), s.Payload)
}

func (d *decoder) tcpInfo(rec *Record) string {
	t, s := &d.tcp, &rec.Summary
	tuple := Tuple{"tcp", s.Src, s.Dst}
	seq, ack := d.starts.relative(tuple, t)
	b := append(appendPorts(make([]byte, 0, 128), s), " ["...)
	b = append(b, tcpFlags(t, ", ")...)
	b = appendNumber(b, "] Seq=", uint64(seq))
	if t.ACK {
		b = appendNumber(b, " Ack=", uint64(ack))
	}
	b = appendNumber(b, " Win=", uint64(d.starts.window(tuple, t)))
	b = appendNumber(b, " Len=", uint64(s.Payload))
	for _, o := range t.Options {
		b = append(b, tcpOptionInfo(o, t.Ack-ack)...)
	}
	return string(b)
}

// appendPorts begins a line as most begin that are on the screen, many times a
// second: without fmt.
func appendPorts(b []byte, s *Summary) []byte {
	b = strconv.AppendUint(b, uint64(s.Src.Port()), 10)
	return appendNumber(b, " → ", uint64(s.Dst.Port()))
}

func appendNumber(b []byte, name string, v uint64) []byte {
	return strconv.AppendUint(append(b, name...), v, 10)
}

// tcpOptionInfo is the option as Wireshark's info column has it, "" for those
// that it leaves out. start is where the numbers of the other direction begin.
func tcpOptionInfo(o layers.TCPOption, start uint32) string {
	v := o.OptionData
	switch {
	case o.OptionType == layers.TCPOptionKindMSS && len(v) == 2:
		return fmt.Sprintf(" MSS=%d", binary.BigEndian.Uint16(v))
	case o.OptionType == layers.TCPOptionKindWindowScale && len(v) == 1:
		return fmt.Sprintf(" WS=%d", 1<<min(v[0], maxWindowScale))
	case o.OptionType == layers.TCPOptionKindSACKPermitted:
		return " SACK_PERM"
	case o.OptionType == layers.TCPOptionKindTimestamps && len(v) == 8:
		return fmt.Sprintf(" TSval=%d TSecr=%d", binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:]))
	case o.OptionType == layers.TCPOptionKindSACK:
		var b strings.Builder
		for ; len(v) >= 8; v = v[8:] {
			fmt.Fprintf(&b, " SLE=%d SRE=%d", binary.BigEndian.Uint32(v)-start, binary.BigEndian.Uint32(v[4:])-start)
		}
		return b.String()
	}
	return ""
}
