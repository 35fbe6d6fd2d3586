package modes

import (
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// LinkAdd makes a link.
type LinkAdd struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	Type string `json:"type"` // "bridge", "veth", "macvlan", "ipvlan" or "vxlan"
	MTU  int    `json:"mtu,omitempty"`
	MAC  string `json:"mac,omitempty"` // of a bridge or macvlan
	// Peer and PeerNS are a veth's other end; PeerNS "" is NS.
	Peer   string `json:"peer,omitempty"`
	PeerNS string `json:"peer_namespace,omitempty"`
	// Parent is the link that a macvlan, ipvlan or vxlan lies on, in NS.
	Parent string `json:"parent,omitempty"`
	Mode   string `json:"mode,omitempty"` // of a macvlan or ipvlan
	VNI    int    `json:"vni,omitempty"`
	Local  string `json:"local,omitempty"` // a vxlan's own address
	Port   int    `json:"port,omitempty"`  // UDP, 0 for 4789
}

// LinkTypes are the types that LinkAdd takes.
var LinkTypes = []string{"bridge", "veth", "macvlan", "ipvlan", "vxlan"}

// Plan is as that of NetnsAdd.
func (b LinkAdd) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ns := w.namespace(&errs, "namespace", b.NS)
	at := place{ns, b.Link}
	w.newLink(&errs, "link", ns, b.Link)
	w.unnamed(&errs, "link", at.String())
	if b.MTU != 0 && (b.MTU < minMTU || b.MTU > maxMTU) {
		errs.add("mtu", "%d is not %d to %d", b.MTU, minMTU, maxMTU)
	}
	if b.MAC != "" {
		b.MAC = parseMAC(&errs, "mac", b.MAC)
	}
	owners := w.ownersOf(place{ns: ns})
	var step ops.Step
	switch mark := steps.MarkPrefix + at.String(); b.Type {
	case "bridge":
		if b.MAC == "" {
			b.MAC = madeMAC(at)
		}
		step = &steps.BridgeAdd{NS: ns, Name: b.Link, MAC: b.MAC, Mark: mark}
	case "veth":
		peer := place{ns, b.Peer}
		if b.PeerNS != "" {
			peer.ns = w.namespace(&errs, "peer_namespace", b.PeerNS)
		}
		w.newLink(&errs, "peer", peer.ns, b.Peer)
		if peer == at {
			errs.add("peer", "%s has the name of the first end: give it another", b.Peer)
		}
		owners = w.ownersOf(place{ns: ns}, place{ns: peer.ns})
		step = &steps.VethAdd{NS: ns, Name: b.Link, PeerNS: peer.ns, PeerName: b.Peer, MTU: b.MTU, Mark: mark}
		if peer.ns == "" && ns != "" { // the mark goes to the host's end
			step = &steps.VethAdd{Name: b.Peer, PeerNS: ns, PeerName: b.Link, MTU: b.MTU, Mark: mark}
		}
	case "macvlan", "ipvlan", "vxlan":
		step = b.upper(&errs, w, at, mark)
		owners = w.ownersOf(place{ns, b.Parent}, place{ns: ns})
	default:
		errs.add("type", "%q is not one of %s", b.Type, strings.Join(LinkTypes, ", "))
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	return block("link", at.String(), describe("add %s %s%s", b.Type, b.Link, in(ns)), owners, step), nil
}

const (
	minMTU = 68    // RFC 791
	maxMTU = 65535 // that of a veth
)

// modesOf are the modes of links that have one, the first is the default.
var modesOf = map[string][]string{"macvlan": {"bridge", "private", "vepa", "passthru"}, "ipvlan": {"l2", "l3", "l3s"}}

// upper is the step for a link that lies on another.
func (b LinkAdd) upper(errs *Errors, w World, at place, mark string) ops.Step {
	if b.Type == "vxlan" {
		return b.vxlan(errs, w, at, mark)
	}
	w.link(errs, "parent", at.ns, b.Parent)
	if b.Mode == "" {
		b.Mode = modesOf[b.Type][0]
	}
	if !slices.Contains(modesOf[b.Type], b.Mode) {
		errs.add("mode", "%q is not one of %s", b.Mode, strings.Join(modesOf[b.Type], ", "))
	}
	if b.Type == "ipvlan" {
		return &steps.IpvlanAdd{ParentNS: at.ns, Parent: b.Parent, NS: at.ns, Name: at.link, Mode: b.Mode, Mark: mark}
	}
	return &steps.MacvlanAdd{ParentNS: at.ns, Parent: b.Parent, NS: at.ns, Name: at.link, Mode: b.Mode, MAC: b.MAC, Mark: mark}
}

