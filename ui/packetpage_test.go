package ui

import (
	"encoding/binary"
	"testing"

	"vethscope/capture"
)

// rewritten is a drive on the list of rewrites, the first of which is selected.
func rewritten(t *testing.T, w, h int, keys string) *drive {
	d := built(t, w, h)
	d.press("r")
	packets(d)
	d.press("g " + keys)
	return d
}

// masqueraded is a drive on a packet that was rewritten and put into a tunnel.
func masqueraded(t *testing.T, w, h int, keys string) *drive {
	d := built(t, w, h)
	d.press("r")
	r := *rewrites()[0]
	r.AfterRecord = inVXLAN(r.AfterRecord)
	d.send(CaptureMsg{Source: d.captured(r.BeforeRecord, r.AfterRecord), Rewrites: []*capture.Rewrite{&r}})
	d.press("g " + keys)
	return d
}

// inIPIP is the packet in GRE with a key, in IP in IP: its VXLAN stays inside.
func inIPIP(r *capture.Record) *capture.Record {
	ip := func(protocol byte, payload []byte) []byte {
		b := []byte{0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2}
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
		return append(b, payload...)
	}
	gre := append([]byte{0x20, 0, 0x65, 0x58, 0, 0, 0, 77}, r.Data...)
	b := append([]byte{2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 8, 0}, ip(4, ip(47, gre))...)
	out := &capture.Record{Point: r.Point, Time: r.Time, Length: len(b), Data: b}
	capture.Decode(out)
	return out
}

// nested is a drive on a packet four deep.
func nested(t *testing.T, w, h int, keys string) *drive {
	d := watched(t, w, h, "")
	d.send(CaptureMsg{Source: d.captured(inIPIP(inVXLAN(rewrites()[0].BeforeRecord)))})
	d.press("G " + keys)
	return d
}

var packetScreens = []struct {
	name string
	at   func(t *testing.T, w, h int) *drive
}{
	{"bytes-before", func(t *testing.T, w, h int) *drive { return rewritten(t, w, h, "v j j j") }},
	{"bytes-after", func(t *testing.T, w, h int) *drive { return rewritten(t, w, h, "v b tab l") }},
	{"bytes-tunnel", func(t *testing.T, w, h int) *drive { return masqueraded(t, w, h, "v b g") }},
	{"encap-after", func(t *testing.T, w, h int) *drive { return masqueraded(t, w, h, "e") }},
	{"encap-nested", func(t *testing.T, w, h int) *drive { return nested(t, w, h, "e") }},
}

func TestPacketScreens(t *testing.T) {
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"160x45", 160, 45}} {
		for _, s := range packetScreens {
			t.Run(s.name+"/"+size.name, func(t *testing.T) {
				golden(t, "packet-"+s.name+"-"+size.name, s.at(t, size.w, size.h).look())
			})
		}
	}
}

// TestBothSidesOfARewrite: the selection stays on the field.
func TestBothSidesOfARewrite(t *testing.T) {
	d := rewritten(t, 100, 30, "v")
	d.sees("packet before, at host:up0", "before: IPv4 ttl: byte 22", "≠ ttl", "64  → 63")
	d.press("b")
	d.sees("packet after, at web-1:eth0", "after: IPv4 ttl: byte 22", "63  ← 64")
	d.press("k k k space b")
	d.sees("before: IPv4: bytes 14-33", "▸ IPv4")
	d.press("space j j j j j j j j j j j j b")
	d.sees("after: IPv4 dst: bytes 30-33", "172.18.0.2  ← 10.10.0.1", "[ac≠12]")
	d.press("esc")
	d.press("t v b")
	d.sees("there is one side")
}

// TestBytesOfNoField: what no header claims is not taken for a part of one.
func TestBytesOfNoField(t *testing.T) {
	d := watched(t, 100, 30, "")
	r := *rewrites()[0].BeforeRecord
	r.Data = append(append([]byte{}, r.Data...), make([]byte, 300)...)
	copy(r.Data[14+2:], []byte{0, 40}) // the IP packet ends before the padding
	r.Length = len(r.Data)
	capture.Decode(&r)
	d.send(CaptureMsg{Source: d.captured(&r)})
	d.press("G v tab G")
	d.sees("at 353, in no field")
	d.seesNot("▌")
	d.seesNot("[00")
	d.press("g l l")
	d.sees("at 2 in Ethernet dst: bytes 0-5", "[02 00 00 00 00 01]", "▌     dst")
}

