package pages

import (
	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ui/kit"
)

// The modes that the pages treat each in its own way, as plans call them.
const (
	modeBridge    = "bridge"
	modeVeth      = "veth"
	modeNone      = "none"
	modeHost      = "host"
	modeContainer = "container"
	modeOverlay   = "overlay"
	modeMacvlan   = "macvlan"
	modeIpvlan    = "ipvlan"
)

// NewKey opens the menu of what can be made.
const NewKey = "n"

// A maker is something that can be made, in the menu of the key n.
type maker struct {
	id, key, does string
	line          string // what it is, for the menu
	why           func() string
	form          func(*App) kit.Page
}

// makers are the network modes, the common one first.
func (a *App) makers() []maker {
	return []maker{
		{modeBridge, "b", "create bridge network", "bridge     a switch on the host, NAT and published ports", a.reading, NewBridge},
		{modeVeth, "v", "create veth pair", "veth       a cable between two namespaces, and nothing else", a.reading, NewVeth},
		{modeNone, "n", "create container without a network", "none       a namespace with lo alone", a.reading, NewNone},
		{modeHost, "h", "create container on the host's network", "host       no namespace of its own: the host's links and ports", a.reading, NewHost},
		{modeContainer, "c", "create container that shares another's network", "container  shares a namespace, as the containers of a pod do", a.noNamespace, NewContainer},
		{modeOverlay, "o", "create overlay network", "overlay    one network across several hosts, by VXLAN", a.reading, NewOverlay},
		{modeMacvlan, "m", "create macvlan network", "macvlan    containers on the LAN, each with a MAC of its own", a.reading, NewMacvlan},
		{modeIpvlan, "i", "create ipvlan network", "ipvlan     containers behind the host's MAC, in its LAN or not", a.reading, NewIpvlan},
	}
}

// growers add to what is there.
func (a *App) growers() []maker {
	return []maker{
		{"publish", "P", "publish a port", "a port of the host that leads into a container", a.NoNetwork, NewPublish},
		{"add", "+", "add containers to a network", "more containers on a bridge network", a.NoNetwork, NewAdd},
		{"connect", "x", "connect a container to one more network", "a container on a second network", a.NoNetwork, NewConnect},
	}
}

// labKey opens the page of the labs from the menu of what can be made.
const labKey = "l"

// Makers are the actions that make something, each under a key of the menu that
// n opens.
func (a *App) Makers() []kit.Action {
	var out []kit.Action
	for _, m := range append(a.makers(), a.growers()...) {
		if m.id == "publish" {
			continue // it has a key of its own
		}
		out = append(out, kit.Action{ID: "new." + m.id, Binding: kit.Chord(NewKey, m.key, m.does), Danger: true,
			Disabled: m.why, Section: "Make", Run: func() tea.Cmd { return a.Push(m.form(a)) }})
	}
	return append(out, kit.Action{ID: "new.lab", Binding: kit.Chord(NewKey, labKey, "make one of the labs"), Danger: true,
		Disabled: a.reading, Section: "Make", Run: func() tea.Cmd { return a.Push(newLabs(a)) }})
}

// NewMenu is the menu of what can be made, with a line on each.
func (a *App) NewMenu() kit.Dialog {
	var items []kit.Item
	list := func(section string, makers []maker) {
		for _, m := range makers {
			items = append(items, kit.Item{Text: m.line, Key: m.key, Why: m.why(), Section: section,
				Run: func() tea.Cmd { return a.Push(m.form(a)) }})
		}
	}
	list("A network, or a container", a.makers())
	list("On a network that is there", a.growers())
	items = append(items, kit.Item{Text: "labs       the experiments, ready made: several networks each", Key: labKey, Why: a.reading(),
		Section: "Several networks at once", Run: func() tea.Cmd { return a.Push(newLabs(a)) }})
	return kit.NewChooser("Make what?", false, items)
}

// reading says that it is not known yet what is there.
func (a *App) reading() string {
	if a.Snap == nil {
		return "still reading what is there"
	}
	return ""
}

func (a *App) noNamespace() string {
	if len(a.namespaceNames()) == 0 {
		return "there is no container yet"
	}
	return ""
}
