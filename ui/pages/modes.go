package pages

import (
	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
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
	modePublish   = "publish"
	modeAdd       = "add"
	modeConnect   = "connect"
)

// NewKey opens the menu of what can be made.
const NewKey = "n"

// A maker is something that can be made, in the menu of the key n.
type maker struct {
	id, key, does string
	line          string        // what it is, for the menu
	why           func() string // why it cannot be made now, "" if it can
	open          func() tea.Cmd
}

// makers are the network modes, the common one first.
func (a *App) makers() []maker {
	return []maker{
		{modeBridge, "b", "create bridge network", "bridge     a switch on the host, NAT and published ports", a.reading, a.opens(NewBridge)},
		{modeVeth, "v", "create veth pair", "veth       a cable between two namespaces, and nothing else", a.reading, a.opens(NewVeth)},
		{modeNone, "n", "create container without a network", "none       a namespace with lo alone", a.reading, a.opens(NewNone)},
		{modeHost, "h", "create container on the host's network", "host       no namespace of its own: the host's links and ports", a.reading, a.opens(NewHost)},
		{modeContainer, "c", "create container that shares another's network", "container  shares a namespace, as the containers of a pod do", a.noNamespace, a.opens(NewContainer)},
		{modeOverlay, "o", "create overlay network", "overlay    one network across several hosts, by VXLAN", a.reading, a.opens(NewOverlay)},
		{modeMacvlan, "m", "create macvlan network", "macvlan    containers on the LAN, each with a MAC of its own", a.reading, a.opens(NewMacvlan)},
		{modeIpvlan, "i", "create ipvlan network", "ipvlan     containers behind the host's MAC, in its LAN or not", a.reading, a.opens(NewIpvlan)},
	}
}

// opens goes to a form.
func (a *App) opens(form func(*App) kit.Page) func() tea.Cmd {
	return func() tea.Cmd { return a.Push(form(a)) }
}

// growers add to what is there.
func (a *App) growers() []maker {
	return []maker{
		{modePublish, "P", "publish a port", "a port of the host that leads into a container", a.NoNetwork, a.opens(NewPublish)},
		{modeAdd, "+", "add containers to a network", "more containers on a bridge network", a.NoNetwork, a.opens(NewAdd)},
		{modeConnect, "x", "connect a container to one more network", "a container on a second network", a.NoNetwork, a.opens(NewConnect)},
		{"disconnect", "-", "disconnect a container from a network", "a container off a second network", a.noLeg, a.disconnect},
	}
}

// labKey opens the page of the labs from the menu of what can be made.
const labKey = "l"

// Makers are the actions that make something, each under a key of the menu that
// n opens.
func (a *App) Makers() []kit.Action {
	var out []kit.Action
	for _, m := range append(a.makers(), a.growers()...) {
		if m.id == modePublish {
			continue // it has a key of its own
		}
		out = append(out, kit.Action{ID: "new." + m.id, Binding: kit.Chord(NewKey, m.key, m.does), Danger: true,
			Disabled: m.why, Section: "Make", Run: m.open})
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
				Run: m.open})
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

// legs are the changes that connected containers to further networks.
func (a *App) legs() []ops.Entry {
	var out []ops.Entry
	for _, e := range a.History {
		if e.Mode == modeConnect {
			out = append(out, e)
		}
	}
	return out
}

func (a *App) noLeg() string {
	return unless(len(a.legs()) > 0, "no container is in two")
}

// disconnect asks which container to take off which network.
func (a *App) disconnect() tea.Cmd {
	var items []kit.Item
	for _, e := range a.legs() {
		items = append(items, kit.Item{Text: e.Made.Containers[0].Name + " from " + e.On, Run: func() tea.Cmd { return a.askUndo(e) }})
	}
	a.Ask(kit.NewChooser("Disconnect which?", false, items))
	return nil
}

func (a *App) noNamespace() string {
	if len(a.namespaceNames()) == 0 {
		return "there is no container yet"
	}
	return ""
}
