package kit

import tea "github.com/charmbracelet/bubbletea"

// Moves are the actions that go through a list; every list binds the same.
func Moves(move func(by int), size, page func() int) []Action {
	step := func(id string, shown, does string, by func() int, keys ...string) Action {
		return Action{ID: id, Binding: Bind(shown, does, keys...), Quiet: true, Run: func() tea.Cmd {
			move(by())
			return nil
		}}
	}
	n := func(by int) func() int { return func() int { return by } }
	return []Action{
		step("down", "j/↓", "down", n(1), "j", "down"),
		step("up", "k/↑", "up", n(-1), "k", "up"),
		step("top", "g", "first", func() int { return -size() }, "g", "home"),
		step("bottom", "G", "last", func() int { return size() }, "G", "end"),
		step("page.down", "ctrl+d", "half a page down", func() int { return max(1, page()/2) }, "ctrl+d", "pgdown"),
		step("page.up", "ctrl+u", "half a page up", func() int { return -max(1, page()/2) }, "ctrl+u", "pgup"),
	}
}

// Actions are what every table can do.
func (t *Table[K, T]) Actions() []Action {
	do := func(f func()) func() tea.Cmd { return func() tea.Cmd { f(); return nil } }
	ownOrder := func() string {
		if t.far != nil {
			return "these rows stand in their own order: / filters"
		}
		return ""
	}
	unsorted := func() string {
		if t.sortBy < 0 {
			return "nothing is sorted: s sorts"
		}
		return ""
	}
	own := []Action{
		{ID: "table.filter", Binding: Bind("/", "filter"), Bar: 60, Run: do(func() { t.filtering = true })},
		{ID: "table.sort", Binding: Bind("s", "sort by the next column"), Disabled: ownOrder, Run: do(t.cycleSort)},
		{ID: "table.reverse", Binding: Bind("S", "reverse the order"), Disabled: unsorted, Run: do(func() {
			t.sortDown = !t.sortDown
			t.arrange()
		})},
		{ID: "table.wide", Binding: Bind("w", "wide: all columns"), Run: do(func() { t.wide = !t.wide })},
		{ID: "table.mark", Binding: Bind("space", "mark", " "), Quiet: true, Run: do(t.mark)},
	}
	for i := range own {
		own[i].Section = "The list"
	}
	return append(Moves(t.move, func() int { return t.size() }, func() int { return t.height }), own...)
}
