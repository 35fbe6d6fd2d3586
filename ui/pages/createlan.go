package pages

import (
	"net/netip"
	"strings"

	"vethscope/assets"
	"vethscope/ops"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// masked is an address with its length as the subnet it is in, "" if it is none.
func masked(cidr string) string {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return ""
	}
	return p.Masked().String()
}

// newHosts stands for the hosts that an overlay makes.
const newHosts = "new ones"

// The subnets of the labs, where nothing else is there.
const (
	overlaySubnet = "10.0.1.0/24"
	routedSubnets = "10.0.1.0/24, 10.0.2.0/24"
)

// NewOverlay asks for a network across several hosts.
func NewOverlay(app *App) kit.Page {
	hosts := []string{newHosts}
	for _, e := range app.History {
		if e.Mode == modeOverlay && e.State == ops.StateDone && e.On == "" {
			hosts = append(hosts, e.Name)
		}
	}
	return newForm(app, "Create an overlay network", assets.Mode(modeOverlay), overlayPlan,
		text("name", "Name", "the hosts are NAME-a, …; their containers NAME-a1, …", app.freeName("ov")),
		choice("join", "On hosts", "←/→ choose: made for it, or those of another overlay", hosts...),
		text("hosts", "Hosts", "2 to 26 namespaces that play hosts", "2"),
		text("containers", "Containers", "on each host", "1"),
		text("subnet", "Subnet", "of the containers on all hosts", overlaySubnet),
		text("ipv6", "IPv6 subnet", "optional, such as fd00:8::/64", ""),
		text("vni", "VNI", "the network's number in the VXLAN header", "4097"),
		text("port", "UDP port", "4789 is IANA's; the kernel's own default is 8472", "4789"),
		choice("learning", "Learning", "static: they are told who is where; multicast: they ask", "static", "multicast"),
		choice("gwbridge", "Gateway leg", "a second link of each, to the world outside (IPv4 only)", no, yes),
		text("underlay", "Underlay", "the subnet between the hosts; empty for a free one", ""),
		text("underlay_mtu", "Underlay MTU", "50 bytes less of it are left inside", "1500"))
}

func overlayPlan(a *answers, w modes.World) (*ops.Plan, error) {
	return modes.Overlay{Name: a.Value("name"), Hosts: a.number("hosts"), Containers: a.number("containers"),
		Subnet: a.Value("subnet"), IPv6: a.Value("ipv6"), VNI: a.number("vni"), Port: a.number("port"),
		Learning: a.Value("learning"), GwBridge: a.yes("gwbridge"), Underlay: a.Value("underlay"),
		UnderlayMTU: a.number("underlay_mtu"), Join: a.or("join", newHosts)}.Plan(w)
}

// NewMacvlan asks for containers on the LAN of a link.
func NewMacvlan(app *App) kit.Page {
	p := newForm(app, "Create a macvlan network", assets.Mode(modeMacvlan), macvlanPlan,
		text("name", "Name", "the containers are NAME-1, NAME-2, …", app.freeName("mac")),
		text("containers", "Containers", "how many namespaces play containers", "2"),
		choice("parent", "Parent", "the host's link; a new LAN comes with a second machine", app.parents()...),
		text("subnet", "Subnet", "that of the LAN: the containers are its neighbours", modes.FreeSubnet(app.world())),
		text("ipv6", "IPv6 subnet", "optional, the LAN's", ""),
		choice("submode", "Submode", "in bridge they reach each other, in the others not", "bridge", "private", "vepa", "passthru"),
		choice("shim", "Shim", "a macvlan for the host, so that it reaches them", no, yes),
		text("gateway", "Gateway", "optional: the router of the LAN", ""),
		text("first", "First address", "optional: of the first container, clear of the LAN's own", ""))
	p.follow("subnet", func(f *kit.Form) string { return app.lanSubnet(f.Value("parent")) })
	return p
}

func macvlanPlan(a *answers, w modes.World) (*ops.Plan, error) {
	return modes.Macvlan{Name: a.Value("name"), Containers: a.number("containers"), Parent: a.or("parent", newLAN),
		Subnet: a.Value("subnet"), IPv6: a.Value("ipv6"), Submode: a.Value("submode"), Shim: a.yes("shim"),
		Gateway: a.Value("gateway"), First: a.Value("first")}.Plan(w)
}

// NewIpvlan asks for containers behind the MAC of a link.
func NewIpvlan(app *App) kit.Page {
	p := newForm(app, "Create an ipvlan network", assets.Mode(modeIpvlan), ipvlanPlan,
		text("name", "Name", "the containers are NAME-1, NAME-2, …", app.freeName("ipv")),
		text("containers", "Containers", "dealt out to the subnets in turn", "2"),
		choice("parent", "Parent", "the host's link; a new LAN comes with a second machine", app.parents()...),
		choice("submode", "Submode", "l2: on the LAN itself; l3, l3s: the host routes", "l2", "l3", "l3s"),
		text("subnet", "Subnets", "in l2 that of the LAN; in l3 their own, with commas", modes.FreeSubnet(app.world())),
		choice("router", "Tell router", "in l3: give the LAN's router the missing routes", no, yes),
		text("gateway", "Gateway", "optional, in l2: the router of the LAN", ""),
		text("first", "First address", "optional, in l2: clear of the LAN's own", ""))
	p.follow("subnet", func(f *kit.Form) string {
		if f.Value("submode") != "l2" {
			return routedSubnets
		}
		return app.lanSubnet(f.Value("parent"))
	})
	return p
}

func ipvlanPlan(a *answers, w modes.World) (*ops.Plan, error) {
	return modes.Ipvlan{Name: a.Value("name"), Containers: a.number("containers"), Parent: a.or("parent", newLAN),
		Subnets: a.list("subnet"), Submode: a.Value("submode"), Router: a.yes("router"),
		Gateway: a.Value("gateway"), First: a.Value("first")}.Plan(w)
}

// follow has a field suggest anew what fits when another field changes, until
// someone writes into it.
func (p *form) follow(name string, fit func(*kit.Form) string) {
	suggested := p.form.Value(name)
	p.adapt = func() {
		if strings.TrimSpace(suggested) != p.form.Value(name) {
			return
		}
		if s := fit(p.form); s != suggested {
			suggested = s
			p.form.Set(name, s)
		}
	}
}
