package modes

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/steps"
)

// AddrAdd gives a link an address.
type AddrAdd struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	Addr string `json:"address"` // "10.0.0.1/24"
}

// Plan is as that of NetnsAdd.
func (b AddrAdd) Plan(w World) (*ops.Plan, error) {
	var addr netip.Prefix
	p, err := w.onLink(b.NS, b.Link, "addr", "add address to", false, func(ns string, errs *Errors) ops.Step {
		addr = parsePrefix(errs, "address", b.Addr)
		return &steps.AddrAdd{NS: ns, Link: b.Link, Addr: addr,
			Reason: "An address makes the host reachable there; the connected route to its subnet comes with it."}
	})
	if p, err = named(p, err, addr.String()); err != nil {
		return nil, err
	}
	if note := unusual(addr); note != "" {
		p.Notes = append(p.Notes, note)
	}
	return p, nil
}

// unusual says what is odd about a link's address, "" for nothing.
func unusual(p netip.Prefix) string {
	switch {
	case p.Addr().Is6() || p.Bits() >= 31:
	case p.Addr() == p.Masked().Addr():
		return fmt.Sprintf("%s is the network's own address, not that of a machine: the first of its machines is %s", p.Addr(), p.Addr().Next())
	case p.Addr() == lastAddr(p.Masked()):
		return fmt.Sprintf("%s is the broadcast address of %s, not that of a machine", p.Addr(), p.Masked())
	}
	return ""
}

// named ends the name and the title of a plan with what it is about.
func named(p *ops.Plan, err error, what string) (*ops.Plan, error) {
	if err != nil {
		return nil, err
	}
	p.Name += ":" + what
	p.Title += ": " + what
	return p, nil
}

// AddrDelete takes an address off a link.
type AddrDelete struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	Addr string `json:"address"`
}

// Plan is as that of NetnsAdd.
func (b AddrDelete) Plan(w World) (*ops.Plan, error) {
	var addr netip.Prefix
	p, err := w.onLink(b.NS, b.Link, "addr-delete", "delete address of", true, func(ns string, errs *Errors) ops.Step {
		addr = parsePrefix(errs, "address", b.Addr)
		has := slices.ContainsFunc(w.linksOf(ns)[b.Link].Addrs, func(a inventory.Addr) bool { return a.CIDR == addr.String() })
		if len(*errs) == 0 && !has {
			errs.add("address", "%s has no address %s", b.Link, addr)
		}
		return &steps.AddrDelete{NS: ns, Link: b.Link, Addr: addr}
	})
	return named(p, err, addr.String())
}

// RouteAdd adds a route.
type RouteAdd struct {
	NS     string `json:"namespace,omitempty"`
	Type   string `json:"type,omitempty"` // "" or "blackhole", "unreachable", "prohibit"
	Dst    string `json:"destination"`    // "default" or "10.0.0.0/8"
	Via    string `json:"via,omitempty"`
	Link   string `json:"link,omitempty"`
	Metric int    `json:"metric,omitempty"`
	Table  int    `json:"table,omitempty"`
}

// RouteTypes are the types of route that lead nowhere.
var RouteTypes = []string{"blackhole", "unreachable", "prohibit"}

// routePlace is what adding and deleting a route have in common.
type routePlace struct {
	ns            string
	dst           netip.Prefix
	via           netip.Addr
	metric, table int
}

func (w World) routePlace(errs *Errors, ns, dst, via, link string, metric, table int) routePlace {
	r := routePlace{ns: w.namespace(errs, "namespace", ns), metric: metric, table: table}
	r.dst = parsePrefix(errs, "destination", dst)
	if via != "" {
		r.via = parseAddr(errs, "via", via)
		if dst == "default" && r.via.Is6() {
			r.dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
		}
		if len(*errs) == 0 && r.via.Is4() != r.dst.Addr().Is4() {
			errs.add("via", "%s and %s are not of one family", r.via, r.dst)
		}
	}
	if r.dst.IsValid() && r.dst.Masked() != r.dst {
		errs.add("destination", "%s has host bits set: the network is %s", r.dst, r.dst.Masked())
	}
	if link != "" {
		w.link(errs, "link", r.ns, link)
	}
	if metric < 0 {
		errs.add("metric", "%d is less than 0", metric)
	}
	if table < 0 {
		errs.add("table", "%d is less than 0", table)
	}
	return r
}

