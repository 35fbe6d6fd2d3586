package pages

import (
	"cmp"
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ui/kit"
)

// namespaces is the page of the network namespaces.
type namespaces struct {
	app  *App
	seen *inventory.Snapshot
	kit.Browser[uint64, *inventory.Namespace]
}

func newNamespaces(app *App) *namespaces {
	p := &namespaces{app: app}
	type ns = *inventory.Namespace
	p.Table = kit.NewTable(func(n ns) uint64 { return n.Inode },
		kit.Column[ns]{Title: "Name", Cell: func(n ns) string { return n.Name }, Style: nsStyle, Min: 8, Max: 28},
		kit.Column[ns]{Title: "Kind", Cell: func(n ns) string { return n.Kind }, Style: dimCell[ns]},
		kit.Column[ns]{Title: "Links", Cell: func(n ns) string { return fmt.Sprint(len(n.Links)) }, Right: true,
			Compare: func(a, b ns) int { return cmp.Compare(len(a.Links), len(b.Links)) }},
		kit.Column[ns]{Title: "Addresses", Cell: nsAddrs, Flex: true, Min: 16},
		kit.Column[ns]{Title: "Processes", Cell: nsProcesses, Min: 9, Max: 30, Style: dimCell[ns], Priority: 1,
			Compare: func(a, b ns) int { return cmp.Compare(len(a.Processes), len(b.Processes)) }},
		kit.Column[ns]{Title: "Inode", Cell: func(n ns) string { return fmt.Sprint(n.Inode) }, Right: true, Style: dimCell[ns], Priority: 2,
			Compare: func(a, b ns) int { return cmp.Compare(a.Inode, b.Inode) }},
		kit.Column[ns]{Title: "NSID", Cell: nsid, Right: true, Wide: true, Priority: 3},
		kit.Column[ns]{Title: "Path", Cell: func(n ns) string { return n.Path }, Wide: true, Priority: 4},
	)
	p.PaneTitle = func(n ns) string { return n.Name }
	p.Pane = func(th *kit.Theme, n ns, w int) []string { return kit.Sections(th, w, p.about(n)) }
	return p
}

func dimCell[T any](th *kit.Theme, _ T) *kit.Style { return th.Dim }

func nsStyle(th *kit.Theme, n *inventory.Namespace) *kit.Style {
	if n.Unreadable != "" {
		return th.Warn
	}
	return th.Strong
}

func nsid(n *inventory.Namespace) string {
	if n.NSID < 0 {
		return "-"
	}
	return fmt.Sprint(n.NSID)
}

// nsAddrs are a namespace's addresses but those of lo and the link-local ones.
func nsAddrs(n *inventory.Namespace) string {
	if n.Unreadable != "" {
		return "could not be read: " + n.Unreadable
	}
	var out []string
	for _, l := range n.Links {
		for _, a := range l.Addrs {
			if a.Scope == "global" {
				out = append(out, a.CIDR)
			}
		}
	}
	if len(out) == 0 {
		return "none"
	}
	return strings.Join(out, " ")
}

func nsProcesses(n *inventory.Namespace) string {
	if len(n.Processes) == 0 {
		return "-"
	}
	first := n.Processes[0]
	s := fmt.Sprintf("%s (%d)", first.Command, first.PID)
	if more := len(n.Processes) - 1; more > 0 {
		s += fmt.Sprintf(" +%d", more)
	}
	return s
}

func (p *namespaces) about(n *inventory.Namespace) []kit.Section {
	var links, routes []kit.Fact
	for i := range n.Links {
		l := &n.Links[i]
		links = append(links, kit.Fact{Label: l.Name, Value: words(l.Kind, l.State, addrs(l), peerText(l))})
	}
	for i := range n.Routes {
		if r := &n.Routes[i]; r.Table == "main" && r.Family == "ip" {
			routes = append(routes, kit.Fact{Label: r.Dst, Value: routeVia(r)})
		}
	}
	facts := []kit.Fact{{Label: "kind", Value: n.Kind}, {Label: "inode", Value: fmt.Sprint(n.Inode)}, {Label: "path", Value: n.Path}}
	if e := p.app.ownerOfNS(n.Name); e != nil {
		facts = append(facts, kit.Fact{Label: "made by", Value: e.Title})
	}
	var procs []string
	for _, pr := range n.Processes {
		procs = append(procs, fmt.Sprintf("%d %s", pr.PID, pr.Command))
	}
	if len(procs) > 0 {
		facts = append(facts, kit.Fact{Label: "processes", Value: strings.Join(procs, ", ")})
	}
	return []kit.Section{
		{Title: "Namespace " + n.Name, Facts: facts},
		{Title: "Links", Facts: links},
		{Title: "Routes (main table)", Facts: routes},
		{Title: "Rules", Text: plural(len(n.Rules), "rule") + " in " + plural(len(n.Chains), "chain")},
	}
}

func (p *namespaces) Title() string { return TitleNamespaces }

func (p *namespaces) sync() {
	if p.seen == p.app.Snap {
		return
	}
	p.seen = p.app.Snap
	rows := make([]*inventory.Namespace, 0, len(p.seen.Namespaces))
	for i := range p.seen.Namespaces {
		rows = append(rows, &p.seen.Namespaces[i])
	}
	p.SetRows(rows)
}

func (p *namespaces) View(th *kit.Theme, w, h int) string {
	p.sync()
	p.Empty = p.app.waiting("No namespace could be found.")
	return p.Browser.View(th, w, h)
}

func (p *namespaces) Actions() []kit.Action {
	p.sync()
	sel, ok := p.Selected()
	none := func() string {
		if !ok {
			return "nothing is selected"
		}
		return ""
	}
	open := kit.Action{ID: "open", Binding: kit.Bind("enter", "open its links"), Bar: 10, Disabled: none, Run: func() tea.Cmd {
		return p.app.Push(newLinks(p.app, sel))
	}}
	owner := func() *ops.Entry {
		if !ok {
			return nil
		}
		return p.app.ownerOfNS(sel.Name)
	}
	shell := kit.Action{ID: "shell", Binding: kit.Bind("x", "shell in it"), Danger: true, Bar: 20, Disabled: none,
		Run: func() tea.Cmd { return p.app.shell(sel.Name) }}
	own := []kit.Action{open, p.Toggle("o"), shell,
		p.app.deleteAction(owner, "select a namespace made here")}
	if !ok {
		sel = &inventory.Namespace{Kind: inventory.KindHost, Name: hostEnd}
	}
	own = append(own, p.app.change("change this namespace", "Change namespace "+sel.Name, none(), p.app.namespaceBlocks(sel))...)
	own = append(own, p.app.copyActions(func() (string, string) {
		if !ok {
			return "", ""
		}
		return "the name", sel.Name
	}, func() string { return words(sel.Name, sel.Kind, fmt.Sprint(sel.Inode), nsAddrs(sel), sel.Path) })...)
	return append(own, p.Browser.Actions()...)
}
