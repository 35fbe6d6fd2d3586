package capture

import (
	"testing"
	"time"
)

// sameAgain makes summaries of packets that are all alike, seen one after the
// other at points in turn.
func sameAgain(t testing.TB, n int, points ...uint16) (out []Brief) {
	one := see(t, 0, uplink, pkt{proto: "udp", src: "10.0.0.1:1000", dst: "10.0.0.2:80", payload: "again"}).Brief(0)
	for i := range n {
		b := one
		b.Time += int64(i) * int64(time.Microsecond)
		b.Point = points[i%len(points)]
		b.Serial = uint64(i + 1)
		out = append(out, b)
	}
	return out
}

// TestRowsOfAlikePackets: the first at one point is the first at the other, with
// a flood at one of them before.
func TestRowsOfAlikePackets(t *testing.T) {
	j := NewJourneys(nil, uplink, container)
	var told []*Journey
	flood := append(sameAgain(t, 100, 0), sameAgain(t, 50, 1)...)
	for i := range flood {
		flood[i].Time = flood[0].Time + int64(i)
		told = append(told, j.See(&flood[i])...)
	}
	rows := 0
	for _, g := range j.m.t.groups {
		rows++
		n, last := 0, g
		for ; g != nil; g = g.next {
			n, last = n+1, g
		}
		if first := j.m.t.groups[last.key]; first.row.length != n || first.row.last != last || n != 100 {
			t.Errorf("a row of %d groups says %+v", n, first.row)
		}
	}
	told = append(told, j.Flush()...)
	matched := 0
	for i, journey := range told {
		if journey.Matched {
			matched++
			if a, b := journey.Hops[0].Serial, journey.Hops[1].Serial; a != b {
				t.Errorf("journey %d: packet %d at one point was taken for %d at the other", i, a, b)
			}
		}
	}
	if rows != 1 || len(told) != 100 || matched != 50 || len(j.m.t.groups) != 0 {
		t.Errorf("%d rows; %d journeys, %d matched", rows, len(told), matched)
	}
}

// BenchmarkFloodAtOnePoint: packets that are alike and seen at one point only.
func BenchmarkFloodAtOnePoint(b *testing.B) {
	m := NewMatcher(uplink, container)
	flood := sameAgain(b, 1024, 0)
	for i := range flood {
		flood[i].Outer.IPID = uint16(i)
	}
	b.ReportAllocs()
	for i := range b.N {
		s := flood[i%len(flood)]
		s.Time = flood[0].Time + int64(i)*int64(10*time.Microsecond)
		m.See(&s)
	}
}
