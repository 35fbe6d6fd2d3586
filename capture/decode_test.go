package capture

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func TestSummaryOfTCP(t *testing.T) {
	rec := see(t, 0, uplink, pkt{proto: "tcp", src: "10.10.0.2:45430", dst: "10.10.0.1:8080", ttl: 61, ipID: 77,
		seq: 5, ack: 9, flags: "PA", payload: "hello"})
	s := rec.Summary
	if s.Checksum == 0 || s.IPChecksum == 0 {
		t.Errorf("checksums are missing: %+v", s)
	}
	s.Checksum, s.IPChecksum = 0, 0
	want := Summary{
		Protocol: "tcp", SrcMAC: "02:00:00:00:00:01", DstMAC: "02:00:00:00:00:02",
		Src: netip.MustParseAddrPort("10.10.0.2:45430"), Dst: netip.MustParseAddrPort("10.10.0.1:8080"),
		TTL: 61, IPID: 77, TCPFlags: "PSH ACK", TCPSeq: 5, TCPAck: 9, Payload: 5,
		Info: "45430 → 8080 [PSH, ACK] Seq=1 Ack=1 Win=64240 Len=5",
	}
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestInfo(t *testing.T) {
	const a4, b4, a6, b6 = "10.0.0.1:40000", "10.0.0.2:80", "[2001:db8::1]:40000", "[2001:db8::2]:80"
	echo := layers.CreateICMPv4TypeCode(8, 0)
	arp := func(op uint16, sender, target string) []byte {
		return serialize(t, &layers.Ethernet{SrcMAC: mac(1), DstMAC: mac(2), EthernetType: layers.EthernetTypeARP},
			&layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
				Operation: op, SourceHwAddress: mac(1), DstHwAddress: mac(0),
				SourceProtAddress: netip.MustParseAddr(sender).AsSlice(), DstProtAddress: netip.MustParseAddr(target).AsSlice()})
	}
	tests := []struct {
		name, protocol, want string
		data                 []byte
	}{
		{"syn", "tcp", "40000 → 80 [SYN] Seq=0 Win=64240 Len=0 MSS=1460", build(t, pkt{proto: "tcp", src: a4, dst: b4, seq: 7, flags: "S"})},
		{"tcp over ipv6", "tcp", "40000 → 80 [RST] Seq=1 Win=64240 Len=0", build(t, pkt{proto: "tcp", src: a6, dst: b6, seq: 7, flags: "R"})},
		{"udp", "udp", "40000 → 80 Len=3", build(t, pkt{proto: "udp", src: a4, dst: b4, payload: "abc"})},
		{"udp over ipv6", "udp", "40000 → 80 Len=3", build(t, pkt{proto: "udp", src: a6, dst: b6, payload: "abc"})},
		{"http request", "tcp", "GET /x HTTP/1.1", build(t, pkt{proto: "tcp", src: a4, dst: b4, flags: "PA", payload: "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"})},
		{"http status", "tcp", "HTTP/1.1 200 OK", build(t, pkt{proto: "tcp", src: b4, dst: a4, flags: "PA", payload: "HTTP/1.1 200 OK\r\n\r\n"})},
		{"http with escapes", "tcp", "GET /[31mred HTTP/1.1", build(t, pkt{proto: "tcp", src: a4, dst: b4, flags: "PA", payload: "GET /\x1b[31mred\u202e HTTP/1.1\r\n\r\n"})},
		{"not http", "tcp", "40000 → 80 [PSH, ACK] Seq=1 Ack=1 Win=64240 Len=17", build(t, pkt{proto: "tcp", src: a4, dst: b4, flags: "PA", payload: "GETTING x HTTP/\r\n"})},
		{"ping", "icmp", "Echo (ping) request id=0x1a2b, seq=1, ttl=64", build(t, pkt{proto: "icmp", src: "10.0.0.1:6699", dst: "10.0.0.2:0", icmp: echo, icmpSeq: 1})},
		{"pong", "icmp", "Echo (ping) reply id=0x1a2b, seq=1, ttl=64", build(t, pkt{proto: "icmp", src: "10.0.0.1:6699", dst: "10.0.0.2:0", icmpSeq: 1})},
		{"ping over ipv6", "icmp6", "Echo (ping) request id=0x1a2b, seq=2, hop limit=64", build(t, pkt{proto: "icmp6", src: "[::1]:6699", dst: "[::2]:0", icmp6: layers.CreateICMPv6TypeCode(128, 0), icmpSeq: 2})},
		{"arp request", "arp", "Who has 10.0.0.1? Tell 10.0.0.2", arp(1, "10.0.0.2", "10.0.0.1")},
		{"arp reply", "arp", "10.0.0.1 is at 02:00:00:00:00:01", arp(2, "10.0.0.1", "10.0.0.2")},
		{"gratuitous arp", "arp", "ARP Announcement for 10.0.0.1", arp(1, "10.0.0.1", "10.0.0.1")},
		{"arp probe", "arp", "Who has 10.0.0.1? (ARP Probe)", arp(1, "0.0.0.0", "10.0.0.1")},
		{"unknown ether type", "?", "EtherType 0x88cc, 17 bytes", append(make([]byte, 12), 0x88, 0xcc, 1, 2, 3)},
		{"too short", "?", "3 bytes [Malformed: Ethernet packet too small]", []byte{1, 2, 3}},
		{"nothing", "?", "0 bytes [Malformed: Ethernet packet too small]", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := recordOf(tt.data, uplink, 0).Summary
			if s.Protocol != tt.protocol || s.Info != tt.want {
				t.Errorf("got %s %q, want %s %q", s.Protocol, s.Info, tt.protocol, tt.want)
			}
		})
	}
}

