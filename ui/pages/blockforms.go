package pages

import (
	"strconv"
	"strings"

	"vethscope/assets"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// small makes the form of a block: one change to one object, known by title.
func small(app *App, title, about string, plan func(*answers) planner, settings ...setting) kit.Page {
	return newForm(app, title, assets.Block(about), func(a *answers, w modes.World) (*ops.Plan, error) {
		return plan(a).Plan(w)
	}, settings...)
}

// places are the namespaces that something can be done in, from first.
func (a *App) places(first string) []string {
	out := []string{first}
	for _, name := range append([]string{hostEnd}, a.namespaceNames()...) {
		if name != first {
			out = append(out, name)
		}
	}
	if a.namespace(outside) != nil && first != outside {
		out = append(out, outside)
	}
	return out
}

func newNetnsAdd(a *App) kit.Page {
	return small(a, "Add a namespace", "netns", func(f *answers) planner { return modes.NetnsAdd{Name: f.Value("name")} },
		text("name", "Name", "it is empty at first but for lo, which is down", a.freeName("ns")))
}

func newNetnsRename(a *App, ns string) kit.Page {
	return small(a, "Rename namespace "+ns, "netns", func(f *answers) planner { return modes.NetnsRename{Name: ns, To: f.Value("to")} },
		text("to", "New name", "what is in it stays as it is", ns))
}

func newLinkRename(a *App, ns, link string) kit.Page {
	return small(a, "Rename link "+link+" in "+ns, "link", func(f *answers) planner {
		return modes.LinkRename{NS: ns, Link: link, To: f.Value("to")}
	}, text("to", "New name", "at most 15 bytes", link))
}

func newAddrAdd(a *App, ns, link string) kit.Page {
	return small(a, "Add an address to "+link+" in "+ns, "addr", func(f *answers) planner {
		return modes.AddrAdd{NS: ns, Link: link, Addr: f.Value("address")}
	}, text("address", "Address", "with the length of its subnet: 10.0.0.1/24", ""))
}

func newAddrDelete(a *App, ns string, l *inventory.Link) kit.Page {
	var list []string
	for _, addr := range l.Addrs {
		list = append(list, addr.CIDR)
	}
	link := l.Name
	return small(a, "Delete an address of "+link+" in "+ns, "addr", func(f *answers) planner {
		return modes.AddrDelete{NS: ns, Link: link, Addr: f.Value("address")}
	}, choice("address", "Address", "←/→ choose; the routes that came with it go, too", list...))
}

func newLinkMTU(a *App, ns string, l *inventory.Link) kit.Page {
	link := l.Name
	return small(a, "Set the MTU of "+link+" in "+ns, "mtu", func(f *answers) planner {
		return modes.LinkMTU{NS: ns, Link: link, MTU: f.number("mtu")}
	}, text("mtu", "MTU", "bytes: the largest packet that it takes", strconv.Itoa(l.MTU)))
}

func newLinkMAC(a *App, ns string, l *inventory.Link) kit.Page {
	link := l.Name
	return small(a, "Set the MAC of "+link+" in "+ns, "mac", func(f *answers) planner {
		return modes.LinkMAC{NS: ns, Link: link, MAC: f.Value("mac")}
	}, text("mac", "MAC", "02:… is for addresses that nobody gave out", l.MAC))
}

func newLinkMaster(a *App, ns *inventory.Namespace, link string) kit.Page {
	var bridges []string
	for i := range ns.Links {
		if ns.Links[i].Kind == "bridge" {
			bridges = append(bridges, ns.Links[i].Name)
		}
	}
	name := ns.Name
	return small(a, "Plug "+link+" into a bridge in "+name, "bridge", func(f *answers) planner {
		return modes.LinkMaster{NS: name, Link: link, Bridge: f.Value("bridge")}
	}, choice("bridge", "Bridge", "←/→ choose among the bridges there", bridges...))
}

func newLinkMove(a *App, ns, link string) kit.Page {
	return small(a, "Move "+link+" out of "+ns, "move", func(f *answers) planner {
		return modes.LinkMove{NS: ns, Link: link, To: f.Value("to")}
	}, choice("to", "To", "←/→ choose a namespace", a.places(ns)[1:]...))
}

func newNeigh(a *App, ns, link string) kit.Page {
	return small(a, "Tell "+link+" in "+ns+" a neighbour", "neigh", func(f *answers) planner {
		return modes.Neigh{NS: ns, Link: link, Addr: f.Value("address"), MAC: f.Value("mac")}
	}, text("address", "Address", "of the neighbour", ""),
		text("mac", "MAC", "that it answers to; empty deletes the entry", ""))
}

func newFDB(a *App, ns, link string) kit.Page {
	return small(a, "Forwarding entry of "+link+" in "+ns, "fdb", func(f *answers) planner {
		return modes.FDB{NS: ns, Link: link, MAC: f.Value("mac"), Dst: f.Value("destination"), Delete: f.Value("delete") == "delete"}
	}, choice("delete", "What to do", "←/→ choose", "add", "delete"),
		text("mac", "MAC", "frames for it go there; 00:00:00:00:00:00 is a vxlan's default", ""),
		text("destination", "Other end", "of a vxlan: the address of the host that has the MAC", ""))
}

func newLinkAdd(a *App, ns string) kit.Page {
	return small(a, "Add a link", "link", func(f *answers) planner {
		l := modes.LinkAdd{NS: f.Value("namespace"), Link: f.Value("link"), Type: f.Value("type"), MTU: f.number("mtu")}
		switch l.Type {
		case "veth":
			l.Peer, l.PeerNS = f.Value("peer"), f.Value("peer_namespace")
		case "macvlan", "ipvlan":
			l.Parent, l.Mode = f.Value("parent"), f.Value("mode")
		case "vxlan":
			l.Parent, l.VNI, l.Local = f.Value("parent"), f.number("vni"), f.Value("local")
		}
		return l
	},
		choice("type", "Type", "←/→ choose", modes.LinkTypes...),
		text("link", "Name", "at most 15 bytes", "br0"),
		choice("namespace", "In", "←/→ choose a namespace", a.places(ns)...),
		text("mtu", "MTU", "optional: bytes", ""),
		text("peer", "Other end", "of a veth: its name", "veth1"),
		choice("peer_namespace", "Other end in", "of a veth: the namespace where it lies", a.places(ns)...),
		text("parent", "Parent", "of a macvlan, ipvlan or vxlan: the link under it", ""),
		text("mode", "Mode", "of a macvlan or ipvlan; empty for bridge or l2", ""),
		text("vni", "VNI", "of a vxlan: 1 to 16777215", ""),
		text("local", "Own address", "of a vxlan: optional", ""))
}

func newRouteAdd(a *App, ns string) kit.Page {
	const ordinary = "unicast"
	return small(a, "Add a route", "route", func(f *answers) planner {
		return modes.RouteAdd{NS: f.Value("namespace"), Type: f.or("type", ordinary), Dst: f.Value("destination"), Via: f.Value("via"),
			Link: f.Value("link"), Metric: f.number("metric"), Table: f.number("table")}
	},
		choice("namespace", "In", "←/→ choose a namespace", a.places(ns)...),
		text("destination", "Destination", "a subnet, an address, or default", "default"),
		text("via", "Via", "the gateway, a neighbour", ""),
		text("link", "Link", "the way out; the gateway's own where it is left empty", ""),
		choice("type", "Type", "←/→ unicast leads there; the others lead nowhere", append([]string{ordinary}, modes.RouteTypes...)...),
		text("metric", "Metric", "optional: of two routes the smaller wins", ""),
		text("table", "Table", "optional: a number; the main one where it is left empty", ""))
}

// tables are the numbers of the tables that have names, see rt_tables(5).
var tables = map[string]int{"main": 0, "local": 255, "default": 253}

// routeDelete names a route as exactly as it can be.
func routeDelete(ns string, r *inventory.Route) planner {
	d := modes.RouteDelete{NS: ns, Dst: r.Dst, Via: r.Gateway, Link: r.Link, Metric: r.Metric, Table: tables[r.Table]}
	if n, err := strconv.Atoi(r.Table); err == nil {
		d.Table = n
	}
	if d.Dst == "default" && r.Family == "ip6" {
		d.Dst = "::/0"
	}
	return d
}

func newSysctl(a *App, ns string) kit.Page {
	return small(a, "Set a kernel parameter in "+ns, "sysctl", func(f *answers) planner {
		return modes.Sysctl{NS: ns, Key: f.Value("key"), Value: f.Value("value")}
	}, text("key", "Parameter", "such as net.ipv4.ip_forward", "net.ipv4.ip_forward"),
		text("value", "Value", "often 0 or 1", "1"))
}

func newMasquerade(a *App) kit.Page {
	return small(a, "Masquerade a subnet", "masquerade", func(f *answers) planner {
		return modes.Masquerade{NS: f.Value("namespace"), Subnet: f.Value("subnet"), Except: f.Value("except")}
	}, choice("namespace", "In", "←/→ choose the namespace that routes", a.places(hostEnd)...),
		text("subnet", "Subnet", "whose packets get the address of the link that they leave by", ""),
		text("except", "Except on", "the link that the subnet is on; empty for the one with its route", ""))
}

func newPublishTo(a *App) kit.Page {
	return small(a, "Publish a port to an address", "publish", func(f *answers) planner {
		return modes.PublishTo{Addr: f.Value("address"), Port: f.Value("publish")}
	}, text("address", "Address", "that the host has a way to", ""),
		text("publish", "Port", "HOST:ADDRESS'S, such as 8080:80 or 53:53/udp", strings.TrimSpace(freePort(a.world()))))
}
