package pages

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// maxBoxes is how many packets within packets get a box of their own.
const maxBoxes = 5

// encapPage shows a packet and those within it as nested boxes, and what the
// carrying costs.
type encapPage struct {
	app              *App
	rec              *capture.Record
	top, lines, page int
}

func (p *encapPage) Title() string          { return "encapsulation" }
func (p *encapPage) Update(tea.Msg) tea.Cmd { return nil }

func (p *encapPage) Actions() []kit.Action {
	return kit.Moves(func(by int) { p.top += by }, func() int { return p.lines }, func() int { return p.page })
}

func (p *encapPage) View(th *kit.Theme, w, h int) string {
	inner := min(w-4, 110)
	lines := append([]string{""}, p.box(th, p.rec, inner, 0)...)
	lines = append(lines, "")
	lines = append(lines, p.arithmetic(th, inner)...)
	p.lines, p.page = len(lines), h
	part, top := kit.Scroll(lines, p.top, h)
	p.top = top
	for i, l := range part {
		part[i] = "  " + l
	}
	return kit.Block(part, w, h)
}

// headers are the packet's own layers, those of the packet within left out.
func headers(r *capture.Record) []capture.Layer {
	all := r.Layers()
	if in := r.Inner(); in != nil {
		all = all[:max(0, len(all)-len(in.Layers()))]
	}
	return all
}

// box draws a packet of w cells, with the packet within as a box in it.
func (p *encapPage) box(th *kit.Theme, r *capture.Record, w, depth int) []string {
	in := r.Inner()
	name := map[bool]string{true: "outer", false: "inner"}[in != nil && depth == 0]
	title := fmt.Sprintf("%s packet, %s", name, plural(r.Length, "byte"))
	if depth == 0 {
		title += " at " + kit.Safe(r.Point.String())
	}
	var body []string
	for _, l := range headers(r) {
		body = append(body, p.header(th, l, w-4)...)
	}
	if in != nil && depth < maxBoxes {
		body = append(body, p.box(th, in, w-4, depth+1)...)
	}
	if th.Plain {
		return append(append([]string{title + "."}, body...), "End of the "+name+" packet.")
	}
	title = kit.Cut(title, w-6)
	line := th.Accent
	out := []string{line.Render("╭─ ") + th.Strong.Render(title) + line.Render(" "+repeat("─", w-5-kit.Width(title))+"╮")}
	for _, l := range body {
		out = append(out, line.Render("│ ")+kit.Fit(l, w-4)+line.Render(" │"))
	}
	return append(out, line.Render("╰"+repeat("─", w-2)+"╯"))
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
	case "VXLAN", "GENEVE", "GRE":
		lines := []string{say(l.Name, carried(l), size)}
		for _, f := range l.Fields {
			lines = append(lines, say("", fmt.Sprintf("%-14s %s", f.Name, f.Value+meaning(l.Name, f)), ""))
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

// meaning explains what a number does not say itself (RFC 7348, section 5).
func meaning(layer string, f capture.Field) string {
	if layer == "VXLAN" && f.Name == "flags" && strings.HasPrefix(f.Value, "0x08") {
		return "  I: the VNI is valid"
	}
	if layer == "VXLAN" && f.Name == "vni" {
		return "  24 bits, 8 reserved behind"
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

// overhead is what each header between the IP packet outside and the one within
// takes.
func overhead(r *capture.Record) (parts []string, sum int) {
	add := func(prefix string, l capture.Layer) {
		parts = append(parts, fmt.Sprintf("%s %d", prefix+l.Name, l.Length))
		sum += l.Length
	}
	for _, l := range headers(r) {
		if !linkLayer(l.Name) {
			add("", l)
		}
	}
	for _, l := range headers(r.Inner()) {
		if linkLayer(l.Name) {
			add("inner ", l)
		}
	}
	return parts, sum
}

func linkLayer(name string) bool {
	switch name {
	case "Ethernet", "802.1Q", "Loopback", "Linux cooked", "Linux cooked v2":
		return true
	}
	return false
}

// ipLength is how long a packet is from its IP header on.
func ipLength(r *capture.Record) int {
	n := r.Length
	for _, l := range headers(r) {
		if linkLayer(l.Name) {
			n -= l.Length
		}
	}
	return n
}

// arithmetic says what carrying the packet costs, and what that leaves.
func (p *encapPage) arithmetic(th *kit.Theme, w int) []string {
	in := p.rec.Inner()
	if in == nil {
		return []string{th.Dim.Render("This packet carries no other packet.")}
	}
	parts, sum := overhead(p.rec)
	facts := []kit.Fact{
		{Label: "overhead", Value: fmt.Sprintf("%s = %d bytes", strings.Join(parts, " + "), sum)},
		{Label: "this packet", Value: fmt.Sprintf("%d inside + %d = %d bytes of IP outside", ipLength(in), sum, ipLength(in)+sum)},
	}
	link := p.link()
	if link == 0 {
		facts = append(facts, kit.Fact{Label: "MTU", Value: "not known: the link that it was seen at is not there"})
		return kit.Sections(th, w, []kit.Section{{Facts: facts}})
	}
	facts = append(facts, kit.Fact{Label: "MTU", Value: fmt.Sprintf("%d of %s − %d = %d for IP inside", link, p.rec.Point, sum, link-sum)})
	fits := fmt.Sprintf("yes, %d bytes are left", link-ipLength(in)-sum)
	if left := link - ipLength(in) - sum; left < 0 {
		fits = fmt.Sprintf("no, %d bytes too many: it is fragmented, segmented by the link, or lost", -left)
	}
	facts = append(facts, kit.Fact{Label: "it fits", Value: fits})
	return kit.Sections(th, w, []kit.Section{{Facts: facts}})
}

// link is the MTU of the link that the packet was seen at, 0 when not known.
func (p *encapPage) link() int {
	ns := p.app.namespace(p.rec.Point.NS)
	if ns == nil {
		return 0
	}
	for i := range ns.Links {
		if ns.Links[i].Name == p.rec.Point.Link {
			return ns.Links[i].MTU
		}
	}
	return 0
}
