package pages

import (
	"cmp"
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ui/kit"
)

type linkKey struct {
	inode uint64
	index int
}

type linkRow struct {
	ns *inventory.Namespace
	*inventory.Link
}

// links is the page of the links: of all namespaces, or of one.
type links struct {
	app  *App
	of   uint64 // inode of the one namespace, 0 for all
	name string
	seen *inventory.Snapshot
	kit.Browser[linkKey, linkRow]
}

func newLinks(app *App, of *inventory.Namespace) *links {
	p := &links{app: app}
	if of != nil {
		p.of, p.name = of.Inode, of.Name
	}
	cell := func(f func(r linkRow) string) func(linkRow) string { return f }
	p.Table = kit.NewTable(func(r linkRow) linkKey { return linkKey{r.ns.Inode, r.Index} },
		kit.Column[linkRow]{Title: "Namespace", Cell: cell(func(r linkRow) string { return r.ns.Name }), Max: 20, Style: dimCell[linkRow]},
		kit.Column[linkRow]{Title: "Link", Cell: cell(func(r linkRow) string { return r.Name }), Min: 6, Style: strongCell[linkRow]},
		kit.Column[linkRow]{Title: "Kind", Cell: cell(func(r linkRow) string { return r.Kind }), Style: dimCell[linkRow], Priority: 1},
		kit.Column[linkRow]{Title: "State", Cell: cell(func(r linkRow) string { return r.State }), Style: stateStyle},
		kit.Column[linkRow]{Title: "Addresses", Cell: cell(func(r linkRow) string { return addrs(r.Link) }), Flex: true, Min: 14},
		kit.Column[linkRow]{Title: "Peer", Cell: cell(func(r linkRow) string { return peerText(r.Link) }), Min: 8, Max: 32},
		kit.Column[linkRow]{Title: "Master", Cell: cell(func(r linkRow) string { return r.Master }), Priority: 2},
		kit.Column[linkRow]{Title: "MTU", Cell: cell(func(r linkRow) string { return fmt.Sprint(r.MTU) }), Right: true, Style: dimCell[linkRow], Priority: 4,
			Compare: func(a, b linkRow) int { return cmp.Compare(a.MTU, b.MTU) }},
		kit.Column[linkRow]{Title: "MAC", Cell: cell(func(r linkRow) string { return r.MAC }), Style: dimCell[linkRow], Priority: 3},
		kit.Column[linkRow]{Title: "Index", Cell: cell(func(r linkRow) string { return fmt.Sprint(r.Index) }), Right: true, Wide: true, Priority: 5,
			Compare: func(a, b linkRow) int { return cmp.Compare(a.Index, b.Index) }},
		kit.Column[linkRow]{Title: "Flags", Cell: cell(func(r linkRow) string { return strings.Join(r.Flags, ",") }), Wide: true, Priority: 6},
	)
	p.PaneTitle = func(r linkRow) string { return r.ns.Name + ":" + r.Name }
	p.Pane = func(th *kit.Theme, r linkRow, w int) []string { return kit.Sections(th, w, p.about(r)) }
	return p
}

func strongCell[T any](th *kit.Theme, _ T) *kit.Style { return th.Strong }

func stateStyle(th *kit.Theme, r linkRow) *kit.Style {
	switch r.State {
	case "UP":
		return th.Good
	case "DOWN", "LOWERLAYERDOWN":
		return th.Warn
	}
	return th.Dim
}

// addrs are a link's addresses; the IPv6 link-local ones come last.
func addrs(l *inventory.Link) string {
	var first, last []string
	for _, a := range l.Addrs {
		if a.Scope == "link" {
			last = append(last, a.CIDR)
		} else {
			first = append(first, a.CIDR)
		}
	}
	return strings.Join(append(first, last...), " ")
}

// peerText names the other end of a link.
func peerText(l *inventory.Link) string {
	switch {
	case l.Peer == nil:
		return ""
	case l.Peer.Inode == 0:
		return fmt.Sprintf("@if%d in nsid %d", l.Peer.Index, l.Peer.NSID)
	}
	return l.Peer.NS + ":" + l.Peer.Link
}

func (p *links) about(r linkRow) []kit.Section {
	facts := []kit.Fact{
		{Label: "kind", Value: words(r.Kind, r.State)},
		{Label: "flags", Value: strings.Join(r.Flags, " ")},
		{Label: "mac", Value: r.MAC}, {Label: "mtu", Value: fmt.Sprint(r.MTU)}, {Label: "index", Value: fmt.Sprint(r.Index)},
	}
	if r.Alias != "" {
		facts = append(facts, kit.Fact{Label: "alias", Value: r.Alias})
	}
	if d := r.Detail; d != nil {
		facts = append(facts, detailFacts(d)...)
	}
	if e := p.app.ownerOfLink(r.ns, r.Link); e != nil {
		facts = append(facts, kit.Fact{Label: "made by", Value: e.Title})
	}
	out := []kit.Section{{Title: "Link " + r.Name + " in " + r.ns.Name, Facts: facts}}
	var list []kit.Fact
	for _, a := range r.Addrs {
		list = append(list, kit.Fact{Label: a.Scope, Value: words(a.CIDR, strings.Join(a.Flags, " "))})
	}
	if len(list) > 0 {
		out = append(out, kit.Section{Title: "Addresses", Facts: list})
	}
	if path := p.wire(r); path != "" {
		out = append(out, kit.Section{Title: "The wire", Text: path})
	}
	return out
}

