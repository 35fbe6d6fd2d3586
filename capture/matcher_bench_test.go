package capture

import (
	"encoding/binary"
	"testing"
)

// Packets of UDP flows, as Briefs: from a client, to what is published, and
// behind the NAT.
type benchPackets struct {
	before, after Brief
	tr            Translation
	serial        uint64
}

func newBenchPackets(b *testing.B) *benchPackets {
	p := &benchPackets{tr: Translation{NS: "host", DNAT: dnatRule,
		Original: tuple("udp", "10.11.0.1:5000", "10.10.0.1:8080"), Reply: tuple("udp", "172.18.0.2:80", "10.11.0.1:5000")}}
	var m tracker = newTracker([]Point{uplink, container})
	p.before = m.brief(see(b, 0, uplink, pkt{proto: "udp", src: "10.11.0.1:5000", dst: "10.10.0.1:8080", payload: "0123456789"}))
	p.after = m.brief(see(b, 0, container, pkt{proto: "udp", src: "10.11.0.1:5000", dst: "172.18.0.2:80", payload: "0123456789"}))
	return p
}

// next makes the next packet's two sightings, 20 us apart, of one of n flows.
func (p *benchPackets) next(n uint64) (flow uint64) {
	p.serial++
	flow = p.serial % n
	for i, b := range []*Brief{&p.before, &p.after} {
		binary.BigEndian.PutUint16(b.Outer.Key.Src[2:], uint16(flow))
		b.Outer.Key.SrcPort = 5000 + uint16(flow>>16)
		b.Hash = p.serial
		b.Time = int64(p.serial)*20_000 + int64(i)*10_000
		b.Serial = p.serial*2 + uint64(i)
	}
	return flow
}

// translation is what conntrack tells of the flow of next.
func (p *benchPackets) translation() *Translation {
	src, _ := p.before.Outer.Key.Addrs()
	p.tr.Original.Src, p.tr.Reply.Dst = src, src
	p.tr.ID = uint32(p.serial)
	return &p.tr
}

// BenchmarkMatcher is the cost of a packet that is seen twice: forwarded as it
// is, rewritten in a flow that is known, and the first of a flow.
func BenchmarkMatcher(b *testing.B) {
	b.Run("forwarded", func(b *testing.B) {
		p, m := newBenchPackets(b), NewMatcher(uplink, veth, container)
		b.ReportAllocs()
		for b.Loop() {
			p.next(256)
			p.after.Outer.Key = p.before.Outer.Key
			m.See(&p.before)
			m.See(&p.after)
		}
	})
	b.Run("forwarded, not told", func(b *testing.B) {
		p, m := newBenchPackets(b), NewMatcher(uplink, veth, container)
		m.OnlyRewritten = true
		b.ReportAllocs()
		for b.Loop() {
			p.next(256)
			p.after.Outer.Key = p.before.Outer.Key
			m.See(&p.before)
			m.See(&p.after)
		}
	})
	b.Run("seen once", func(b *testing.B) {
		p, m := newBenchPackets(b), NewMatcher(uplink, container)
		b.ReportAllocs()
		for b.Loop() {
			p.next(256)
			m.See(&p.before)
		}
	})
	b.Run("rewritten", func(b *testing.B) {
		p, m := newBenchPackets(b), NewMatcher(uplink, container)
		b.ReportAllocs()
		for range 256 {
			p.next(256)
			m.Translate(*p.translation())
		}
		told := 0
		for b.Loop() {
			p.next(256)
			told += len(m.See(&p.before)) + len(m.See(&p.after))
		}
		if told != b.N {
			b.Errorf("%d told of %d", told, b.N)
		}
	})
	b.Run("new flow", func(b *testing.B) {
		p, m := newBenchPackets(b), NewMatcher(uplink, container)
		b.ReportAllocs()
		told := 0
		for b.Loop() {
			p.next(1 << 31)
			told += len(m.See(&p.before)) + len(m.Translate(*p.translation())) + len(m.See(&p.after))
		}
		if told != b.N {
			b.Errorf("%d told of %d", told, b.N)
		}
	})
	b.Run("journey", func(b *testing.B) {
		p, m := newBenchPackets(b), NewJourneys(nil, uplink, container)
		b.ReportAllocs()
		for b.Loop() {
			p.next(256)
			p.after.Outer.Key = p.before.Outer.Key
			m.See(&p.before)
			m.See(&p.after)
		}
	})
}
