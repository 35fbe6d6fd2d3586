package pages

import (
	"cmp"
	"maps"
	"slices"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// keep is how many rewrites stay on the page. Those that are let go are counted.
const keep = 20000

// rewriteList is the list of the packets that were rewritten.
type rewriteList struct {
	kit.Browser[uint64, packet]
	rows []packet
	next uint64
	gone int // let go of
	// shown are the rows that pass the display filter, of those up to a serial.
	shown []packet
	upTo  uint64
}

// add puts a rewrite at the end, and returns those that are let go of for it.
func (l *rewriteList) add(r *capture.Rewrite) (gone []packet) {
	l.next++
	if len(l.rows) >= keep {
		const drop = keep / 10
		l.gone += drop
		gone = l.rows[:drop]
		l.rows = append(make([]packet, 0, keep), l.rows[drop:]...) // what a paused table shows stays as it is
	}
	l.rows = append(l.rows, packet{serial: l.next, rewrite: r})
	return gone
}

func (l *rewriteList) clear() {
	l.rows, l.gone, l.shown, l.upTo = nil, 0, nil, 0
	l.SetRows(nil)
	l.GoLast()
}

// show gives the table the rows up to serial that pass.
func (l *rewriteList) show(serial uint64, passes func(*capture.Rewrite) bool) {
	place := func(r packet, s uint64) int { return cmp.Compare(r.serial, s) }
	if len(l.rows) > 0 {
		keepFrom, _ := slices.BinarySearchFunc(l.shown, l.rows[0].serial, place)
		clear(l.shown[:keepFrom]) // or they stay for as long as the array
		l.shown = l.shown[keepFrom:]
	}
	from, _ := slices.BinarySearchFunc(l.rows, l.upTo+1, place)
	for _, r := range l.rows[from:] {
		if r.serial > serial {
			break
		}
		if passes(r.rewrite) {
			l.shown = append(l.shown, r)
		}
	}
	l.upTo = serial
	l.SetRows(l.shown)
}

// again lets every row be looked at once more.
func (l *rewriteList) again() {
	l.shown, l.upTo = nil, 0
	l.Measure()
}

// found takes a packet that was seen twice. One that was only forwarded says
// nothing here: all packets and the ladder show it.
func (p *Capture) found(r *capture.Rewrite) {
	if !r.ChangesEnds() {
		return
	}
	for _, gone := range p.rewrites.add(r) {
		p.lighten(gone.rewrite)
	}
	p.know(r)
	p.reconsider(r)
}

// know remembers which packets a rewrite is about, for the filter's "rewritten"
// and "flow".
func (p *Capture) know(r *capture.Rewrite) {
	for _, rec := range recordsOf(r) {
		p.known[rec.Serial] = r
	}
}

// lighten knows a rewrite that left the list without its packets, which take
// most of the memory: its sides are told from others by what is left.
func (p *Capture) lighten(r *capture.Rewrite) {
	light := *r
	light.BeforeRecord, light.AfterRecord = nil, nil
	for _, rec := range recordsOf(r) {
		if p.known[rec.Serial] == r {
			p.known[rec.Serial] = &light
		}
	}
}

// recordsOf are the packets of a rewrite that are kept.
func recordsOf(r *capture.Rewrite) []*capture.Record {
	return slices.DeleteFunc([]*capture.Record{r.BeforeRecord, r.AfterRecord}, func(rec *capture.Record) bool { return rec == nil })
}

// forget lets go of what is known of packets that are no longer kept.
func (p *Capture) forget() {
	if len(p.known) <= 4*keep {
		return
	}
	kept := make(map[*capture.Rewrite]bool, len(p.rewrites.rows))
	for _, r := range p.rewrites.rows {
		kept[r.rewrite] = true
	}
	maps.DeleteFunc(p.known, func(_ uint64, r *capture.Rewrite) bool { return !kept[r] })
}