// name is that of a plan about the route.
func (r routePlace) name() string {
	text := "route:" + r.dst.String()
	if r.ns != "" {
		text = r.ns + ":" + text
	}
	if r.table != 0 {
		text += fmt.Sprintf(":%d", r.table)
	}
	return text
}

// title is the route's destination for people.
func (r routePlace) title() string {
	if r.dst.Bits() == 0 {
		return "default"
	}
	return r.dst.String()
}

// Plan is as that of NetnsAdd.
func (b RouteAdd) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	r := w.routePlace(&errs, b.NS, b.Dst, b.Via, b.Link, b.Metric, b.Table)
	switch {
	case b.Type != "" && !slices.Contains(RouteTypes, b.Type):
		errs.add("type", "%q is not one of %s", b.Type, strings.Join(RouteTypes, ", "))
	case b.Type != "" && b.Via+b.Link != "":
		errs.add("via", "a %s route leads nowhere: leave out via and dev", b.Type)
	case b.Type == "" && b.Via == "" && b.Link == "":
		errs.add("via", "is missing: name a gateway (via) or a link (dev)")
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	step := &steps.RouteAdd{NS: r.ns, Dst: r.dst, Via: r.via, Link: b.Link, Metric: b.Metric, Table: b.Table, Type: b.Type}
	owners := w.ownersOf(place{r.ns, b.Link})
	if w.owner(place{ns: r.ns}) == "" {
		step.Protocol = steps.RouteProtocol // in a namespace of others it must be found again
	}
	return block("route", r.name(), describe("add route %s %s%s", b.Type, r.title(), in(r.ns)), owners, step), nil
}

// RouteDelete deletes a route.
type RouteDelete struct {
	NS     string `json:"namespace,omitempty"`
	Dst    string `json:"destination"`
	Via    string `json:"via,omitempty"`
	Link   string `json:"link,omitempty"`
	Metric int    `json:"metric,omitempty"`
	Table  int    `json:"table,omitempty"`
}

// Plan is as that of NetnsAdd.
func (b RouteDelete) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	r := w.routePlace(&errs, b.NS, b.Dst, b.Via, b.Link, b.Metric, b.Table)
	if err := errs.err(); err != nil {
		return nil, err
	}
	owners := w.ownersOf(place{r.ns, b.Link})
	if _, ours := w.Plans[r.name()]; ours {
		owners = append(owners, r.name())
	}
	return block("route-delete", r.name()+":delete", describe("delete route %s%s", r.title(), in(r.ns)), owners,
		&steps.RouteDelete{NS: r.ns, Dst: r.dst, Via: r.via, Link: b.Link, Metric: b.Metric, Table: b.Table}), nil
}

// Neigh is an entry of a link's neighbour table: the MAC behind an address.
type Neigh struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	Addr string `json:"address"`
	MAC  string `json:"mac,omitempty"` // "" to delete it
}

// Plan is as that of NetnsAdd.
func (b Neigh) Plan(w World) (*ops.Plan, error) {
	if b.MAC == "" {
		p, err := w.onLink(b.NS, b.Link, "neigh-delete", "delete neighbour of", false, func(ns string, errs *Errors) ops.Step {
			return &steps.NeighDel{NS: ns, Link: b.Link, Addr: parseAddr(errs, "address", b.Addr)}
		})
		return w.after(p, err, b.Addr, "neigh")
	}
	p, err := w.onLink(b.NS, b.Link, "neigh", "add neighbour of", false, func(ns string, errs *Errors) ops.Step {
		return &steps.NeighAdd{NS: ns, Link: b.Link, Addr: parseAddr(errs, "address", b.Addr), MAC: parseMAC(errs, "mac", b.MAC)}
	})
	return named(p, err, b.Addr)
}

