package pages

import (
	"fmt"
	"strings"
	"time"

	"vethscope/ui/kit"
)

// perLine is how many bytes a line of a hex dump shows.
const perLine = 16

// hexWidth is the width of such a line.
const hexWidth = 4 + 2 + 3*perLine + 2 + perLine

// beside is the width of the tree from which on the bytes stand beside it.
const beside = 60

// View draws the tree and the bytes, side by side where there is room.
func (p *packetPage) View(th *kit.Theme, w, h int) string {
	head := p.head(th, w)
	h -= len(head)
	top := kit.Block(head, w, len(head)) + "\n"
	if th.Plain {
		return top + kit.Block(p.plain(w), w, h)
	}
	left := w - hexWidth - 6
	if left >= beside {
		p.height = h
		hex := p.hex(th, p.on, h)
		if len(p.sides) > 1 {
			hex = p.bothHex(th, h)
		}
		return top + kit.Block(kit.Columns(p.tree(th, left, h, len(p.sides) > 1), hex, left+3), w, h)
	}
	below := max(4, min(h/3, len(p.now().rec.Data)/perLine+1))
	tree := h - below - 1
	if p.height = tree; p.inHex {
		p.height = below
	}
	title := map[bool]string{true: "▸ bytes ", false: "bytes "}[p.inHex]
	rule := th.Line.Render("── ") + th.Dim.Render(title) + th.Line.Render(repeat("─", w-kit.Width(title)-3))
	lines := append(kit.Columns(p.tree(th, w, tree, false), make([]string, tree), w), rule)
	for _, l := range p.hex(th, p.on, below) {
		lines = append(lines, "  "+l)
	}
	return top + kit.Block(lines, w, h)
}

// head says what packet this is, and which of its sides is looked at.
func (p *packetPage) head(th *kit.Theme, w int) []string {
	s := p.now()
	lines := []string{"  " + kit.Cut(th.Dim.Render(s.rec.Time.Format("15:04:05.000000000")+"  ")+th.Text.Render(kit.Safe(s.rec.Summary.Info)), w-3)}
	if s.name == "" {
		return lines
	}
	text := " "
	for i := range p.sides {
		style, mark := th.Dim, "  "
		if i == p.on {
			style, mark = th.Strong, "▸ "
		}
		text += style.Render(mark+p.sides[i].title()) + "  "
	}
	if len(p.sides) > 1 {
		text += th.Dim.Render(p.sides[1].rec.Time.Sub(p.sides[0].rec.Time).Round(time.Microsecond).String()+" in between, ") + th.Changed.Render("≠ changed, + added")
	}
	return append(lines, kit.Cut(text, w-1))
}

// tree draws h lines of it; with the values of both sides if both is true.
func (p *packetPage) tree(th *kit.Theme, w, h int, both bool) []string {
	all, at := p.nodes(), p.where()
	p.top = max(min(p.top, at), at-h+1, 0)
	var lines []string
	for i := p.top; i < min(len(all), p.top+h); i++ {
		lines = append(lines, p.treeLine(th, all[i], i == at && !p.stray, w, both))
	}
	return lines
}

func (p *packetPage) treeLine(th *kit.Theme, n node, selected bool, w int, both bool) string {
	on := func(s *kit.Style) *kit.Style {
		if selected {
			return th.On(s)
		}
		return s
	}
	mark := map[bool]string{true: "▌ ", false: "  "}[selected]
	s := p.now()
	l := s.layers[n.layer]
	if n.field < 0 {
		sign := map[bool]string{true: "▸ ", false: "▾ "}[p.folded[n.layer]]
		size := ""
		if l.Length > 0 {
			size = "  " + plural(l.Length, "byte")
		}
		if s.differ[n] != same {
			size += ", " + s.name + " only"
		}
		name := kit.Safe(l.Name)
		return on(th.Accent).Render(mark+sign+name) + on(th.Dim).Render(kit.Fit(size, max(0, w-4-kit.Width(name))))
	}
	f := l.Fields[n.field]
	const label = 17
	name, value := th.Dim, th.Text
	if s.differ[n] != same {
		name, value = th.Changed, th.Changed
	}
	return on(th.Accent).Render(mark) + on(name).Render("  "+s.differ[n].String()+" "+kit.Fit(kit.Safe(f.Name), label)) +
		on(value).Render(kit.Fit(p.values(n, w-6-label, both), max(0, w-6-label)))
}

