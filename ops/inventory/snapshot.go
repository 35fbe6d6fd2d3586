// Package inventory says what exists: the network namespaces of the machine,
// their links, addresses, routes and rules, as an immutable Snapshot that is
// collected once or watched live.
package inventory

import (
	"time"

	"vethscope/ops/netfilter"
)

// Snapshot is everything that was found, at one moment. It is immutable: a
// Snapshot and all it points to may be read by any number of goroutines.
type Snapshot struct {
	Time       time.Time   `json:"time"`
	Serial     uint64      `json:"serial"` // grows by one with every snapshot of a Watch
	Namespaces []Namespace `json:"namespaces"`
	// Warnings say what could not be read, and why.
	Warnings []string `json:"warnings,omitempty"`
}

// The kinds of namespace, by how it was found.
const (
	KindHost    = "host"    // the namespace that vethscope itself was started in
	KindNamed   = "named"   // a bind mount under /run/netns or Docker's directory
	KindProcess = "process" // held only by processes
)

// Namespace is one network namespace. Its identity is Inode; names change.
type Namespace struct {
	Inode uint64 `json:"inode"`
	// Name is what the user calls it: "host", the name under /run/netns, or
	// "pid:1234" when only processes hold it.
	Name string `json:"name"`
	// Also are its further names, of containers that share it.
	Also      []string  `json:"also,omitempty"`
	Kind      string    `json:"kind"`
	Path      string    `json:"path"` // opens it
	Processes []Process `json:"processes,omitempty"`
	// NSID is the id that the host's namespace has given it, -1 for none.
	NSID   int               `json:"nsid"`
	Links  []Link            `json:"links"`
	Routes []Route           `json:"routes"`
	Chains []netfilter.Chain `json:"chains"`
	Rules  []netfilter.Rule  `json:"rules"`
	// Unreadable says why the parts could not be read, "" when they were.
	Unreadable string `json:"unreadable,omitempty"`
}

// Process is a process that lives in a namespace.
type Process struct {
	PID     int    `json:"pid"`
	Command string `json:"command"` // comm, control characters removed
}

// Link is one network interface. Its identity is the namespace's inode with Index.
type Link struct {
	Index  int      `json:"index"`
	Name   string   `json:"name"`
	Kind   string   `json:"kind"`  // "veth", "bridge", "vxlan"…; "loopback" or "device" where the kernel names none
	Flags  []string `json:"flags"` // UP, BROADCAST, LOWER_UP… as ip(8) writes them
	State  string   `json:"state"` // operstate as ip(8) writes it: UP, DOWN, UNKNOWN, LOWERLAYERDOWN
	MTU    int      `json:"mtu"`
	MAC    string   `json:"mac"`
	Master string   `json:"master,omitempty"` // name of the bridge or bond it is a port of
	Alias  string   `json:"alias,omitempty"`
	Addrs  []Addr   `json:"addrs"`
	// Peer is the other end of a veth, or the parent of a macvlan, ipvlan or
	// vxlan; nil for none.
	Peer   *Peer   `json:"peer,omitempty"`
	Detail *Detail `json:"detail,omitempty"`
}

// Detail is what only some kinds of link have.
type Detail struct {
	VNI   int    `json:"vni,omitempty"`
	Port  int    `json:"port,omitempty"` // UDP port of a vxlan
	Local string `json:"local,omitempty"`
	Mode  string `json:"mode,omitempty"` // of a macvlan or ipvlan
}

// Peer points at another link, possibly in another namespace.
type Peer struct {
	Index int `json:"index"`
	NSID  int `json:"nsid"` // as the link's own namespace numbers it; -1 for the same namespace
	// Inode, NS and Link are resolved when the other namespace could be read;
	// otherwise Inode is 0, NS and Link are "".
	Inode uint64 `json:"inode,omitempty"`
	NS    string `json:"ns,omitempty"`
	Link  string `json:"link,omitempty"`
}

// Addr is an address of a link.
type Addr struct {
	CIDR  string   `json:"cidr"`            // "10.0.0.1/24"
	Peer  string   `json:"peer,omitempty"`  // the other end of a point-to-point address, "10.0.0.2/32"
	Scope string   `json:"scope"`           // "global", "link", "host"
	Flags []string `json:"flags,omitempty"` // "tentative", "dadfailed", "permanent"…
}

// Route is one entry of a routing table.
type Route struct {
	Family   string `json:"family"` // "ip" or "ip6"
	Table    string `json:"table"`  // "main", "local", "default" or the number
	Type     string `json:"type"`   // "unicast", "local", "broadcast", "blackhole"…
	Dst      string `json:"dst"`    // "default" or a prefix
	Gateway  string `json:"gateway,omitempty"`
	Link     string `json:"link,omitempty"`
	Source   string `json:"source,omitempty"` // preferred source
	Protocol string `json:"protocol"`         // "kernel", "boot", "static"…
	Scope    string `json:"scope,omitempty"`
	Metric   int    `json:"metric,omitempty"`
	// NextHops holds the legs of a multipath route; Gateway and Link are empty then.
	NextHops []NextHop `json:"next_hops,omitempty"`
}

// NextHop is one leg of a multipath route.
type NextHop struct {
	Gateway string `json:"gateway,omitempty"`
	Link    string `json:"link,omitempty"`
	Weight  int    `json:"weight"`
}
