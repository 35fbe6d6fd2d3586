package pages

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// perLine is how many bytes a line of a hex dump shows.
const perLine = 16

// hexWidth is the width of such a line.
const hexWidth = 4 + 2 + 3*perLine + 2 + perLine

// packetPage shows one packet as the tree of its headers and as bytes: what is
// selected in one is marked in the other.
type packetPage struct {
	app    *App
	rec    *capture.Record
	layers []capture.Layer
	folded map[int]bool
	at     node
	byte   int  // selected one, while inHex
	inHex  bool // keys move through the bytes
	top    int  // first line of the tree that is drawn
	hexTop int
	height int // of the tree
}

// node is a line of the tree: a layer, or a field of it.
type node struct{ layer, field int } // field is -1 for the layer itself

func newPacketPage(app *App, rec *capture.Record) *packetPage {
	return &packetPage{app: app, rec: rec, layers: rec.Layers(), folded: map[int]bool{}, at: node{0, -1}}
}

func (p *packetPage) Title() string { return words("packet at", p.rec.Point.String()) }

func (p *packetPage) Update(tea.Msg) tea.Cmd { return nil }

// nodes are the lines of the tree that are not folded away.
func (p *packetPage) nodes() []node {
	var out []node
	for i, l := range p.layers {
		out = append(out, node{i, -1})
		for j := range l.Fields {
			if !p.folded[i] {
				out = append(out, node{i, j})
			}
		}
	}
	return out
}

// where is the place of the selected node among them.
func (p *packetPage) where() int {
	for i, n := range p.nodes() {
		if n == p.at {
			return i
		}
	}
	return 0
}

// span says which bytes the node stands for; length is 0 when no whole ones do.
func (p *packetPage) span(n node) (offset, length int) {
	if n.layer >= len(p.layers) {
		return 0, 0
	}
	l := p.layers[n.layer]
	if n.field < 0 {
		return l.Offset, l.Length
	}
	return l.Fields[n.field].Offset, l.Fields[n.field].Length
}

// holder is the node that says most about a byte: the smallest that has it, and
// of those that are as small the first.
func (p *packetPage) holder(b int) (node, bool) {
	best, size, found := node{}, 0, false
	for i, l := range p.layers {
		for j := -1; j < len(l.Fields); j++ {
			o, n := p.span(node{i, j})
			if b >= o && b < o+n && (!found || n < size || n == size && best.field < 0) {
				best, size, found = node{i, j}, n, true
			}
		}
	}
	return best, found
}

func (p *packetPage) move(by int) {
	if p.inHex {
		p.moveByte(by * perLine)
		return
	}
	if all := p.nodes(); len(all) > 0 {
		p.at = all[max(0, min(p.where()+by, len(all)-1))]
	}
}

// moveByte goes through the bytes; what they belong to is selected with them.
func (p *packetPage) moveByte(by int) {
	p.byte = max(0, min(p.byte+by, len(p.rec.Data)-1))
	if n, ok := p.holder(p.byte); ok {
		p.at = n
		delete(p.folded, n.layer)
	}
}

func (p *packetPage) swap() tea.Cmd {
	if p.inHex = !p.inHex && len(p.rec.Data) > 0; p.inHex {
		p.byte, _ = p.span(p.at)
		p.byte = max(0, min(p.byte, len(p.rec.Data)-1))
	}
	return nil
}

// fold closes or opens the layer that the selection is in.
func (p *packetPage) fold() tea.Cmd {
	if len(p.layers) > 0 && !p.inHex {
		p.folded[p.at.layer] = !p.folded[p.at.layer]
		p.at.field = -1
	}
	return nil
}

func (p *packetPage) foldAll() tea.Cmd {
	open := false
	for i := range p.layers {
		open = open || !p.folded[i]
	}
	for i := range p.layers {
		p.folded[i] = open
	}
	p.at.field, p.inHex = -1, false
	return nil
}