// after names a plan that deletes an entry, which falls with the one of ours
// that made the entry.
func (w World) after(p *ops.Plan, err error, what, mode string) (*ops.Plan, error) {
	if p, err = named(p, err, what); err != nil {
		return nil, err
	}
	if maker := strings.Replace(p.Name, ":"+mode+"-delete:", ":"+mode+":", 1); w.Plans[maker] != "" {
		p.With = append(p.With, maker)
	}
	return p, nil
}

// FDB is an entry of the forwarding table of a bridge port or a vxlan: where the
// frames for a MAC go.
type FDB struct {
	NS     string `json:"namespace,omitempty"`
	Link   string `json:"link"`
	MAC    string `json:"mac"`                   // 00:00:00:00:00:00 is a vxlan's default
	Dst    string `json:"destination,omitempty"` // a vxlan's: the address of the other end
	Delete bool   `json:"delete,omitempty"`
}

// Plan is as that of NetnsAdd.
func (b FDB) Plan(w World) (*ops.Plan, error) {
	what, title := "fdb", "add forwarding entry to"
	if b.Delete {
		what, title = "fdb-delete", "delete forwarding entry of"
	}
	p, err := w.onLink(b.NS, b.Link, what, title, false, func(ns string, errs *Errors) ops.Step {
		e := steps.FdbEntry{MAC: parseMAC(errs, "mac", b.MAC)}
		if b.Dst != "" {
			e.Dst = parseAddr(errs, "destination", b.Dst)
		}
		switch l := w.linksOf(ns)[b.Link]; {
		case len(*errs) > 0:
		case l.Kind == "vxlan" && b.Dst == "":
			errs.add("destination", "is missing: say where the MAC lives, dst ADDRESS")
		case l.Kind != "vxlan" && b.Dst != "":
			errs.add("destination", "only a vxlan's entries have one, and %s is a %s", b.Link, l.Kind)
		case l.Kind != "vxlan" && l.Master == "":
			errs.add("link", "%s is neither a vxlan nor a port of a bridge", b.Link)
		}
		if b.Delete {
			return &steps.FdbDel{NS: ns, Link: b.Link, FdbEntry: e}
		}
		return &steps.FdbAdd{NS: ns, Link: b.Link, FdbEntry: e}
	})
	return w.after(p, err, b.MAC, "fdb")
}

// Sysctl sets one kernel parameter of a namespace.
type Sysctl struct {
	NS    string `json:"namespace,omitempty"`
	Key   string `json:"key"` // "net.ipv4.ip_forward"
	Value string `json:"value"`
}

// keyPattern is a parameter of the network; the name of a link in it may hold
// what namePattern allows but the dot.
var keyPattern = regexp.MustCompile(`^net(\.[A-Za-z0-9_-]+)+$`)

// sysctlWhy tells what the parameters do that the experiments are about.
var sysctlWhy = map[string]string{
	"net.ipv4.ip_forward":                "A host drops what is not for itself. With forwarding it is a router.",
	"net.ipv6.conf.all.forwarding":       "A host drops what is not for itself. With forwarding it is a router.",
	"net.bridge.bridge-nf-call-iptables": "While it is 1, br_netfilter shows frames that only cross a bridge to the FORWARD chain, whose policy may drop them.",
}

// Plan is as that of NetnsAdd.
func (b Sysctl) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ns := w.namespace(&errs, "namespace", b.NS)
	if !keyPattern.MatchString(b.Key) {
		errs.unlike("key", b.Key, "a parameter of the network, such as net.ipv4.ip_forward")
	}
	if b.Value == "" || strings.ContainsFunc(b.Value, func(r rune) bool { return r < ' ' || r > '~' || strings.ContainsRune("'\"\\$`;&|<>*?()", r) }) {
		errs.unlike("value", b.Value, "a value of a parameter, such as 1")
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	why := sysctlWhy[b.Key]
	if why == "" {
		why = "Kernel parameters say how the namespace treats packets; each namespace has its own."
	}
	return block("sysctl", place{ns: ns}.String()+":"+b.Key, describe("set %s=%s%s", b.Key, b.Value, in(ns)), w.ownersOf(place{ns: ns}),
		&steps.SysctlSet{NS: ns, Key: b.Key, Value: b.Value, Reason: why}), nil
}
