package modes

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/steps"
)

// Around is what lies about the host: the part of the World that modes on a LAN
// need.
type Around struct {
	// Outside is the machine at the other end of the host's uplink, if it is a
	// namespace of ours, as in the sandbox.
	Outside *Neighbour
	// HostLinks are the host's links by name, and Slaves the macvlans and ipvlans
	// that stand on each, in whatever namespace.
	HostLinks map[string]inventory.Link
	Slaves    map[string][]Slave
	// Addrs are the addresses that someone has, in whatever namespace.
	Addrs map[netip.Addr]bool
}

// Neighbour is a machine beyond a link of the host.
type Neighbour struct {
	NS             string // that plays it
	Addr, Addr6    string // its addresses
	Host, Host6    string // the host's, on the link between them
	Link, HostLink string // its end of the link, and the host's
}

// Slave is a macvlan or ipvlan on a parent.
type Slave struct{ NS, Link, Kind, Mode string }

// outside is the namespace that plays the world beyond the sandbox's host.
const outside = "outside"

// aroundOf reads a snapshot.
func aroundOf(s *inventory.Snapshot) Around {
	a := Around{HostLinks: map[string]inventory.Link{}, Slaves: map[string][]Slave{}, Addrs: map[netip.Addr]bool{}}
	host := s.Host()
	if host == nil {
		return a
	}
	for _, l := range host.Links {
		a.HostLinks[l.Name] = l
	}
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		for _, l := range ns.Links {
			a.look(host, ns, &l)
		}
	}
	return a
}

func (a *Around) look(host, ns *inventory.Namespace, l *inventory.Link) {
	for _, addr := range l.Addrs {
		if p, err := netip.ParsePrefix(addr.CIDR); err == nil {
			a.Addrs[p.Addr()] = true
		}
	}
	if l.Peer == nil || l.Peer.Inode != host.Inode {
		return
	}
	switch {
	case l.Kind == "macvlan" || l.Kind == "ipvlan":
		slave := Slave{NS: ns.Name, Link: l.Name, Kind: l.Kind}
		if l.Detail != nil {
			slave.Mode = l.Detail.Mode
		}
		a.Slaves[l.Peer.Link] = append(a.Slaves[l.Peer.Link], slave)
	case l.Kind == "veth" && ns.Name == outside:
		up := a.HostLinks[l.Peer.Link]
		a.Outside = &Neighbour{NS: ns.Name, Link: l.Name, HostLink: up.Name,
			Addr: addrOf(l, false), Addr6: addrOf(l, true), Host: addrOf(&up, false), Host6: addrOf(&up, true)}
	}
}

// addrOf is the first global address of a link in one family, "" for none.
func addrOf(l *inventory.Link, six bool) string {
	i := slices.IndexFunc(l.Addrs, func(a inventory.Addr) bool {
		return a.Scope == "global" && strings.Contains(a.CIDR, ":") == six
	})
	if i < 0 {
		return ""
	}
	addr, _, _ := strings.Cut(l.Addrs[i].CIDR, "/")
	return addr
}

// clone is a copy to note changes in.
func (a Around) clone() Around {
	a.HostLinks, a.Slaves, a.Addrs = maps.Clone(a.HostLinks), maps.Clone(a.Slaves), maps.Clone(a.Addrs)
	return a
}

// done notes what one step will have changed.
func (a *Around) done(s ops.Step) {
	switch s := s.(type) {
	case *steps.AddrAdd:
		a.Addrs[s.Addr.Addr()] = true
	case *steps.MacvlanAdd:
		a.slave(s.ParentNS, s.Parent, Slave{s.NS, s.Name, "macvlan", s.Mode})
	case *steps.IpvlanAdd:
		a.slave(s.ParentNS, s.Parent, Slave{s.NS, s.Name, "ipvlan", s.Mode})
	}
}

func (a *Around) slave(parentNS, parent string, s Slave) {
	if parentNS == "" {
		a.Slaves[parent] = append(slices.Clip(a.Slaves[parent]), s)
	}
}
