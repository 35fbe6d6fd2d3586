package pages

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// packetPage shows one packet as the tree of its headers and as bytes: what is
// selected in one is marked in the other. A packet that was rewritten it shows
// before and after: one of both where there is little room.
type packetPage struct {
	app    *App
	sides  []side
	on     int          // the side that is looked at
	folded map[int]bool // layers of that side
	at     node
	byte   int  // selected one, while inHex
	stray  bool // it belongs to no field: at is not about it
	inHex  bool // keys move through the bytes
	top    int  // first line of the tree that is drawn
	hexTop [2]int
	height int // of what the keys move in
}

// node is a line of the tree: a layer, or a field of it.
type node struct{ layer, field int } // field is -1 for the layer itself

func newPacketPage(app *App, sides []side, on int) *packetPage {
	p := &packetPage{app: app, sides: sides, on: on, folded: map[int]bool{}, at: node{0, -1}}
	for i := range p.now().layers { // what differs is what is looked for
		for f := range p.now().layers[i].Fields {
			if n := (node{i, f}); p.at.field < 0 && p.now().differ[n] == changed {
				p.at = n
			}
		}
	}
	return p
}

// now is the side that is looked at.
func (p *packetPage) now() *side { return &p.sides[p.on] }

func (p *packetPage) Title() string { return words("packet", p.now().title()) }

func (p *packetPage) Update(tea.Msg) tea.Cmd { return nil }

// nodes are the lines of the tree that are not folded away.
func (p *packetPage) nodes() []node {
	var out []node
	for i, l := range p.now().layers {
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
func (s *side) span(n node) (offset, length int) {
	if n.layer >= len(s.layers) {
		return 0, 0
	}
	l := s.layers[n.layer]
	if n.field < 0 {
		return l.Offset, l.Length
	}
	return l.Fields[n.field].Offset, l.Fields[n.field].Length
}

// marked are the bytes of the selection on a side.
func (p *packetPage) marked(s *side) (from, to int) {
	n := p.at
	if s != p.now() {
		other, ok := p.now().other[p.at]
		if !ok {
			return 0, 0
		}
		n = other
	}
	if p.stray {
		return 0, 0
	}
	o, length := s.span(n)
	return o, o + length
}

// holder is the node that says most about a byte: the smallest that has it, and
// of those that are as small the first.
func (s *side) holder(b int) (node, bool) {
	best, size, found := node{}, 0, false
	for i, l := range s.layers {
		for j := -1; j < len(l.Fields); j++ {
			o, n := s.span(node{i, j})
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
		p.at, p.stray = all[max(0, min(p.where()+by, len(all)-1))], false
	}
}

// size is how far there is to move: lines of the tree, or of bytes.
func (p *packetPage) size() int {
	if p.inHex {
		return len(p.now().rec.Data)/perLine + 1
	}
	return len(p.nodes())
}

// moveByte goes through the bytes; what they belong to is selected with them.
func (p *packetPage) moveByte(by int) {
	p.byte = max(0, min(p.byte+by, len(p.now().rec.Data)-1))
	n, ok := p.now().holder(p.byte)
	if p.stray = !ok; ok {
		p.at = n
		delete(p.folded, n.layer)
	}
}

func (p *packetPage) swap() tea.Cmd {
	if p.inHex = !p.inHex && len(p.now().rec.Data) > 0; p.inHex {
		p.byte, _ = p.now().span(p.at)
		p.byte = max(0, min(p.byte, len(p.now().rec.Data)-1))
	}
	p.stray = false
	return nil
}

// turn looks at the other side; the selection stays on the same field.
func (p *packetPage) turn() tea.Cmd {
	next, folded := node{0, -1}, map[int]bool{}
	if n, ok := p.now().other[p.at]; ok {
		next = n
	}
	for layer, is := range p.folded {
		if n, ok := p.now().other[node{layer, -1}]; ok && is {
			folded[n.layer] = true
		}
	}
	p.on = 1 - p.on
	p.at, p.folded, p.stray = next, folded, false
	p.byte, _ = p.now().span(p.at)
	p.byte = max(0, min(p.byte, len(p.now().rec.Data)-1))
	return nil
}

// fold closes or opens the layer that the selection is in.
func (p *packetPage) fold() tea.Cmd {
	if len(p.now().layers) > 0 && !p.inHex {
		p.folded[p.at.layer] = !p.folded[p.at.layer]
		p.at.field = -1
	}
	return nil
}

func (p *packetPage) foldAll() tea.Cmd {
	open := false
	for i := range p.now().layers {
		open = open || !p.folded[i]
	}
	for i := range p.now().layers {
		p.folded[i] = open
	}
	p.at.field, p.inHex, p.stray = -1, false, false
	return nil
}

// aside moves within a line of bytes; in the tree it closes and opens layers.
func (p *packetPage) aside(by int) func() tea.Cmd {
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

// Tell says what is selected, and where its bytes are.
func (p *packetPage) Tell() string {
	s := p.now()
	if len(s.layers) == 0 {
		return plural(len(s.rec.Data), "byte")
	}
	if p.inHex && p.stray {
		return fmt.Sprintf("at %d, in no field", p.byte)
	}
	o, n := s.span(p.at)
	what := s.layers[p.at.layer].Name
	if p.at.field >= 0 {
		what += " " + s.layers[p.at.layer].Fields[p.at.field].Name
	}
	place := "no bytes of its own"
	switch {
	case n == 1:
		place = fmt.Sprintf("byte %d", o)
	case n > 1:
		place = fmt.Sprintf("bytes %d-%d", o, o+n-1)
	}
	text := kit.Safe(what) + ": " + place
	if p.inHex {
		text = fmt.Sprintf("at %d in ", p.byte) + text
	}
	if s.name != "" {
		text = s.name + ": " + text
	}
	return text
}

func (p *packetPage) Actions() []kit.Action {
	alone := func() string {
		if len(p.sides) < 2 {
			return "there is one side: a packet that was rewritten has two"
		}
		return ""
	}
	own := []kit.Action{
		{ID: "packet.turn", Binding: kit.Bind("b", "before or after"), Bar: 9, Disabled: alone, Run: p.turn},
		{ID: "packet.fold", Binding: kit.Bind("enter", "fold or unfold"), Bar: 11, Run: p.fold},
		{ID: "packet.foldall", Binding: kit.Bind("space", "fold or unfold all", " "), Bar: 12, Run: p.foldAll},
		{ID: "packet.swap", Binding: kit.Bind("tab", "tree or bytes", "tab", "shift+tab"), Bar: 10, Run: p.swap},
		{ID: "packet.left", Binding: kit.Bind("h/←", "left", "h", "left"), Quiet: true, Run: p.aside(-1)},
		{ID: "packet.right", Binding: kit.Bind("l/→", "right", "l", "right"), Quiet: true, Run: p.aside(1)},
	}
	data := func() string { return fmt.Sprintf("%x", p.now().rec.Data) }
	own = append(own, p.app.copyActions(func() (string, string) {
		s := p.now()
		if p.at.layer < len(s.layers) && p.at.field >= 0 {
			return "the field", s.layers[p.at.layer].Fields[p.at.field].Value
		}
		return "the bytes", data()
	}, data)...)
	return append(own, kit.Moves(p.move, p.size, func() int { return p.height })...)
}

// samplePacketPage is for the table of keys.
func samplePacketPage(app *App) *packetPage {
	return newPacketPage(app, oneSide(&capture.Record{Point: capture.Point{NS: "NAMESPACE", Link: "LINK"}}), 0)
}