// TestNestedPackets: every packet within has its box, and all of them a part in
// the sum.
func TestNestedPackets(t *testing.T) {
	d := nested(t, 120, 50, "e")
	d.sees("packet 1 within, 132 bytes", "packet 2 within, 104 bytes", "inner packet, 54 bytes", "key            0x0000004d",
		"overhead 1   IPv4 20 = 20 bytes", "overhead 2   IPv4 20 + GRE 8 + inner Ethernet 14 = 42 bytes",
		"together     112 bytes", "40 inside + 112 = 152 bytes", "1500 of host:up0 − 112 = 1388")
	d.press("v")
	d.sees("packet at host:up0")
}

// TestOverheads: what each tunnel takes, over IPv4 and IPv6.
func TestOverheads(t *testing.T) {
	inner := rewrites()[0].BeforeRecord.Data
	udp := func(port uint16, header []byte) []byte {
		b := []byte{0xc3, 0x50, 0, 0, 0, 0, 0, 0}
		binary.BigEndian.PutUint16(b[2:], port)
		b = append(append(b, header...), inner...)
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
		return b
	}
	ip4 := func(protocol byte, payload []byte) []byte {
		b := []byte{2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 8, 0, 0x45, 0, 0, 0, 0, 9, 0, 0, 64, protocol, 0, 0, 10, 9, 0, 1, 10, 9, 0, 2}
		binary.BigEndian.PutUint16(b[16:], uint16(20+len(payload)))
		return append(b, payload...)
	}
	ip6 := func(next byte, payload []byte) []byte {
		b := append([]byte{2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, next, 64, 0xfd, 0xaa}, make([]byte, 30)...)
		binary.BigEndian.PutUint16(b[18:], uint16(len(payload)))
		b[37], b[38], b[39], b[53] = 1, 0xfd, 0xaa, 2
		return append(b, payload...)
	}
	vxlan := []byte{8, 0, 0, 0, 0, 0x10, 1, 0}
	for name, tt := range map[string]struct {
		data []byte
		want []string
	}{
		"vxlan over IPv4": {ip4(17, udp(4789, vxlan)), []string{"IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14 = 50 bytes", "1500 of host:up0 − 50 = 1450", "50 + 20 = 70 bytes: 1500 − 70 = 1430"}},
		"vxlan over IPv6": {ip6(17, udp(4789, vxlan)), []string{"IPv6 40 + UDP 8 + VXLAN 8 + inner Ethernet 14 = 70 bytes", "1500 of host:up0 − 70 = 1430"}},
		"geneve": {ip4(17, udp(6081, []byte{1, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 0})),
			[]string{"network 42", "options_length 4", "IPv4 20 + UDP 8 + GENEVE 12 + inner Ethernet 14 = 54 bytes", "1500 of host:up0 − 54 = 1446"}},
		"gre":  {ip4(47, append([]byte{0, 0, 0x65, 0x58}, inner...)), []string{"no further fields", "IPv4 20 + GRE 4 + inner Ethernet 14 = 38 bytes", "− 38 = 1462"}},
		"ipip": {ip4(4, inner[14:]), []string{"IPv4 20 = 20 bytes", "1500 of host:up0 − 20 = 1480"}},
	} {
		d := watched(t, 110, 45, "")
		r := &capture.Record{Point: capture.Point{NS: "host", Link: "up0"}, Time: noon, Length: len(tt.data), Data: tt.data}
		capture.Decode(r)
		d.send(CaptureMsg{Source: d.captured(r)})
		d.press("G e")
		t.Run(name, func(t *testing.T) {
			d.t = t
			d.sees(append(tt.want, "outer packet", "inner packet", "it fits")...)
		})
	}
}
