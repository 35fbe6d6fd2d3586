package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// Ipvlan puts containers behind one of the host's links: all have its MAC, and
// are told apart by their addresses.
type Ipvlan struct {
	Name       string `json:"name"`
	Containers int    `json:"containers"` // dealt out to the subnets in turn; 0 for one each, and at least 2
	// Parent is the host's link; "" makes a LAN with a second machine on it.
	Parent string `json:"parent,omitempty"`
	// Subnets are, in submode l2, the LAN's one; in l3 and l3s the containers'
	// own, of which the LAN knows nothing.
	Subnets []string `json:"subnet"`
	Submode string   `json:"submode"` // "l2" (also ""), "l3" or "l3s"
	// Router tells the LAN's router where the containers' subnets are.
	Router  bool   `json:"router,omitempty"`
	Gateway string `json:"gateway,omitempty"` // of the containers, in submode l2
	First   string `json:"first,omitempty"`   // the first container's address, in submode l2
}

var ipvlanSubmodes = []string{"l2", "l3", "l3s"}

// ipvlanPlan is Ipvlan with everything parsed.
type ipvlanPlan struct {
	Ipvlan
	wire    *wire
	lan     *lan   // the wire's
	subnets []*lan // the containers', in submode l2 the wire's
	gateway netip.Addr
	names   []string
	addrs   [][]netip.Prefix
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (v Ipvlan) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	p := v.parse(&errs, w)
	if err := errs.err(); err != nil {
		return nil, err
	}
	plan := &ops.Plan{Title: "create ipvlan " + v.Name, Name: v.Name, Mode: "ipvlan", Settings: v, Made: p.made(w), Steps: p.wire.steps()}
	for i := range p.names {
		plan.Steps = append(plan.Steps, p.container(i)...)
	}
	if v.Router {
		plan.Steps = append(plan.Steps, p.routerSteps()...)
	}
	plan.Notes = p.notes()
	return plan, nil
}

func (p *ipvlanPlan) l2() bool { return p.Submode == "l2" }

func (v Ipvlan) parse(errs *Errors, w World) *ipvlanPlan {
	if v.Submode == "" {
		v.Submode = "l2"
	}
	if v.Containers == 0 {
		v.Containers = max(2, len(v.Subnets))
	}
	v.check(errs)
	checkCount(errs, &v.Containers, maxContainers)
	p := &ipvlanPlan{Ipvlan: v, names: numbered(v.Name, v.Containers)}
	p.wire = newWire(errs, w, v.Name, v.Parent)
	p.checkSlaves(errs, w)
	namespaces, links := p.wire.names()
	checkNew(errs, w, v.Name, "p-NAME", append(namespaces, p.names...), links)
	near := w
	if p.l2() {
		near = w.onLAN(v.Parent)
	}
	for _, text := range v.Subnets {
		subnet := parseSubnet(errs, near, "subnet", text, strings.Contains(text, ":"))
		near = near.with(subnet, "another --subnet")
		p.subnets = append(p.subnets, newLAN(nil, subnet))
	}
	if len(*errs) > 0 {
		return p
	}
	p.fill(errs, w, near)
	return p
}

func (v *Ipvlan) check(errs *Errors) {
	if !slices.Contains(ipvlanSubmodes, v.Submode) {
		errs.add("submode", "%q must be one of %s", v.Submode, strings.Join(ipvlanSubmodes, ", "))
	}
	if len(v.Subnets) == 0 {
		errs.add("subnet", "is missing: give a subnet, such as 10.0.1.0/24")
	}
	if v.Submode == "l2" {
		if len(v.Subnets) > 1 {
			errs.add("subnet", "in submode l2 the containers share the LAN's one subnet; several need submode l3 or l3s")
		}
		if v.Router {
			errs.add("router", "is for submode l3 and l3s: in l2 the containers are on the LAN itself")
		}
		return
	}
	if v.Router && v.Parent != "" {
		errs.add("router", "%s's LAN is not ours: leave --parent out, or tell its router the routes yourself", v.Parent)
	}
	if v.Gateway != "" || v.First != "" {
		errs.add("gateway", "in submode %s the containers have no gateway and no LAN: leave --gateway and --first out", v.Submode)
	}
	if v.Containers > 0 && v.Containers < len(v.Subnets) {
		errs.add("containers", "must be at least one for each of the %d subnets", len(v.Subnets))
	}
}

// checkSlaves refuses what the kernel would, and what it would do without a word:
// change the mode of those that are there.
func (p *ipvlanPlan) checkSlaves(errs *Errors, w World) {
	for _, s := range w.Slaves[p.Parent] {
		switch {
		case s.Kind == "macvlan":
			errs.add("parent", "%s is the parent of macvlan %s in %s: it cannot be an ipvlan's as well", p.Parent, s.Link, s.NS)
		case s.Mode != p.Submode:
			errs.add("submode", "%s is the parent of ipvlan %s in %s, which has mode %s: %s would silently become that one's, too",
				p.Parent, s.Link, s.NS, s.Mode, p.Submode)
		default:
			continue
		}
		return
	}
}

