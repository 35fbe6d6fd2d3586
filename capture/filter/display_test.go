package filter

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
)

// encapsulate puts bytes behind an Ethernet and an IPv4 header of a protocol.
func encapsulate(proto byte, body []byte) []byte {
	eth := []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0}
	ip := []byte{0x45, 0, 0, byte(20 + len(body)), 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2}
	return slices.Concat(eth, ip, body)
}

// innerIP is an IP packet with ICMP from 172.16.3.4 to 172.16.3.5.
var innerIP = []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 9, 1, 0, 0, 172, 16, 3, 4, 172, 16, 3, 5, 8, 0, 0, 0, 0, 1, 0, 2}

func tagged(frame []byte, tags ...uint16) []byte {
	var b []byte
	for _, t := range tags {
		b = binary.BigEndian.AppendUint16(append(b, 0x81, 0), t)
	}
	return slices.Concat(frame[:12], b, frame[12:])
}

func TestDisplay(t *testing.T) {
	b := builder{nil, t}
	innerFrame := encapsulate(1, innerIP[20:])
	geneve := slices.Concat([]byte{0xc3, 0x50, 0x17, 0xc1, 0, 50, 0, 0, 1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 4}, innerFrame)
	packets := map[string]Subject{
		"vxlan":     {Data: vxlanFrame(b, 4789, 8, 42, false, false)},
		"vxlan6":    {Data: vxlanFrame(b, 8472, 8, 43, true, false)},
		"odd":       {Data: vxlanFrame(b, 5000, 8, 42, false, false)},
		"known":     {Data: vxlanFrame(b, 5000, 8, 42, false, false), VXLANPorts: []uint16{5000}},
		"part":      {Data: vxlanFrame(b, 4789, 8, 42, false, true)},
		"tagged":    {Data: tagged(vxlanFrame(b, 4789, 8, 42, false, false), 10)},
		"twice":     {Data: tagged(encapsulate(1, innerIP[20:]), 10, 20)},
		"ipip":      {Data: encapsulate(4, innerIP)},
		"gre":       {Data: encapsulate(47, append([]byte{0x20, 0, 8, 0, 0, 0, 0, 1}, innerIP...))},
		"teb":       {Data: encapsulate(47, append([]byte{0, 0, 0x65, 0x58}, innerFrame...))},
		"geneve":    {Data: encapsulate(17, geneve)},
		"tun":       {Data: innerIP, LinkType: RawIP},
		"seen":      {Data: innerFrame, NS: "pid:7", Link: "eth0", Rewritten: true, Flow: 3, Outgoing: true},
		"elsewhere": {Data: innerFrame, NS: "blue", Link: "eth0", Flow: 30},
	}
	for name, p := range packets {
		p.Length = len(p.Data)
		packets[name] = p
	}
	tunnels := []string{"geneve", "gre", "ipip", "teb"}
	for expr, want := range map[string][]string{
		"":                  {"elsewhere", "geneve", "gre", "ipip", "known", "odd", "part", "seen", "tagged", "teb", "tun", "twice", "vxlan", "vxlan6"},
		"vni 42":            {"known", "tagged", "vxlan"},
		"vxlan":             {"known", "tagged", "vxlan", "vxlan6"},
		"vxlan vni 43":      {"vxlan6"},
		"vxlan port 5000":   {"known"},
		"not vxlan and udp": {"geneve", "odd", "part"},
		"host 172.16.3.4":   {"gre", "ipip", "known", "tagged", "tun", "vxlan", "vxlan6"},
		"src host 172.16.3.4 and dst host 10.0.0.2": {"gre", "ipip", "known", "tagged", "vxlan"},
		"udp port 80":                  {"known", "tagged", "vxlan", "vxlan6"},
		"udp port 4789 and port 80":    {"tagged", "vxlan"},
		"icmp":                         append([]string{"elsewhere", "seen", "tun"}, tunnels...),
		"icmp[0] = 8 and ip[8] = 9":    {"gre", "ipip", "tun"},
		"vlan":                         {"tagged", "twice"},
		"vlan 10 and port 80":          {"tagged"},
		"vlan 10 and vlan 20":          {"twice"},
		"vlan 20":                      nil,
		"vlan 10 and vlan 20 and icmp": {"twice"},
		"ip6":                          {"vxlan6"},
		"point pid:7:eth0":             {"seen"},
		"ns blue":                      {"elsewhere"},
		"not (ns blue) and flow 30":    nil,
		"flow 3":                       {"seen"},
		"flow 30":                      {"elsewhere"},
		"flow 0":                       nil,
		"rewritten":                    {"seen"},
		"rewritten or vni 43":          {"seen", "vxlan6"},
		"outbound":                     {"seen"},
		"ether src 02:00:00:00:00:01 and not ip proto 47 and icmp": {"elsewhere", "geneve", "ipip", "seen"},
		"ether[12:2] = 0x0800 and icmp and len <= 42":              {"elsewhere", "seen"},
		"len > 100 or less 28":                                     {"known", "odd", "part", "tagged", "tun", "vxlan", "vxlan6"},
	} {
		d, err := ParseDisplay(expr)
		if err != nil {
			t.Errorf("%q: %v", expr, err)
			continue
		}
		var got []string
		for name, p := range packets {
			if d.Match(p) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", expr, got, want)
		}
	}
}

