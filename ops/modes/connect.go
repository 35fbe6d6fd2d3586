package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// The Modes of plans that change a bridge network later.
const (
	addMode     = "add"
	connectMode = "connect"
)

// Add puts more containers on a bridge network.
type Add struct {
	Network    string `json:"network"`
	Containers int    `json:"containers"` // how many more
}

// Connect plugs a container of another network, or any other namespace, into a
// bridge network, too. It keeps the links that it has. The network's gateway
// becomes its default route only if it has none.
type Connect struct {
	Network   string   `json:"network"`
	Container string   `json:"container"`
	Aliases   []string `json:"aliases,omitempty"` // further names of it in this network
}

// ConnectName is the Name of the plan that connected a container to a network.
func ConnectName(network, container string) string { return network + ":" + container }

// Plan validates the settings against w and says every step. The names go on
// where the network's end, and the addresses are the lowest free ones. The error
// is of type Errors when a setting is at fault.
func (a Add) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	p := existing(&errs, w, a.Network)
	if a.Containers < 1 || a.Containers > maxContainers {
		errs.add("containers", "must be 1 to %d, not %d", maxContainers, a.Containers)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	made := ops.Made{}
	var out []ops.Step
	pool := p.pool()
	for n := p.lastNumber() + 1; len(made.Containers) < a.Containers; n++ {
		c := ops.Container{Name: fmt.Sprintf("%s-%d", p.name, n), Link: "eth0", HostLink: hostLink(p.name, n)}
		pool.addresses(&errs, "containers", &c)
		checkFree(&errs, w, "containers", c)
		if err := errs.err(); err != nil {
			return nil, err
		}
		made.Containers = append(made.Containers, c)
		out = append(out, &steps.NetnsAdd{Name: c.Name, Reason: "One more container is one more namespace."})
		out = append(out, p.container(c)...)
	}
	made.Proofs = p.newcomers("A container that came later is a neighbour like the others.", made.Containers...)
	first, last := made.Containers[0].Name, made.Containers[a.Containers-1].Name
	title := "add " + first
	if first != last {
		title += " to " + last
	}
	return &ops.Plan{Title: title + " to network " + p.name, Name: p.name + ":" + first, On: p.name, Mode: addMode,
		Steps: out, Made: made, Settings: a}, nil
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (c Connect) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	p := existing(&errs, w, c.Network)
	c.check(&errs, w)
	if err := errs.err(); err != nil {
		return nil, err
	}
	in := w.Inside[c.Container]
	leg := ops.Container{Name: c.Container, Link: freeLink(in.Links), HostLink: p.legLink(w), Aliases: c.Aliases}
	p.pool().addresses(&errs, "container", &leg)
	checkName(&errs, leg.HostLink, "", "")
	if err := errs.err(); err != nil {
		return nil, err
	}
	out := append(p.plug(leg), p.address(leg)...)
	if !in.Default {
		out = append(out, p.defaultRoute(leg))
	}
	if leg.Addr6 != "" && !in.Default6 {
		out = append(out, p.defaultRoute6(leg))
	}
	plan := &ops.Plan{
		Title: fmt.Sprintf("connect %s to network %s", c.Container, c.Network),
		Name:  ConnectName(c.Network, c.Container),
		On:    c.Network, Mode: connectMode, Steps: out,
		Made: ops.Made{Containers: []ops.Container{leg},
			Proofs: p.newcomers("With its new leg it is a neighbour in this network, too.", leg)},
		Settings: c,
	}
	if owner := w.made[c.Container]; owner != "" && owner != c.Network {
		plan.With = []string{owner} // its namespace goes, and the leg with it
	}
	return plan, nil
}