// side moves within a line of bytes; in the tree it closes and opens layers.
func (p *packetPage) side(by int) func() tea.Cmd {
	return func() tea.Cmd {
		switch {
		case p.inHex:
			p.moveByte(by)
		case by > 0:
			delete(p.folded, p.at.layer)
		case p.at.field >= 0:
			p.at.field = -1
		default:
			p.folded[p.at.layer] = true
		}
		return nil
	}
}

func (p *packetPage) Tell() string {
	if len(p.layers) == 0 {
		return plural(len(p.rec.Data), "byte")
	}
	o, n := p.span(p.at)
	what := p.layers[p.at.layer].Name
	if p.at.field >= 0 {
		what += " " + p.layers[p.at.layer].Fields[p.at.field].Name
	}
	place := "no bytes of its own"
	switch {
	case n == 1:
		place = fmt.Sprintf("byte %d", o)
	case n > 1:
		place = fmt.Sprintf("bytes %d-%d", o, o+n-1)
	}
	s := kit.Safe(what) + ": " + place
	if p.inHex {
		s = fmt.Sprintf("at %d in ", p.byte) + s
	}
	return s
}

func (p *packetPage) Actions() []kit.Action {
	own := []kit.Action{
		{ID: "packet.fold", Binding: kit.Bind("enter", "fold or unfold"), Bar: 10, Run: p.fold},
		{ID: "packet.foldall", Binding: kit.Bind("space", "fold or unfold all", " "), Bar: 12, Run: p.foldAll},
		{ID: "packet.swap", Binding: kit.Bind("tab", "tree or bytes", "tab", "shift+tab"), Bar: 11, Run: p.swap},
		{ID: "packet.left", Binding: kit.Bind("h/←", "left", "h", "left"), Quiet: true, Run: p.side(-1)},
		{ID: "packet.right", Binding: kit.Bind("l/→", "right", "l", "right"), Quiet: true, Run: p.side(1)},
	}
	own = append(own, p.app.copyActions(func() (string, string) {
		if p.at.layer < len(p.layers) && p.at.field >= 0 {
			f := p.layers[p.at.layer].Fields[p.at.field]
			return "the field", f.Value
		}
		return "the bytes", fmt.Sprintf("%x", p.rec.Data)
	}, func() string { return fmt.Sprintf("%x", p.rec.Data) })...)
	return append(own, kit.Moves(p.move, func() int { return len(p.nodes()) }, func() int { return p.height })...)
}

// View draws the tree and the bytes, side by side where there is room.
func (p *packetPage) View(th *kit.Theme, w, h int) string {
	head := []string{"  " + kit.Cut(th.Dim.Render(p.rec.Time.Format("15:04:05.000000000")+"  ")+
		th.Text.Render(kit.Safe(p.rec.Summary.Info)), w-3)}
	h -= len(head)
	top := kit.Block(head, w, len(head)) + "\n"
	if th.Plain {
		return top + kit.Block(p.plain(w), w, h)
	}
	if left := w - hexWidth - 6; left >= 60 {
		p.height = h
		hex := p.hex(th, h)
		return top + kit.Block(kit.Columns(p.tree(th, left, h), hex, left+3), w, h)
	}
	below := max(4, min(h/3, len(p.rec.Data)/perLine+1))
	p.height = h - below - 1
	title := map[bool]string{true: "▸ bytes ", false: "bytes "}[p.inHex]
	rule := th.Line.Render("── ") + th.Dim.Render(title) + th.Line.Render(repeat("─", w-kit.Width(title)-3))
	lines := append(kit.Columns(p.tree(th, w, p.height), make([]string, p.height), w), rule)
	for _, l := range p.hex(th, below) {
		lines = append(lines, "  "+l)
	}
	return top + kit.Block(lines, w, h)
}

// tree draws h lines of it.
func (p *packetPage) tree(th *kit.Theme, w, h int) []string {
	all, at := p.nodes(), p.where()
	p.top = max(min(p.top, at), at-h+1, 0)
	var lines []string
	for i := p.top; i < min(len(all), p.top+h); i++ {
		lines = append(lines, p.treeLine(th, all[i], i == at, w))
	}
	return lines
}

