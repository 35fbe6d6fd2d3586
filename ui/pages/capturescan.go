package pages

import (
	"maps"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/capture/filter"
)

// scanTime is how long the display filter looks through packets before it shows
// what it has found.
const scanTime = 40 * time.Millisecond

// scan looks for the packets that pass the display filter, part by part, in
// commands.
type scan struct {
	number  int    // of the filter that it is for
	next    uint64 // the packet that is looked at next
	running bool
	missed  uint64             // packets that were let go before they were looked at
	late    []*capture.Rewrite // came while a part was looked through
}

// scanMsg brings a part.
type scanMsg struct {
	number  int
	next    uint64
	matches []uint64
	missed  uint64
}

// rescan begins anew, with another filter or without one.
func (p *Capture) rescan() tea.Cmd {
	r := &p.packets.rows
	r.filtered, r.matches = p.display.holds != nil, nil
	p.scan = scan{number: p.scan.number + 1, next: r.first}
	p.filterHeld()
	return p.scanOn()
}

// scanOn looks through the next part, if there is one and nothing is being looked
// through.
func (p *Capture) scanOn() tea.Cmd {
	r := &p.packets.rows
	if !r.filtered || p.scan.running || !p.all || !p.visible || p.scan.next >= r.end {
		return nil
	}
	p.scan.running = true
	part := scanPart{source: r.source, filter: p.display.holds, from: max(p.scan.next, r.floor), end: r.end, ports: p.vxlanPorts()}
	if p.display.later {
		part.known = maps.Clone(p.known)
	}
	number := p.scan.number
	return func() tea.Msg {
		msg := part.look(time.Now().Add(scanTime))
		msg.number = number
		return msg
	}
}

// scanPart is a part that is looked through apart from the page.
type scanPart struct {
	source    Source
	filter    *filter.Display
	from, end uint64
	ports     []uint16
	known     map[uint64]*capture.Rewrite
}

// scanAtOnce packets are looked at without a look at the clock.
const scanAtOnce = 256

func (s *scanPart) look(until time.Time) (msg scanMsg) {
	for msg.next = s.from; msg.next < s.end && time.Now().Before(until); {
		next, missed := s.source.Scan(msg.next, int(min(scanAtOnce, s.end-msg.next)), func(rec *capture.Record) {
			if match(s.filter, rec, s.known[rec.Serial], s.ports) {
				msg.matches = append(msg.matches, rec.Serial)
			}
		})
		msg.missed += missed
		if next == msg.next { // it cannot be read: go on behind it
			next++
		}
		msg.next = next
	}
	return msg
}

// match says whether the filter lets a packet through; w is its rewrite, if it
// was rewritten.
func match(f *filter.Display, rec *capture.Record, w *capture.Rewrite, ports []uint16) bool {
	if w == nil {
		return f.Match(rec.Subject(false, 0, ports...))
	}
	return f.Match(rec.Subject(w.ChangesEnds(), w.Flow, ports...))
}

// scanned takes what was found in a part, and looks through the next one.
func (p *Capture) scanned(msg scanMsg) tea.Cmd {
	if msg.number != p.scan.number {
		return nil
	}
	late := p.scan.late
	p.scan.running, p.scan.late, p.scan.next = false, nil, msg.next
	p.scan.missed += msg.missed
	r := &p.packets.rows
	r.matches = append(r.matches, msg.matches...)
	for _, w := range late {
		p.reconsider(w)
	}
	p.stale = true
	return p.scanOn()
}

// reconsider looks again at the packets of a rewrite that came after them: some
// may pass now that did not.
func (p *Capture) reconsider(w *capture.Rewrite) {
	r := &p.packets.rows
	switch {
	case !r.filtered || !p.display.later:
		return
	case p.scan.running:
		p.scan.late = append(p.scan.late, w)
		return
	}
	for _, rec := range recordsOf(w) {
		if rec.Serial < r.first || rec.Serial >= p.scan.next {
			continue
		}
		i, there := slices.BinarySearch(r.matches, rec.Serial)
		switch passes := match(p.display.holds, rec, w, p.vxlanPorts()); {
		case passes && !there:
			r.matches = slices.Insert(r.matches, i, rec.Serial)
		case !passes && there:
			r.matches = slices.Delete(r.matches, i, i+1)
		}
	}
}

// vxlanPorts are those of the vxlan links that there are.
func (p *Capture) vxlanPorts() []uint16 {
	if p.app.Snap == nil {
		return nil
	}
	var out []uint16
	for i := range p.app.Snap.Namespaces {
		for _, l := range p.app.Snap.Namespaces[i].Links {
			if d := l.Detail; d != nil && d.Port > 0 && !slices.Contains(out, uint16(d.Port)) {
				out = append(out, uint16(d.Port))
			}
		}
	}
	return out
}
