package ui

import (
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/assets"
	"vethscope/ui/kit"
	"vethscope/ui/pages"
)

// actions are what can be done now: the page's first, for they may give a key
// a meaning of their own.
func (m *Model) actions() []kit.Action {
	return append(m.page().Actions(), m.global()...)
}

// shown are the actions that the user is told of, each key once.
func (m *Model) shown() []kit.Action {
	if t, ok := m.page().(kit.Typist); ok && t.Typing() {
		return t.Hints()
	}
	readOnly := m.opts.World.ReadOnly != ""
	return unshadowed(kit.Allowed(m.actions(), readOnly))
}

// offered are the actions of the menu and the palette: those that every page
// has first, for they are what the menu is opened for.
func (m *Model) offered() []kit.Action {
	everywhere := map[string]bool{}
	for _, a := range m.global() {
		everywhere[a.ID] = true
	}
	var first, then []kit.Action
	for _, a := range m.shown() {
		if everywhere[a.ID] {
			first = append(first, a)
		} else {
			then = append(then, a)
		}
	}
	return append(first, then...)
}

// unshadowed leaves out the actions whose keys all belong to one before them.
func unshadowed(actions []kit.Action) []kit.Action {
	taken := map[string]bool{}
	out := make([]kit.Action, 0, len(actions))
	for _, a := range actions {
		free := false
		for _, k := range a.Binding.Keys() {
			free = free || !taken[k]
			taken[k] = true
		}
		if free {
			out = append(out, a)
		}
	}
	return out
}

// global are the actions that every page has.
func (m *Model) global() []kit.Action {
	list := []kit.Action{
		{ID: "new", Binding: kit.Bind("n", "create bridge network"), Danger: true, Bar: 40,
			Disabled: m.noSnapshot, Run: func() tea.Cmd { return m.Push(pages.NewBridge(m.app)) }},
		{ID: "publish", Binding: kit.Bind("P", "publish a port"), Danger: true,
			Disabled: m.app.NoNetwork, Run: func() tea.Cmd { return m.Push(pages.NewPublish(m.app)) }},
		{ID: "undo", Binding: kit.Bind("z", "undo the last change"), Danger: true,
			Disabled: m.app.NoChange, Run: m.app.UndoLast},
	}
	for i, p := range m.tabs {
		list = append(list, kit.Action{ID: fmt.Sprintf("page.%d", i+1), Binding: kit.Bind(fmt.Sprint(i+1), "page "+p.Title()),
			Quiet: true, Run: func() tea.Cmd { return m.goTab(i) }})
	}
	return append(list, m.overlays()...)
}

// overlays are the actions that tell of the others, and the ways out.
func (m *Model) overlays() []kit.Action {
	ask := func(d func() kit.Dialog) func() tea.Cmd {
		return func() tea.Cmd { m.Ask(d()); return nil }
	}
	return []kit.Action{
		{ID: "goto", Binding: kit.Bind(":", "go to a page"), Quiet: true, Run: ask(m.gotoLine)},
		{ID: "menu", Binding: kit.Bind("a", "actions"), Quiet: true, Bar: 70, Run: ask(func() kit.Dialog {
			return kit.NewChooser("Actions", false, kit.Items(m.offered()))
		})},
		{ID: "palette", Binding: kit.Bind("ctrl+p", "find an action"), Quiet: true, Run: ask(m.palette)},
		{ID: "warnings", Binding: kit.Bind("!", "what could not be read"), Quiet: true, Disabled: m.noWarnings, Run: ask(m.warnings)},
		{ID: "back", Binding: kit.Bind("esc", "back"), Quiet: true, Bar: m.backBar(), Run: m.back},
		{ID: "quit", Binding: kit.Bind("q", "quit"), Quiet: true, Bar: m.quitBar(), Disabled: func() string {
			if len(m.stack) > 0 {
				return "q quits at the top level: esc goes back"
			}
			return ""
		}, Run: func() tea.Cmd { return tea.Quit }},
		{ID: "help", Binding: kit.Bind("?", "help"), Quiet: true, Bar: 99, Run: ask(m.help)},
	}
}

