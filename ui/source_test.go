package ui

import (
	"slices"

	"vethscope/capture"
)

// packetStore is a source of packets that a test fills.
type packetStore struct {
	records []*capture.Record // that with serial n is at n-1
	first   uint64            // those before it were let go
	points  []capture.Point
	decoded int // times that a packet was asked for
}

// captured adds packets to those that the drive's capture has seen.
func (d *drive) captured(records ...*capture.Record) *packetStore {
	st := d.store
	if st == nil {
		st = &packetStore{first: 1}
		d.store = st
	}
	for _, r := range records {
		r.Serial = uint64(len(st.records) + 1)
		st.records = append(st.records, r)
		if !slices.Contains(st.points, r.Point) {
			st.points = append(st.points, r.Point)
		}
	}
	return st
}

func (st *packetStore) Span() (first, end uint64) { return st.first, uint64(len(st.records)) + 1 }

func (st *packetStore) Record(serial uint64) (*capture.Record, bool) {
	if first, end := st.Span(); serial < first || serial >= end {
		return nil, false
	}
	st.decoded++
	return st.records[serial-1], true
}

func (st *packetStore) View(serial uint64, dst []capture.Brief) int {
	first, end := st.Span()
	serial = max(serial, first)
	n := min(len(dst), int(end-min(serial, end)))
	for i := range n {
		r := st.records[serial-1+uint64(i)]
		dst[i] = r.Brief(uint16(slices.Index(st.points, r.Point)))
	}
	return n
}

func (st *packetStore) Points() []capture.Point { return st.points }

func (st *packetStore) Memory() (used, limit int64) { return 3 << 20, 45 << 20 }

func (st *packetStore) Scan(serial uint64, most int, see func(*capture.Record)) (next, missed uint64) {
	first, end := st.Span()
	if serial < first {
		serial, missed = first, first-serial
	}
	for ; most > 0 && serial < end; most-- {
		see(st.records[serial-1])
		serial++
	}
	return serial, missed
}
