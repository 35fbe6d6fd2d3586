package pages

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// side is the packet before it was rewritten, or after; nil when the row is no
// rewrite, or when it is not kept.
func (r packet) side(after bool) *capture.Record {
	switch {
	case r.rewrite == nil:
		return nil
	case after:
		return r.rewrite.AfterRecord
	}
	return r.rewrite.BeforeRecord
}

// packet is the packet of a row; of a rewrite the side before it, or else the
// side after.
func (r packet) packet() *capture.Record {
	for _, rec := range []*capture.Record{r.record, r.side(false), r.side(true)} {
		if rec != nil {
			return rec
		}
	}
	return nil
}

// chosen is the packet of the selected row, nil when there is none or it is not
// kept.
func (p *Capture) chosen() *capture.Record {
	r, ok := p.list().Selected()
	if !ok {
		return nil
	}
	return r.packet()
}

// asked are the packets whose journeys are asked for: of the marked rows, or of
// the selected one, which is the first.
func (p *Capture) asked() []*capture.Record {
	var out []*capture.Record
	if rec := p.chosen(); rec != nil {
		out = append(out, rec)
	}
	for _, r := range p.list().Marked() {
		if rec := r.packet(); rec != nil && !slices.Contains(out, rec) {
			out = append(out, rec)
		}
	}
	return out
}

// sides are the packet of the selected row, or its two sides when it was
// rewritten; none when they are not kept.
func (p *Capture) sides() []side {
	switch r, ok := p.list().Selected(); {
	case !ok:
		return nil
	case r.record != nil:
		return oneSide(r.record)
	case r.rewrite == nil:
		return nil
	default:
		return sidesOf(r.rewrite.BeforeRecord, r.rewrite.AfterRecord)
	}
}

// openActions are those that show more of the selected packet on a page of its own.
func (p *Capture) openActions() []kit.Action {
	none := func() string {
		if p.chosen() == nil {
			return "no packet is selected"
		}
		return ""
	}
	carries := func() string {
		r, _ := p.list().Selected()
		for _, rec := range []*capture.Record{r.record, r.side(false), r.side(true)} {
			if rec != nil && rec.Inner() != nil {
				return ""
			}
		}
		if p.chosen() == nil {
			return none()
		}
		return "this packet carries no other packet: t shows all packets, the filter vxlan those that do"
	}
	list := []kit.Action{
		{ID: "capture.bytes", Binding: kit.Bind("v", "headers and bytes"), Bar: 14, Disabled: none, Run: func() tea.Cmd {
			return p.app.Push(newPacketPage(p.app, p.sides(), 0))
		}},
		{ID: "capture.encap", Binding: kit.Bind("e", "packets within the packet"), Disabled: carries, Run: func() tea.Cmd {
			return p.app.Push(newEncapPage(p.app, p.sides(), 0))
		}},
		{ID: "capture.journey", Binding: kit.Bind("l", "journeys of the flow's packets"), Disabled: none, Run: p.journeys},
	}
	list = append(list, p.talkActions()...)
	for i := range list {
		list[i].Section = "The packet"
	}
	return list
}

// journeys opens the ladder.
func (p *Capture) journeys() tea.Cmd {
	if l := newLadder(p.app, p, p.asked()); l != nil {
		return p.app.Push(l)
	}
	return p.app.Toast(kit.Info, "this packet belongs to no flow")
}
