package capture

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

func TestInnerPacket(t *testing.T) {
	ping := build(t, pkt{proto: "icmp", src: "10.0.1.2:6699", dst: "10.0.1.3:0", ipID: 5, icmp: layers.CreateICMPv4TypeCode(8, 0), icmpSeq: 1, payload: "01234567"})
	rec := recordOf(vxlan(t, 4789, 4097, ping), uplink, 0)
	rec.Serial = 12
	s := rec.Summary
	if s.Protocol != "udp" || s.Tunnel != "vxlan" || s.VNI != 4097 || s.Dst.Port() != 4789 || s.Src.Addr() != netip.MustParseAddr("192.0.2.1") {
		t.Errorf("outer: %+v", s)
	}
	if want := "VXLAN VNI 4097: 10.0.1.2 → 10.0.1.3 Echo (ping) request id=0x1a2b, seq=1, ttl=64"; s.Info != want {
		t.Errorf("info %q, want %q", s.Info, want)
	}
	in := rec.Inner()
	if in == nil {
		t.Fatal("no inner packet")
	}
	alone := recordOf(ping, uplink, 0)
	if in.Summary != alone.Summary {
		t.Errorf("inner\ngot  %+v\nwant %+v", in.Summary, alone.Summary)
	}
	if in.Serial != 12 || in.Point != uplink || !in.Time.Equal(rec.Time) || in.Length != len(ping) || string(in.Data) != string(ping) {
		t.Errorf("inner record: %+v", in)
	}
	if string(in.payload) != "01234567" {
		t.Errorf("inner payload %q", in.payload)
	}
	if in.Inner() != nil {
		t.Error("a packet within the innermost")
	}
}

func TestVXLANPortsAreOfTheDecoder(t *testing.T) {
	data := vxlan(t, 5000, 9, build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2"}))
	rec := &Record{Point: uplink, Length: len(data), Data: data}
	Decode(rec)
	if rec.Inner() != nil || rec.Summary.Tunnel != "" {
		t.Errorf("VXLAN on a port that nobody named: %+v", rec.Summary)
	}
	NewDecoder(5000).Decode(rec)
	if in := rec.Inner(); in == nil || rec.Summary.VNI != 9 || in.Summary.Dst.Port() != 2 {
		t.Errorf("no VXLAN on port 5000: %+v", rec.Summary)
	}
	NewDecoder().Decode(rec)
	if rec.Inner() != nil {
		t.Error("the inner packet of before is still there")
	}
}

func TestInnerPacketIsCut(t *testing.T) {
	data := vxlan(t, 4789, 1, build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: strings.Repeat("x", 400)}))
	rec := &Record{Point: uplink, Length: len(data), Data: data[:120]}
	Decode(rec)
	in := rec.Inner()
	if in == nil || in.Length != len(data)-50 || in.Summary.Payload != 400 || in.Summary.Malformed != "" {
		t.Fatalf("inner of a cut packet: %+v", in)
	}
	rec.Data = data[:60]
	Decode(rec)
	if in = rec.Inner(); in == nil || in.Summary.Malformed == "" || !strings.Contains(rec.Summary.Info, "Malformed") {
		t.Errorf("the inner packet has 10 bytes: %+v", in)
	}
	rec.Data = data[:50]
	Decode(rec)
	if rec.Inner() != nil || rec.Summary.Malformed == "" {
		t.Errorf("nothing of the inner packet was kept: %+v", rec.Summary)
	}
}

func TestBottomlessPacket(t *testing.T) {
	b := []byte{}
	for range 3000 { // the length in the header does not matter to the test
		h := serialize(t, outerIP(layers.IPProtocolIPv4))
		b = append(b, h...)
	}
	for i := 0; i < len(b); i += 20 {
		n := len(b) - i
		b[i+2], b[i+3] = byte(n>>8), byte(n)
	}
	rec := &Record{Point: uplink, Length: len(b), Data: b, unframed: true}
	Decode(rec)
	depth := 0
	for in := rec; in.inner != nil; in = in.inner {
		depth++
	}
	if depth != maxDepth {
		t.Errorf("%d packets deep, want %d", depth, maxDepth)
	}
	if n := len(rec.Layers()); n < maxDepth || n > 2*maxDepth {
		t.Errorf("%d layers", n)
	}
}

// TestLayersStandWhereTheySay: the bytes of a field are its value.
func TestLayersStandWhereTheySay(t *testing.T) {
	for _, s := range corpus(t) {
		t.Run(s.name, func(t *testing.T) {
			rec := recordOf(s.data, uplink, 0)
			end := 0
			for _, l := range rec.Layers() {
				if l.Offset < end && l.Name != "Malformed" || l.Length == 0 || l.Offset+l.Length > len(s.data) {
					t.Errorf("%s is at %d, %d bytes; the one before ends at %d, the packet at %d", l.Name, l.Offset, l.Length, end, len(s.data))
				}
				end = l.Offset + l.Length
				for _, f := range l.Fields {
					checkField(t, s.data, l, f)
				}
			}
		})
	}
}

