package pages

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// changeKey opens the menu of single actions on what is selected.
const changeKey = "e"

// A block is a single action on what is selected: one change to one object.
type block struct {
	id, key, does string
	why           string         // why it cannot be done now, "" if it can
	open          func() tea.Cmd // goes to its form, or straight to its preview
}

// planner makes a plan of what needs no settings.
type planner interface {
	Plan(modes.World) (*ops.Plan, error)
}

// direct goes to the preview of a plan that needs no settings, or says what is
// wrong.
func (a *App) direct(p planner) func() tea.Cmd {
	return func() tea.Cmd {
		plan, err := p.Plan(a.world())
		if err != nil {
			return a.Toast(kit.Failure, err.Error())
		}
		return a.Push(newPreview(a, plan))
	}
}

// asks opens a form.
func (a *App) asks(form func() kit.Page) func() tea.Cmd {
	return func() tea.Cmd { return a.Push(form()) }
}

// change are the actions of the blocks of one page, and the one that opens their
// menu: does says what for, title what stands over it, and why what is against
// all of them.
func (a *App) change(does, title, why string, blocks []block) []kit.Action {
	section := strings.ToUpper(does[:1]) + does[1:]
	var out []kit.Action
	for _, b := range blocks {
		out = append(out, kit.Action{ID: "change." + b.id, Binding: kit.Chord(changeKey, b.key, b.does), Danger: true, Section: section,
			Disabled: func() string {
				if why != "" {
					return why
				}
				return b.why
			}, Run: b.open})
	}
	menu := kit.Action{ID: "change", Binding: kit.Bind(changeKey, does), Danger: true, Bar: 45,
		Disabled: func() string { return why },
		Run:      func() tea.Cmd { a.Ask(kit.Submenu(kit.Safe(title), untitled(out))); return nil }}
	return append([]kit.Action{menu}, out...)
}

// untitled are actions without headings: they are alone in their menu.
func untitled(actions []kit.Action) []kit.Action {
	out := slices.Clone(actions)
	for i := range out {
		out[i].Section = ""
	}
	return out
}

// unless is why if not ok, and "" otherwise.
func unless(ok bool, why string) string {
	if ok {
		return ""
	}
	return why
}

// nameless says why nothing can be changed in a namespace, "" if it can.
func nameless(ns *inventory.Namespace) string {
	return unless(ns.Kind != inventory.KindProcess, "only processes hold this namespace: without a name nothing can be changed in it")
}

// namespaceBlocks are what can be done to a namespace.
func (a *App) namespaceBlocks(ns *inventory.Namespace) []block {
	own := unless(ns.Kind == inventory.KindNamed, "only a namespace with a name can be renamed or deleted")
	return []block{
		{"netns.add", "n", "add a namespace", "", a.asks(func() kit.Page { return newNetnsAdd(a) })},
		{"netns.rename", "r", "rename the namespace", own, a.asks(func() kit.Page { return newNetnsRename(a, ns.Name) })},
		{"netns.delete", "x", "delete the namespace", own, a.direct(modes.NetnsDelete{Name: ns.Name})},
		{"link.add", "l", "add a link in it", nameless(ns), a.asks(func() kit.Page { return newLinkAdd(a, ns.Name) })},
		{"route.add", "t", "add a route in it", nameless(ns), a.asks(func() kit.Page { return newRouteAdd(a, ns.Name) })},
		{"sysctl", "s", "set a kernel parameter in it", nameless(ns), a.asks(func() kit.Page { return newSysctl(a, ns.Name) })},
	}
}

// linkBlocks are what can be done to a link.
func (a *App) linkBlocks(ns *inventory.Namespace, l *inventory.Link) []block {
	name, link := ns.Name, l.Name
	power := block{"link.up", "u", "switch the link on", "", a.direct(modes.LinkUp{NS: name, Link: link})}
	if slices.Contains(l.Flags, "UP") {
		power = block{"link.down", "u", "switch the link off", "", a.direct(modes.LinkDown{NS: name, Link: link})}
	}
	promisc := !slices.Contains(l.Flags, "PROMISC")
	hear := map[bool]string{true: "have it take all frames (promiscuous)", false: "have it take its own frames only"}[promisc]
	return []block{
		power,
		{"link.rename", "r", "rename the link", "", a.asks(func() kit.Page { return newLinkRename(a, name, link) })},
		{"addr.add", "i", "add an address", "", a.asks(func() kit.Page { return newAddrAdd(a, name, link) })},
		{"addr.delete", "I", "delete an address", unless(len(l.Addrs) > 0, "it has no address"), a.asks(func() kit.Page { return newAddrDelete(a, name, l) })},
		{"link.mtu", "t", "set its MTU", "", a.asks(func() kit.Page { return newLinkMTU(a, name, l) })},
		{"link.mac", "m", "set its MAC", "", a.asks(func() kit.Page { return newLinkMAC(a, name, l) })},
		{"link.promisc", "p", hear, "", a.direct(modes.LinkPromisc{NS: name, Link: link, On: promisc})},
		{"link.master", "b", "plug it into a bridge", unless(l.Master == "", "it is a port of "+l.Master+" already"), a.asks(func() kit.Page { return newLinkMaster(a, ns, link) })},
		{"link.release", "o", "unplug it from its bridge", unless(l.Master != "", "it is no port of a bridge"), a.direct(modes.LinkRelease{NS: name, Link: link})},
		{"link.move", "v", "move it to another namespace", "", a.asks(func() kit.Page { return newLinkMove(a, name, link) })},
		{"neigh", "h", "tell it a neighbour's MAC", "", a.asks(func() kit.Page { return newNeigh(a, name, link) })},
		{"fdb", "f", "add or delete a forwarding entry", "", a.asks(func() kit.Page { return newFDB(a, name, link) })},
		{"forward", "w", "accept what it forwards", "", a.direct(modes.ForwardAccept{NS: name, Link: link})},
		{"link.add", "l", "add another link here", "", a.asks(func() kit.Page { return newLinkAdd(a, name) })},
		{"link.delete", "x", "delete the link", "", a.direct(modes.LinkDelete{NS: name, Link: link})},
	}
}

// routeBlocks are what can be done to a route.
func (a *App) routeBlocks(ns *inventory.Namespace, r *inventory.Route) []block {
	return []block{
		{"route.add", "n", "add a route", "", a.asks(func() kit.Page { return newRouteAdd(a, ns.Name) })},
		{"route.delete", "x", "delete the route", unless(len(r.NextHops) == 0, "a route with several next hops cannot be deleted here"),
			a.direct(routeDelete(ns.Name, r))},
	}
}

// ruleBlocks are the rules that can be made by themselves.
func (a *App) ruleBlocks() []block {
	return []block{
		{"masquerade", "m", "masquerade a subnet", "", a.asks(func() kit.Page { return newMasquerade(a) })},
		{"publish.to", "p", "publish a port to an address", "", a.asks(func() kit.Page { return newPublishTo(a) })},
	}
}

// shellEnd says that a shell has ended.
type shellEnd struct{ err error }

// shell hands the terminal to a shell in a namespace.
func (a *App) shell(ns string) tea.Cmd {
	return tea.Exec(a.Backend.Shell(ns), func(err error) tea.Msg { return shellEnd{err} })
}
