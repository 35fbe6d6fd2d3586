package steps

import (
	"context"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
)

// MacvlanAdd makes a macvlan: a link with a MAC of its own that shares the wire
// of its parent.
type MacvlanAdd struct {
	ParentNS string `json:"parent_ns,omitempty"`
	Parent   string `json:"parent"`
	NS       string `json:"ns,omitempty"`
	Name     string `json:"name"`
	Mode     string `json:"mode"`          // "bridge", "private", "vepa" or "passthru"
	MAC      string `json:"mac,omitempty"` // "" for a random one, and for the parent's with passthru
	Mark     string `json:"mark"`
	Index    int    `json:"index,omitempty"` // once made
}

var macvlanModes = map[string]netlink.MacvlanMode{
	"bridge": netlink.MACVLAN_MODE_BRIDGE, "private": netlink.MACVLAN_MODE_PRIVATE,
	"vepa": netlink.MACVLAN_MODE_VEPA, "passthru": netlink.MACVLAN_MODE_PASSTHRU,
}

var macvlanWhy = map[string]string{
	"bridge":   "those on one parent reach each other directly",
	"private":  "those on one parent never reach each other",
	"vepa":     "what they send each other goes out to the switch, which must send it back",
	"passthru": "the parent is given to this one alone, its MAC included",
}

func (s *MacvlanAdd) Kind() string { return "macvlan.add" }
func (s *MacvlanAdd) Why() string {
	return fmt.Sprintf("A macvlan stands on its parent's LAN like a machine of its own: other machines see its MAC beside %s's. Mode %s: %s.",
		s.Parent, s.Mode, macvlanWhy[s.Mode])
}
func (s *MacvlanAdd) Shell() string {
	options := " type macvlan mode " + s.Mode
	if s.MAC != "" {
		options = " address " + s.MAC + options
	}
	return slaveShell(s.ParentNS, s.Parent, s.NS, s.Name, options, s.Mark)
}

func (s *MacvlanAdd) Check(ctx context.Context) error {
	s.Index = 0
	if macvlanModes[s.Mode] == 0 {
		return fmt.Errorf("unknown macvlan mode %q: give bridge, private, vepa or passthru", s.Mode)
	}
	if err := freeLink(ctx, s.NS, s.Name); err != nil {
		return err
	}
	there, err := checkParent(s.ParentNS, s.Parent)
	if err != nil {
		return err
	}
	for _, o := range there {
		mv, ok := o.link.(*netlink.Macvlan)
		switch {
		case !ok:
			return fmt.Errorf("link %s is the parent of ipvlan %s in %s: it cannot be a macvlan's as well", s.Parent, o.name, o.ns)
		case s.Mode == "passthru", mv.Mode == netlink.MACVLAN_MODE_PASSTHRU:
			return fmt.Errorf("link %s is the parent of macvlan %s in %s: with passthru there can be one only", s.Parent, o.name, o.ns)
		}
	}
	return nil
}

func (s *MacvlanAdd) Do(context.Context) error {
	l := &netlink.Macvlan{LinkAttrs: netlink.NewLinkAttrs(), Mode: macvlanModes[s.Mode]}
	l.Name = s.Name
	if s.MAC != "" {
		mac, err := net.ParseMAC(s.MAC)
		if err != nil {
			return fmt.Errorf("add macvlan %s: %w", s.Name, err)
		}
		l.HardwareAddr = mac
	}
	index, err := addSlave(s.ParentNS, s.Parent, s.NS, s.Mark, l)
	s.Index = index
	return err
}

func (s *MacvlanAdd) Undo(context.Context) error {
	return madeLink{s.NS, s.Name, s.Index, s.Mark}.delete()
}
