package pages

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/capture/filter"
	"vethscope/ui/kit"
)

// display is the filter over the packets that were captured, and the line that
// it is typed in. While the text is wrong, the last right one holds.
type display struct {
	in     kit.Input
	typing bool
	holds  *filter.Display // nil lets everything through
	err    error           // of the text
	later  bool            // what passes may change when a rewrite is found
}

func newDisplay() display { return display{in: kit.NewInput("")} }

func (d *display) text() string { return strings.TrimSpace(d.in.Value()) }

// set reads the text as it is now.
func (d *display) set(text string) {
	if text != d.in.Value() {
		d.in.Set(text)
	}
	parsed, err := filter.ParseDisplay(d.in.Value())
	if d.err = err; err != nil {
		return
	}
	d.holds = parsed
	if d.text() == "" {
		d.holds = nil
	}
	d.later = strings.Contains(d.text(), "rewritten") || strings.Contains(d.text(), "flow")
}

// lines are the field, and under it what is wrong, with a mark under the column.
func (d *display) lines(th *kit.Theme, w, shown, all int) []string {
	if !d.typing && d.in.Value() == "" {
		return nil
	}
	count := fmt.Sprintf("  %d of %d", shown, all)
	room := max(8, w-4-kit.Width(count))
	lines := []string{" " + th.Key.Render("/ ") + d.in.View(th, room, d.typing) + th.Dim.Render(count)}
	if d.err == nil {
		return append(lines, "   "+th.Dim.Render(kit.Cut("pcap-filter, and vni N · point NS:LINK · ns NAME · rewritten · flow N", w-4)))
	}
	var bad *filter.Error
	if !errors.As(d.err, &bad) {
		return append(lines, "   "+th.Bad.Render("✗ "+kit.Cut(kit.Safe(d.err.Error()), w-6)))
	}
	text := kit.Safe(d.err.Error())
	if th.Plain {
		return append(lines, kit.Cut("Wrong: "+text, w))
	}
	before := string([]rune(d.in.Value())[:min(max(bad.Column-1, 0), len([]rune(d.in.Value())))])
	at := kit.Width(kit.Safe(before))
	if at+1 > room { // the field has scrolled: the text names the column
		at = 0
	}
	// What stands right of the mark is short enough, or else it stands left.
	mark := repeat(" ", at) + "^ " + text
	if at+2+kit.Width(text) > w-4 {
		if n := at - 1 - kit.Width(text); n >= 0 {
			mark = repeat(" ", n) + text + " ^"
		}
	}
	return append(lines, "   "+th.Bad.Render(kit.Cut(mark, w-4)))
}

// Typing says that a filter is being typed.
func (p *Capture) Typing() bool { return p.display.typing }

// Hints are the keys meanwhile.
func (p *Capture) Hints() []kit.Action { return p.list().Hints() }

// typed gives a key to the filter.
func (p *Capture) typed(msg tea.KeyMsg) {
	d := &p.display
	if !d.typing {
		return
	}
	switch msg.String() {
	case "esc":
		d.typing = false
		p.setFilter("")
	case "enter":
		d.typing = d.err != nil // a wrong one stays to be put right
	case "up", "down":
		p.list().Table.Update(msg)
	default:
		if d.in.Update(msg) {
			p.setFilter(d.in.Value())
		}
	}
}

// setFilter replaces the display filter. Its effect is seen even when paused.
func (p *Capture) setFilter(text string) {
	p.display.set(text)
	if p.display.err == nil {
		p.refilter()
	}
}

func (p *Capture) refilter() {
	for _, l := range p.lists() {
		upTo := l.next
		if p.paused {
			upTo = l.upTo
		}
		l.again = true
		p.showTo(l, upTo)
	}
}

// Leave closes the pane, or clears the marks or the filter.
func (p *Capture) Leave() bool {
	if p.list().Leave() {
		return true
	}
	filtered := p.display.in.Value() != ""
	p.setFilter("")
	return filtered
}

// know remembers which packets a rewrite is about, for the filter's "rewritten"
// and "flow".
func (p *Capture) know(r *capture.Rewrite) {
	for _, rec := range []*capture.Record{r.BeforeRecord, r.AfterRecord} {
		if rec == nil {
			continue
		}
		p.known[rec] = r
		if p.display.later {
			p.packets.again = true // some may pass now that did not
		}
	}
}

// show gives a table the rows that pass.
func (p *Capture) show(l *packetList) { p.showTo(l, l.next) }

func (p *Capture) showTo(l *packetList, serial int) {
	if l.again {
		l.again, l.shown, l.upTo = false, nil, 0
	}
	if len(l.rows) > 0 {
		oldest := l.rows[0].serial
		keepFrom, _ := slices.BinarySearchFunc(l.shown, oldest, func(r packet, s int) int { return r.serial - s })
		l.shown = l.shown[keepFrom:]
	}
	from, _ := slices.BinarySearchFunc(l.rows, l.upTo+1, func(r packet, s int) int { return r.serial - s })
	for _, r := range l.rows[from:] {
		if r.serial > serial {
			break
		}
		if p.passes(r) {
			l.shown = append(l.shown, r)
		}
	}
	l.upTo = serial
	l.SetRows(l.shown)
}

// passes says whether the display filter lets a row through: a rewrite, if the
// packet passes before or after.
func (p *Capture) passes(r packet) bool {
	d := p.display.holds
	if d == nil {
		return true
	}
	if r.record != nil {
		w, flow := p.known[r.record], 0
		if w != nil {
			flow = w.Flow
		}
		return d.Match(r.record.Subject(w != nil, flow))
	}
	w := r.rewrite
	return w.BeforeRecord != nil && d.Match(w.BeforeRecord.Subject(true, w.Flow)) ||
		w.AfterRecord != nil && d.Match(w.AfterRecord.Subject(true, w.Flow))
}

// forget lets go of what is known of packets that are no longer kept.
func (p *Capture) forget() {
	if len(p.known) <= 2*keep {
		return
	}
	clear(p.known)
	for _, r := range p.rewrites.rows {
		for _, rec := range []*capture.Record{r.rewrite.BeforeRecord, r.rewrite.AfterRecord} {
			if rec != nil {
				p.known[rec] = r.rewrite
			}
		}
	}
}

// nextMarked goes to the next marked packet, and from the last to the first.
func (p *Capture) nextMarked() tea.Cmd {
	l := p.list()
	marked, at := l.Marked(), 0
	now, ok := l.Selected()
	if !ok {
		return nil
	}
	for i, r := range marked {
		if r.serial > now.serial {
			at = i
			break
		}
	}
	l.Select(marked[at].serial)
	return nil
}
