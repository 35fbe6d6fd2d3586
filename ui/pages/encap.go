package pages

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// maxBoxes is how many packets within packets get a box of their own; those
// further in are told in a line each.
const maxBoxes = 6

// encapPage shows a packet and those within it as nested boxes, and what the
// carrying costs. A packet that was seen before and after something was done to
// it has two sides.
type encapPage struct {
	app              *App
	sides            []side
	on               int
	top, lines, page int
}

// newEncapPage begins with a side that carries something.
func newEncapPage(app *App, sides []side, on int) *encapPage {
	for i := range sides {
		if sides[on].rec.Inner() == nil && sides[i].rec.Inner() != nil {
			on = i
		}
	}
	return &encapPage{app: app, sides: sides, on: on}
}

func (p *encapPage) Title() string          { return words("encapsulation", p.sides[p.on].name) }
func (p *encapPage) Update(tea.Msg) tea.Cmd { return nil }

// Tell says that there is more than the screen shows.
func (p *encapPage) Tell() string {
	if p.lines <= p.page {
		return ""
	}
	return fmt.Sprintf("line %d of %d, j/k scroll", p.top+1, p.lines)
}

func (p *encapPage) Actions() []kit.Action {
	alone := func() string {
		if len(p.sides) < 2 {
			return "there is one side: a packet that was rewritten has two"
		}
		return ""
	}
	list := []kit.Action{
		{ID: "packet.turn", Binding: kit.Bind("b", "before or after"), Bar: 9, Disabled: alone, Run: func() tea.Cmd {
			p.on = 1 - p.on
			return nil
		}},
		{ID: "encap.bytes", Binding: kit.Bind("v", "headers and bytes"), Bar: 10, Run: func() tea.Cmd {
			return p.app.Push(newPacketPage(p.app, p.sides, p.on))
		}},
	}
	return append(list, kit.Moves(func(by int) { p.top += by }, func() int { return p.lines }, func() int { return p.page })...)
}

// View draws both sides beside each other where there is room.
func (p *encapPage) View(th *kit.Theme, w, h int) string {
	var lines []string
	half := (w - 6) / 2
	if len(p.sides) == 2 && half >= 70 && !th.Plain {
		lines = kit.Columns(p.draw(th, &p.sides[0], half), p.draw(th, &p.sides[1], half), half+2)
	} else {
		lines = p.draw(th, &p.sides[p.on], min(w-4, 110))
	}
	p.lines, p.page = len(lines), h
	part, top := kit.Scroll(lines, p.top, h)
	p.top = top
	out := make([]string, len(part))
	for i, l := range part {
		out[i] = "  " + l
	}
	return kit.Block(out, w, h)
}

func (p *encapPage) draw(th *kit.Theme, s *side, w int) []string {
	var lines []string
	if s.name != "" {
		lines = append(lines, th.Heading.Render(s.title()))
	}
	lines = append(lines, p.box(th, s.rec, w, 0)...)
	return append(append(lines, ""), p.arithmetic(th, s.rec, w)...)
}

// headers are the packet's own layers, those of the packet within left out.
func headers(r *capture.Record) []capture.Layer {
	all := r.Layers()
	if in := r.Inner(); in != nil {
		all = all[:max(0, len(all)-len(in.Layers()))]
	}
	return all
}

// boxName tells the packets of a nest apart.
func boxName(r *capture.Record, depth int) string {
	switch {
	case depth == 0 && r.Inner() == nil:
		return "packet"
	case depth == 0:
		return "outer packet"
	case r.Inner() == nil:
		return "inner packet"
	}
	return fmt.Sprintf("packet %d within", depth)
}

// box draws a packet of w cells, with the packet within as a box in it.
func (p *encapPage) box(th *kit.Theme, r *capture.Record, w, depth int) []string {
	in := r.Inner()
	title := fmt.Sprintf("%s, %s", boxName(r, depth), plural(r.Length, "byte"))
	if depth == 0 {
		title += " at " + kit.Safe(r.Point.String())
	}
	var body []string
	for _, l := range headers(r) {
		body = append(body, p.header(th, l, w-4)...)
	}
	switch {
	case in != nil && depth+1 < maxBoxes:
		body = append(body, p.box(th, in, w-4, depth+1)...)
	case in != nil:
		body = append(body, p.further(th, in, depth+1)...)
	}
	if th.Plain {
		title = strings.ToUpper(title[:1]) + title[1:]
		return append(append([]string{title + "."}, body...), "End of the "+boxName(r, depth)+".")
	}
	title = kit.Cut(title, w-6)
	line := th.Accent
	out := []string{line.Render("╭─ ") + th.Strong.Render(title) + line.Render(" "+repeat("─", w-5-kit.Width(title))+"╮")}
	for _, l := range body {
		out = append(out, line.Render("│ ")+kit.Fit(l, w-4)+line.Render(" │"))
	}
	return append(out, line.Render("╰"+repeat("─", w-2)+"╯"))
}