func TestTCPNumbersCountFromTheStart(t *testing.T) {
	const a, b = "10.0.0.1:40000", "10.0.0.2:80"
	d := newDecoder()
	var got []string
	for _, p := range []pkt{
		{src: a, dst: b, seq: 4294967295, flags: "S"},
		{src: b, dst: a, seq: 1000, ack: 0, flags: "SA"},
		{src: a, dst: b, seq: 0, ack: 1001, flags: "A"},
		{src: a, dst: b, seq: 0, ack: 1001, flags: "PA", payload: "abc"},
		{src: b, dst: a, seq: 1001, ack: 3, flags: "A"},
	} {
		p.proto = "tcp"
		rec := &Record{Point: uplink, Data: build(t, p)}
		rec.Length = len(rec.Data)
		d.decode(rec)
		got = append(got, rec.Summary.Info)
	}
	want := []string{
		"40000 → 80 [SYN] Seq=0 Win=64240 Len=0 MSS=1460",
		"80 → 40000 [SYN, ACK] Seq=0 Ack=1 Win=64240 Len=0 MSS=1460",
		"40000 → 80 [ACK] Seq=1 Ack=1 Win=64240 Len=0",
		"40000 → 80 [PSH, ACK] Seq=1 Ack=1 Win=64240 Len=3",
		"80 → 40000 [ACK] Seq=1 Ack=4 Win=64240 Len=0",
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("segment %d: got %q, want %q", i, got[i], want[i])
		}
	}
}

func TestTCPStartsAreBounded(t *testing.T) {
	var c tcpStarts
	for i := range 3 * tcpStartsLimit {
		tuple := Tuple{"tcp", netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 16), 1}), uint16(i)), netip.AddrPort{}}
		c.set(tuple, tcpStart{seq: uint32(i)})
	}
	if n := len(c.young) + len(c.old); n > 2*tcpStartsLimit {
		t.Errorf("%d starts are kept, more than %d", n, 2*tcpStartsLimit)
	}
}

func TestQuotedTuple(t *testing.T) {
	quoted := build(t, pkt{proto: "udp", src: "10.0.0.2:5000", dst: "192.0.2.9:33434", payload: "probe"})[14:]
	rec := see(t, 0, uplink, pkt{proto: "icmp", src: "192.0.2.1:0", dst: "10.0.0.2:0",
		icmp: layers.CreateICMPv4TypeCode(11, 0), payload: string(quoted[:28])})
	want := Tuple{"udp", netip.MustParseAddrPort("10.0.0.2:5000"), netip.MustParseAddrPort("192.0.2.9:33434")}
	if rec.quoted != want {
		t.Errorf("got %v, want %v", rec.quoted, want)
	}
	if got, want := rec.Summary.Info, "Time-to-live exceeded (Time to live exceeded in transit), about udp 10.0.0.2:5000 → 192.0.2.9:33434"; got != want {
		t.Errorf("info %q, want %q", got, want)
	}
}

