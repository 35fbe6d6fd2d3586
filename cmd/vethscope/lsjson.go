package main

import (
	"vethscope/ops/inventory"
)

// The records of `ls -o json`: one flat object a thing, with the namespace that
// it is in. They are part of the interface: a key may be added, and none renamed.

type namespaceRecord struct {
	Name       string              `json:"name"`
	Inode      uint64              `json:"inode"`
	Kind       string              `json:"kind"`
	Path       string              `json:"path"`
	NSID       int                 `json:"nsid"` // -1 for none
	Processes  []inventory.Process `json:"processes"`
	Links      int                 `json:"links"` // how many
	Unreadable string              `json:"unreadable,omitempty"`
}

func namespaceJSON(namespaces []inventory.Namespace, _ lsFlags) any {
	out := []namespaceRecord{}
	for _, n := range namespaces {
		out = append(out, namespaceRecord{n.Name, n.Inode, n.Kind, n.Path, n.NSID, list(n.Processes), len(n.Links), n.Unreadable})
	}
	return out
}

// list is s, written as [] and not as null when it is empty.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

type linkRecord struct {
	Namespace string   `json:"namespace"`
	Index     int      `json:"index"`
	Name      string   `json:"name"`
	Kind      string   `json:"kind"`
	Flags     []string `json:"flags"`
	State     string   `json:"state"`
	MTU       int      `json:"mtu"`
	MAC       string   `json:"mac"`
	Master    string   `json:"master,omitempty"`
	Alias     string   `json:"alias,omitempty"`
	Addresses []string `json:"addresses"` // with their prefix lengths
	// The other end of a veth, or the parent. Namespace and link are empty when
	// they could not be found, and the numbers always there.
	PeerNamespace string `json:"peer_namespace,omitempty"`
	PeerLink      string `json:"peer_link,omitempty"`
	PeerIndex     int    `json:"peer_index,omitempty"`
	PeerNSID      *int   `json:"peer_nsid,omitempty"` // -1 for the same namespace

	VNI   int    `json:"vni,omitempty"`
	Port  int    `json:"port,omitempty"`
	Local string `json:"local,omitempty"`
	Mode  string `json:"mode,omitempty"`
}

func linkJSON(namespaces []inventory.Namespace, _ lsFlags) any {
	out := []linkRecord{}
	for _, n := range namespaces {
		for _, l := range n.Links {
			r := linkRecord{
				Namespace: n.Name, Index: l.Index, Name: l.Name, Kind: l.Kind, Flags: list(l.Flags), State: l.State,
				MTU: l.MTU, MAC: l.MAC, Master: l.Master, Alias: l.Alias, Addresses: cidrs(l),
			}
			if p := l.Peer; p != nil {
				r.PeerNamespace, r.PeerLink, r.PeerIndex, r.PeerNSID = p.NS, p.Link, p.Index, &p.NSID
			}
			if d := l.Detail; d != nil {
				r.VNI, r.Port, r.Local, r.Mode = d.VNI, d.Port, d.Local, d.Mode
			}
			out = append(out, r)
		}
	}
	return out
}

type routeRecord struct {
	Namespace string `json:"namespace"`
	inventory.Route
}

func routeJSON(namespaces []inventory.Namespace, _ lsFlags) any {
	out := []routeRecord{}
	for _, n := range namespaces {
		for _, r := range n.Routes {
			out = append(out, routeRecord{n.Name, r})
		}
	}
	return out
}

type ruleRecord struct {
	Namespace string   `json:"namespace"`
	Engine    string   `json:"engine"`
	Family    string   `json:"family"`
	Table     string   `json:"table"`
	Chain     string   `json:"chain"`
	Hook      string   `json:"hook,omitempty"`
	Priority  int32    `json:"priority"`
	Handle    uint64   `json:"handle"`
	Position  int      `json:"position"`
	Text      string   `json:"text"`
	Unknown   []string `json:"unknown,omitempty"`
	Comment   string   `json:"comment,omitempty"`
	// Both are absent where the rule has no counter.
	Packets *uint64 `json:"packets,omitempty"`
	Bytes   *uint64 `json:"bytes,omitempty"`
	// What the rule rewrites: "dnat", "snat", "masquerade" or "redirect", and to what.
	NAT     string `json:"nat,omitempty"`
	NATAddr string `json:"nat_addr,omitempty"`
	NATPort string `json:"nat_port,omitempty"`
}

func ruleJSON(namespaces []inventory.Namespace, f lsFlags) any {
	out := []ruleRecord{}
	for _, n := range namespaces {
		for _, r := range rulesOf(n, f) {
			rec := ruleRecord{
				Namespace: n.Name, Engine: r.Engine, Family: r.Family, Table: r.Table, Chain: r.Chain, Hook: r.Hook,
				Priority: r.Priority, Handle: r.Handle, Position: r.Position, Text: r.Text, Unknown: r.Unknown, Comment: r.Comment,
			}
			if c := r.Counter; c != nil {
				rec.Packets, rec.Bytes = &c.Packets, &c.Bytes
			}
			if nat := r.NAT; nat != nil {
				rec.NAT, rec.NATAddr, rec.NATPort = nat.Kind, nat.Addr, nat.Port
			}
			out = append(out, rec)
		}
	}
	return out
}
