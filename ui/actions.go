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
	global := map[string]bool{}
	for _, a := range m.global() {
		global[a.ID] = true
	}
	var first, then []kit.Action
	for _, a := range m.shown() {
		switch {
		case global[a.ID]:
			first = append(first, a)
		case a.Section == "":
			a.Section = m.page().Title()
			fallthrough
		default:
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
		free := a.Chorded()
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
		{ID: "new", Binding: kit.Bind(pages.NewKey, "make a network"), Danger: true, Bar: 40, Section: everywhere,
			Disabled: m.noSnapshot, Run: func() tea.Cmd { m.Ask(m.app.NewMenu()); return nil }},
		{ID: "publish", Binding: kit.Bind("P", "publish a port"), Danger: true, Section: everywhere,
			Disabled: m.app.NoNetwork, Run: func() tea.Cmd { return m.Push(pages.NewPublish(m.app)) }},
		{ID: "undo", Binding: kit.Bind("z", "undo the last change"), Danger: true, Section: everywhere,
			Disabled: m.app.NoChange, Run: m.app.UndoLast},
	}
	list = append(list, m.app.Makers()...)
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
			return kit.Menu("Actions", m.offered())
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
	title := m.page().Title()
	readOnly := m.opts.World.ReadOnly != ""
	groups := sections(title, unshadowed(kit.Allowed(m.page().Actions(), readOnly)))
	own := map[string]bool{}
	for _, g := range groups {
		for _, a := range g.Actions {
			own[a.ID] = true
		}
	}
	rest := slices.DeleteFunc(m.shown(), func(a kit.Action) bool { return own[a.ID] })
	groups = append(groups, sections(everywhere, rest)...)
	return kit.Help("Help: "+title, groups, assets.Help(title))
}

func hints(p kit.Page) []kit.Action {
	if t, ok := p.(kit.Typist); ok {
		return t.Hints()
	}
	return nil
}

// everywhere is the heading of what every page can do.
const everywhere = "Everywhere"

// sections are the actions under their headings, title being that of those that
// have none.
func sections(title string, actions []kit.Action) []kit.Group {
	groups := []kit.Group{{Title: title}}
	for _, a := range actions {
		name := a.Section
		if name == "" {
			name = title
		}
		i := slices.IndexFunc(groups, func(g kit.Group) bool { return g.Title == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, kit.Group{Title: name})
		}
		groups[i].Actions = append(groups[i].Actions, a)
	}
	return slices.DeleteFunc(groups, func(g kit.Group) bool { return len(g.Actions) == 0 })
}
