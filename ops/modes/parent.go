package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// wire is the LAN that macvlans and ipvlans stand on: that of a link which the
// host has, or one made for them, with a second machine on it.
type wire struct {
	network string
	parent  string
	mark    string
	machine string // the namespace of the second machine; "" where the LAN was there
	// hostAddrs are the host's on the parent, lanAddrs the second machine's.
	hostAddrs, lanAddrs []netip.Prefix
	down                bool // the parent must be switched on
}

// The names of what is made where no parent is given.
func parentLink(network string) string { return "p-" + network }
func lanMachine(network string) string { return network + "-lan" }

// newWire checks the parent that was given, or names the one to be made.
func newWire(errs *Errors, w World, network, parent string) *wire {
	out := &wire{network: network, parent: parent, mark: steps.MarkPrefix + network}
	if parent == "" {
		out.parent, out.machine = parentLink(network), lanMachine(network)
		return out
	}
	l, known := w.HostLinks[parent]
	switch {
	case !w.Links[parent]:
		errs.add("parent", "the host has no link %q: `vethscope ls links -n host` lists them", parent)
	case parent == "lo" || l.Kind == "loopback":
		errs.add("parent", "%s leads nowhere: choose a link to a LAN", parent)
	case l.Master != "":
		errs.add("parent", "%s is a port of bridge %s, which takes all that arrives there: choose another", parent, l.Master)
	}
	if known {
		out.hostAddrs = globalAddrs(l)
		out.down = !slices.Contains(l.Flags, "UP")
	}
	return out
}

func globalAddrs(l inventory.Link) []netip.Prefix {
	var out []netip.Prefix
	for _, a := range l.Addrs {
		if p, err := netip.ParsePrefix(a.CIDR); err == nil && a.Scope == "global" {
			out = append(out, p)
		}
	}
	return out
}

// made is true when the LAN is to be made.
func (r *wire) made() bool { return r.machine != "" }

// names are the namespaces and the host's links that the LAN adds.
func (r *wire) names() (namespaces, links []string) {
	if r.made() {
		return []string{r.machine}, []string{r.parent}
	}
	return nil, nil
}

// fill gives the second machine and the host their addresses on a LAN that is
// made: the first, as a router has by habit, and the second.
func (r *wire) fill(l *lan) {
	if r.made() {
		r.lanAddrs, r.hostAddrs = l.take(), l.take()
	}
}

// machines is how many addresses fill takes.
func (r *wire) machines() int {
	if r.made() {
		return 2
	}
	return 0
}

// steps make the LAN, or switch on the parent that is there.
func (r *wire) steps() []ops.Step {
	if !r.made() {
		if r.down {
			return []ops.Step{&steps.LinkUp{Link: r.parent}}
		}
		return nil
	}
	out := []ops.Step{
		&steps.NetnsAdd{Name: r.machine, Reason: "No parent was given, so a LAN is made, with a second machine on it that this namespace plays."},
		&steps.VethAdd{Name: r.parent, PeerNS: r.machine, PeerName: "eth0", Mark: r.mark},
	}
	out = append(out, addressSteps("", r.parent, "The host's own address on the LAN.", r.hostAddrs)...)
	out = append(out, &steps.LinkUp{NS: r.machine, Link: "lo"})
	return append(out, addressSteps(r.machine, "eth0", "The second machine's address on the LAN.", r.lanAddrs)...)
}

// note tells what the LAN is in ops.Made.
func (r *wire) note(m *ops.Made) {
	m.Parent = r.parent
	if len(r.hostAddrs) > 0 {
		m.ParentAddr = r.hostAddrs[0].Addr().String()
	}
	if r.made() {
		m.Machines = []ops.Machine{{Name: r.machine, Link: "eth0", Addr: r.lanAddrs[0].Addr().String()}}
	}
}

// second is the second machine on the LAN, and its addresses within subnets; a
// LAN that was there may have none that we know.
func (r *wire) second(w World, subnets []netip.Prefix) (ns string, addrs []string) {
	if r.made() {
		return r.machine, inSubnets(r.lanAddrs, subnets)
	}
	if o := w.Outside; o != nil && o.HostLink == r.parent {
		for _, text := range []string{o.Addr, o.Addr6} {
			if a, err := netip.ParseAddr(text); err == nil {
				addrs = append(addrs, inSubnets([]netip.Prefix{single(a)}, subnets)...)
			}
		}
		return o.NS, addrs
	}
	return "", nil
}

// inSubnets are the addresses that lie in one of the subnets.
func inSubnets(addrs, subnets []netip.Prefix) []string {
	var out []string
	for _, a := range addrs {
		if slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(a.Addr()) }) {
			out = append(out, a.Addr().String())
		}
	}
	return out
}

// towards are what a container on the LAN has to do with its neighbours: the
// second machine, and its parent's host, which is one only by a shim.
func (r *wire) towards(out *proofs, w World, c ops.Container, subnets []netip.Prefix, host bool, what string) {
	ns, addrs := r.second(w, subnets)
	if len(addrs) > 0 {
		out.ping(c.Name, true, "The second machine on the LAN is a neighbour.", addrs...)
		out.get(ns, c.Addr, 80, c.Name+":80", true, "The LAN reaches the container by its own address: no NAT, no published port.")
	}
	if host {
		out.ping(netns.Host, true, "The shim is the host's own macvlan, and so a neighbour of the containers.", c.Addr, c.Addr6)
		return
	}
	why := fmt.Sprintf("What %s sends goes out of the parent, never up to the parent's own host.", what)
	out.ping(c.Name, false, why, inSubnets(r.hostAddrs, subnets)...)
	out.ping(netns.Host, false, why, c.Addr)
}

// parseGateway reads the address that the containers' default routes lead to; none
// is the second machine's on a LAN that is made, and otherwise no default route.
func parseGateway(errs *Errors, text string, subnet netip.Prefix) netip.Addr {
	if text = strings.TrimSpace(text); text == "" {
		return netip.Addr{}
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		errs.unlike("gateway", text, "an IP address")
	case subnet.IsValid() && !subnet.Contains(a):
		errs.add("gateway", "%s is not in %s", a, subnet)
	}
	return a
}

// parseFirst has the containers' addresses begin at a given one.
func parseFirst(errs *Errors, text string, l *lan) {
	if text = strings.TrimSpace(text); text == "" || len(l.subnets) == 0 {
		return
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		errs.unlike("first", text, "an IP address")
	case !l.subnets[0].Contains(a):
		errs.add("first", "%s is not in %s", a, l.subnets[0])
	default:
		l.next[0] = a
	}
}

// routesOut are the default routes of a container on the LAN.
func routesOut(ns string, gateways []netip.Addr) []ops.Step {
	var out []ops.Step
	for _, g := range gateways {
		out = append(out, defaultRoute(ns, "eth0", g))
	}
	return out
}

// gateways are where the containers' default routes lead: to the one that was
// given, or to the second machine of a LAN that is made.
func (r *wire) gateways(given netip.Addr) []netip.Addr {
	if given.IsValid() {
		return []netip.Addr{given}
	}
	var out []netip.Addr
	for _, a := range r.lanAddrs {
		out = append(out, a.Addr())
	}
	return out
}

// dhcpNote warns of a LAN that has its own idea of who has which address.
func (r *wire) dhcpNote() []string {
	if r.made() {
		return nil
	}
	return []string{"the LAN of " + r.parent + " may give out addresses itself (DHCP): keep the containers' apart from those with --first"}
}
