package capture

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// epoch is when the packets of the tests are seen.
var epoch = time.Unix(1700000000, 123456789)

var (
	uplink    = Point{NS: "host", Link: "up0"}
	container = Point{NS: "c1", Link: "eth0"}
	veth      = Point{NS: "host", Link: "veth1"}
)

// pkt describes a packet to build; zero values are left to defaults.
type pkt struct {
	proto    string // "tcp", "udp", "icmp", "icmp6"
	src, dst string // "10.0.0.1:80"; for ICMP the port is the identifier
	ttl      uint8
	ipID     uint16
	seq, ack uint32
	flags    string // letters out of "SAFPR"
	icmp     layers.ICMPv4TypeCode
	icmp6    layers.ICMPv6TypeCode
	icmpSeq  uint16
	payload  string
	mac      byte // the last byte of both addresses
}

func mac(n byte) net.HardwareAddr { return net.HardwareAddr{2, 0, 0, 0, 0, n} }

// build serializes p with right lengths and checksums.
func build(t testing.TB, p pkt) []byte {
	t.Helper()
	src, dst := netip.MustParseAddrPort(p.src), netip.MustParseAddrPort(p.dst)
	if p.ttl == 0 {
		p.ttl = 64
	}
	stack := []gopacket.SerializableLayer{}
	eth := &layers.Ethernet{SrcMAC: mac(p.mac + 1), DstMAC: mac(p.mac + 2), EthernetType: layers.EthernetTypeIPv4}
	protocol := map[string]layers.IPProtocol{
		"tcp": layers.IPProtocolTCP, "udp": layers.IPProtocolUDP,
		"icmp": layers.IPProtocolICMPv4, "icmp6": layers.IPProtocolICMPv6,
	}[p.proto]
	var network gopacket.NetworkLayer
	if src.Addr().Is4() {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: p.ttl, Id: p.ipID, Protocol: protocol,
			SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		network, stack = ip, append(stack, eth, ip)
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: p.ttl, NextHeader: protocol,
			SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		network, stack = ip, append(stack, eth, ip)
	}
	stack = append(stack, transport(p, src, dst, network)...)
	return serialize(t, append(stack, gopacket.Payload(p.payload))...)
}

func transport(p pkt, src, dst netip.AddrPort, network gopacket.NetworkLayer) []gopacket.SerializableLayer {
	has := func(c byte) bool {
		for i := range p.flags {
			if p.flags[i] == c {
				return true
			}
		}
		return false
	}
	switch p.proto {
	case "tcp":
		l := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: p.seq, Ack: p.ack,
			SYN: has('S'), ACK: has('A'), FIN: has('F'), PSH: has('P'), RST: has('R'), Window: 64240}
		if l.SYN {
			l.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}}}
		}
		l.SetNetworkLayerForChecksum(network)
		return []gopacket.SerializableLayer{l}
	case "udp":
		l := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
		l.SetNetworkLayerForChecksum(network)
		return []gopacket.SerializableLayer{l}
	case "icmp":
		return []gopacket.SerializableLayer{&layers.ICMPv4{TypeCode: p.icmp, Id: src.Port(), Seq: p.icmpSeq}}
	case "icmp6":
		l := &layers.ICMPv6{TypeCode: p.icmp6}
		l.SetNetworkLayerForChecksum(network)
		if p.icmp6.Type() == layers.ICMPv6TypeEchoRequest || p.icmp6.Type() == layers.ICMPv6TypeEchoReply {
			return []gopacket.SerializableLayer{l, &layers.ICMPv6Echo{Identifier: src.Port(), SeqNumber: p.icmpSeq}}
		}
		return []gopacket.SerializableLayer{l}
	}
	return nil
}

func serialize(t testing.TB, stack ...gopacket.SerializableLayer) []byte {
	t.Helper()
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(buf, opts, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// recordOf is a decoded record of data, seen so many microseconds after epoch.
func recordOf(data []byte, p Point, us int) *Record {
	rec := &Record{Point: p, Time: epoch.Add(time.Duration(us) * time.Microsecond), Length: len(data), Data: data}
	Decode(rec)
	return rec
}

// see is recordOf a packet that is built for it.
func see(t testing.TB, us int, at Point, p pkt) *Record {
	t.Helper()
	return recordOf(build(t, p), at, us)
}
