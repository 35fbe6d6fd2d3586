package pages

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// Who says a line is told by a sign, not by its colour alone.
const (
	toB = "→" // A says it
	toA = "←"
)

// streamLine is a line of the page: a part of a turn.
type streamLine struct{ turn, from, to int }

// fitted is what lines were made for; the zero value is nothing.
type fitted struct {
	width, only int
	hex         bool
}

// arrange breaks the turns into lines of so many cells.
func (p *streamPage) arrange(w int) {
	want := fitted{max(w, 8), p.only, p.hex}
	if p.fit == want {
		return
	}
	p.fit, p.lines = want, p.lines[:0]
	for i, t := range p.turns {
		switch {
		case p.only == 1 && t.fromB, p.only == 2 && !t.fromB:
		case t.missing != "":
			p.lines = append(p.lines, streamLine{turn: i})
		case p.hex:
			for from := 0; from < len(t.data); from += perLine {
				p.lines = append(p.lines, streamLine{i, from, min(from+perLine, len(t.data))})
			}
		default:
			p.breakText(i, t.data, want.width-2)
		}
	}
}

// breakText breaks a turn at the ends of its lines, and where there is no room.
func (p *streamPage) breakText(turn int, data []byte, w int) {
	for from := 0; from < len(data); {
		end := len(data)
		if n := slices.Index(data[from:], '\n'); n >= 0 {
			end = from + n + 1
		}
		for from < end {
			to := from + fitting(data[from:end], w)
			p.lines = append(p.lines, streamLine{turn, from, to})
			from = to
		}
	}
}

// fitting is how many bytes of a line fit into w cells, at least one character;
// the line's end belongs to it.
func fitting(line []byte, w int) int {
	cells := 0
	for at := 0; at < len(line); {
		if line[at] == '\n' || line[at] == '\r' && at+2 == len(line) && line[at+1] == '\n' {
			return len(line)
		}
		n, width := 1, 1
		if line[at] >= utf8.RuneSelf {
			if _, n = utf8.DecodeRune(line[at:]); n > 1 {
				width = kit.Width(kit.Safe(capture.Printable(line[at : at+n])))
			}
		}
		if cells+width > w && at > 0 {
			return at
		}
		cells += width
		at += n
	}
	return len(line)
}

// lineText is a line without who says it.
func (p *streamPage) lineText(l streamLine) string {
	t := p.turns[l.turn]
	switch data := t.data[l.from:l.to]; {
	case t.missing != "":
		return "[" + t.missing + "]"
	case p.fit.hex:
		hex := strings.TrimRight(fmt.Sprintf("% x", data), " ")
		return fmt.Sprintf("%06x  %-*s  %s", t.at+l.from, 3*perLine-1, hex, dots(data))
	default:
		if n := len(data); data[n-1] == '\n' {
			data = []byte(strings.TrimSuffix(string(data[:n-1]), "\r"))
		}
		return capture.Printable(data)
	}
}

// dots are the right column of a hex dump.
func dots(data []byte) string {
	out := make([]byte, len(data))
	for i, c := range data {
		if out[i] = c; c < 0x20 || c > 0x7e {
			out[i] = '.'
		}
	}
	return string(out)
}

func (p *streamPage) draw(th *kit.Theme, l streamLine, found bool) string {
	t := p.turns[l.turn]
	mark, style := toB, th.Accent
	if t.fromB {
		mark, style = toA, th.Good
	}
	if th.Plain {
		mark = map[bool]string{false: "A:", true: "B:"}[t.fromB]
	}
	text := kit.Safe(p.lineText(l))
	body := style.Render(text)
	switch {
	case t.missing != "":
		body = th.Warn.Render(text)
	case found:
		body = th.On(th.Changed).Render("▌" + text)
	}
	return "  " + th.Dim.Render(mark) + " " + body
}

// finder looks for text in the lines.
type finder struct {
	in     kit.Input
	typing bool
	found  bool
	at     int // the line where it was found
}

// Typing says that something is being looked for.
func (p *streamPage) Typing() bool { return p.search.typing }

// Hints are the keys meanwhile.
func (p *streamPage) Hints() []kit.Action {
	return []kit.Action{
		{ID: "search.next", Binding: kit.Bind("enter", "next"), Bar: 10},
		{ID: "search.end", Binding: kit.Bind("esc", "end the search"), Bar: 20},
	}
}

func (p *streamPage) typed(msg tea.KeyMsg) {
	f := &p.search
	if !f.typing {
		return
	}
	switch msg.String() {
	case "esc":
		f.typing, f.found = false, false
	case "enter":
		p.find(f.at + 1)
	default:
		if f.in.Update(msg) {
			p.find(p.top)
		}
	}
}

// find goes to the first line from one on that has the text, from the last one
// back to the first.
func (p *streamPage) find(from int) {
	f, n := &p.search, len(p.lines)
	what := strings.ToLower(f.in.Value())
	if f.found = false; what == "" || n == 0 {
		return
	}
	for i := range n {
		at := (from + i) % n
		if strings.Contains(strings.ToLower(p.lineText(p.lines[at])), what) {
			f.found, f.at, p.stick = true, at, false
			p.top = max(0, at-p.page/2)
			return
		}
	}
}

// lines are the field that the text is typed in.
func (f *finder) lines(th *kit.Theme, w int) []string {
	if !f.typing {
		return nil
	}
	note := ""
	if !f.found && f.in.Value() != "" {
		note = "  not found"
	}
	return []string{" " + th.Key.Render("/ ") + f.in.View(th, max(8, w-4-kit.Width(note)), true) + th.Bad.Render(note)}
}