// values is what a field says, and what the other side says where that is asked
// for or differs.
func (p *packetPage) values(n node, w int, both bool) string {
	s := p.now()
	text := kit.Safe(s.layers[n.layer].Fields[n.field].Value)
	if len(p.sides) < 2 {
		return text
	}
	before, after := text, "-"
	if o, ok := s.other[n]; ok {
		after = kit.Safe(p.sides[1-p.on].layers[o.layer].Fields[o.field].Value)
	}
	if p.on == 1 {
		before, after = after, before
	}
	half := (w - 3) / 2
	switch {
	case both && s.differ[n] == changed:
		return kit.Fit(before, half) + " → " + after
	case both:
		return kit.Fit(before, half) + "   " + after
	case s.differ[n] == changed && p.on == 0:
		return text + "  → " + after
	case s.differ[n] == changed:
		return text + "  ← " + before
	}
	return text
}

// bothHex draws the bytes of both sides, one under the other.
func (p *packetPage) bothHex(th *kit.Theme, h int) []string {
	var lines []string
	room := max(1, (h-3)/2)
	p.height = room
	for i := range p.sides {
		style := th.Dim
		if i == p.on {
			style = th.Strong
		}
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, style.Render(p.sides[i].title()))
		lines = append(lines, p.hex(th, i, room)...)
	}
	if !p.inHex {
		p.height = h
	}
	return lines
}

// hex draws h lines of the bytes of a side; those of the selection stand in
// brackets, and signs before those that are not the same on the other side.
func (p *packetPage) hex(th *kit.Theme, which, h int) []string {
	s := &p.sides[which]
	from, to := p.marked(s)
	at := from
	if p.inHex && which == p.on {
		at, h = p.byte, max(h, 1)
	}
	row, top := at/perLine, &p.hexTop[which]
	last := max(0, (len(s.rec.Data)-1)/perLine)
	*top = max(0, min(max(min(*top, row), row-h+1), last-h+1))
	var lines []string
	for r := *top; r <= min(last, *top+h-1); r++ {
		l := hexLine{th: th, side: s, from: from, to: to, cursor: -1}
		if p.inHex && which == p.on {
			l.cursor = p.byte
		}
		lines = append(lines, l.draw(r*perLine))
	}
	return lines
}

// hexLine is what stands in a line of bytes.
type hexLine struct {
	th       *kit.Theme
	side     *side
	from, to int // marked
	cursor   int // -1 for none
}

// draw draws the line of the bytes from start on.
func (l *hexLine) draw(start int) string {
	data := l.side.rec.Data
	var hex, text strings.Builder
	for i := start; i <= start+perLine; i++ {
		if gap := l.gap(i, start); gap == " " {
			hex.WriteString(gap)
		} else {
			hex.WriteString(l.th.Changed.Render(gap))
		}
		if i == start+perLine {
			break
		}
		if i >= len(data) {
			hex.WriteString("  ")
			continue
		}
		style := l.style(i)
		hex.WriteString(style.Render(fmt.Sprintf("%02x", data[i])))
		c := "."
		if data[i] >= 0x20 && data[i] < 0x7f {
			c = string(rune(data[i]))
		}
		text.WriteString(style.Render(c))
	}
	return l.th.Dim.Render(fmt.Sprintf("%04x ", start)) + hex.String() + " " + text.String()
}

func (l *hexLine) sign(i int) sign {
	if i < len(l.side.bytes) {
		return l.side.bytes[i]
	}
	return same
}

func (l *hexLine) style(i int) *kit.Style {
	switch {
	case i == l.cursor:
		return l.th.Cursor
	case i >= l.from && i < l.to || l.sign(i) != same:
		return l.th.Changed
	}
	return l.th.Text
}

// gap is what stands before a byte.
func (l *hexLine) gap(i, start int) string {
	a, b, end := l.from, l.to, start+perLine
	switch {
	case b > a && i < end && (i == a || i == start && i > a && i < b):
		return "["
	case b > a && i > start && (i == b || i == end && i > a && i < b):
		return "]"
	case i < end:
		return l.sign(i).String()
	}
	return " "
}

// plain tells the tree in lines, the selection first.
func (p *packetPage) plain(w int) []string {
	s := p.now()
	lines := kit.Wrap("Selected "+p.Tell()+".", w)
	if o, n := s.span(p.at); n > 0 && o+n <= len(s.rec.Data) {
		lines = append(lines, kit.Wrap(fmt.Sprintf("Its bytes: % x.", s.rec.Data[o:o+n]), w)...)
	}
	all := p.nodes()
	for _, n := range all[min(p.where(), len(all)):] {
		l := s.layers[n.layer]
		if n.field < 0 {
			lines = append(lines, kit.Cut(kit.Safe(l.Name)+".", w))
			continue
		}
		text := l.Fields[n.field].Name + " " + l.Fields[n.field].Value
		if o, ok := s.other[n]; ok && s.differ[n] == changed {
			text += ", " + p.sides[1-p.on].name + " " + p.sides[1-p.on].layers[o.layer].Fields[o.field].Value
		} else if s.differ[n] == added {
			text += ", " + s.name + " only"
		}
		lines = append(lines, kit.Wrap(kit.Safe(text)+".", w)...)
	}
	return lines
}