func (c Connect) check(errs *Errors, w World) {
	made := w.Networks[c.Network]
	switch {
	case c.Container == "":
		errs.add("container", "is missing: give the name of a namespace")
	case w.Inside[c.Container].Links == nil:
		errs.add("container", "no namespace %q: `vethscope ls namespaces` lists them", c.Container)
	case slices.ContainsFunc(made.Containers, func(o ops.Container) bool { return o.Name == c.Container }):
		errs.add("container", "%s is in network %s already", c.Container, c.Network)
	}
	for _, alias := range c.Aliases {
		taken := func(o ops.Container) bool { return o.Name == alias || slices.Contains(o.Aliases, alias) }
		switch {
		case !namePattern.MatchString(alias):
			errs.add("aliases", "%q must begin with a letter and hold only letters, digits, '-', '_' and '.'", alias)
		case slices.ContainsFunc(made.Containers, taken):
			errs.add("aliases", "%q is in use in network %s", alias, c.Network)
		}
	}
}

// existing is the plan of a bridge network that is there.
func existing(errs *Errors, w World, network string) *bridgePlan {
	made, ok := w.Networks[network]
	subnet, err := netip.ParsePrefix(made.Network)
	if !ok || err != nil || w.Plans[network] != "bridge" {
		errs.add("network", "no bridge network %q of ours: `vethscope create bridge` makes one", network)
		return nil
	}
	p := &bridgePlan{name: network, table: tableName(network), mark: steps.MarkPrefix + network, subnet: subnet, containers: made.Containers}
	if made.Network6 != "" {
		p.subnet6, _ = netip.ParsePrefix(made.Network6)
	}
	return p
}

// lastNumber is the highest number that a container of the network bears.
func (p *bridgePlan) lastNumber() int {
	last := 0
	for _, c := range p.containers {
		if text, ok := strings.CutPrefix(c.Name, p.name+"-"); ok {
			if n, err := strconv.Atoi(text); err == nil {
				last = max(last, n)
			}
		}
	}
	return last
}

// legLink is a free name for the host's end of a further leg: the numbers of
// v-NETWORK-N belong to the network's own containers.
func (p *bridgePlan) legLink(w World) string {
	for n := 1; ; n++ {
		if name := fmt.Sprintf("c-%s-%d", p.name, n); !w.Links[name] {
			return name
		}
	}
}

// freeLink is the first name of ethN that is not among links.
func freeLink(links []string) string {
	for n := 0; ; n++ {
		if name := fmt.Sprintf("eth%d", n); !slices.Contains(links, name) {
			return name
		}
	}
}

func checkFree(errs *Errors, w World, field string, c ops.Container) {
	switch {
	case w.Namespaces[c.Name]:
		errs.add(field, "namespace %s exists already", c.Name)
	case w.Links[c.HostLink]:
		errs.add(field, "link %s exists already", c.HostLink)
	default:
		checkName(errs, c.HostLink, "", "")
	}
}

// pool hands out the free addresses of a network, lowest first.
type pool struct {
	subnet, subnet6 netip.Prefix
	used            map[netip.Addr]bool
}

func (p *bridgePlan) pool() *pool {
	out := &pool{subnet: p.subnet, subnet6: p.subnet6, used: map[netip.Addr]bool{p.gateway(): true}}
	if p.subnet6.IsValid() {
		out.used[p.gateway6()] = true
	}
	for _, c := range p.containers {
		for _, a := range HostOf(c).Addrs {
			out.used[a] = true
		}
	}
	return out
}

// addresses gives c its addresses.
func (p *pool) addresses(errs *Errors, field string, c *ops.Container) {
	for _, of := range []struct {
		subnet netip.Prefix
		to     *string
	}{{p.subnet, &c.Addr}, {p.subnet6, &c.Addr6}} {
		if !of.subnet.IsValid() {
			continue
		}
		a := of.subnet.Addr().Next()
		for p.used[a] {
			a = a.Next()
		}
		if !of.subnet.Contains(a) || a.Is4() && a == lastAddr(of.subnet) {
			errs.add(field, "no address of %s is free for %s", of.subnet, c.Name)
			return
		}
		p.used[a] = true
		*of.to = a.String()
	}
}