// TestDisplayErrors has the column, for the field in which one types.
func TestDisplayErrors(t *testing.T) {
	for expr, column := range map[string]int{
		"tcp and": 8, "vni": 4, "vni x": 5, "vni 16777216": 5, "point": 6, "point and": 0, "ns": 3, "ns )": 4, "flow a": 6,
		"rewritten 3": 11, "tcp or ip broadcast": 11, "host x": 6, "len - ip[2:2] > 14": 0, "tcp[13] = 2 and vlan and tcp": 0,
	} {
		_, err := ParseDisplay(expr)
		var e *Error
		switch {
		case column == 0 && err != nil:
			t.Errorf("%q: %v", expr, err)
		case column > 0 && (!errors.As(err, &e) || e.Column != column):
			t.Errorf("%q: %v, want column %d", expr, err, column)
		}
	}
}

// TestDisplayAgreesWithCapture: a packet that carries no other is shown when it
// would have been captured.
func TestDisplayAgreesWithCapture(t *testing.T) {
	compared, matched := 0, 0
	packets := corpus(t, 9, 800)
	for _, expr := range expressions(t) {
		p, err := Compile(expr, Options{})
		if err != nil {
			continue // for want of a netmask
		}
		d, err := ParseDisplay(expr)
		if err != nil {
			t.Errorf("%q: %v", expr, err)
			continue
		}
		for _, pkt := range packets {
			s := Subject{Data: pkt.Data, Length: pkt.Length, Outgoing: pkt.Outgoing}
			if len(pkt.Data) < 14 || isTagType(binary.BigEndian.Uint16(pkt.Data[12:])) || len(unpack(s)) > 1 {
				continue
			}
			if strings.Contains(expr, "vlan") && !pkt.Tagged {
				continue // what follows "vlan" is 4 bytes off in a captured packet without tag
			}
			if pkt.Tagged {
				s.Data, s.Length = tagged(pkt.Data, pkt.TCI), pkt.Length+tagLen
			}
			want := p.Run(pkt) > 0
			if got := d.Match(s); got != want && pkt.Length == len(pkt.Data) {
				t.Fatalf("%q: shown %v, captured %v: %+v", expr, got, want, pkt)
			}
			compared++
			if want {
				matched++
			}
		}
	}
	if compared < 50000 || matched < 1000 {
		t.Errorf("only %d comparisons, of which %d matched", compared, matched)
	}
}

// FuzzDisplay has any text and any packet end well.
func FuzzDisplay(f *testing.F) {
	for i, p := range corpus(f, 4, 40) {
		f.Add(expressions(f)[i*5], p.Data, i%2 == 0)
	}
	f.Add("vni 42 or point a:b", vxlanFrame(builder{nil, f}, 4789, 8, 42, false, false), false)
	f.Fuzz(func(t *testing.T, expr string, data []byte, raw bool) {
		s := Subject{Data: data, Length: len(data) + 1}
		if raw {
			s.LinkType = RawIP
		}
		d, err := ParseDisplay(expr)
		var e *Error
		switch {
		case err == nil:
			d.Match(s)
		case !errors.As(err, &e):
			t.Errorf("%v: not an *Error", err)
		case e.Column < 1 || e.Column > len([]rune(expr))+1:
			t.Errorf("%+v", e)
		}
	})
}

func BenchmarkDisplay(b *testing.B) {
	d, err := ParseDisplay("tcp port 80 or host 172.16.3.5 and vni 43")
	if err != nil {
		b.Fatal(err)
	}
	s := Subject{Data: vxlanFrame(builder{nil, b}, 4789, 8, 42, false, false)}
	for b.Loop() {
		d.Match(s)
	}
}
