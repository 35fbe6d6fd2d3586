package capture

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/gopacket/layers"
)

func TestRepeats(t *testing.T) {
	data := func(us int, at Point, seq uint32, id uint16, ttl uint8) *Record {
		return see(t, us, at, pkt{proto: "tcp", src: "10.0.0.2:1000", dst: "10.0.0.3:80", ttl: ttl, ipID: id, seq: seq, flags: "AP", payload: "some data"})
	}
	ack := func(us int, ack uint32) *Record {
		return see(t, us, container, pkt{proto: "tcp", src: "10.0.0.2:1000", dst: "10.0.0.3:80", ipID: uint16(us), seq: 9, ack: ack, flags: "A"})
	}
	udp := func(us int, id uint16, ttl uint8) *Record {
		return see(t, us, container, pkt{proto: "udp", src: "10.0.0.2:1000", dst: "10.0.0.3:80", ipID: id, ttl: ttl, payload: "question"})
	}
	echo := func(us int, seq uint16) *Record {
		return see(t, us, container, pkt{proto: "icmp", src: "10.0.0.2:7", dst: "10.0.0.3:7", icmp: layers.CreateICMPv4TypeCode(8, 0), icmpSeq: seq})
	}
	tests := []struct {
		name    string
		records []*Record
		want    []string // of each journey: kind, and how long after the first
	}{
		{"another part", []*Record{data(0, container, 1, 1, 64), data(10, container, 10, 2, 64)}, []string{"", ""}},
		{"sent again", []*Record{data(0, container, 1, 1, 64), data(5, uplink, 1, 1, 63), data(200, container, 1, 2, 64), data(205, uplink, 1, 2, 63)},
			[]string{"", "retransmission 200µs"}},
		{"sent again, the first one lost early", []*Record{data(0, container, 1, 1, 64), data(200, container, 1, 2, 64), data(205, uplink, 1, 2, 63)},
			[]string{"", "retransmission 200µs"}},
		{"sent again three times", []*Record{data(0, container, 1, 1, 64), data(200, container, 1, 2, 64), data(600, container, 1, 3, 64)},
			[]string{"", "retransmission 200µs", "retransmission 600µs"}},
		{"the same packet twice", []*Record{data(0, container, 1, 1, 64), data(9, container, 1, 1, 64)}, []string{"", "duplicate 9µs"}},
		{"in a circle", []*Record{data(0, container, 1, 1, 64), data(9, container, 1, 1, 62)}, []string{"", "loop 9µs"}},
		{"bare acknowledgements", []*Record{ack(0, 5), ack(9, 5)}, []string{"", ""}},
		{"datagrams without an id", []*Record{udp(0, 0, 64), udp(9, 0, 64)}, []string{"", ""}},
		{"datagrams with one", []*Record{udp(0, 8, 64), udp(9, 8, 64)}, []string{"", "duplicate 9µs"}},
		{"an id that comes round", []*Record{udp(0, 8, 64), udp(3e6, 8, 64)}, []string{"", ""}},
		{"echoes", []*Record{echo(0, 0), echo(9, 1), echo(20, 1)}, []string{"", "", "duplicate 11µs"}},
	}
	for _, tt := range tests {
		j := NewJourneys(nil)
		var all []*Journey
		for _, r := range tt.records {
			all = append(all, j.Add(r)...)
		}
		all = append(all, j.Flush()...)
		slices.SortStableFunc(all, func(a, b *Journey) int { return a.Time.Compare(b.Time) })
		var got []string
		for _, w := range all {
			text := ""
			if w.Repeats != nil {
				text = fmt.Sprint(w.Repeats.Kind, " ", w.Time.Sub(w.Repeats.Time))
			}
			got = append(got, text)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	r := newRepeats()
	j := NewJourneys(nil, container)
	b := j.m.t.brief(see(t, 0, container, requestOutside(1)))
	for i := range 3 * maxContents {
		b.Outer.TCPSeq = uint32(i)
		if got := r.see(&b); got.kind != "" {
			t.Fatalf("packet %d repeats another: %+v", i, got)
		}
	}
	if len(r.first) != maxContents || len(r.order) != maxContents {
		t.Errorf("%d and %d are remembered, want %d", len(r.first), len(r.order), maxContents)
	}
	if got := r.see(&b); got.kind != Duplicate && got.kind != Retransmission {
		t.Errorf("the last one again: %+v", got)
	}
}