// fill gives everyone an address. In l3 the LAN has a subnet of its own, between
// the host and the router.
func (p *ipvlanPlan) fill(errs *Errors, w, near World) {
	if p.l2() {
		p.gateway = parseGateway(errs, p.Gateway, p.subnets[0].subnets[0])
		p.lan = p.subnets[0]
		p.lan.taken = w.taken(p.gateway)
		p.lan.need(errs, p.wire.machines()+p.Containers)
	} else {
		p.lan = newLAN(nil, freeSubnet(near), p.subnet6(near))
		if len(p.lan.subnets) == 0 {
			errs.add("subnet", "no /24 of 172.18.0.0 to 172.31.255.255 is free for the LAN: give --parent")
			return
		}
	}
	p.wire.fill(p.lan)
	parseFirst(errs, p.First, p.lan)
	for _, l := range p.subnets {
		n := (p.Containers + len(p.subnets) - 1) / len(p.subnets)
		if !p.l2() {
			l.take() // the first is a gateway's, by habit
		}
		l.need(errs, n)
	}
	if len(*errs) > 0 {
		return
	}
	for i := range p.names {
		p.addrs = append(p.addrs, p.subnets[i%len(p.subnets)].take())
	}
}

// subnet6 is for the LAN, if one of the containers' subnets is IPv6.
func (p *ipvlanPlan) subnet6(near World) netip.Prefix {
	if slices.ContainsFunc(p.subnets, func(l *lan) bool { return l.subnets[0].Addr().Is6() }) {
		return freeSubnet6(near)
	}
	return netip.Prefix{}
}

func (p *ipvlanPlan) container(i int) []ops.Step {
	ns := p.names[i]
	why := "An address of the LAN's own subnet: no NAT is needed."
	if !p.l2() {
		why = "An address that the LAN knows nothing of: it must be routed to the parent."
	}
	out := []ops.Step{
		&steps.NetnsAdd{Name: ns, Reason: "A container is, for the network, a namespace; its link will be born inside."},
		&steps.IpvlanAdd{Parent: p.wire.parent, NS: ns, Name: "eth0", Mode: p.Submode, Mark: p.wire.mark},
		&steps.LinkUp{NS: ns, Link: "lo"},
	}
	out = append(out, addressSteps(ns, "eth0", why, p.addrs[i])...)
	if p.l2() {
		return append(out, routesOut(ns, p.wire.gateways(p.gateway))...)
	}
	return append(out, &steps.RouteAdd{NS: ns, Dst: everywhere(p.addrs[i][0].Addr()), Link: "eth0",
		Reason: "No gateway and no ARP: whatever leaves by this link is routed by the host, between its subnets as to the world."})
}

// routerSteps are the routes that are missing on the LAN.
func (p *ipvlanPlan) routerSteps() []ops.Step {
	var out []ops.Step
	for _, l := range p.subnets {
		subnet := l.subnets[0]
		out = append(out, &steps.RouteAdd{NS: p.wire.machine, Dst: subnet, Via: p.hostAddr(subnet.Addr().Is6()), Link: "eth0",
			Reason: fmt.Sprintf("The LAN's router must know that %s is behind the host; without this route nothing outside reaches the containers.", subnet)})
	}
	return out
}

// hostAddr is the host's address on the LAN in one family.
func (p *ipvlanPlan) hostAddr(six bool) netip.Addr {
	for _, a := range p.wire.hostAddrs {
		if a.Addr().Is6() == six {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

func (p *ipvlanPlan) notes() []string {
	if p.l2() {
		return p.wire.dhcpNote()
	}
	if p.wire.made() {
		return nil
	}
	var out []string
	for _, l := range p.subnets {
		subnet := l.subnets[0]
		if via := p.hostAddr(subnet.Addr().Is6()); via.IsValid() {
			out = append(out, fmt.Sprintf("the LAN's router needs the route %s via %s", subnet, via))
		}
	}
	return out
}

func (p *ipvlanPlan) made(w World) ops.Made {
	m := ops.Made{Submode: p.Submode, Router: p.Router}
	for _, l := range p.subnets {
		m.Networks = append(m.Networks, l.subnets[0].String())
	}
	m.Network = m.Networks[0]
	p.wire.note(&m)
	if p.l2() {
		if g := p.wire.gateways(p.gateway); len(g) > 0 {
			m.Gateway = g[0].String()
		}
	}
	for i, name := range p.names {
		m.Containers = append(m.Containers, container(name, "eth0", p.addrs[i]))
	}
	m.Proofs = p.proofs(w, m)
	return m
}

func (p *ipvlanPlan) proofs(w World, m ops.Made) []ops.Proof {
	var out proofs
	if p.l2() {
		out.among(m.Containers, true, "The ipvlans of one parent reach each other directly.")
		p.wire.towards(&out, w, m.Containers[0], p.lan.subnets, false, "an ipvlan")
		return out
	}
	out.among(sameFamily(m.Containers), true, "The host routes between the subnets of one parent.")
	why := "Without a route on the LAN's router the outside world does not know where the containers are."
	if p.Router {
		why = "The LAN's router knows that the containers are behind the host."
	}
	if p.wire.made() {
		for _, c := range m.Containers[:min(len(m.Containers), len(p.subnets))] {
			out.ping(p.wire.machine, p.Router, why, c.Addr, c.Addr6)
		}
	}
	return out
}

// sameFamily are the containers that have an address of the first one's family.
func sameFamily(list []ops.Container) []ops.Container {
	return slices.DeleteFunc(slices.Clone(list), func(c ops.Container) bool { return (c.Addr == "") != (list[0].Addr == "") })
}
