package pages

import (
	"fmt"
	"slices"
	"strings"

	"vethscope/assets"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// freeName is base, or base2, base3, …: the first that nothing is called by, nor
// by what is made of it.
func (a *App) freeName(base string) string {
	w := a.world()
	taken := func(name string) bool {
		if w.Plans[name] != "" || w.Links[name] {
			return true
		}
		for ns := range w.Namespaces {
			if ns == name || strings.HasPrefix(ns, name+"-") {
				return true
			}
		}
		return false
	}
	name := base
	for n := 2; taken(name); n++ {
		name = fmt.Sprintf("%s%d", base, n)
	}
	return name
}

// The ends of a cable that are not there yet, and the host's.
const (
	newNamespace = "a new namespace"
	hostEnd      = "host"
)

// NewVeth asks for a cable between two namespaces.
func NewVeth(app *App) kit.Page {
	there := app.namespaceNames()
	near := append([]string{hostEnd, newNamespace}, there...)
	far := append([]string{newNamespace}, there...)
	return newForm(app, "Create a veth pair", assets.Mode(modeVeth), vethPlan,
		text("name", "Name", "of the pair, and of the namespace that is made for it", app.freeName("red")),
		choice("from", "One end in", "←/→ choose among the namespaces", near...),
		choice("between", "Other end in", "two new ones are called NAME-1 and NAME-2", append(far, hostEnd)...),
		text("subnet", "Subnet", "the ends take its first two addresses", modes.FreeSubnet(app.world())),
		text("ipv6", "IPv6 subnet", "optional, such as fd00:8::/64", ""))
}

func vethPlan(a *answers, w modes.World) (*ops.Plan, error) {
	v := modes.Veth{Name: a.Value("name"), Subnet: a.Value("subnet"), IPv6: a.Value("ipv6")}
	ends := []string{a.Value("from"), a.Value("between")}
	switch {
	case ends[0] == newNamespace && ends[1] == newNamespace:
		ends = []string{v.Name + "-1", v.Name + "-2"}
	case ends[0] == hostEnd && ends[1] == newNamespace:
		ends = nil // what the settings stand for by themselves
	default:
		for i := range ends {
			if ends[i] == newNamespace {
				ends[i] = v.Name
			}
		}
	}
	v.Between = ends
	return v.Plan(w)
}

// NewNone asks for a container without a network.
func NewNone(app *App) kit.Page {
	plan := func(a *answers, w modes.World) (*ops.Plan, error) { return modes.None{Name: a.Value("name")}.Plan(w) }
	return newForm(app, "Create a container without a network", assets.Mode(modeNone), plan,
		text("name", "Name", "of the container's namespace", app.freeName("alone")))
}

// NewHost asks for a container on the host's own network.
func NewHost(app *App) kit.Page {
	plan := func(a *answers, w modes.World) (*ops.Plan, error) {
		n := a.number("port")
		if n < 1 || n > 65535 {
			a.errs = append(a.errs, modes.FieldError{Field: "port", Message: fmt.Sprintf("must be 1 to 65535, not %d", n)})
		}
		return modes.Host{Name: a.Value("name"), Port: uint16(n)}.Plan(w)
	}
	return newForm(app, "Create a container on the host's network", assets.Mode(modeHost), plan,
		text("name", "Name", "by which the list of changes knows it", app.freeName("app")),
		text("port", "Port", "of the server that proves whose ports these are", "8000"))
}

// NewContainer asks for a container that lives in another's namespace.
func NewContainer(app *App) kit.Page {
	plan := func(a *answers, w modes.World) (*ops.Plan, error) {
		return modes.Container{Name: a.Value("name"), With: a.Value("with")}.Plan(w)
	}
	return newForm(app, "Create a container that shares a network", assets.Mode(modeContainer), plan,
		text("name", "Name", "a second name for the other's namespace", app.freeName("side")),
		choice("with", "Shares with", "←/→ choose among the containers", app.namespaceNames()...))
}

// newLAN is what stands for a LAN that is made where no link is chosen.
const newLAN = "a new LAN"

// parents are the host's links that lead to a LAN, and one to be made.
func (a *App) parents() []string {
	out := []string{newLAN}
	host := a.host()
	if host == nil {
		return out
	}
	for _, l := range host.Links {
		if l.Kind != "loopback" && l.Kind != "bridge" && l.Kind != "macvlan" && l.Kind != "ipvlan" && l.Kind != "vxlan" && l.Master == "" {
			out = append(out, l.Name)
		}
	}
	return out
}

// lanSubnet is the IPv4 subnet of a link of the host; of a new LAN, a free one.
func (a *App) lanSubnet(parent string) string {
	host := a.host()
	if host == nil || parent == newLAN {
		return modes.FreeSubnet(a.world())
	}
	i := slices.IndexFunc(host.Links, func(l inventory.Link) bool { return l.Name == parent })
	if i < 0 {
		return ""
	}
	for _, addr := range host.Links[i].Addrs {
		if s := masked(addr.CIDR); s != "" && addr.Scope == "global" && !strings.Contains(s, ":") {
			return s
		}
	}
	return ""
}
