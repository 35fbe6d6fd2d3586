package pages

import (
	"fmt"
	"slices"
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

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
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
	if name == hostEnd {
		return nil // a container of mode host lives there, but did not make it
	}
	return a.owner(func(e ops.Entry) bool {
		return e.Mode != modeConnect && (slices.ContainsFunc(e.Made.Containers, func(c ops.Container) bool { return c.Name == name }) ||
			slices.ContainsFunc(e.Made.Hosts, func(h ops.SimHost) bool { return h.Name == name }) ||
			slices.ContainsFunc(e.Made.Machines, func(m ops.Machine) bool { return m.Name == name }))
	})
}

// markPrefix begins the alias of what we make; the name of its plan follows.
const markPrefix = "vethscope:"

// ownerOfLink is the change that made a link, nil for none: that of its mark, or
// of its namespace.
func (a *App) ownerOfLink(ns *inventory.Namespace, l *inventory.Link) *ops.Entry {
	if name, ok := strings.CutPrefix(l.Alias, markPrefix); ok {
		if e := a.entry(name); e != nil {
			return e
		}
	}
	if ns.Kind != inventory.KindHost {
		return a.ownerOfNS(ns.Name)
	}
	return a.owner(func(e ops.Entry) bool {
		return e.Made.Bridge == l.Name || slices.ContainsFunc(e.Made.Containers, func(c ops.Container) bool { return c.HostLink == l.Name && c.Host == "" })
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

func (a *App) owner(made func(ops.Entry) bool) *ops.Entry {
	for i := range a.History {
		if made(a.History[i]) {
			return &a.History[i]
		}
	}
	return nil
}

// objectsOf names what a change made.
func objectsOf(e ops.Entry) []string { return objects(e.Mode, e.Name, e.Made, e.Steps) }

// maxShell is how many shell lines stand for a change that makes nothing new.
const maxShell = 8

// objects names what a plan makes, exactly; of one that only changes what is
// there, it tells the shell lines.
func objects(mode, name string, m ops.Made, steps []ops.Step) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch {
	case mode == modeHost:
		say("nothing but the name %s: the container uses what the host has", name)
		return out
	case mode == modeBridge && m.Bridge != "":
		say("bridge %s on the host, %s", m.Bridge, both(m.Network, m.Network6))
	case m.Bridge != "":
		say("bridge %s on the host, which plays the network between the hosts, %s", m.Bridge, m.Underlay)
	case mode == modeVeth && len(m.Containers) == 1:
		say("link v-%s %s on the host", name, m.Gateway)
	}
	for _, h := range m.Hosts {
		say("namespace %s with %s %s, bridge %s and %s, VNI %d", h.Name, h.Link, h.Addr, h.Bridge, h.VXLAN, m.VNI)
	}
	if slices.ContainsFunc(m.Containers, func(c ops.Container) bool { return len(c.Legs) > 0 }) {
		say("for the second legs, on each host the bridge gw-%s, forwarding and masquerading", name)
	}
	for _, machine := range m.Machines {
		say("namespace %s with %s %s, and %s %s on the host", machine.Name, machine.Link, machine.Addr, m.Parent, m.ParentAddr)
	}
	for _, c := range m.Containers {
		if mode == modeConnect { // the container was there before
			say("link %s %s in %s, and %s on the host", c.Link, addresses(c), c.Name, c.HostLink)
			continue
		}
		out = append(out, containerText(c))
	}
	if m.Shim != "" {
		say("macvlan %s %s on the host", m.Shim, m.ShimAddr)
	}
	if mode == modeBridge && m.Network != "" {
		say("masquerading of %s", both(m.Network, m.Network6))
	}
	for _, p := range m.Published {
		say("port %d/%s of the host, which leads to %s:%d", p.HostPort, p.Protocol, p.Container, p.ContainerPort)
	}
	if len(out) > 0 {
		return out
	}
	for i, s := range steps {
		if i == maxShell && len(steps) > maxShell+1 {
			say("and %d steps more", len(steps)-i)
			break
		}
		out = append(out, s.Shell())
	}
	return out
}

func containerText(c ops.Container) string {
	switch {
	case c.Shares != "":
		return fmt.Sprintf("%s, a second name for the namespace of %s", c.Name, c.Shares)
	case c.HostLink == "":
		return fmt.Sprintf("namespace %s with %s %s", c.Name, c.Link, addresses(c))
	case c.Host != "" && len(c.Legs) > 0:
		return fmt.Sprintf("namespace %s with %s %s and %s %s, and %s and g-%s in %s", c.Name, c.Link, addresses(c),
			c.Legs[0].Link, c.Legs[0].Addr, c.HostLink, c.Name, c.Host)
	case c.Host != "":
		return fmt.Sprintf("namespace %s with %s %s, and %s in %s", c.Name, c.Link, addresses(c), c.HostLink, c.Host)
	}
	return fmt.Sprintf("namespace %s with %s %s, and %s on the host", c.Name, c.Link, addresses(c), c.HostLink)
}

func both(a, b string) string {
	if b == "" {
		return a
	}
	return a + " and " + b
}

// askDelete asks, and takes back a change with all that builds on it.
func (a *App) askDelete(e *ops.Entry) tea.Cmd {
	name, list := e.Name, objectsOf(*e)
	for _, other := range a.History {
		if other.On == name {
			list = append(list, objectsOf(other)...)
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
		Objects: objectsOf(e),
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
		return "there is no bridge network yet"
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
