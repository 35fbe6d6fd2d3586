package inventory

import (
	"fmt"
	"net"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readRoutes reads the routes of every table, IPv4 first, in the kernel's order.
func readRoutes(h *netlink.Handle, links []Link) ([]Route, error) {
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	var routes []Route
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		// Table RT_TABLE_UNSPEC with the filter on means every table.
		filter := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
		raw, err := dump(func() ([]netlink.Route, error) {
			return h.RouteListFiltered(family, filter, netlink.RT_FILTER_TABLE)
		})
		if err != nil {
			return nil, fmt.Errorf("read routes: %w", err)
		}
		for _, r := range raw {
			routes = append(routes, newRoute(r, names))
		}
	}
	return routes, nil
}

func newRoute(r netlink.Route, names map[int]string) Route {
	route := Route{
		Family: "ip", Table: tableName(r.Table), Type: routeType(r.Type), Dst: destination(r.Dst),
		Gateway: gateway(r.Gw, r.Via), Link: linkName(names, r.LinkIndex), Source: address(r.Src),
		Protocol: protocolName(r.Protocol), Scope: scopeName(int(r.Scope)), Metric: r.Priority,
	}
	if r.Family == netlink.FAMILY_V6 {
		route.Family = "ip6"
	}
	for _, hop := range r.MultiPath {
		route.NextHops = append(route.NextHops, NextHop{
			Gateway: gateway(hop.Gw, hop.Via), Link: linkName(names, hop.LinkIndex),
			Weight: hop.Hops + 1, // rtnetlink(7) counts from 0
		})
	}
	return route
}

func tableName(table int) string {
	switch table {
	case unix.RT_TABLE_MAIN:
		return "main"
	case unix.RT_TABLE_LOCAL:
		return "local"
	case unix.RT_TABLE_DEFAULT:
		return "default"
	}
	return strconv.Itoa(table)
}

// routeTypes are those of rtnetlink(7), as ip-route(8) writes them.
var routeTypes = map[int]string{
	unix.RTN_UNSPEC: "none", unix.RTN_UNICAST: "unicast", unix.RTN_LOCAL: "local",
	unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast", unix.RTN_MULTICAST: "multicast",
	unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable",
	unix.RTN_PROHIBIT: "prohibit", unix.RTN_THROW: "throw", unix.RTN_NAT: "nat",
	unix.RTN_XRESOLVE: "xresolve",
}

func routeType(t int) string {
	if name := routeTypes[t]; name != "" {
		return name
	}
	return strconv.Itoa(t)
}

// protocolName is the library's name, with those that it lacks or spells
// otherwise than ip-route(8).
func protocolName(p netlink.RouteProtocol) string {
	switch int(p) {
	case unix.RTPROT_KEEPALIVED:
		return "keepalived"
	case unix.RTPROT_OPENR:
		return "openr"
	}
	return p.String()
}

// destination writes a prefix as ip-route(8) does: "default" for all, and a
// single address without its length.
func destination(n *net.IPNet) string {
	if n == nil {
		return "default"
	}
	ones, bits := n.Mask.Size()
	switch ones {
	case 0:
		return "default"
	case bits:
		return n.IP.String()
	}
	return n.String()
}

// gateway is the next hop's address; via carries one of the other family
// (RFC 5549).
func gateway(ip net.IP, via netlink.Destination) string {
	if v, ok := via.(*netlink.Via); ok {
		ip = v.Addr
	}
	return address(ip)
}

func address(ip net.IP) string {
	if ip == nil {
		return ""
	}
	return ip.String()
}

// linkName is the name of a link of the same namespace; a link that came
// between the two dumps is called by its index, as ip(8) does.
func linkName(names map[int]string, index int) string {
	if index == 0 {
		return ""
	}
	if name := names[index]; name != "" {
		return name
	}
	return fmt.Sprintf("if%d", index)
}
