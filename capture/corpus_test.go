package capture

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/miekg/dns"
)

// sample is one packet of the corpus that the decoder, the files and the info
// column are tested with.
type sample struct {
	name string
	data []byte
	info string // of the innermost packet, where it is not Wireshark's
}

// corpus holds a packet of each kind that can be decoded.
func corpus(t testing.TB) []sample {
	var out []sample
	add := func(name string, data []byte, own ...string) {
		out = append(out, sample{name, data, strings.Join(own, "")})
	}
	const a4, b4, a6, b6 = "10.0.0.1:40000", "10.0.0.2:80", "[2001:db8::1]:40000", "[2001:db8::2]:80"
	udp := func(src, dst, payload string) []byte {
		return build(t, pkt{proto: "udp", src: src, dst: dst, payload: payload})
	}
	ping := build(t, pkt{proto: "icmp", src: "10.0.1.2:6699", dst: "10.0.1.3:0", icmp: layers.CreateICMPv4TypeCode(8, 0), icmpSeq: 1, payload: "01234567"})
	ping6 := build(t, pkt{proto: "icmp6", src: "[fd00::1]:6699", dst: "[fd00::2]:0", icmp6: layers.CreateICMPv6TypeCode(128, 0), icmpSeq: 2, payload: "0123"})
	add("ping", ping)
	add("ping over ipv6", ping6)
	add("udp", udp(a4, b4, "abc"))
	add("udp over ipv6", udp(a6, b6, "abc"))
	add("http request", build(t, pkt{proto: "tcp", src: a4, dst: b4, seq: 1, flags: "PA", payload: "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"}), "GET /x HTTP/1.1")
	add("http status", build(t, pkt{proto: "tcp", src: b4, dst: a4, flags: "PA", payload: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"}), "HTTP/1.1 200 OK")
	out = append(out, connection(t)...)
	for _, m := range dnsMessages(t) {
		add("dns "+m.name, udp("10.0.0.1:53211", "10.0.0.2:53", string(m.data)))
	}
	add("mdns", build(t, pkt{proto: "udp", src: "10.0.0.1:5353", dst: "224.0.0.251:5353", ttl: 255, payload: string(pack(t, func(m *dns.Msg) {
		m.SetQuestion("_http._tcp.local.", dns.TypePTR)
		m.Id, m.RecursionDesired = 0, false
	}))}))
	for _, kind := range []layers.DHCPMsgType{layers.DHCPMsgTypeDiscover, layers.DHCPMsgTypeOffer, layers.DHCPMsgTypeRequest, layers.DHCPMsgTypeAck, layers.DHCPMsgTypeNak} {
		add("dhcp "+kind.String(), dhcpPacket(t, kind))
	}
	add("tls client hello", build(t, pkt{proto: "tcp", src: "10.0.0.1:40001", dst: "10.0.0.2:443", seq: 9, flags: "PA", payload: string(clientHello(t, "www.example.org"))}),
		"Client Hello (SNI=www.example.org)")
	add("tls data", build(t, pkt{proto: "tcp", src: "10.0.0.1:40002", dst: "10.0.0.2:443", seq: 9, flags: "PA", payload: "\x17\x03\x03\x00\x05hello"}))
	add("vxlan", vxlan(t, 4789, 4097, ping))
	add("vxlan on the kernel's port", vxlan(t, 8472, 7, ping6), "Echo (ping) request id=0x1a2b, seq=2, hop limit=64")
	add("vxlan in vxlan", vxlan(t, 4789, 1, vxlan(t, 4789, 2, udp(a6, b6, "deep"))))
	add("geneve", tunnelUDP(t, 6081, gopacket.Payload{0, 0, 0x65, 0x58, 0, 0, 99, 0}, ping))
	add("geneve of ip", tunnelUDP(t, 6081, gopacket.Payload{1, 0, 8, 0, 0, 0, 99, 0, 1, 2, 3, 0}, ping[14:]))
	add("gre", tunnelIP(t, layers.IPProtocolGRE, &layers.GRE{Protocol: layers.EthernetTypeIPv4}, ping[14:]))
	add("gre of ethernet with key", tunnelIP(t, layers.IPProtocolGRE, &layers.GRE{Protocol: 0x6558, KeyPresent: true, Key: 5}, ping6))
	add("ipip", tunnelIP(t, layers.IPProtocolIPv4, nil, ping[14:]))
	add("6in4", tunnelIP(t, layers.IPProtocolIPv6, nil, ping6[14:]))
	add("vlan", tag(udp(a4, b4, "tagged"), 0x8100, 42))
	add("qinq", tag(tag(udp(a4, b4, "tagged twice"), 0x8100, 42), 0x88a8, 7))
	out = append(out, errorsAndFragments(t)...)
	return append(out, neighborSamples(t)...)
}

func tag(frame []byte, tpid, tci uint16) []byte {
	b := append([]byte{}, frame[:12]...)
	b = binary.BigEndian.AppendUint16(b, tpid)
	b = binary.BigEndian.AppendUint16(b, tci)
	return append(b, frame[12:]...)
}

// connection is the beginning of a TCP connection with every option.
func connection(t testing.TB) (out []sample) {
	client, server := net.IP{10, 0, 0, 9}, net.IP{10, 0, 0, 8}
	none := layers.TCPOption{OptionType: layers.TCPOptionKindNop}
	stamps := layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: []byte{0, 0, 1, 0, 0, 0, 0, 9}}
	opening := func(scale byte) []layers.TCPOption {
		return []layers.TCPOption{
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}},
			{OptionType: layers.TCPOptionKindSACKPermitted, OptionLength: 2}, stamps, none,
			{OptionType: layers.TCPOptionKindWindowScale, OptionLength: 3, OptionData: []byte{scale}},
		}
	}
	add := func(name string, tcp layers.TCP, payload string) {
		ip := &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: client, DstIP: server}
		tcp.SrcPort, tcp.DstPort = 50000, 81
		if tcp.Seq >= 5000 {
			ip.SrcIP, ip.DstIP, tcp.SrcPort, tcp.DstPort = server, client, 81, 50000
		}
		tcp.SetNetworkLayerForChecksum(ip)
		out = append(out, sample{name: name, data: serialize(t, &layers.Ethernet{SrcMAC: mac(1), DstMAC: mac(2), EthernetType: layers.EthernetTypeIPv4},
			ip, &tcp, gopacket.Payload(payload))})
	}
	sack := []byte{0, 0, 0x13, 0xe8, 0, 0, 0x14, 0x4c} // 5096 to 5196
	add("syn", layers.TCP{Seq: 77, SYN: true, Window: 64240, Options: opening(7)}, "")
	add("syn ack", layers.TCP{Seq: 5000, Ack: 78, SYN: true, ACK: true, Window: 65160, Options: opening(3)}, "")
	add("ack", layers.TCP{Seq: 78, Ack: 5001, ACK: true, Window: 502, Options: []layers.TCPOption{none, none, stamps}}, "")
	add("data", layers.TCP{Seq: 78, Ack: 5001, ACK: true, PSH: true, Window: 502}, "hello")
	add("answer", layers.TCP{Seq: 5001, Ack: 83, ACK: true, PSH: true, Window: 8000}, "hello yourself")
	add("selective ack", layers.TCP{Seq: 83, Ack: 5015, ACK: true, Window: 500, Options: []layers.TCPOption{none, none,
		{OptionType: layers.TCPOptionKindSACK, OptionLength: 10, OptionData: sack}}}, "")
	add("fin", layers.TCP{Seq: 83, Ack: 5015, ACK: true, FIN: true, Window: 500}, "")
	add("reset", layers.TCP{Seq: 5015, Ack: 84, RST: true, ACK: true}, "")
	return out
}

