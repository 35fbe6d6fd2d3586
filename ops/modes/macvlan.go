package modes

import (
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// Macvlan puts containers on the LAN of one of the host's links, each with a MAC
// of its own.
type Macvlan struct {
	Name       string `json:"name"`
	Containers int    `json:"containers"` // 0 for 2, or for 1 with passthru
	// Parent is the host's link; "" makes a LAN with a second machine on it.
	Parent string `json:"parent,omitempty"`
	// Subnet is the LAN's.
	Subnet  string `json:"subnet"`
	IPv6    string `json:"ipv6,omitempty"`
	Submode string `json:"submode,omitempty"` // "bridge" (also ""), "private", "vepa" or "passthru"
	// Shim gives the host a macvlan, too, by which it and the containers reach
	// each other.
	Shim    bool   `json:"shim,omitempty"`
	Gateway string `json:"gateway,omitempty"` // of the containers
	First   string `json:"first,omitempty"`   // the first container's address
}

var macvlanSubmodes = []string{"bridge", "private", "vepa", "passthru"}

// macvlanPlan is Macvlan with everything parsed.
type macvlanPlan struct {
	Macvlan
	wire     *wire
	lan      *lan
	gateway  netip.Addr
	names    []string
	addrs    [][]netip.Prefix // of each container
	shim     []netip.Prefix
	shimLink string
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (m Macvlan) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	p := m.parse(&errs, w)
	if err := errs.err(); err != nil {
		return nil, err
	}
	plan := &ops.Plan{Title: "create macvlan " + m.Name, Name: m.Name, Mode: "macvlan", Settings: m, Made: p.made(w), Notes: p.wire.dhcpNote()}
	plan.Steps = p.wire.steps()
	for i := range p.names {
		plan.Steps = append(plan.Steps, p.container(i)...)
	}
	if m.Shim {
		plan.Steps = append(plan.Steps, p.shimSteps()...)
	}
	return plan, nil
}

func (m Macvlan) parse(errs *Errors, w World) *macvlanPlan {
	if m.Submode == "" {
		m.Submode = "bridge"
	}
	if m.Containers == 0 {
		m.Containers = 2
		if m.Submode == "passthru" {
			m.Containers = 1
		}
	}
	m.check(errs)
	checkCount(errs, &m.Containers, maxContainers)
	p := &macvlanPlan{Macvlan: m, names: numbered(m.Name, m.Containers), shimLink: "s-" + m.Name}
	p.wire = newWire(errs, w, m.Name, m.Parent)
	p.checkSlaves(errs, w)
	namespaces, links := p.wire.names()
	if m.Shim {
		links = append(links, p.shimLink)
	}
	checkNew(errs, w, m.Name, "p-NAME", append(namespaces, p.names...), links)
	near := w.onLAN(m.Parent)
	subnet := parseSubnet(errs, near, "subnet", m.Subnet, false)
	var subnet6 netip.Prefix
	if m.IPv6 != "" {
		subnet6 = parseSubnet(errs, near, "ipv6", m.IPv6, true)
	}
	p.gateway = parseGateway(errs, m.Gateway, subnet)
	if len(*errs) > 0 {
		return p
	}
	p.lan = newLAN(w.taken(p.gateway), subnet, subnet6)
	p.fill(errs)
	return p
}

// taken are the addresses that someone has, and one more.
func (w World) taken(more netip.Addr) map[netip.Addr]bool {
	out := map[netip.Addr]bool{more: true}
	for a := range w.Addrs {
		out[a] = true
	}
	return out
}

func (m *Macvlan) check(errs *Errors) {
	if !slices.Contains(macvlanSubmodes, m.Submode) {
		errs.add("submode", "%q must be one of %s", m.Submode, strings.Join(macvlanSubmodes, ", "))
	}
	if m.Shim && m.Submode != "bridge" {
		errs.add("shim", "works in submode bridge only: in %s the containers do not reach other macvlans of the parent", m.Submode)
	}
	if m.Submode == "passthru" && m.Containers > 1 {
		errs.add("containers", "must be 1 in submode passthru, which gives the parent to one alone")
	}
}

// checkSlaves refuses what the kernel would: a parent that others have.
func (p *macvlanPlan) checkSlaves(errs *Errors, w World) {
	for _, s := range w.Slaves[p.Parent] {
		switch {
		case s.Kind == "ipvlan":
			errs.add("parent", "%s is the parent of ipvlan %s in %s: it cannot be a macvlan's as well", p.Parent, s.Link, s.NS)
		case s.Mode == "passthru" || p.Submode == "passthru":
			errs.add("parent", "%s is the parent of macvlan %s in %s: with passthru there can be one only", p.Parent, s.Link, s.NS)
		default:
			continue
		}
		return
	}
}

// fill gives everyone an address.
func (p *macvlanPlan) fill(errs *Errors) {
	n := p.wire.machines() + p.Containers
	if p.Shim {
		n++
	}
	p.lan.need(errs, n)
	p.wire.fill(p.lan)
	parseFirst(errs, p.First, p.lan)
	p.lan.need(errs, n-p.wire.machines())
	for range p.names {
		p.addrs = append(p.addrs, p.lan.take())
	}
	if p.Shim {
		p.shim = p.lan.take()
	}
}

func (p *macvlanPlan) container(i int) []ops.Step {
	mac := macOf(p.addrs[i][0].Addr())
	if p.Submode == "passthru" {
		mac = "" // it has the parent's
	}
	ns := p.names[i]
	out := []ops.Step{
		&steps.NetnsAdd{Name: ns, Reason: "A container is, for the network, a namespace; its link will be born inside."},
		&steps.MacvlanAdd{Parent: p.wire.parent, NS: ns, Name: "eth0", Mode: p.Submode, MAC: mac, Mark: p.wire.mark},
		&steps.LinkUp{NS: ns, Link: "lo"},
	}
	out = append(out, addressSteps(ns, "eth0", "An address of the LAN's own subnet: no NAT is needed.", p.addrs[i])...)
	return append(out, routesOut(ns, p.wire.gateways(p.gateway))...)
}

// shimSteps give the host a macvlan with a way to each container.
func (p *macvlanPlan) shimSteps() []ops.Step {
	out := []ops.Step{&steps.MacvlanAdd{Parent: p.wire.parent, Name: p.shimLink, Mode: "bridge", MAC: macOf(p.shim[0].Addr()), Mark: p.wire.mark}}
	alone := make([]netip.Prefix, len(p.shim))
	for i, a := range p.shim {
		alone[i] = single(a.Addr())
	}
	out = append(out, addressSteps("", p.shimLink, "The host and its macvlans do not hear each other; but macvlans do. So the host gets one of its own, the shim.", alone)...)
	for _, addrs := range p.addrs {
		for _, a := range addrs {
			out = append(out, &steps.RouteAdd{Dst: single(a.Addr()), Link: p.shimLink,
				Reason: "The host must not look for its containers on the parent, but behind the shim."})
		}
	}
	return out
}

func (p *macvlanPlan) made(w World) ops.Made {
	m := ops.Made{Network: p.lan.subnets[0].String(), Submode: p.Submode}
	if len(p.lan.subnets) > 1 {
		m.Network6 = p.lan.subnets[1].String()
	}
	p.wire.note(&m)
	if g := p.wire.gateways(p.gateway); len(g) > 0 {
		m.Gateway = g[0].String()
	}
	for i, name := range p.names {
		m.Containers = append(m.Containers, container(name, "eth0", p.addrs[i]))
	}
	if p.Shim {
		m.Shim = p.shimLink
		m.ShimAddr = p.shim[0].Addr().String()
	}
	m.Proofs = p.proofs(w, m)
	return m
}

var macvlanAmong = map[string]string{
	"bridge":  "In submode bridge the macvlans of one parent reach each other directly.",
	"private": "In submode private the macvlans of one parent never reach each other.",
	"vepa":    "In submode vepa the switch would have to send the frames back, and this one does not.",
}

func (p *macvlanPlan) proofs(w World, m ops.Made) []ops.Proof {
	var out proofs
	out.among(m.Containers, p.Submode == "bridge", macvlanAmong[p.Submode])
	first := m.Containers[0]
	p.wire.towards(&out, w, first, p.lan.subnets, p.Shim, "a macvlan")
	if p.Shim {
		for _, a := range p.shim {
			out.ping(first.Name, true, "The containers reach the host by the shim's own address.", a.Addr().String())
		}
		out.get(netns.Host, first.Addr, 80, first.Name+":80", true, "The host reaches its containers' servers through the shim.")
	}
	return out
}
