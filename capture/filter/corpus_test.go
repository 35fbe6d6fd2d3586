package filter

import (
	"encoding/binary"
	"math/rand"
	"net"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// The values that packets and expressions are made of, few, so that they meet.
var (
	someMACs  = []string{"02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "33:33:00:00:00:01"}
	someIP4   = []string{"10.0.0.1", "10.0.0.2", "10.0.1.9", "192.168.1.5", "172.16.3.4", "224.0.0.5", "255.255.255.255", "10.255.255.255", "0.0.0.0"}
	someIP6   = []string{"fd00::1", "fd00::2", "fd01::1", "2001:db8::5", "ff02::1"}
	somePorts = []uint16{22, 53, 80, 85, 443, 1025, 4789, 5000, 8472, 50000}
	someVLANs = []uint16{1, 10, 20, 4095}
	someVNIs  = []uint32{1, 42, 43, 1<<24 - 1}
)

func pick[T any](r *rand.Rand, from []T) T { return from[r.Intn(len(from))] }

// builder makes random packets.
type builder struct {
	*rand.Rand
	t testing.TB
}

// corpus is a few hundred packets of all kinds, some of them cut short.
func corpus(t testing.TB, seed int64, n int) []Packet {
	b := builder{rand.New(rand.NewSource(seed)), t}
	packets := make([]Packet, 0, n)
	for range n {
		p := Packet{Data: b.frame(2), Outgoing: b.Intn(2) == 0}
		p.Length = len(p.Data)
		if b.Intn(5) == 0 {
			p.Tagged, p.TCI = true, pick(b.Rand, someVLANs)|uint16(b.Intn(8))<<13
		}
		if b.Intn(8) == 0 {
			p.Data = p.Data[:b.Intn(min(len(p.Data), 80))]
		}
		packets = append(packets, p)
	}
	return packets
}

func (b builder) bytes(n int) []byte {
	p := make([]byte, n)
	b.Read(p)
	return p
}

func (b builder) join(ls ...gopacket.SerializableLayer) []byte {
	b.t.Helper()
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, ls...); err != nil {
		b.t.Fatal(err)
	}
	return append([]byte(nil), buf.Bytes()...)
}

func parsedMAC(s string) net.HardwareAddr {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// frame is an Ethernet frame; depth is how many frames it may hold in VXLAN.
func (b builder) frame(depth int) []byte {
	eth := layers.Ethernet{SrcMAC: parsedMAC(someMACs[b.Intn(3)]), DstMAC: parsedMAC(pick(b.Rand, someMACs))}
	proto, body := b.content(depth)
	head := []gopacket.SerializableLayer{&eth}
	next := &eth.EthernetType
	if b.Intn(5) == 0 {
		for range 1 + b.Intn(2) {
			*next = pick(b.Rand, []layers.EthernetType{0x8100, 0x8100, 0x88a8, 0x9100})
			tag := &layers.Dot1Q{VLANIdentifier: pick(b.Rand, someVLANs), Priority: uint8(b.Intn(8))}
			head, next = append(head, tag), &tag.Type
		}
	}
	*next = layers.EthernetType(proto)
	return b.join(append(head, gopacket.Payload(body))...)
}

// content is what an Ethernet frame carries.
func (b builder) content(depth int) (proto uint16, body []byte) {
	switch k := b.Intn(24); {
	case k < 11:
		return etherIP, b.ip4(depth)
	case k < 16:
		return etherIP6, b.ip6(depth)
	case k < 19:
		return pick(b.Rand, []uint16{etherARP, etherARP, etherRARP}), b.arp()
	case k < 20:
		return b.mpls(depth)
	case k < 21:
		return b.pppoe(depth)
	case k < 22: // LLC
		sap := pick(b.Rand, []byte{0x42, 0xfe, 0xf0, 0xaa})
		body = append([]byte{sap, pick(b.Rand, []byte{sap, 0}), 3}, b.bytes(40)...)
		return uint16(len(body)), body
	}
	return pick(b.Rand, []uint16{0x88cc, 0x8863, 0x6003, 0x6004, 0x9000, 0x8847}), b.bytes(50)
}

func (b builder) mpls(depth int) (proto uint16, body []byte) {
	for n := 1 + b.Intn(2); n > 0; n-- {
		label := uint32(pick(b.Rand, []uint32{3, 100, 1048575}))<<12 | 64
		if n == 1 {
			label |= 1 << 8
		}
		body = binary.BigEndian.AppendUint32(body, label)
	}
	if b.Intn(2) == 0 {
		return etherMPLS, append(body, b.ip4(depth)...)
	}
	return etherMPLS, append(body, b.ip6(depth)...)
}

func (b builder) pppoe(depth int) (proto uint16, body []byte) {
	body = binary.BigEndian.AppendUint16([]byte{0x11, 0}, pick(b.Rand, []uint16{1, 7}))
	body = append(body, 0, 60)
	if b.Intn(2) == 0 {
		return 0x8864, append(append(body, 0, 0x21), b.ip4(depth)...)
	}
	return 0x8864, append(append(body, 0, 0x57), b.ip6(depth)...)
}

func (b builder) arp() []byte {
	return b.join(&layers.ARP{AddrType: 1, Protocol: etherIP, HwAddressSize: 6, ProtAddressSize: 4, Operation: uint16(1 + b.Intn(2)),
		SourceHwAddress: parsedMAC(pick(b.Rand, someMACs)), DstHwAddress: parsedMAC(pick(b.Rand, someMACs)),
		SourceProtAddress: net.ParseIP(pick(b.Rand, someIP4)).To4(), DstProtAddress: net.ParseIP(pick(b.Rand, someIP4)).To4()})
}

func (b builder) ip4(depth int) []byte {
	proto, body := b.transport(depth, 1)
	h := &layers.IPv4{Version: 4, IHL: 5, TTL: pick(b.Rand, []uint8{1, 5, 64, 255}), Id: uint16(b.Intn(65536)), Protocol: layers.IPProtocol(proto),
		SrcIP: net.ParseIP(pick(b.Rand, someIP4)).To4(), DstIP: net.ParseIP(pick(b.Rand, someIP4)).To4()}
	if b.Intn(10) == 0 {
		h.Flags = layers.IPv4MoreFragments
	}
	if b.Intn(10) == 0 {
		h.FragOffset = uint16(b.Intn(1000) + 1)
	}
	if b.Intn(6) == 0 {
		h.Options = []layers.IPv4Option{{OptionType: 148, OptionLength: 4, OptionData: []byte{0, 0}}}
	}
	return b.join(h, gopacket.Payload(body))
}

func (b builder) ip6(depth int) []byte {
	proto, body := b.transport(depth, protoICMP6)
	h := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocol(proto),
		SrcIP: net.ParseIP(pick(b.Rand, someIP6)), DstIP: net.ParseIP(pick(b.Rand, someIP6))}
	switch b.Intn(8) {
	case 0: // hop by hop options
		h.NextHeader = 0
		body = append([]byte{proto, 0, 1, 4, 0, 0, 0, 0}, body...)
	case 1:
		h.NextHeader = protoFrag6
		body = append([]byte{proto, 0, 0, byte(b.Intn(2) * 8), 0, 0, 0, 1}, body...)
	}
	return b.join(h, gopacket.Payload(body))
}

// transport is what an IP packet carries; icmp is the version's ICMP.
func (b builder) transport(depth int, icmp byte) (proto byte, body []byte) {
	payload := b.bytes(pick(b.Rand, []int{0, 1, 10, 40, 100, 300, 900}))
	switch k := b.Intn(12); {
	case k < 4:
		if b.Intn(6) == 0 {
			copy(payload, "GET /")
		}
		h := &layers.TCP{SrcPort: layers.TCPPort(pick(b.Rand, somePorts)), DstPort: layers.TCPPort(pick(b.Rand, somePorts)),
			SYN: b.Intn(3) == 0, ACK: b.Intn(2) == 0, FIN: b.Intn(6) == 0, RST: b.Intn(6) == 0, PSH: b.Intn(3) == 0}
		if b.Intn(2) == 0 {
			h.Options = []layers.TCPOption{{OptionType: 8, OptionLength: 10, OptionData: make([]byte, 8)}}
		}
		return protoTCP, b.join(h, gopacket.Payload(payload))
	case k < 8:
		h := &layers.UDP{SrcPort: layers.UDPPort(pick(b.Rand, somePorts)), DstPort: layers.UDPPort(pick(b.Rand, somePorts))}
		if depth > 0 && b.Intn(2) == 0 {
			h.DstPort = pick(b.Rand, []layers.UDPPort{4789, 8472, 5000})
			payload = append(vxlanBytes(pick(b.Rand, someVNIs)), b.frame(depth-1)...)
		}
		return protoUDP, b.join(h, gopacket.Payload(payload))
	case k < 10:
		types := []byte{0, 3, 8, 11}
		if icmp == protoICMP6 {
			types = []byte{1, 128, 129, 135, 136}
		}
		return icmp, append([]byte{pick(b.Rand, types), byte(b.Intn(3)), 0, 0, 0, 1, 0, 2}, payload...)
	}
	return pick(b.Rand, []byte{2, 50, 51, 103, 112, protoSCTP, protoSCTP}), append(binary.BigEndian.AppendUint16(nil, pick(b.Rand, somePorts)), payload...)
}

func vxlanBytes(vni uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{8, 0, 0, 0}, vni<<8)
}