func outerIP(protocol layers.IPProtocol) *layers.IPv4 {
	return &layers.IPv4{Version: 4, IHL: 5, TTL: 64, Protocol: protocol, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}}
}

func tunnelUDP(t testing.TB, port uint16, header gopacket.SerializableLayer, inner []byte) []byte {
	t.Helper()
	ip := outerIP(layers.IPProtocolUDP)
	udp := &layers.UDP{SrcPort: 54321, DstPort: layers.UDPPort(port)}
	udp.SetNetworkLayerForChecksum(ip)
	return serialize(t, &layers.Ethernet{SrcMAC: mac(11), DstMAC: mac(12), EthernetType: layers.EthernetTypeIPv4}, ip, udp, header, gopacket.Payload(inner))
}

func vxlan(t testing.TB, port uint16, vni uint32, inner []byte) []byte {
	t.Helper()
	return tunnelUDP(t, port, &layers.VXLAN{ValidIDFlag: true, VNI: vni}, inner)
}

func tunnelIP(t testing.TB, protocol layers.IPProtocol, header gopacket.SerializableLayer, inner []byte) []byte {
	t.Helper()
	stack := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: mac(11), DstMAC: mac(12), EthernetType: layers.EthernetTypeIPv4}, outerIP(protocol)}
	if header != nil {
		stack = append(stack, header)
	}
	return serialize(t, append(stack, gopacket.Payload(inner))...)
}