func (b LinkAdd) vxlan(errs *Errors, w World, at place, mark string) ops.Step {
	s := &steps.VxlanAdd{NS: at.ns, Name: at.link, VNI: uint32(b.VNI), Dev: b.Parent, Port: 4789, MTU: b.MTU, Mark: mark}
	mtu := 1500
	if b.Parent != "" {
		mtu = w.link(errs, "parent", at.ns, b.Parent).MTU
	}
	if s.MTU == 0 {
		s.MTU = mtu - steps.VxlanOverhead
	}
	if b.VNI < 1 || b.VNI >= 1<<24 {
		errs.add("vni", "%d is not 1 to %d", b.VNI, 1<<24-1)
	}
	if b.Port != 0 {
		if b.Port < 1 || b.Port > 65535 {
			errs.add("port", "%d is not 1 to 65535", b.Port)
		}
		s.Port = uint16(b.Port)
	}
	if b.Local != "" {
		s.Local = parseAddr(errs, "local", b.Local)
	}
	return s
}

// LinkDelete deletes a link.
type LinkDelete struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
}

// Plan is as that of NetnsAdd.
func (b LinkDelete) Plan(w World) (*ops.Plan, error) {
	return w.onLink(b.NS, b.Link, "delete", "delete link", true, func(ns string, errs *Errors) ops.Step {
		if b.Link == "lo" {
			errs.add("link", "lo is part of its namespace, and cannot be deleted")
		}
		return &steps.LinkDelete{NS: ns, Link: b.Link}
	})
}

// onLink plans one change to one link. whole says that the step keeps all that
// is on the link.
func (w World) onLink(in1, link, what, title string, whole bool, step func(ns string, errs *Errors) ops.Step) (*ops.Plan, error) {
	var errs Errors
	ns := w.namespace(&errs, "namespace", in1)
	w.link(&errs, "link", ns, link)
	s := step(ns, &errs)
	if err := errs.err(); err != nil {
		return nil, err
	}
	at := place{ns, link}
	owners := w.ownersOf(at)
	if whole {
		owners = w.all(w.withPeers(at)...)
	}
	return block("link-"+what, at.String()+":"+what, describe("%s %s%s", title, link, in(ns)), owners, s), nil
}

// LinkMove moves a link to another namespace.
type LinkMove struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	To   string `json:"to"`
}

// Plan is as that of NetnsAdd.
func (b LinkMove) Plan(w World) (*ops.Plan, error) {
	to := ""
	p, err := w.onLink(b.NS, b.Link, "move", "move link", true, func(ns string, errs *Errors) ops.Step {
		to = w.namespace(errs, "to", b.To)
		if b.Link == "lo" || w.linksOf(ns)[b.Link].Kind == "bridge" {
			errs.add("link", "%s cannot be moved: lo and bridges belong to their namespace", b.Link)
		}
		if b.To == "" {
			errs.add("to", "is missing: name a namespace, or host")
		}
		if to == ns && len(*errs) == 0 {
			errs.add("to", "%s is there already", b.Link)
		}
		if len(*errs) == 0 {
			w.newLink(errs, "to", to, b.Link)
		}
		return &steps.LinkMove{NS: ns, Link: b.Link, To: to}
	})
	if err != nil {
		return nil, err
	}
	p.Name = place{to, b.Link}.String() + ":move"
	p.Title += " to " + place{ns: to}.String()
	for _, o := range w.ownersOf(place{ns: to}) {
		if o != p.On && !slices.Contains(p.With, o) {
			p.With = append(p.With, o)
		}
	}
	return p, nil
}

// LinkRename gives a link another name.
type LinkRename struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	To   string `json:"to"`
}

// Plan is as that of NetnsAdd.
func (b LinkRename) Plan(w World) (*ops.Plan, error) {
	var at place
	p, err := w.onLink(b.NS, b.Link, "rename", "rename link", true, func(ns string, errs *Errors) ops.Step {
		if b.Link == "lo" {
			errs.add("link", "lo is lo in every namespace")
		}
		w.newLink(errs, "to", ns, b.To)
		at = place{ns, b.To}
		return &steps.LinkRename{NS: ns, Link: b.Link, To: b.To}
	})
	if err != nil {
		return nil, err
	}
	p.Name, p.Title = at.String()+":rename", p.Title+" to "+b.To
	return p, nil
}

