package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// lan hands out the addresses of one LAN, in each of its subnets: IPv4 first, the
// second may be missing.
type lan struct {
	subnets []netip.Prefix
	next    []netip.Addr
	taken   map[netip.Addr]bool
}

// newLAN is the LAN of the subnets that are valid, whose taken addresses are
// passed over.
func newLAN(taken map[netip.Addr]bool, subnets ...netip.Prefix) *lan {
	l := &lan{taken: taken}
	for _, p := range subnets {
		if p.IsValid() {
			l.subnets = append(l.subnets, p)
			l.next = append(l.next, p.Addr().Next())
		}
	}
	return l
}

// take is the next free address in each subnet, with the subnet's length.
func (l *lan) take() []netip.Prefix {
	out := make([]netip.Prefix, len(l.subnets))
	for i, p := range l.subnets {
		for l.taken[l.next[i]] {
			l.next[i] = l.next[i].Next()
		}
		out[i] = netip.PrefixFrom(l.next[i], p.Bits())
		l.next[i] = l.next[i].Next()
	}
	return out
}

// need refuses subnets without room for n more machines.
func (l *lan) need(errs *Errors, n int) {
	try := &lan{subnets: l.subnets, next: slices.Clone(l.next), taken: l.taken}
	var last []netip.Prefix
	for range n {
		last = try.take()
	}
	for i, a := range last {
		if p := l.subnets[i]; !p.Contains(a.Addr()) || a.Addr().Is4() && p.Bits() < 31 && a.Addr() == lastAddr(p) {
			field := "subnet"
			if a.Addr().Is6() {
				field = "ipv6"
			}
			errs.add(field, "%s is too small: %d free addresses are needed", p, n)
		}
	}
}

// container is a machine with those addresses, for people.
func container(name, link string, addrs []netip.Prefix) ops.Container {
	c := ops.Container{Name: name, Link: link}
	for _, a := range addrs {
		if a.Addr().Is4() {
			c.Addr = a.Addr().String()
		} else {
			c.Addr6 = a.Addr().String()
		}
	}
	return c
}

// addressSteps give a link its addresses and switch it on.
func addressSteps(ns, link, why string, addrs []netip.Prefix) []ops.Step {
	var out []ops.Step
	for i, a := range addrs {
		if i > 0 {
			why = "The same for IPv6."
		}
		out = append(out, &steps.AddrAdd{NS: ns, Link: link, Addr: a, Reason: why})
	}
	return append(out, &steps.LinkUp{NS: ns, Link: link})
}

// defaultRoute is the route to everywhere, of the gateway's family.
func defaultRoute(ns, link string, via netip.Addr) ops.Step {
	return &steps.RouteAdd{NS: ns, Dst: everywhere(via), Via: via, Link: link}
}

// everywhere is the prefix of length 0 in a's family.
func everywhere(a netip.Addr) netip.Prefix {
	if a.Is6() {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// single is the prefix that holds a alone.
func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// checkNew refuses a name that a plan, one of the namespaces or one of the host's
// links has already. longest is the longest name that the plan makes of it.
func checkNew(errs *Errors, w World, name, longest string, namespaces, links []string) {
	before, after, _ := strings.Cut(longest, "NAME")
	if !checkName(errs, name, before, after) {
		return
	}
	if _, ok := w.Networks[name]; ok {
		errs.add("name", "%s is in use: vethscope has made something of that name", name)
		return
	}
	for _, ns := range namespaces {
		if w.Namespaces[ns] {
			errs.add("name", "%s is in use: namespace %s exists", name, ns)
			return
		}
	}
	for _, l := range links {
		if w.Links[l] {
			errs.add("name", "%s is in use: link %s exists", name, l)
			return
		}
	}
}

// numbered are the names NAME-1 … NAME-n.
func numbered(name string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%s-%d", name, i+1)
	}
	return out
}

// checkCount refuses a number of containers out of bounds, and puts one in it.
func checkCount(errs *Errors, n *int, most int) {
	if *n < 1 || *n > most {
		errs.add("containers", "must be 1 to %d, not %d", most, *n)
		*n = 1 // go on, to find what else is wrong
	}
}

// with is w with one more subnet in use.
func (w World) with(p netip.Prefix, who string) World {
	if p.IsValid() {
		w.Subnets = append(slices.Clip(w.Subnets), Subnet{p, who})
	}
	return w
}

// onLAN is w without the subnets that parent is in: a machine on the LAN shares
// them.
func (w World) onLAN(parent string) World {
	w.Subnets = slices.DeleteFunc(slices.Clone(w.Subnets), func(s Subnet) bool { return parent != "" && s.Link == parent })
	return w
}

// freeSubnet is FreeSubnet as a prefix, invalid when there is none.
func freeSubnet(w World) netip.Prefix {
	p, _ := netip.ParsePrefix(FreeSubnet(w))
	return p
}

// freeSubnet6 is the first unique local /64 from fd18::/48 that nothing uses.
func freeSubnet6(w World) netip.Prefix {
	for n := range 256 {
		p := netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x18, 7: byte(n)}), 64)
		if _, taken := w.overlap(p); !taken {
			return p
		}
	}
	return netip.Prefix{}
}
