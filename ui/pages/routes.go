package pages

import (
	"cmp"
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops/inventory"
	"vethscope/ui/kit"
)

// routeKey is a route's identity: what the kernel tells two routes apart by.
type routeKey struct {
	inode                                uint64
	family, table, kind, dst, link, hops string
	metric, copy                         int
}

type routeRow struct {
	ns *inventory.Namespace
	*inventory.Route
	key routeKey
}

// routes is the page of the routes.
type routes struct {
	app  *App
	seen *inventory.Snapshot
	all  bool // the local tables, too
	kit.Browser[routeKey, routeRow]
}

func newRoutes(app *App) *routes {
	p := &routes{app: app}
	p.Table = kit.NewTable(func(r routeRow) routeKey { return r.key },
		kit.Column[routeRow]{Title: "Namespace", Cell: func(r routeRow) string { return r.ns.Name }, Max: 20, Style: dimCell[routeRow]},
		kit.Column[routeRow]{Title: "Table", Cell: func(r routeRow) string { return r.Table }, Style: dimCell[routeRow], Priority: 3},
		kit.Column[routeRow]{Title: "Type", Cell: func(r routeRow) string { return r.Type }, Style: routeStyle, Priority: 2},
		kit.Column[routeRow]{Title: "Destination", Cell: func(r routeRow) string { return r.Dst }, Style: strongCell[routeRow], Max: 30},
		kit.Column[routeRow]{Title: "Via", Cell: func(r routeRow) string { return routeGateway(r.Route) }, Min: 8, Max: 30},
		kit.Column[routeRow]{Title: "Link", Cell: func(r routeRow) string { return r.Link }},
		kit.Column[routeRow]{Title: "Source", Cell: func(r routeRow) string { return r.Source }, Priority: 1, Flex: true, Min: 10},
		kit.Column[routeRow]{Title: "Metric", Cell: metric, Right: true, Style: dimCell[routeRow], Priority: 5,
			Compare: func(a, b routeRow) int { return cmp.Compare(a.Metric, b.Metric) }},
		kit.Column[routeRow]{Title: "Proto", Cell: func(r routeRow) string { return r.Protocol }, Style: dimCell[routeRow], Priority: 4},
		kit.Column[routeRow]{Title: "Scope", Cell: func(r routeRow) string { return r.Scope }, Style: dimCell[routeRow], Wide: true, Priority: 6},
	)
	p.PaneTitle = func(r routeRow) string { return r.ns.Name + ": " + r.Dst }
	p.Pane = func(th *kit.Theme, r routeRow, w int) []string { return kit.Sections(th, w, aboutRoute(r)) }
	return p
}

func routeStyle(th *kit.Theme, r routeRow) *kit.Style {
	switch r.Type {
	case "blackhole", "unreachable", "prohibit":
		return th.Warn
	}
	return th.Dim
}

func metric(r routeRow) string {
	if r.Metric == 0 {
		return ""
	}
	return fmt.Sprint(r.Metric)
}

func routeGateway(r *inventory.Route) string {
	if len(r.NextHops) == 0 {
		if r.Gateway == "" && r.Type == "unicast" {
			return "on link"
		}
		return r.Gateway
	}
	var out []string
	for _, h := range r.NextHops {
		out = append(out, words(h.Gateway, h.Link))
	}
	return strings.Join(out, " | ")
}

// routeVia says in words where a route leads.
func routeVia(r *inventory.Route) string {
	if r.Gateway != "" {
		return words("via", r.Gateway, "on", r.Link)
	}
	return words(routeGateway(r), r.Link)
}

// ipRoute is the route as ip(8) writes it.
func ipRoute(r *inventory.Route) string {
	s := r.Dst
	if r.Type != "unicast" {
		s = r.Type + " " + s
	}
	add := func(name, value string) {
		if value != "" {
			s += " " + name + " " + value
		}
	}
	add("via", r.Gateway)
	add("dev", r.Link)
	if r.Table != "main" {
		add("table", r.Table)
	}
	add("proto", r.Protocol)
	add("scope", r.Scope)
	add("src", r.Source)
	for _, h := range r.NextHops {
		s += " nexthop"
		add("via", h.Gateway)
		add("dev", h.Link)
		s += fmt.Sprintf(" weight %d", h.Weight)
	}
	if r.Metric != 0 {
		s += fmt.Sprintf(" metric %d", r.Metric)
	}
	return s
}

func aboutRoute(r routeRow) []kit.Section {
	facts := []kit.Fact{
		{Label: "namespace", Value: r.ns.Name}, {Label: "table", Value: r.Table}, {Label: "type", Value: r.Type},
		{Label: "protocol", Value: r.Protocol}, {Label: "scope", Value: r.Scope},
	}
	for _, h := range r.NextHops {
		facts = append(facts, kit.Fact{Label: "next hop", Value: fmt.Sprintf("%s, weight %d", words(h.Gateway, h.Link), h.Weight)})
	}
	return []kit.Section{{Title: "As ip writes it", Text: ipRoute(r.Route)}, {Title: "Route", Facts: facts}}
}

func (p *routes) Title() string { return TitleRoutes }

func (p *routes) sync() {
	if p.seen == p.app.Snap {
		return
	}
	p.seen = p.app.Snap
	var rows []routeRow
	copies := map[routeKey]int{}
	for i := range p.seen.Namespaces {
		ns := &p.seen.Namespaces[i]
		for j := range ns.Routes {
			r := &ns.Routes[j]
			if !p.all && r.Table == "local" {
				continue
			}
			k := routeKey{inode: ns.Inode, family: r.Family, table: r.Table, kind: r.Type, dst: r.Dst,
				link: r.Link, hops: routeGateway(r), metric: r.Metric}
			copies[k]++
			k.copy = copies[k]
			rows = append(rows, routeRow{ns, r, k})
		}
	}
	p.SetRows(rows)
}

func (p *routes) View(th *kit.Theme, w, h int) string {
	p.sync()
	p.Empty = p.app.waiting("There are no routes. t shows those of the local tables, too.")
	return p.Browser.View(th, w, h)
}

func (p *routes) Tell() string {
	s := p.Browser.Tell()
	if !p.all {
		s += " (without local)"
	}
	return s
}

// whyNot says why a route cannot be changed, "" if it can.
func (p *routes) whyNot(r routeRow, ok bool) string {
	if !ok {
		return "nothing is selected"
	}
	return nameless(r.ns)
}

func (p *routes) Actions() []kit.Action {
	p.sync()
	sel, ok := p.Selected()
	own := []kit.Action{
		p.Toggle("enter"),
		{ID: "routes.all", Binding: kit.Bind("t", "with the local tables or without"), Bar: 30, Run: func() tea.Cmd {
			p.all = !p.all
			p.seen = nil
			return nil
		}},
	}
	if !ok {
		sel = routeRow{ns: &inventory.Namespace{Kind: inventory.KindHost, Name: hostEnd}, Route: &inventory.Route{}}
	}
	own = append(own, p.app.change("change this route", "Change route "+sel.Dst+" of "+sel.ns.Name, p.whyNot(sel, ok), p.app.routeBlocks(sel.ns, sel.Route))...)
	own = append(own, p.app.copyActions(func() (string, string) {
		if !ok {
			return "", ""
		}
		return "the destination", sel.Dst
	}, func() string { return ipRoute(sel.Route) })...)
	return append(own, p.Browser.Actions()...)
}