func checkField(t *testing.T, data []byte, l Layer, f Field) {
	t.Helper()
	if f.Length == 0 {
		return
	}
	if f.Offset < l.Offset || f.Offset+f.Length > l.Offset+l.Length {
		t.Errorf("%s %s lies outside of its layer", l.Name, f.Name)
		return
	}
	b := data[f.Offset : f.Offset+f.Length]
	want := ""
	switch {
	case strings.Contains(l.Name, "IP") && (f.Name == "src" || f.Name == "dst") || f.Name == "sender_ip" || f.Name == "target_ip" || f.Name == "target":
		a, _ := netip.AddrFromSlice(b)
		want = a.String()
	case f.Name == "src" || f.Name == "dst" || f.Name == "sender_mac" || f.Name == "target_mac":
		want = hardware(b)
	case strings.HasSuffix(f.Name, "_port") || f.Name == "vni" || f.Name == "ttl" || f.Name == "hop_limit" || f.Name == "window" || f.Name == "seq":
		v := 0
		for _, c := range b {
			v = v<<8 | int(c)
		}
		want = fmt.Sprint(v)
	case f.Name == "id" && strings.HasPrefix(f.Value, "0x"), l.Name == "VXLAN" && f.Name == "flags":
		want = "0x" + hex.EncodeToString(b)
	default:
		return
	}
	if f.Value != want {
		t.Errorf("%s %s is %q, but %q stands there", l.Name, f.Name, f.Value, want)
	}
}

func names(all []Layer) string {
	var out []string
	for _, l := range all {
		out = append(out, l.Name)
	}
	return strings.Join(out, ", ")
}

func TestLayersOfTunnels(t *testing.T) {
	want := map[string]string{
		"vxlan":                      "Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4, ICMP, Data",
		"vxlan in vxlan":             "Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv4, UDP, VXLAN, Ethernet, IPv6, UDP, Data",
		"geneve":                     "Ethernet, IPv4, UDP, GENEVE, Ethernet, IPv4, ICMP, Data",
		"geneve of ip":               "Ethernet, IPv4, UDP, GENEVE, IPv4, ICMP, Data",
		"gre":                        "Ethernet, IPv4, GRE, IPv4, ICMP, Data",
		"gre of ethernet with key":   "Ethernet, IPv4, GRE, Ethernet, IPv6, ICMPv6, Data",
		"ipip":                       "Ethernet, IPv4, IPv4, ICMP, Data",
		"6in4":                       "Ethernet, IPv4, IPv6, ICMPv6, Data",
		"qinq":                       "Ethernet, 802.1Q, 802.1Q, IPv4, UDP, Data",
		"dns a":                      "Ethernet, IPv4, UDP, DNS",
		"dhcp Discover":              "Ethernet, IPv4, UDP, DHCP",
		"tls client hello":           "Ethernet, IPv4, TCP, TLS",
		"http request":               "Ethernet, IPv4, TCP, HTTP",
		"ipv6 hop-by-hop options":    "Ethernet, IPv6, IPv6 Hop-by-Hop Options, UDP, Data",
		"ipv6 authentication header": "Ethernet, IPv6, IPsec AH, UDP, Data",
		"arp request":                "Ethernet, ARP",
	}
	seen := 0
	for _, s := range corpus(t) {
		if w, ok := want[s.name]; ok {
			seen++
			if got := names(recordOf(s.data, uplink, 0).Layers()); got != w {
				t.Errorf("%s\ngot  %s\nwant %s", s.name, got, w)
			}
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d samples seen", seen, len(want))
	}
}

func TestQuotedPacketIsShown(t *testing.T) {
	quoted := build(t, pkt{proto: "tcp", src: "10.0.0.2:5000", dst: "192.0.2.9:80", flags: "S"})[14:]
	rec := see(t, 0, uplink, pkt{proto: "icmp", src: "192.0.2.1:0", dst: "10.0.0.2:0",
		icmp: layers.CreateICMPv4TypeCode(3, 1), payload: string(quoted[:28])})
	all := rec.Layers()
	if got, want := names(all), "Ethernet, IPv4, ICMP, Quoted IPv4, Quoted TCP"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, f := range [][3]string{{"Quoted IPv4", "dst", "192.0.2.9"}, {"Quoted TCP", "dst_port", "80"}, {"ICMP", "quoted_dst", "192.0.2.9:80"}} {
		if got := field(all, f[0], f[1]); got != f[2] {
			t.Errorf("%s %s: %q, want %q", f[0], f[1], got, f[2])
		}
	}
}

func TestMalformedTunnels(t *testing.T) {
	for name, data := range map[string][]byte{
		"vxlan of 3 bytes": tunnelUDP(t, 4789, gopacket.Payload{8, 0, 0}, nil),
		"empty vxlan":      vxlan(t, 4789, 1, nil),
		"geneve options":   tunnelUDP(t, 6081, gopacket.Payload{0x3f, 0, 0x65, 0x58, 0, 0, 99, 0, 1, 2, 3, 0xff}, nil),
		"gre of 2 bytes":   tunnelIP(t, layers.IPProtocolGRE, nil, []byte{0x30, 0}),
		"gre flags":        tunnelIP(t, layers.IPProtocolGRE, nil, []byte{0xf8, 0, 8, 0, 0, 1}),
	} {
		rec := recordOf(data, uplink, 0)
		if rec.Summary.Malformed == "" || rec.Inner() != nil || !strings.Contains(rec.Summary.Info, "[Malformed: ") {
			t.Errorf("%s: %+v", name, rec.Summary)
		}
		if len(rec.Layers()) < 3 {
			t.Errorf("%s: layers %s", name, names(rec.Layers()))
		}
	}
}