// further tells the packets that are too deep for a box.
func (p *encapPage) further(th *kit.Theme, r *capture.Record, depth int) (lines []string) {
	for ; r != nil; r, depth = r.Inner(), depth+1 {
		text := fmt.Sprintf("%s, %s: %s", boxName(r, depth), plural(r.Length, "byte"), r.Summary.Info)
		lines = append(lines, th.Text.Render(kit.Safe(text)))
	}
	return lines
}

// header is a layer in a line; the tunnel's own header with all of its fields.
func (p *encapPage) header(th *kit.Theme, l capture.Layer, w int) []string {
	size := fmt.Sprintf("%d B", l.Length)
	const label = 10
	say := func(name, text, end string) string {
		room := max(4, w-label-kit.Width(end)-1)
		return th.Accent.Render(kit.Fit(kit.Safe(name), label)) + th.Text.Render(kit.Fit(kit.Safe(text), room)) + " " + th.Dim.Render(end)
	}
	switch l.Name {
	case "VXLAN": // in the words of 32 bits that RFC 7348 draws
		lines := []string{say(l.Name, carried(l), size)}
		for at := l.Offset; at < l.Offset+l.Length; at += 4 {
			text, bits := word(l, at)
			lines = append(lines, say("", text, bits))
		}
		return lines
	case "GENEVE", "GRE":
		lines := []string{say(l.Name, carried(l), size)}
		for _, f := range l.Fields {
			lines = append(lines, say("", fmt.Sprintf("%-14s %s", f.Name, f.Value+meaning(l, f)), fieldSize(f)))
		}
		return lines
	}
	return []string{say(l.Name, brieflyLayer(l), size)}
}

func carried(l capture.Layer) string {
	if vni := fieldOf(l, "vni"); vni != "" {
		return "network " + vni
	}
	return fieldOf(l, "protocol")
}

// word tells the fields that begin in the 4 bytes from at on.
func word(l capture.Layer, at int) (text, bits string) {
	var fields, sizes []string
	for _, f := range l.Fields {
		if f.Length > 0 && f.Offset >= at && f.Offset < at+4 {
			name, _, _ := strings.Cut(f.Name, "_2")
			fields = append(fields, name+" "+f.Value+meaning(l, f))
			sizes = append(sizes, fmt.Sprint(8*f.Length))
		}
	}
	return strings.Join(fields, " · "), strings.Join(sizes, " + ") + " bit"
}

// fieldSize is how many bits a field of whole bytes has.
func fieldSize(f capture.Field) string {
	if f.Length == 0 {
		return ""
	}
	return fmt.Sprintf("%d bit", 8*f.Length)
}

// meaning explains what a number does not say itself.
func meaning(l capture.Layer, f capture.Field) string {
	switch {
	case l.Name == "VXLAN" && f.Name == "flags": // RFC 7348, section 5
		text := "  I: the VNI is valid"
		if fieldOf(l, "group_policy") != "" {
			text += ", G: a group follows"
		}
		return text
	case l.Name == "VXLAN" && strings.HasPrefix(f.Name, "reserved") && strings.Trim(f.Value, "0x") != "":
		return "  should be 0"
	case l.Name == "GRE" && f.Name == "flags": // RFC 2890, section 2
		var has []string
		for _, name := range []string{"checksum", "key", "seq"} {
			if fieldOf(l, name) != "" {
				has = append(has, name)
			}
		}
		if len(has) == 0 {
			return "  no further fields"
		}
		return "  with " + strings.Join(has, ", ")
	}
	return ""
}

func fieldOf(l capture.Layer, name string) string {
	for _, f := range l.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// brieflyLayer tells a header in a line.
func brieflyLayer(l capture.Layer) string {
	src, dst := fieldOf(l, "src"), fieldOf(l, "dst")
	if src == "" {
		src, dst = fieldOf(l, "src_port"), fieldOf(l, "dst_port")
	}
	out := ""
	if src != "" {
		out = src + " → " + dst
	}
	for _, name := range []string{"ttl", "hop_limit", "id", "flags", "seq", "meaning", "operation", "reason"} {
		if v := fieldOf(l, name); v != "" {
			out = strings.TrimPrefix(out+"  "+name+" "+v, "  ")
		}
	}
	return out
}
