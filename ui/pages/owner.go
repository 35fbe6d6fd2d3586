package pages

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ui/kit"
)

func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// tablePrefix begins the names of our nft tables; the network's name follows.
const tablePrefix = "vethscope-"

// entry is the change that made a name, nil for none.
func (a *App) entry(name string) *ops.Entry {
	for i := range a.History {
		if a.History[i].Name == name {
			return &a.History[i]
		}
	}
	return nil
}

// ownerOfNS is the change that made a namespace, nil for none.
func (a *App) ownerOfNS(name string) *ops.Entry {
	return a.owner(func(m ops.Made) bool {
		for _, c := range m.Containers {
			if c.Name == name {
				return true
			}
		}
		return false
	})
}

// ownerOfLink is the change that made a link, nil for none.
func (a *App) ownerOfLink(ns *inventory.Namespace, link string) *ops.Entry {
	if ns.Kind != inventory.KindHost {
		return a.ownerOfNS(ns.Name)
	}
	return a.owner(func(m ops.Made) bool {
		for _, c := range m.Containers {
			if c.HostLink == link {
				return true
			}
		}
		return m.Bridge == link
	})
}

// ownerOfTable is the change that made an nft table, nil for none.
func (a *App) ownerOfTable(table string) *ops.Entry {
	name, ok := strings.CutPrefix(table, tablePrefix)
	if !ok {
		return nil
	}
	return a.entry(name)
}

func (a *App) owner(made func(ops.Made) bool) *ops.Entry {
	for i := range a.History {
		if made(a.History[i].Made) {
			return &a.History[i]
		}
	}
	return nil
}

// objects names what a change made, exactly.
func objects(m ops.Made) []string {
	var out []string
	if m.Bridge != "" {
		out = append(out, fmt.Sprintf("bridge %s on the host, %s", m.Bridge, both(m.Network, m.Network6)))
	}
	for _, c := range m.Containers {
		out = append(out, fmt.Sprintf("namespace %s with %s %s, and %s on the host", c.Name, c.Link, both(c.Addr, c.Addr6), c.HostLink))
	}
	if m.Network != "" {
		out = append(out, "masquerading of "+both(m.Network, m.Network6))
	}
	for _, p := range m.Published {
		out = append(out, fmt.Sprintf("port %d/%s of the host, which leads to %s:%d", p.HostPort, p.Protocol, p.Container, p.ContainerPort))
	}
	return out
}

func both(a, b string) string {
	if b == "" {
		return a
	}
	return a + " and " + b
}

// askDelete asks, and takes back a change with all that builds on it.
func (a *App) askDelete(e *ops.Entry) tea.Cmd {
	name, list := e.Name, objects(e.Made)
	for _, other := range a.History {
		if other.On == name {
			list = append(list, objects(other.Made)...)
		}
	}
	a.Ask(&kit.Confirm{
		Ask:     "Delete " + name + " from the " + a.World.Name() + "?",
		Objects: list,
		Note:    "Every step is taken back in reverse order.",
		Yes: func() tea.Cmd {
			return a.Push(newProgress(a, "Delete "+name, func() (string, error) {
				return name + " is deleted", a.Backend.Delete(a.Context, name)
			}))
		},
	})
	return nil
}

// askUndo asks, and takes back one change.
func (a *App) askUndo(e ops.Entry) tea.Cmd {
	a.Ask(&kit.Confirm{
		Ask:     "Undo: " + e.Title + "?",
		Objects: objects(e.Made),
		Note:    fmt.Sprintf("%s in the %s, taken back in reverse order.", plural(len(e.Steps), "step"), a.World.Name()),
		Yes: func() tea.Cmd {
			return a.Push(newProgress(a, "Undo: "+e.Title, func() (string, error) {
				title, err := a.Backend.Undo(a.Context, e.ID)
				return "Undone: " + title, err
			}))
		},
	})
	return nil
}

// NoChange says why there is nothing to undo, "" if there is.
func (a *App) NoChange() string {
	if len(a.History) == 0 {
		return "nothing has been changed"
	}
	return ""
}

// UndoLast asks, and takes back the last change.
func (a *App) UndoLast() tea.Cmd { return a.askUndo(a.History[0]) }

// NoNetwork says why no port can be published, "" if one can.
func (a *App) NoNetwork() string {
	if len(a.networkNames()) == 0 {
		return "there is no network yet: n builds one"
	}
	return ""
}

// deleteAction deletes what owner names; why tells what to select.
func (a *App) deleteAction(owner func() *ops.Entry, why string) kit.Action {
	return kit.Action{
		ID: "delete", Binding: kit.Bind("d", "delete its network"), Danger: true, Bar: 50,
		Disabled: func() string {
			if owner() == nil {
				return why
			}
			return ""
		},
		Run: func() tea.Cmd { return a.askDelete(owner()) },
	}
}

// copyActions are y and Y for a row.
func (a *App) copyActions(value func() (what, text string), row func() string) []kit.Action {
	none := func() string {
		if _, text := value(); text == "" {
			return "nothing is selected"
		}
		return ""
	}
	return []kit.Action{
		{ID: "copy.value", Binding: kit.Bind("y", "copy the value"), Disabled: none, Run: func() tea.Cmd {
			return a.Copy(value())
		}},
		{ID: "copy.row", Binding: kit.Bind("Y", "copy the row"), Disabled: none, Run: func() tea.Cmd {
			return a.Copy("the row", row())
		}},
	}
}

// words joins what is not empty.
func words(parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return strings.Join(out, " ")
}
