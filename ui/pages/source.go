package pages

import (
	"cmp"
	"slices"

	"vethscope/capture"
)

// Source is where the packets of the capture page are: the store of a capture,
// or a file. Its methods may be called concurrently. Those of a file read it: only
// commands call them.
type Source interface {
	// Span is the serials of the packets that are there, from first up to, and
	// without, end.
	Span() (first, end uint64)
	// Record decodes one packet; ok is false when it is not there any more, or
	// not yet, or cannot be read.
	Record(serial uint64) (rec *capture.Record, ok bool)
	// View copies the summaries of the packets from serial on into dst, and
	// returns how many. When that packet is gone it begins at the oldest one.
	View(serial uint64, dst []capture.Brief) int
	// Scan hands the packets from serial on, undecoded, to see: at most so many.
	// It returns the serial behind the last, and how many were let go before.
	Scan(serial uint64, most int, see func(*capture.Record)) (next, missed uint64)
	// Points are all that there are: Brief.Point is an index into them.
	Points() []capture.Point
}

// remembered is how many decoded packets are remembered, twice: more than a screen has.
const remembered = 512

// packetRows are the packets of the list: all of a source, or those that pass
// the display filter. A packet is decoded when it is drawn.
type packetRows struct {
	source     Source // nil before the first capture
	first, end uint64 // what is shown of it
	ahead      bool   // packets are read before they are drawn, not while
	floor      uint64 // packets before it were cleared away
	filtered   bool
	matches    []uint64 // serials of those that pass, in their order

	// kept are packets that stay while the list stands still, although the
	// source lets them go, in their order; held those of them that pass the
	// filter, and gone as many of these as the source has no more.
	kept, held []*capture.Record
	gone       int

	young, old map[uint64]*capture.Record
}

// show takes over a source, nil for none.
func (r *packetRows) show(s Source) {
	*r = packetRows{source: s, first: 1, end: 1, floor: 1}
	r.keepUp(true)
}

// keepUp takes notice of what the source has let go, and of what is new there if
// more is true.
func (r *packetRows) keepUp(more bool) {
	if r.source == nil {
		return
	}
	first, end := r.source.Span()
	if more {
		r.end = end
	}
	r.first = min(max(first, r.floor), r.end)
	from, _ := slices.BinarySearch(r.matches, r.first)
	r.matches = r.matches[from:]
	r.gone = before(r.held, r.first)
}

// letGo is the number of packets that are no longer kept.
func (r *packetRows) letGo() uint64 {
	if r.source == nil {
		return 0
	}
	first, _ := r.source.Span()
	return max(first, r.floor) - r.floor
}

// all is the number of packets that there are to choose from.
func (r *packetRows) all() int { return before(r.kept, r.first) + int(r.end-r.first) }

// Len implements kit.Rows.
func (r *packetRows) Len() int {
	if r.filtered {
		return r.gone + len(r.matches)
	}
	return r.gone + int(r.end-r.first)
}

// serial of a row.
func (r *packetRows) serial(i int) uint64 {
	switch {
	case i < r.gone:
		return r.held[i].Serial
	case r.filtered:
		return r.matches[i-r.gone]
	}
	return r.first + uint64(i-r.gone)
}

// At implements kit.Rows. The record is nil when it is gone.
func (r *packetRows) At(i int) packet {
	serial := r.serial(i)
	return packet{serial: serial, record: r.record(serial)}
}

// Find implements kit.Rows.
func (r *packetRows) Find(serial uint64) (i int, ok bool) {
	if serial < r.first {
		i = before(r.held, serial)
		return i, i < r.gone && r.held[i].Serial == serial
	}
	if r.filtered {
		i, ok = slices.BinarySearch(r.matches, serial)
		return r.gone + i, ok
	}
	return r.gone + int(min(serial, r.end)-r.first), serial < r.end
}

// before is how many of the records are older than the one with a serial.
func before(records []*capture.Record, serial uint64) int {
	i, _ := slices.BinarySearchFunc(records, serial, func(rec *capture.Record, s uint64) int { return cmp.Compare(rec.Serial, s) })
	return i
}

// record finds a packet among those that were drawn just now, among the held, or
// in the source.
func (r *packetRows) record(serial uint64) *capture.Record {
	if rec := r.young[serial]; rec != nil {
		return rec
	}
	rec := r.old[serial]
	if rec == nil {
		if i := before(r.held, serial); i < len(r.held) && r.held[i].Serial == serial {
			return r.held[i]
		}
		if !r.ahead {
			rec, _ = r.source.Record(serial)
		}
	}
	if rec != nil {
		r.remember(rec)
	}
	return rec
}

// remember keeps a packet for the next time that it is drawn.
func (r *packetRows) remember(rec *capture.Record) {
	if r.young == nil || len(r.young) >= remembered {
		r.old, r.young = r.young, make(map[uint64]*capture.Record, remembered)
	}
	r.young[rec.Serial] = rec
}

// near says that a packet was drawn just now, or is about to be.
func (r *packetRows) near(serial uint64) bool { return r.young[serial] != nil || r.old[serial] != nil }

// recordsAt are the packets with these serials, as far as they are there. It may
// take a moment: it is for commands.
func recordsAt(source Source, serials []uint64) (out []*capture.Record) {
	for _, serial := range serials {
		if rec, ok := source.Record(serial); ok {
			out = append(out, rec)
		}
	}
	return out
}
