package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"

	"vethscope/ui/kit"
)

// KeyTable is the table of all keys for the README, in Markdown: what every page
// has, what several have, and then what is each page's own. The keys of a menu
// stand with the key that opens it.
func KeyTable() string {
	m := New(Options{})
	all := append(m.tabs, m.app.Samples()...)
	common := kit.Group{Title: "everywhere", Actions: m.keysForAll()}
	told, pagesWith := map[string]bool{}, map[string]int{}
	for _, a := range append(m.global(), kit.Moves(nil, nil, nil)...) {
		told[a.ID] = true
	}
	for _, p := range all {
		for _, a := range keysOf(p) {
			pagesWith[line(a)]++
		}
	}
	lists := kit.Group{Title: "lists"}
	var rest []kit.Group
	for _, p := range all {
		g := kit.Group{Title: p.Title()}
		for _, a := range keysOf(p) {
			switch {
			case told[a.ID]:
			case pagesWith[line(a)] < 2:
				g.Actions = append(g.Actions, a)
			case !contains(lists.Actions, a):
				lists.Actions = append(lists.Actions, a)
			}
		}
		rest = append(rest, g)
	}
	return kit.Markdown(append([]kit.Group{common, lists}, rest...))
}

// keysForAll are the actions of every page, the pages' numbers being one of them,
// and moving about another.
func (m *Model) keysForAll() []kit.Action {
	var titles []string
	for _, p := range m.tabs {
		titles = append(titles, p.Title())
	}
	pages := kit.Action{ID: "page", Binding: told(fmt.Sprintf("1-%d", len(m.tabs)), "go to "+strings.Join(titles, ", "))}
	list := []kit.Action{pages, together("move", kit.Moves(nil, nil, nil))}
	for _, a := range fold(m.global()) {
		if !strings.HasPrefix(a.ID, "page.") {
			list = append(list, a)
		}
	}
	return list
}

// keysOf are a page's actions; where it takes text, the keys that mean something
// all the same stand with the one that begins it.
func keysOf(p kit.Page) []kit.Action {
	actions, typing := fold(p.Actions()), hints(p)
	i := slices.IndexFunc(actions, func(a kit.Action) bool { return a.ID == "table.filter" })
	if i < 0 {
		return append(actions, typing...)
	}
	h := actions[i].Binding.Help()
	actions[i].Binding = told(h.Key, h.Desc+"; then "+phrase(typing, func(a kit.Action) string { return a.Binding.Help().Key }))
	return actions
}

// fold puts the actions of each menu into what is told of the one that opens it.
func fold(actions []kit.Action) []kit.Action {
	var out []kit.Action
	for _, a := range actions {
		if a.Chorded() {
			continue
		}
		h := a.Binding.Help()
		menu := slices.DeleteFunc(slices.Clone(actions), func(b kit.Action) bool {
			return !b.Chorded() || !strings.HasPrefix(b.Binding.Help().Key, h.Key+" ")
		})
		if len(menu) > 0 {
			a.Binding = told(h.Key, h.Desc+": "+phrase(menu, func(b kit.Action) string { return strings.Fields(b.Binding.Help().Key)[1] }))
		}
		out = append(out, a)
	}
	return out
}

// together is one line for several actions.
func together(id string, actions []kit.Action) kit.Action {
	var keys, does []string
	for _, a := range actions {
		keys = append(keys, a.Binding.Help().Key)
		does = append(does, a.Binding.Help().Desc)
	}
	return kit.Action{ID: id, Binding: told(strings.Join(keys, " "), strings.Join(does, ", "))}
}

// phrase tells actions one after the other, each with its key.
func phrase(actions []kit.Action, keyOf func(kit.Action) string) string {
	var parts []string
	for _, a := range actions {
		parts = append(parts, "`"+keyOf(a)+"` "+a.Binding.Help().Desc)
	}
	return strings.Join(parts, ", ")
}

// told is a binding for the table alone.
func told(shown, does string) key.Binding {
	return key.NewBinding(key.WithHelp(shown, does))
}

// line is what the table of keys tells of an action.
func line(a kit.Action) string { return a.Binding.Help().Key + " " + a.Binding.Help().Desc }

func contains(list []kit.Action, a kit.Action) bool {
	return slices.ContainsFunc(list, func(b kit.Action) bool { return line(a) == line(b) })
}