func pack(t testing.TB, f func(*dns.Msg)) []byte {
	t.Helper()
	m := new(dns.Msg)
	f(m)
	m.Compress = true
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func dnsMessages(t testing.TB) (out []sample) {
	rr := func(text string) dns.RR {
		r, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	answer := func(name string, qtype uint16, code int, answers ...string) {
		out = append(out, sample{name: name, data: pack(t, func(m *dns.Msg) {
			m.SetQuestion("www.example.com.", qtype)
			m.Id, m.Response, m.Rcode, m.RecursionAvailable = 0x2222, true, code, true
			for _, a := range answers {
				m.Answer = append(m.Answer, rr(a))
			}
		})})
	}
	out = append(out, sample{name: "query", data: pack(t, func(m *dns.Msg) {
		m.SetQuestion("www.example.com.", dns.TypeAAAA)
		m.Id = 0x1111
		m.SetEdns0(1232, false)
	})})
	answer("a", dns.TypeA, 0, "www.example.com. 60 IN CNAME web.example.com.", "web.example.com. 60 IN A 192.0.2.1")
	answer("aaaa", dns.TypeAAAA, 0, "www.example.com. 60 IN AAAA 2001:db8::1")
	answer("mx", dns.TypeMX, 0, "www.example.com. 60 IN MX 10 mail.example.com.")
	answer("srv", dns.TypeSRV, 0, "www.example.com. 60 IN SRV 1 2 80 web.example.com.")
	answer("txt", dns.TypeTXT, 0, `www.example.com. 60 IN TXT "hello"`)
	answer("ptr", dns.TypePTR, 0, "www.example.com. 60 IN PTR host.example.com.")
	answer("none", dns.TypeA, dns.RcodeNameError)
	answer("refused", dns.TypeA, dns.RcodeRefused)
	return out
}

func dhcpPacket(t testing.TB, kind layers.DHCPMsgType) []byte {
	op, src, dst, sport, dport := layers.DHCPOpRequest, "0.0.0.0", "255.255.255.255", 68, 67
	if kind == layers.DHCPMsgTypeOffer || kind == layers.DHCPMsgTypeAck || kind == layers.DHCPMsgTypeNak {
		op, src, dst, sport, dport = layers.DHCPOpReply, "10.0.0.1", "10.0.0.9", 67, 68
	}
	ip := outerIP(layers.IPProtocolUDP)
	ip.SrcIP, ip.DstIP = net.ParseIP(src).To4(), net.ParseIP(dst).To4()
	udp := &layers.UDP{SrcPort: layers.UDPPort(sport), DstPort: layers.UDPPort(dport)}
	udp.SetNetworkLayerForChecksum(ip)
	none := net.IPv4zero.To4()
	return serialize(t, &layers.Ethernet{SrcMAC: mac(1), DstMAC: mac(2), EthernetType: layers.EthernetTypeIPv4}, ip, udp,
		&layers.DHCPv4{Operation: op, HardwareType: layers.LinkTypeEthernet, HardwareLen: 6, Xid: 0x3d1d, ClientHWAddr: mac(1),
			ClientIP: none, YourClientIP: none, NextServerIP: none, RelayAgentIP: none, Options: layers.DHCPOptions{
				layers.NewDHCPOption(layers.DHCPOptMessageType, []byte{byte(kind)}),
				layers.NewDHCPOption(layers.DHCPOptHostname, []byte("box")),
				layers.NewDHCPOption(layers.DHCPOptEnd, nil),
			}})
}

// clientHello is what Go's own TLS client begins with.
func clientHello(t testing.TB, host string) []byte {
	t.Helper()
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() {
		_ = tls.Client(theirs, &tls.Config{ServerName: host}).Handshake()
		theirs.Close()
	}()
	_ = ours.SetDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 4096)
	n, err := ours.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// errorsAndFragments are ICMP errors, and packets in parts.
func errorsAndFragments(t testing.TB) (out []sample) {
	probe := build(t, pkt{proto: "udp", src: "10.0.0.2:5000", dst: "192.0.2.9:33434", payload: "probe"})[14:]
	for _, c := range []struct{ typ, code uint8 }{{3, 0}, {3, 1}, {3, 3}, {3, 4}, {3, 9}, {3, 13}, {5, 1}, {11, 0}, {11, 1}, {12, 0}} {
		tc := layers.CreateICMPv4TypeCode(c.typ, c.code)
		out = append(out, sample{name: "icmp error " + tc.String(), data: build(t, pkt{proto: "icmp", src: "192.0.2.1:0", dst: "10.0.0.2:0", icmp: tc, payload: string(probe[:28])})})
	}
	probe6 := build(t, pkt{proto: "udp", src: "[2001:db8::1]:5000", dst: "[2001:db8::9]:33434", payload: "probe"})[14:]
	for _, c := range []struct{ typ, code uint8 }{{1, 0}, {1, 1}, {1, 3}, {1, 4}, {2, 0}, {3, 0}, {4, 1}} {
		tc := layers.CreateICMPv6TypeCode(c.typ, c.code)
		out = append(out, sample{name: "icmpv6 error " + tc.String(), data: build(t, pkt{proto: "icmp6", src: "[2001:db8::7]:0", dst: "[2001:db8::1]:0", icmp6: tc,
			payload: "\x00\x00\x05\x00" + string(probe6)})})
	}
	ip := outerIP(layers.IPProtocolUDP)
	ip.Id, ip.Flags = 0x1234, layers.IPv4MoreFragments
	eth := &layers.Ethernet{SrcMAC: mac(1), DstMAC: mac(2), EthernetType: layers.EthernetTypeIPv4}
	out = append(out, sample{name: "first fragment", data: serialize(t, eth, ip, gopacket.Payload(strings.Repeat("x", 64)))})
	ip.Flags, ip.FragOffset = 0, 20
	out = append(out, sample{name: "last fragment", data: serialize(t, eth, ip, gopacket.Payload(strings.Repeat("x", 64)))})
	whole := build(t, pkt{proto: "udp", src: "[2001:db8::1]:1", dst: "[2001:db8::2]:2", payload: "abcd"})
	return append(out,
		sample{name: "ipv6 fragment", data: insert6(whole, 44, []byte{17, 0, 0, 9, 0, 0, 0, 7})},
		sample{name: "ipv6 atomic fragment", data: insert6(whole, 44, []byte{17, 0, 0, 0, 0, 0, 0, 7})},
		sample{name: "ipv6 destination options", data: insert6(whole, 60, []byte{17, 0, 1, 4, 0, 0, 0, 0})},
		sample{name: "ipv6 hop-by-hop options", data: insert6(whole, 0, []byte{17, 0, 1, 4, 0, 0, 0, 0})},
		sample{name: "ipv6 authentication header", data: insert6(whole, 51, []byte{17, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})},
		sample{name: "esp", data: tunnelIP(t, layers.IPProtocolESP, nil, []byte{0, 0, 0x12, 0x34, 0, 0, 0, 1, 9, 9, 9, 9})},
	)
}

// insert6 puts an extension header behind the IPv6 header of a short packet.
func insert6(whole []byte, next byte, ext []byte) []byte {
	b := append(append(append([]byte{}, whole[:54]...), ext...), whole[54:]...)
	b[20] = next
	b[19] += byte(len(ext))
	return b
}

func neighborSamples(t testing.TB) (out []sample) {
	arp := func(op uint16, sender, target string) []byte {
		return serialize(t, &layers.Ethernet{SrcMAC: mac(1), DstMAC: net.HardwareAddr{255, 255, 255, 255, 255, 255}, EthernetType: layers.EthernetTypeARP},
			&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
				Operation: op, SourceHwAddress: mac(1), DstHwAddress: mac(0),
				SourceProtAddress: netip.MustParseAddr(sender).AsSlice(), DstProtAddress: netip.MustParseAddr(target).AsSlice()})
	}
	nd := func(typ uint8, body string) []byte {
		return build(t, pkt{proto: "icmp6", src: "[fe80::1]:0", dst: "[fe80::2]:0", ttl: 255, icmp6: layers.CreateICMPv6TypeCode(typ, 0), payload: body})
	}
	target := string(netip.MustParseAddr("fe80::9").AsSlice())
	source, owner := "\x01\x01\x02\x00\x00\x00\x00\x05", "\x02\x01\x02\x00\x00\x00\x00\x06"
	return []sample{
		{name: "arp request", data: arp(1, "10.0.0.2", "10.0.0.1")}, {name: "arp reply", data: arp(2, "10.0.0.1", "10.0.0.2")},
		{name: "arp announcement", data: arp(1, "10.0.0.1", "10.0.0.1"), info: "ARP Announcement for 10.0.0.1"}, {name: "arp probe", data: arp(1, "0.0.0.0", "10.0.0.1"), info: "Who has 10.0.0.1? (ARP Probe)"},
		{name: "gratuitous arp reply", data: arp(2, "10.0.0.1", "10.0.0.1")},
		{name: "router solicitation", data: nd(133, "\x00\x00\x00\x00"+source)},
		{name: "router solicitation without address", data: nd(133, "\x00\x00\x00\x00")},
		{name: "router advertisement", data: nd(134, "\x40\x00\x07\x08\x00\x00\x00\x00\x00\x00\x00\x00"+source)},
		{name: "neighbor solicitation", data: nd(135, "\x00\x00\x00\x00"+target+source)},
		{name: "neighbor advertisement", data: nd(136, "\xe0\x00\x00\x00"+target+owner)},
		{name: "neighbor advertisement without flags", data: nd(136, "\x00\x00\x00\x00"+target)},
		{name: "mld report", data: nd(143, "\x00\x00\x00\x00")},
	}
}
