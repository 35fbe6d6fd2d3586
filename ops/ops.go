// Package ops says how a change to the network is described, made and taken
// back. A change is a Plan: an ordered list of Steps, each of which knows how
// to do itself, how to undo itself and which shell line does the same. An
// Executor runs a Plan and writes every intention to a Journal before it
// touches the kernel, so that a crash at any point can be taken back.
package ops

import "context"

// A Step is one change to the kernel. It is a plain struct behind a pointer:
// its exported fields, as JSON, are its journal entry, so what Check learns for
// Undo must be kept in exported fields. A Step is used by one goroutine.
type Step interface {
	// Kind names the type of change, "veth.add"; it finds the type again when
	// the journal is read.
	Kind() string
	// Why says in one sentence, for a learner, what the step is for.
	Why() string
	// Shell is the ip, nft or sysctl line that does the same.
	Shell() string
	// Check only reads: it refuses conflicts and saves what Undo needs.
	Check(ctx context.Context) error
	Do(ctx context.Context) error
	// Undo works right after a whole Do, half a Do, or none, and never
	// touches what Do did not make.
	Undo(ctx context.Context) error
}

// A Plan is an ordered list of steps that stand or fall together.
type Plan struct {
	ID    string // unique; given by the Executor when empty
	Title string // "create bridge network web"
	// Name is the object that the plan makes ("web"): what `delete NAME` takes.
	Name string
	// On is the Name of the plan that this one builds on and falls with, "" for
	// none.
	On string
	// With are the Names of further plans that it falls with.
	With []string
	Mode string // "bridge"
	// Settings are what the plan was made from, as JSON can say them again; nil
	// when nobody will want to know.
	Settings any
	Lab      string // the lab that the plan belongs to, "" for none
	Steps    []Step
	// Notes are told to the user beside the preview: what the plan cannot
	// change but that will matter (a foreign DROP policy, say).
	Notes []string
	// Made describes the result for the caller's result page and probes.
	Made Made
}

// Made is what a plan leaves behind once it is done.
type Made struct {
	Network  string `json:"network,omitempty"` // its subnet
	Network6 string `json:"network6,omitempty"`
	Bridge   string `json:"bridge,omitempty"`
	Gateway  string `json:"gateway,omitempty"`
	Gateway6 string `json:"gateway6,omitempty"`
	// DNS is the address of the server that knows the containers' names.
	DNS        string      `json:"dns,omitempty"`
	Containers []Container `json:"containers,omitempty"`
	Published  []Published `json:"published,omitempty"`
	// Networks are all its subnets, where there are more than two.
	Networks []string `json:"networks,omitempty"`
	MTU      int      `json:"mtu,omitempty"` // inside, where it is not 1500
	// Of an overlay: its hosts, played by namespaces, the subnet between them, and
	// its number, UDP port and way to learn, "static" or "multicast".
	Hosts     []SimHost `json:"hosts,omitempty"`
	Underlay  string    `json:"underlay,omitempty"`
	VNI       int       `json:"vni,omitempty"`
	VXLANPort int       `json:"vxlan_port,omitempty"`
	Learning  string    `json:"learning,omitempty"`
	// Of a macvlan or ipvlan: the host's link that it stands on, the host's address
	// there, its mode, the shim, the machines of a LAN that was made for it, and
	// whether the LAN's router was told the routes.
	Parent     string    `json:"parent,omitempty"`
	ParentAddr string    `json:"parent_addr,omitempty"`
	Submode    string    `json:"submode,omitempty"`
	Shim       string    `json:"shim,omitempty"`
	ShimAddr   string    `json:"shim_addr,omitempty"`
	Machines   []Machine `json:"machines,omitempty"`
	Router     bool      `json:"router,omitempty"`
	// Proofs are what can be tried on it, to see that it does what it should,
	// and does not do what it cannot.
	Proofs []Proof `json:"proofs,omitempty"`
}

// Proof is one thing to try on a network, with what must come of it.
type Proof struct {
	Kind   string `json:"kind"`   // "ping", "get", "udp", or "listen": open a port
	From   string `json:"from"`   // namespace
	Target string `json:"target"` // an address, a URL for "get", "10.10.0.1:53" for "udp", or ":80" for "listen"
	// Serve is the namespace and port of the server that "get" or "udp" needs,
	// "web-1:80" or "web-1:53/udp"; one that is there already serves, too.
	Serve string `json:"serve,omitempty"`
	Want  bool   `json:"want"` // false: it must not get through
	Why   string `json:"why"`  // one sentence
	// Lab says that it stood in a lab file, and is not one that the mode has by
	// itself.
	Lab bool `json:"lab,omitempty" yaml:"-"`
}

// Container is a namespace that plays a container.
type Container struct {
	Name  string `json:"name"` // the namespace's name
	Link  string `json:"link"` // its interface, "eth0"
	Addr  string `json:"addr"` // without prefix length
	Addr6 string `json:"addr6,omitempty"`
	// HostLink is the host's end of the veth.
	HostLink string `json:"host_link,omitempty"`
	// Aliases are further names of it in the network.
	Aliases []string `json:"aliases,omitempty"`
	// Legs are its further links.
	Legs []Leg `json:"legs,omitempty"`
	// Host is the host of an overlay that it is on, and Shares the container whose
	// namespace it lives in.
	Host   string `json:"host,omitempty"`
	Shares string `json:"shares,omitempty"`
}

// Leg is a further link of a container.
type Leg struct {
	Link string `json:"link"`
	Addr string `json:"addr"` // without prefix length
	MTU  int    `json:"mtu"`
}

// SimHost is a namespace that plays a host of its own.
type SimHost struct {
	Name       string   `json:"name"`
	Link       string   `json:"link"` // its way to the other hosts
	Addr       string   `json:"addr"` // there
	Bridge     string   `json:"bridge"`
	VXLAN      string   `json:"vxlan"`
	Containers []string `json:"containers"`
}

// Machine is a namespace that plays a machine beside the containers.
type Machine struct {
	Name string `json:"name"`
	Link string `json:"link"`
	Addr string `json:"addr"`
}

// Published is one port of the host that leads into a container.
type Published struct {
	HostPort      uint16 `json:"host_port"`
	Container     string `json:"container"`
	ContainerPort uint16 `json:"container_port"`
	Protocol      string `json:"protocol"` // "tcp" or "udp"
}

// Phase is a moment in the life of a step.
type Phase string

// PhaseWaiting is that of a step that was not begun; it is told only of one that was
// checked together with one that failed.
const PhaseWaiting Phase = ""

// The phases of a step, in the order in which they come.
const (
	PhaseCheck  Phase = "check"
	PhaseDo     Phase = "do"
	PhaseDone   Phase = "done"
	PhaseFailed Phase = "failed"
	PhaseUndo   Phase = "undo"
	PhaseUndone Phase = "undone"
)

// Progress is told to the Executor's observer at every phase of every step.
type Progress struct {
	Plan  *Plan
	Index int // of the step in Plan.Steps
	Phase Phase
	Err   error // with PhaseFailed, and with PhaseUndo when the undo itself failed
}
