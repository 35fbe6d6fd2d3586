package capture

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/gopacket/layers"
)

// briefly is what Brief says of data.
func briefly(data []byte, framed bool) *Brief {
	b := new(Brief)
	f := briefer{vxlanPorts: []uint16{vxlanPort, vxlanKernelPort}}
	f.fill(b, data, framed)
	return b
}

// agree compares the hand-rolled summary with the one that gopacket's layers
// make: they say the same, or both that the packet is malformed.
func agree(t testing.TB, data []byte, framed bool) {
	t.Helper()
	rec := &Record{Data: data, Length: len(data), unframed: !framed}
	Decode(rec)
	b := briefly(data, framed)
	sameHeaders(t, "outer", rec, &b.Outer, data)
	switch {
	case rec.inner == nil && b.Tunnel != NoTunnel, rec.inner != nil && TunnelName(b.Tunnel) != rec.Summary.Tunnel:
		t.Errorf("tunnel %q, want %q\n%s", TunnelName(b.Tunnel), rec.Summary.Tunnel, hex.EncodeToString(data))
	case rec.inner != nil:
		if b.VNI != rec.Summary.VNI {
			t.Errorf("VNI %d, want %d\n%s", b.VNI, rec.Summary.VNI, hex.EncodeToString(data))
		}
		if in := data[b.InnerAt:]; len(rec.inner.Data) > len(in) || string(in[:len(rec.inner.Data)]) != string(rec.inner.Data) {
			t.Errorf("the inner packet begins at %d\n%s", b.InnerAt, hex.EncodeToString(data))
		}
		// Deeper than that the summary does not look.
		sameHeaders(t, "inner", rec.inner, &b.Inner, data)
	}
	innermost := rec
	if rec.inner != nil {
		innermost = rec.inner
	}
	if want := keyOf(innermost.quoted); b.Quoted != want && !quotesTunnel(innermost) {
		t.Errorf("quotes %+v, want %+v\n%s", b.Quoted, want, hex.EncodeToString(data))
	}
}

// quotesTunnel says that an ICMP error may quote a packet in a packet: a Brief
// then says what is quoted of the one within.
func quotesTunnel(rec *Record) bool {
	switch q := quotedPacket(rec.payload); q.protocol {
	case layers.IPProtocolUDP:
		return len(q.transport) >= 8 && slices.Contains([]uint16{vxlanPort, vxlanKernelPort, genevePort}, binary.BigEndian.Uint16(q.transport[2:]))
	case layers.IPProtocolGRE, layers.IPProtocolIPv4, layers.IPProtocolIPv6:
		return true
	}
	return false
}

func sameHeaders(t testing.TB, what string, rec *Record, h *Headers, data []byte) {
	t.Helper()
	s := &rec.Summary
	malformed := s.Malformed != ""
	if transported := s.Protocol == "tcp" || s.Protocol == "udp"; transported && !slices.Contains([]uint16{vxlanPort, vxlanKernelPort, genevePort}, s.Dst.Port()) ||
		what == "inner" && s.Protocol != "?" {
		malformed = h.Malformed // what an application sends is not looked at, nor a tunnel in a tunnel
	}
	got, want := describe(h), describeSummary(s)
	if got != want || h.Malformed != malformed {
		t.Errorf("%s: got  %s malformed %v\nwant %s malformed %q\n%s", what, got, h.Malformed, want, s.Malformed, hex.EncodeToString(data))
	}
}

func describe(h *Headers) string {
	src, dst := h.Key.Addrs()
	id := uint16(0)
	if h.Key.Protocol == protoICMP || h.Key.Protocol == protoICMPv6 {
		id = h.Key.SrcPort
		src, dst = addr(src.Addr().AsSlice()), addr(dst.Addr().AsSlice())
	}
	var flags string
	if h.Key.Protocol == protoTCP {
		flags = flagNames(h.TCPFlags)
	}
	macs := ""
	if h.framed {
		macs = string(appendMAC(nil, h.SrcMAC)) + string(appendMAC(nil, h.DstMAC))
	}
	return fmt.Sprint(h.Name(), " ", macs, src, dst, h.TTL, " ", h.IPID, h.IPChecksum, h.Checksum, id, h.ICMPSeq, h.ICMPType, h.ICMPCode,
		flags, h.TCPSeq, h.TCPAck, h.Payload, h.VLAN)
}

func describeSummary(s *Summary) string {
	return fmt.Sprint(s.Protocol, " ", s.SrcMAC+s.DstMAC, s.Src, s.Dst, s.TTL, " ", s.IPID, s.IPChecksum, s.Checksum, s.ICMPID, s.ICMPSeq, s.ICMPType, s.ICMPCode,
		s.TCPFlags, s.TCPSeq, s.TCPAck, s.Payload, s.VLAN)
}

func TestBriefAgreesWithGopacket(t *testing.T) {
	for _, s := range corpus(t) {
		agree(t, s.data, true)
		agree(t, s.data[min(14, len(s.data)):], false)
		for n := range s.data { // cut anywhere
			agree(t, s.data[:n:n], true)
		}
		if t.Failed() {
			t.Fatal(s.name)
		}
	}
}

// TestBriefAgreesOnDamage changes single bytes, above all those that hold
// lengths and types.
func TestBriefAgreesOnDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, s := range corpus(t) {
		for range 2000 {
			data := append([]byte{}, s.data...)
			for range 1 + rng.IntN(3) {
				data[rng.IntN(min(len(data), 120))] = byte(rng.Uint32())
			}
			if rng.IntN(4) == 0 {
				data = data[:rng.IntN(len(data))]
			}
			agree(t, data, true)
			if t.Failed() {
				t.Fatal(s.name)
			}
		}
	}
}

func FuzzBrief(f *testing.F) {
	for _, s := range corpus(f) {
		f.Add(s.data, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, framed bool) { agree(t, data, framed) })
}

func TestBriefAllocatesNothing(t *testing.T) {
	f := briefer{vxlanPorts: []uint16{vxlanPort, vxlanKernelPort}}
	samples := corpus(t)
	var b Brief
	if n := testing.AllocsPerRun(100, func() {
		for _, s := range samples {
			f.fill(&b, s.data, true)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkBrief(b *testing.B) {
	f := briefer{vxlanPorts: []uint16{vxlanPort, vxlanKernelPort}}
	for _, s := range corpus(b) {
		switch s.name {
		case "udp", "vxlan", "http request":
			b.Run(s.name, func(b *testing.B) {
				var out Brief
				for b.Loop() {
					f.fill(&out, s.data, true)
				}
			})
		}
	}
}
