package pages

import (
	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
)

// While the screen is paused the capture goes on, and on a busy host it lets go
// within a second of all that the screen shows. Packets around the selected one
// are therefore held: as many as one looks at.
const (
	heldBefore = 3000
	heldAfter  = 1000
)

// heldMsg brings the packets that are held.
type heldMsg struct {
	source  Source
	records []*capture.Record
}

// holdAround holds the packets around the selected one, and at most those that
// are shown.
func (p *Capture) holdAround() tea.Cmd {
	r := &p.packets.rows
	now, ok := p.packets.Selected()
	if !ok {
		return nil
	}
	at, _ := r.Find(now.serial)
	var serials []uint64
	for i := max(0, at-heldBefore); i < min(r.Len(), at+heldAfter); i++ {
		serials = append(serials, r.serial(i))
	}
	source := r.source
	return func() tea.Msg {
		return heldMsg{source, recordsAt(source, serials)}
	}
}

// hold takes them, if the screen is still paused.
func (p *Capture) hold(msg heldMsg) {
	if p.paused && msg.source == p.source() {
		p.packets.rows.kept = msg.records
		p.filterHeld()
		p.stale = true
	}
}

// filterHeld lets the display filter choose among them.
func (p *Capture) filterHeld() {
	r := &p.packets.rows
	r.held = r.kept
	if r.filtered {
		r.held = nil
		for _, rec := range r.kept {
			if match(p.display.holds, rec, p.known[rec.Serial], p.vxlanPorts()) {
				r.held = append(r.held, rec)
			}
		}
	}
	r.gone = before(r.held, r.first)
}
