package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// readDHCP decodes a DHCPv4 message (RFC 2131) as far as it goes.
func readDHCP(b []byte) (*layers.DHCPv4, error) {
	m := new(layers.DHCPv4)
	err := guarded(func() error { return m.DecodeFromBytes(b, gopacket.NilDecodeFeedback) })
	if err != nil {
		err = fmt.Errorf("DHCP: %w", err)
	}
	return m, err
}

// dhcpInfo is the info line of a DHCP message, "" if it is none.
func dhcpInfo(b []byte) (string, error) {
	m, err := readDHCP(b)
	if len(b) < 240 || errors.Is(err, layers.InvalidMagicCookie) {
		return "", nil
	}
	kind := "Request"
	if m.Operation == layers.DHCPOpReply {
		kind = "Reply"
	}
	for _, o := range m.Options {
		if o.Type == layers.DHCPOptMessageType && len(o.Data) == 1 {
			return fmt.Sprintf("DHCP %s - Transaction ID 0x%x", dhcpKind(o.Data[0]), m.Xid), err
		}
	}
	return fmt.Sprintf("Boot %s - Transaction ID 0x%x", kind, m.Xid), err
}

func dhcpKind(t byte) string {
	switch k := layers.DHCPMsgType(t); k {
	case layers.DHCPMsgTypeAck:
		return "ACK"
	case layers.DHCPMsgTypeNak:
		return "NAK"
	default:
		return k.String()
	}
}

// dhcpLayer has a field for each option, named by its number.
func dhcpLayer(b []byte) Layer {
	m, err := readDHCP(b)
	l := layer("DHCP", "operation", m.Operation, "transaction_id", fmt.Sprintf("0x%08x", m.Xid), "seconds", m.Secs,
		"client_ip", ip4Text(m.ClientIP), "your_ip", ip4Text(m.YourClientIP), "server_ip", ip4Text(m.NextServerIP),
		"relay_ip", ip4Text(m.RelayAgentIP), "client_mac", hardware(m.ClientHWAddr))
	for _, o := range m.Options[:min(len(m.Options), shownHeaders)] {
		if o.Type != layers.DHCPOptPad {
			l.Fields = append(l.Fields, Field{Name: fmt.Sprintf("option_%d", o.Type), Value: clean(dhcpOption(o))})
		}
	}
	if err != nil {
		l.Fields = append(l.Fields, Field{Name: "malformed", Value: clean(err.Error())})
	}
	return l
}

func ip4Text(ip net.IP) string { return addr(ip).Addr().String() }

// dhcpOption is an option in words: what it is, and its value as addresses,
// seconds or text where it is such (RFC 2132).
func dhcpOption(o layers.DHCPOption) string {
	v := fmt.Sprintf("%x", o.Data)
	switch o.Type {
	case layers.DHCPOptMessageType:
		if len(o.Data) == 1 {
			v = dhcpKind(o.Data[0])
		}
	case layers.DHCPOptSubnetMask, layers.DHCPOptRouter, layers.DHCPOptDNS, layers.DHCPOptBroadcastAddr,
		layers.DHCPOptRequestIP, layers.DHCPOptServerID:
		var all []string
		for b := o.Data; len(b) >= 4; b = b[4:] {
			all = append(all, netip.AddrFrom4([4]byte(b)).String())
		}
		v = strings.Join(all, ", ")
	case layers.DHCPOptLeaseTime, layers.DHCPOptT1, layers.DHCPOptT2:
		if len(o.Data) == 4 {
			v = fmt.Sprintf("%d s", binary.BigEndian.Uint32(o.Data))
		}
	case layers.DHCPOptHostname, layers.DHCPOptDomainName, layers.DHCPOptMessage, layers.DHCPOptClassID:
		v = printable(o.Data)
	}
	return o.Type.String() + ": " + v
}