func (m *Model) backBar() int {
	if len(m.stack) > 0 {
		return 80
	}
	return 0
}

func (m *Model) quitBar() int {
	if len(m.stack) > 0 {
		return 0
	}
	return 90
}

func (m *Model) noSnapshot() string {
	if m.app.Snap == nil {
		return "still reading what is there"
	}
	return ""
}

func (m *Model) noWarnings() string {
	if m.app.Snap == nil || len(m.app.Snap.Warnings) == 0 {
		return "everything could be read"
	}
	return ""
}

func (m *Model) palette() kit.Dialog {
	items := kit.Items(m.offered())
	return kit.NewChooser("Find an action", true, append(items, m.pageItems()...))
}

func (m *Model) gotoLine() kit.Dialog { return kit.NewChooser("Go to a page", true, m.pageItems()) }

func (m *Model) pageItems() []kit.Item {
	var items []kit.Item
	for i, p := range m.tabs {
		items = append(items, kit.Item{Text: p.Title(), Key: fmt.Sprint(i + 1), Run: func() tea.Cmd { return m.goTab(i) }})
	}
	return items
}

func (m *Model) warnings() kit.Dialog {
	return &kit.Reader{Name: "What could not be read", Lines: func(th *kit.Theme, w int) []string {
		var lines []string
		for _, s := range m.app.Snap.Warnings {
			for _, l := range kit.Wrap("! "+kit.Safe(s), w) {
				lines = append(lines, th.Text.Render(l))
			}
		}
		return lines
	}}
}

func (m *Model) help() kit.Dialog {
	all := m.shown()
	own := len(unshadowed(kit.Allowed(m.page().Actions(), m.opts.World.ReadOnly != "")))
	title := m.tabs[m.tab].Title()
	groups := []kit.Group{{Title: m.page().Title(), Actions: all[:own]}, {Title: "Everywhere", Actions: all[own:]}}
	text := ""
	if len(m.stack) == 0 {
		text = assets.Help(title)
	}
	return kit.Help("Help: "+m.page().Title(), groups, text)
}

func hints(p kit.Page) []kit.Action {
	if t, ok := p.(kit.Typist); ok {
		return t.Hints()
	}
	return nil
}

// KeyTable is the table of all keys for the README, in Markdown. What most pages
// have is told once, as that of tables.
func KeyTable() string {
	m := New(Options{})
	everywhere := append(m.global(), kit.Moves(nil, nil, nil)...)
	told, pagesWith := map[string]bool{}, map[string]int{}
	for _, a := range everywhere {
		told[a.ID] = true
	}
	for _, p := range m.tabs {
		for _, a := range append(p.Actions(), hints(p)...) {
			pagesWith[line(a)]++
		}
	}
	tables := kit.Group{Title: "tables"}
	var rest []kit.Group
	for _, p := range append(m.tabs, m.app.Samples()...) {
		g := kit.Group{Title: p.Title()}
		for _, a := range append(p.Actions(), hints(p)...) {
			switch {
			case told[a.ID]:
			case pagesWith[line(a)] < len(m.tabs)/2:
				g.Actions = append(g.Actions, a)
			case !contains(tables.Actions, a):
				tables.Actions = append(tables.Actions, a)
			}
		}
		rest = append(rest, g)
	}
	return kit.Markdown(append([]kit.Group{{Title: "everywhere", Actions: everywhere}, tables}, rest...))
}

// line is what the table of keys tells of an action.
func line(a kit.Action) string { return a.Binding.Help().Key + " " + a.Binding.Help().Desc }

func contains(list []kit.Action, a kit.Action) bool {
	return slices.ContainsFunc(list, func(b kit.Action) bool { return line(a) == line(b) })
}