func TestCutPacketKeepsItsRealLength(t *testing.T) {
	data := build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: strings.Repeat("x", 400)})
	rec := &Record{Point: uplink, Length: len(data), Data: data[:100]}
	Decode(rec)
	if rec.Summary.Payload != 400 || rec.Summary.Malformed != "" {
		t.Errorf("payload %d, malformed %q; want 400 and none", rec.Summary.Payload, rec.Summary.Malformed)
	}
	rec.Data = data[:30]
	Decode(rec)
	if want := "only the first 30 of 442 bytes were kept"; rec.Summary.Malformed != want {
		t.Errorf("malformed %q, want %q", rec.Summary.Malformed, want)
	}
}

func TestVLANAndPadding(t *testing.T) {
	inner := build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: "abc"})
	tagged := append(append(append([]byte{}, inner[:12]...), 0x81, 0, 0x20, 42), inner[12:]...)
	tagged = append(tagged, make([]byte, 20)...) // Ethernet padding
	rec := recordOf(tagged, uplink, 0)
	if rec.Summary.Protocol != "udp" || rec.Summary.Payload != 3 || string(rec.payload) != "abc" {
		t.Errorf("summary %+v, payload %q", rec.Summary, rec.payload)
	}
	if got := field(rec.Layers(), "802.1Q", "id"); got != "42" {
		t.Errorf("VLAN %q, want 42", got)
	}
}

func TestOuterPacketOfTunnelIsSummarized(t *testing.T) {
	inner := build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2"})[14:]
	data := serialize(t, &layers.Ethernet{SrcMAC: mac(1), DstMAC: mac(2), EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, IHL: 5, TTL: 9, Protocol: layers.IPProtocolIPv4, SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{192, 0, 2, 2}},
		gopacket.Payload(inner))
	s := recordOf(data, uplink, 0).Summary
	if s.Protocol != "ip" || s.Src.Addr() != netip.MustParseAddr("192.0.2.1") || s.TTL != 9 {
		t.Errorf("got %+v, want the outer addresses", s)
	}
}

func TestIPv6ExtensionsAndFragments(t *testing.T) {
	whole := build(t, pkt{proto: "udp", src: "[2001:db8::1]:1", dst: "[2001:db8::2]:2", payload: "abcd"})
	insert := func(next byte, ext []byte) []byte {
		b := append(append(append([]byte{}, whole[:54]...), ext...), whole[54:]...)
		b[20] = next
		b[19] += byte(len(ext)) // the payload length of a short packet
		return b
	}
	dest := recordOf(insert(60, []byte{17, 0, 1, 4, 0, 0, 0, 0}), uplink, 0)
	if s := dest.Summary; s.Protocol != "udp" || s.Dst.Port() != 2 || s.Payload != 4 {
		t.Errorf("behind destination options: %+v", s)
	}
	frag := recordOf(insert(44, []byte{17, 0, 0, 9, 0, 0, 0, 7}), uplink, 0)
	if s := frag.Summary; s.Protocol != "ip" || s.Src.Port() != 0 || !strings.HasPrefix(s.Info, "IPv6 fragment") {
		t.Errorf("a fragment is no udp packet: %+v", s)
	}
	if got := field(frag.Layers(), "IPv6 Fragment", "id"); got != "0x00000007" {
		t.Errorf("fragment id %q", got)
	}
}

func TestLinkWithoutHeader(t *testing.T) {
	for _, src := range []string{"10.0.0.1:1", "[2001:db8::1]:1"} {
		data := build(t, pkt{proto: "udp", src: src, dst: src, payload: "abc"})[14:]
		rec := &Record{Point: uplink, Length: len(data), Data: data, unframed: true}
		Decode(rec)
		if rec.Summary.Protocol != "udp" || rec.Summary.SrcMAC != "" || len(rec.Layers()) != 3 {
			t.Errorf("%s: %+v, layers %+v", src, rec.Summary, rec.Layers())
		}
	}
}