func (p *packetPage) treeLine(th *kit.Theme, n node, selected bool, w int) string {
	on := func(s lipgloss.Style) lipgloss.Style {
		if selected {
			return th.On(s)
		}
		return s
	}
	mark := map[bool]string{true: "▌ ", false: "  "}[selected]
	l := p.layers[n.layer]
	if n.field < 0 {
		sign := map[bool]string{true: "▸ ", false: "▾ "}[p.folded[n.layer]]
		size := ""
		if l.Length > 0 {
			size = "  " + plural(l.Length, "byte")
		}
		name := kit.Safe(l.Name)
		return on(th.Accent).Render(mark+sign+name) + on(th.Dim).Render(kit.Fit(size, max(0, w-4-kit.Width(name))))
	}
	f := l.Fields[n.field]
	const label = 17
	return on(th.Accent).Render(mark) + on(th.Dim).Render("    "+kit.Fit(kit.Safe(f.Name), label)) +
		on(th.Text).Render(kit.Fit(kit.Safe(f.Value), max(0, w-6-label)))
}

// hex draws h lines of bytes; those of the selection stand in brackets.
func (p *packetPage) hex(th *kit.Theme, h int) []string {
	offset, length := p.span(p.at)
	at := offset
	if p.inHex {
		at, h = p.byte, max(h, 1)
	}
	row := at / perLine
	last := max(0, (len(p.rec.Data)-1)/perLine)
	p.hexTop = max(0, min(max(min(p.hexTop, row), row-h+1), last-h+1))
	var lines []string
	for r := p.hexTop; r <= min(last, p.hexTop+h-1); r++ {
		lines = append(lines, p.hexLine(th, r*perLine, offset, offset+length))
	}
	return lines
}

// hexLine is the line of the bytes from start on; those from a to b are marked.
func (p *packetPage) hexLine(th *kit.Theme, start, a, b int) string {
	data := p.rec.Data
	var hex, text strings.Builder
	for i := start; i <= start+perLine; i++ {
		gap := " "
		switch {
		case b > a && i == a && i < start+perLine || b > a && i == start && i > a && i < b:
			gap = "["
		case b > a && i == b && i > start || i == start+perLine && i > a && i < b:
			gap = "]"
		}
		inside := i >= a && i < b && i < len(data)
		style := th.Text
		if inside {
			style = th.Changed
		}
		hex.WriteString(th.Changed.Render(gap))
		if i == start+perLine {
			break
		}
		if i >= len(data) {
			hex.WriteString("  ")
			continue
		}
		if p.inHex && i == p.byte {
			style = th.Cursor
		}
		hex.WriteString(style.Render(fmt.Sprintf("%02x", data[i])))
		c := "."
		if data[i] >= 0x20 && data[i] < 0x7f {
			c = string(rune(data[i]))
		}
		text.WriteString(style.Render(c))
	}
	return th.Dim.Render(fmt.Sprintf("%04x ", start)) + hex.String() + " " + text.String()
}

// plain tells the tree in lines, the selection first.
func (p *packetPage) plain(w int) []string {
	lines := kit.Wrap("Selected "+p.Tell()+".", w)
	if o, n := p.span(p.at); n > 0 && o+n <= len(p.rec.Data) {
		lines = append(lines, kit.Wrap(fmt.Sprintf("Its bytes: % x.", p.rec.Data[o:o+n]), w)...)
	}
	all := p.nodes()
	for _, n := range all[min(p.where(), len(all)):] {
		l := p.layers[n.layer]
		if n.field < 0 {
			lines = append(lines, kit.Cut(kit.Safe(l.Name)+".", w))
			continue
		}
		lines = append(lines, kit.Wrap(kit.Safe(l.Fields[n.field].Name+" "+l.Fields[n.field].Value)+".", w)...)
	}
	return lines
}
