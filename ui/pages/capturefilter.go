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
func (d *display) lines(th *kit.Theme, w, shown, all int, missed uint64) []string {
	if !d.typing && d.in.Value() == "" {
		return nil
	}
	count := fmt.Sprintf("  %d of %d", shown, all)
	if missed > 0 {
		count += fmt.Sprintf(", %d let go unread", missed)
	}
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

// Typing says that a filter or a file's name is being typed.
func (p *Capture) Typing() bool { return p.display.typing || p.path.typing }

// Hints are the keys meanwhile.
func (p *Capture) Hints() []kit.Action {
	if p.path.typing {
		return p.path.hints()
	}
	return p.list().Hints()
}

// typed gives a key to the filter.
func (p *Capture) typed(msg tea.KeyMsg) tea.Cmd {
	d := &p.display
	if !d.typing {
		return nil
	}
	switch msg.String() {
	case "esc":
		d.typing = false
		return p.setFilter("")
	case "enter":
		d.typing = d.err != nil // a wrong one stays to be put right
	case "up", "down":
		p.list().Table.Update(msg)
	default:
		if d.in.Update(msg) {
			return p.setFilter(d.in.Value())
		}
	}
	return nil
}

// setFilter replaces the display filter. Its effect is seen even when paused.
func (p *Capture) setFilter(text string) tea.Cmd {
	p.display.set(text)
	if p.display.err != nil {
		return nil
	}
	upTo := p.rewrites.next
	if p.paused {
		upTo = p.rewrites.upTo
	}
	p.rewrites.again()
	p.rewrites.show(upTo, p.passes)
	cmd := p.rescan()
	p.packets.Measure()
	p.packets.Show(&p.packets.rows)
	return cmd
}

// Leave closes the pane, or clears the marks or the filter.
func (p *Capture) Leave() bool {
	if p.list().Leave() {
		return true
	}
	filtered := p.display.in.Value() != ""
	if filtered {
		p.setFilter("")
	}
	return filtered
}

// passes says whether the display filter lets a rewrite through: if the packet
// passes before or after.
func (p *Capture) passes(w *capture.Rewrite) bool {
	d := p.display.holds
	return d == nil || slices.ContainsFunc(recordsOf(w), func(rec *capture.Record) bool { return match(d, rec, w, p.vxlanPorts()) })
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