func detailFacts(d *inventory.Detail) []kit.Fact {
	var out []kit.Fact
	if d.VNI != 0 {
		out = append(out, kit.Fact{Label: "vni", Value: fmt.Sprint(d.VNI)}, kit.Fact{Label: "udp port", Value: fmt.Sprint(d.Port)})
	}
	if d.Local != "" {
		out = append(out, kit.Fact{Label: "local", Value: d.Local})
	}
	if d.Mode != "" {
		out = append(out, kit.Fact{Label: "mode", Value: d.Mode})
	}
	return out
}

// wire follows a link to its peer and on to the peer's bridge.
func (p *links) wire(r linkRow) string {
	if r.Kind == "bridge" {
		var ports []string
		for i := range r.ns.Links {
			if l := &r.ns.Links[i]; l.Master == r.Name {
				ports = append(ports, words(l.Name, arrow(" ⇄ ", peerText(l))))
			}
		}
		return "ports: " + strings.Join(ports, ", ")
	}
	if r.Peer == nil || r.Peer.Inode == 0 {
		return ""
	}
	s := r.ns.Name + ":" + r.Name
	if r.Master != "" {
		s = "bridge " + r.Master + " ── " + s
	}
	s += " ⇄ " + peerText(r.Link)
	for i := range p.app.Snap.Namespaces {
		ns := &p.app.Snap.Namespaces[i]
		for j := range ns.Links {
			if l := &ns.Links[j]; ns.Inode == r.Peer.Inode && l.Index == r.Peer.Index && l.Master != "" {
				s += " ── bridge " + l.Master
			}
		}
	}
	return s
}

func arrow(sign, s string) string {
	if s == "" {
		return ""
	}
	return strings.TrimSpace(sign) + " " + s
}

func (p *links) Title() string {
	if p.of != 0 {
		return "links of " + p.name
	}
	return TitleLinks
}

func (p *links) sync() {
	if p.seen == p.app.Snap {
		return
	}
	p.seen = p.app.Snap
	var rows []linkRow
	for i := range p.seen.Namespaces {
		ns := &p.seen.Namespaces[i]
		for j := range ns.Links {
			if p.of == 0 || p.of == ns.Inode {
				rows = append(rows, linkRow{ns, &ns.Links[j]})
			}
		}
	}
	p.SetRows(rows)
}

func (p *links) View(th *kit.Theme, w, h int) string {
	p.sync()
	none := "There are no links."
	if p.of != 0 {
		none = "The namespace " + p.name + " has no links, or is gone. esc goes back."
	}
	p.Empty = p.app.waiting(none)
	return p.Browser.View(th, w, h)
}

func (p *links) Actions() []kit.Action {
	p.sync()
	sel, ok := p.Selected()
	owner := func() *ops.Entry {
		if !ok {
			return nil
		}
		return p.app.ownerOfLink(sel.ns, sel.Link)
	}
	none := func() string { return unless(ok, "nothing is selected") }
	own := []kit.Action{
		p.Toggle("enter"),
		{ID: "capture.here", Binding: kit.Bind("c", "capture here"), Bar: 20, Run: p.capture, Disabled: none},
		p.app.deleteAction(owner, "select a link made here"),
	}
	if !ok {
		sel = linkRow{&inventory.Namespace{Kind: inventory.KindHost, Name: hostEnd}, &inventory.Link{}}
	}
	own = append(own, p.app.change("change this link", "Change link "+sel.ns.Name+":"+sel.Name, cmp.Or(none(), nameless(sel.ns)), p.app.linkBlocks(sel.ns, sel.Link))...)
	own = append(own, p.app.copyActions(func() (string, string) {
		if !ok {
			return "", ""
		}
		if len(sel.Addrs) > 0 {
			return "the address", sel.Addrs[0].CIDR
		}
		return "the name", sel.Name
	}, func() string {
		return words(sel.ns.Name, sel.Name, sel.Kind, sel.State, addrs(sel.Link), peerText(sel.Link), sel.MAC)
	})...)
	return append(own, p.Browser.Actions()...)
}

// capture starts at the marked links, or at the selected one.
func (p *links) capture() tea.Cmd {
	var points []capture.Point
	for _, r := range p.Marked() {
		points = append(points, capture.Point{NS: r.ns.Name, Path: r.ns.Path, Link: r.Name})
	}
	return tea.Batch(p.app.Goto(TitleCapture), p.app.capture.begin(points))
}