// vxlanFrame is one packet in VXLAN between 10.0.0.1 and 10.0.0.2, or between
// fd00::1 and fd00::2: a datagram from 172.16.3.4 to 172.16.3.5, port 80.
func vxlanFrame(b builder, port uint16, flags byte, vni uint32, v6, fragment bool) []byte {
	eth := func(t layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: parsedMAC(someMACs[0]), DstMAC: parsedMAC(someMACs[1]), EthernetType: t}
	}
	ip4 := func(src, dst string) *layers.IPv4 {
		return &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: protoUDP, SrcIP: net.ParseIP(src).To4(), DstIP: net.ParseIP(dst).To4()}
	}
	inner := b.join(eth(etherIP), ip4("172.16.3.4", "172.16.3.5"), &layers.UDP{SrcPort: 1025, DstPort: 80}, gopacket.Payload("data"))
	head := vxlanBytes(vni)
	head[0] = flags
	udp := &layers.UDP{SrcPort: 50000, DstPort: layers.UDPPort(port)}
	body := gopacket.Payload(append(head, inner...))
	if v6 {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protoUDP, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
		return b.join(eth(etherIP6), ip, udp, body)
	}
	ip := ip4("10.0.0.1", "10.0.0.2")
	if fragment {
		ip.FragOffset = 100
	}
	return b.join(eth(etherIP), ip, udp, body)
}
