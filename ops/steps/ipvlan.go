package steps

import (
	"context"
	"fmt"

	"github.com/vishvananda/netlink"
)

// IpvlanAdd makes an ipvlan: a link with addresses of its own that shares the
// wire and the MAC of its parent.
type IpvlanAdd struct {
	ParentNS string `json:"parent_ns,omitempty"`
	Parent   string `json:"parent"`
	NS       string `json:"ns,omitempty"`
	Name     string `json:"name"`
	Mode     string `json:"mode"` // "l2", "l3" or "l3s"
	Mark     string `json:"mark"`
	Index    int    `json:"index,omitempty"` // once made
}

var ipvlanModes = map[string]netlink.IPVlanMode{
	"l2": netlink.IPVLAN_MODE_L2, "l3": netlink.IPVLAN_MODE_L3, "l3s": netlink.IPVLAN_MODE_L3S,
}

var ipvlanWhy = map[string]string{
	"l2":  "it answers ARP, and so is a neighbour on the LAN",
	"l3":  "it neither asks nor answers ARP; packets for it must be routed to its parent",
	"l3s": "as l3, and its packets pass the netfilter hooks of the host",
}

func (s *IpvlanAdd) Kind() string { return "ipvlan.add" }
func (s *IpvlanAdd) Why() string {
	return fmt.Sprintf("An ipvlan has its own address and %s's MAC: the switch outside sees one machine with many addresses. Mode %s: %s.",
		s.Parent, s.Mode, ipvlanWhy[s.Mode])
}
func (s *IpvlanAdd) Shell() string {
	return slaveShell(s.ParentNS, s.Parent, s.NS, s.Name, " type ipvlan mode "+s.Mode, s.Mark)
}

// Check refuses another mode than that of the ipvlans which are there: the kernel
// would silently change theirs (ipvlan_link_new in drivers/net/ipvlan/ipvlan_main.c).
func (s *IpvlanAdd) Check(ctx context.Context) error {
	s.Index = 0
	mode, ok := ipvlanModes[s.Mode]
	if !ok {
		return fmt.Errorf("unknown ipvlan mode %q: give l2, l3 or l3s", s.Mode)
	}
	if err := freeLink(ctx, s.NS, s.Name); err != nil {
		return err
	}
	there, err := checkParent(s.ParentNS, s.Parent)
	if err != nil {
		return err
	}
	for _, o := range there {
		iv, ok := o.link.(*netlink.IPVlan)
		switch {
		case !ok:
			return fmt.Errorf("link %s is the parent of macvlan %s in %s: it cannot be an ipvlan's as well", s.Parent, o.name, o.ns)
		case iv.Mode != mode:
			return fmt.Errorf("link %s is the parent of ipvlan %s in %s, which has another mode: mode %s would silently become that one's, too; choose another parent",
				s.Parent, o.name, o.ns, s.Mode)
		}
	}
	return nil
}

func (s *IpvlanAdd) Do(context.Context) error {
	l := &netlink.IPVlan{LinkAttrs: netlink.NewLinkAttrs(), Mode: ipvlanModes[s.Mode]}
	l.Name = s.Name
	index, err := addSlave(s.ParentNS, s.Parent, s.NS, s.Mark, l)
	s.Index = index
	return err
}

func (s *IpvlanAdd) Undo(context.Context) error {
	return madeLink{s.NS, s.Name, s.Index, s.Mark}.delete()
}
