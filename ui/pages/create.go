package pages

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"vethscope/assets"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// NewBridge asks for a bridge network.
func NewBridge(app *App) kit.Page {
	d := modes.DefaultBridge(app.world())
	return newForm(app, "Create a bridge network", assets.Mode(modeBridge), bridgePlan,
		text("name", "Name", "of the bridge; the containers are NAME-1, NAME-2, …", d.Name),
		text("containers", "Containers", "how many namespaces play containers", strconv.Itoa(d.Containers)),
		text("subnet", "Subnet", "the bridge takes its first address, containers the next", d.Subnet),
		text("ipv6", "IPv6 subnet", "optional, such as fd00:8::/64", d.IPv6),
		text("publish", "Publish", "HOSTPORT:PORT[/udp][@CONTAINER], with commas between", strings.Join(d.Publish, ", ")),
	)
}

func bridgePlan(a *answers, w modes.World) (*ops.Plan, error) {
	return modes.Bridge{Name: a.Value("name"), Containers: a.number("containers"), Subnet: a.Value("subnet"),
		IPv6: a.Value("ipv6"), Publish: a.list("publish")}.Plan(w)
}

// NewPublish asks for a port to publish on one of the networks, at first the
// one last looked at.
func NewPublish(app *App) kit.Page {
	plan := func(a *answers, w modes.World) (*ops.Plan, error) {
		return modes.Publish{Network: a.Value("network"), Port: a.Value("publish")}.Plan(w)
	}
	return newForm(app, "Publish a port", assets.Mode(modePublish), plan,
		app.whichNetwork("network"),
		text("publish", "Port", "HOSTPORT:PORT[/udp][@CONTAINER], such as 8081:80@2", freePort(app.world())))
}

// NewAdd asks how many containers to add to a bridge network.
func NewAdd(app *App) kit.Page {
	plan := func(a *answers, w modes.World) (*ops.Plan, error) {
		return modes.Add{Network: a.Value("network"), Containers: a.number("containers")}.Plan(w)
	}
	return newForm(app, "Add containers", assets.Mode(modeAdd), plan,
		app.whichNetwork("network"),
		text("containers", "Containers", "how many more; their numbers go on where the network's end", "1"))
}

// NewConnect asks for a container to plug into one more network.
func NewConnect(app *App) kit.Page {
	plan := func(a *answers, w modes.World) (*ops.Plan, error) {
		return modes.Connect{Network: a.Value("network"), Container: a.Value("container"), Aliases: a.list("aliases")}.Plan(w)
	}
	network := app.whichNetwork("network")
	return newForm(app, "Connect a container", assets.Mode(modeConnect), plan,
		network,
		choice("container", "Container", "←/→ choose; it keeps the links that it has", app.strangers(network.value)...),
		text("aliases", "Aliases", "optional: further names of it in this network", ""))
}

// whichNetwork asks for a bridge network, at first the one last looked at.
func (a *App) whichNetwork(name string) setting {
	s := choice(name, "Network", "←/→ choose among the bridge networks made here", a.networkNames()...)
	if network, _, ok := a.chosen(); ok {
		s.value = network
	}
	return s
}

// strangers are the namespaces beside the host's, first those that are not in a
// network.
func (a *App) strangers(network string) []string {
	made, _ := a.known(network)
	inside := func(name string) int {
		if slices.ContainsFunc(made.Containers, func(c ops.Container) bool { return c.Name == name }) {
			return 1
		}
		return 0
	}
	out := a.namespaceNames()
	slices.SortStableFunc(out, func(x, y string) int { return inside(x) - inside(y) })
	return out
}

// namespaceNames are the named namespaces but the one that plays the world
// outside.
func (a *App) namespaceNames() []string {
	if a.Snap == nil {
		return nil
	}
	var out []string
	for _, ns := range a.Snap.Namespaces {
		if ns.Kind == inventory.KindNamed && ns.Name != outside {
			out = append(out, ns.Name)
		}
	}
	return out
}

// freePort is the first from 8081 on that is not published yet.
func freePort(w modes.World) string {
	for n := uint16(8081); n < 9000; n++ {
		if w.Published[modes.Port{Protocol: "tcp", Number: n}] == "" {
			return fmt.Sprintf("%d:80", n)
		}
	}
	return ""
}

// networkNames are the bridge networks that were made here, the newest first.
func (a *App) networkNames() []string {
	var out []string
	for _, e := range a.History {
		if e.Mode == modeBridge && e.State == ops.StateDone {
			out = append(out, e.Name)
		}
	}
	return out
}