func field(all []Layer, name, field string) string {
	for _, l := range all {
		for _, f := range l.Fields {
			if l.Name == name && f.Name == field {
				return f.Value
			}
		}
	}
	return ""
}

func TestLayers(t *testing.T) {
	rec := see(t, 0, uplink, pkt{proto: "tcp", src: "10.10.0.2:45430", dst: "10.10.0.1:8080", ttl: 63, ipID: 0x1234,
		seq: 5, ack: 9, flags: "PA", payload: "POST /\x00 HTTP/1.1\r\nX-A: b\x1b]0;c\r\n\r\nbody\x00\n"})
	rec.Offload = true
	var got []string
	for _, l := range rec.Layers() {
		names := []string{}
		for _, f := range l.Fields {
			names = append(names, f.Name)
			if f.Value != clean(f.Value) {
				t.Errorf("%s %s has control characters: %q", l.Name, f.Name, f.Value)
			}
		}
		got = append(got, l.Name+": "+strings.Join(names, " "))
	}
	want := []string{
		"Ethernet: dst src type",
		"IPv4: header_length dscp ecn length id flags offset ttl protocol checksum src dst options",
		"TCP: src_port dst_port seq ack header_length flags window checksum urgent options",
		"HTTP: request x-a",
		"Data: length text hex",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	all := rec.Layers()
	for _, tt := range [][3]string{
		{"IPv4", "ttl", "63"}, {"IPv4", "id", "0x1234"}, {"IPv4", "src", "10.10.0.2"}, {"TCP", "dst_port", "8080"},
		{"HTTP", "request", "POST / HTTP/1.1"}, {"HTTP", "x-a", "b]0;c"}, {"Data", "text", "body.."}, {"Data", "length", "6"},
	} {
		if v := field(all, tt[0], tt[1]); v != tt[2] {
			t.Errorf("%s %s is %q, want %q", tt[0], tt[1], v, tt[2])
		}
	}
	if v := field(all, "TCP", "checksum"); !strings.HasSuffix(v, "(offloaded, not filled in)") {
		t.Errorf("checksum %q does not tell of the offload", v)
	}
}

func TestMalformedIsShownRaw(t *testing.T) {
	data := build(t, pkt{proto: "tcp", src: "10.0.0.1:1", dst: "10.0.0.2:2"})
	data[46] = 0xf0 // a TCP header of 60 bytes where 20 are there
	rec := recordOf(data, uplink, 0)
	if rec.Summary.Malformed == "" || !strings.Contains(rec.Summary.Info, "Malformed") {
		t.Errorf("not told as malformed: %+v", rec.Summary)
	}
	all := rec.Layers()
	if field(all, "Malformed", "reason") == "" || field(all, "Malformed", "raw") != hex.EncodeToString(data) {
		t.Errorf("not shown raw: %+v", all)
	}
}

// FuzzDecode: whatever a packet holds, it is shown without a panic and without
// control characters.
func FuzzDecode(f *testing.F) {
	for _, s := range corpus(f) {
		f.Add(s.data, uint8(0))
		f.Add(s.data[14:], uint8(1))
		f.Add(s.data[10:], uint8(2)) // the last two bytes of an address, and the type: much like a cooked header's end
	}
	f.Fuzz(func(t *testing.T, data []byte, kind uint8) {
		rec := &Record{Point: uplink, Time: epoch, Length: len(data), Data: data}
		if kind == 1 {
			rec.unframed = true
		} else {
			rec.link = linkHeader(kind % uint8(linkOther+1))
		}
		Decode(rec)
		texts := []string{rec.Summary.Info, rec.Summary.Malformed}
		for _, l := range rec.Layers() {
			for _, f := range l.Fields {
				texts = append(texts, f.Name, f.Value)
			}
		}
		for _, s := range texts {
			if s != clean(s) {
				t.Errorf("not clean: %q", s)
			}
		}
		for _, l := range rec.Layers() {
			if l.Offset < 0 || l.Offset+l.Length > len(data) {
				t.Errorf("%s is at %d, %d bytes, of %d", l.Name, l.Offset, l.Length, len(data))
			}
		}
		m := NewMatcher()
		for in := rec; in != nil; in = in.Inner() {
			m.Add(in)
		}
		m.Flush()
	})
}