// LinkUp switches a link on.
type LinkUp struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
}

// Plan is as that of NetnsAdd.
func (b LinkUp) Plan(w World) (*ops.Plan, error) {
	return w.onLink(b.NS, b.Link, "up", "switch on link", false, func(ns string, _ *Errors) ops.Step {
		return &steps.LinkUp{NS: ns, Link: b.Link}
	})
}

// LinkDown switches a link off.
type LinkDown struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
}

// Plan is as that of NetnsAdd.
func (b LinkDown) Plan(w World) (*ops.Plan, error) {
	return w.onLink(b.NS, b.Link, "down", "switch off link", true, func(ns string, _ *Errors) ops.Step {
		return &steps.LinkDown{NS: ns, Link: b.Link}
	})
}

// LinkMTU sets the largest packet that a link takes, in bytes.
type LinkMTU struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	MTU  int    `json:"mtu"`
}

// Plan is as that of NetnsAdd.
func (b LinkMTU) Plan(w World) (*ops.Plan, error) {
	return w.onLink(b.NS, b.Link, "mtu", "set MTU of", b.MTU < 1280, func(ns string, errs *Errors) ops.Step {
		if b.MTU < minMTU || b.MTU > maxMTU {
			errs.add("mtu", "%d is not %d to %d", b.MTU, minMTU, maxMTU)
		}
		return &steps.LinkMTU{NS: ns, Link: b.Link, MTU: b.MTU}
	})
}

// LinkMAC sets a link's hardware address.
type LinkMAC struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	MAC  string `json:"mac"`
}

// Plan is as that of NetnsAdd.
func (b LinkMAC) Plan(w World) (*ops.Plan, error) {
	return w.onLink(b.NS, b.Link, "mac", "set MAC of", false, func(ns string, errs *Errors) ops.Step {
		return &steps.LinkMAC{NS: ns, Link: b.Link, MAC: parseMAC(errs, "mac", b.MAC)}
	})
}

// LinkPromisc makes a link take all frames, or only its own again.
type LinkPromisc struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
	On   bool   `json:"on"`
}

// Plan is as that of NetnsAdd.
func (b LinkPromisc) Plan(w World) (*ops.Plan, error) {
	return w.onLink(b.NS, b.Link, "promisc", "set promiscuous mode of", false, func(ns string, _ *Errors) ops.Step {
		return &steps.LinkPromisc{NS: ns, Link: b.Link, On: b.On}
	})
}

// LinkMaster plugs a link into a bridge.
type LinkMaster struct {
	NS     string `json:"namespace,omitempty"`
	Link   string `json:"link"`
	Bridge string `json:"bridge"`
}

// Plan is as that of NetnsAdd.
func (b LinkMaster) Plan(w World) (*ops.Plan, error) {
	var bridge place
	p, err := w.onLink(b.NS, b.Link, "master", "plug in", false, func(ns string, errs *Errors) ops.Step {
		bridge = place{ns, b.Bridge}
		if l := w.link(errs, "bridge", ns, b.Bridge); l.Name != "" && l.Kind != "bridge" {
			errs.add("bridge", "%s is no bridge but a %s", b.Bridge, l.Kind)
		}
		if m := w.linksOf(ns)[b.Link].Master; m != "" {
			errs.add("link", "%s is already a port of %s: release it first", b.Link, m)
		}
		return &steps.LinkMaster{NS: ns, Link: b.Link, Master: b.Bridge}
	})
	if err != nil {
		return nil, err
	}
	for _, o := range w.ownersOf(bridge) {
		if p.On == "" {
			p.On = o
		} else if o != p.On {
			p.With = append(p.With, o)
		}
	}
	return p, nil
}

// LinkRelease unplugs a link from its bridge.
type LinkRelease struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
}

// Plan is as that of NetnsAdd.
func (b LinkRelease) Plan(w World) (*ops.Plan, error) {
	var at []place
	p, err := w.onLink(b.NS, b.Link, "release", "unplug", true, func(ns string, errs *Errors) ops.Step {
		m := w.linksOf(ns)[b.Link].Master
		if m == "" && len(*errs) == 0 {
			errs.add("link", "%s is no port of a bridge", b.Link)
		}
		at = []place{{ns, m}}
		return &steps.LinkRelease{NS: ns, Link: b.Link}
	})
	if err != nil {
		return nil, err
	}
	for _, o := range w.ownersOf(at...) {
		if o != p.On && !slices.Contains(p.With, o) {
			p.With = append(p.With, o)
		}
	}
	return p, nil
}
