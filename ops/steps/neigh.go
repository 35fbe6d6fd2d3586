package steps

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
)

// NeighAdd says which MAC an address of the LAN has, so that nobody need ask. An
// entry that the kernel has learned is replaced; when it is taken back, the
// kernel asks again.
type NeighAdd struct {
	NS        string     `json:"ns,omitempty"`
	Link      string     `json:"link"`
	Addr      netip.Addr `json:"addr"`
	MAC       string     `json:"mac"`
	Reason    string     `json:"reason,omitempty"`
	LinkIndex int        `json:"link_index,omitempty"`
}

func (s *NeighAdd) Kind() string { return "neigh.add" }
func (s *NeighAdd) Why() string {
	if s.Reason != "" {
		return s.Reason
	}
	return fmt.Sprintf("A fixed neighbour: frames to %s get the MAC %s without a question (ARP) before.", s.Addr, s.MAC)
}
func (s *NeighAdd) Shell() string {
	return ip(s.NS) + "neigh replace " + s.Addr.String() + " lladdr " + s.MAC + " dev " + s.Link + " nud permanent"
}

func (s *NeighAdd) Check(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		s.LinkIndex = l.Attrs().Index
		n, err := findNeigh(h, s.LinkIndex, s.Addr)
		if err == nil && n != nil && n.State == netlink.NUD_PERMANENT {
			err = fmt.Errorf("%s in %s already has a fixed neighbour %s, %s", s.Link, label(s.NS), s.Addr, n.HardwareAddr)
		}
		return err
	})
}

func (s *NeighAdd) Do(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		mac, err := net.ParseMAC(s.MAC)
		if err == nil {
			err = h.NeighSet(&netlink.Neigh{LinkIndex: s.LinkIndex, IP: net.IP(s.Addr.AsSlice()), HardwareAddr: mac, State: netlink.NUD_PERMANENT})
		}
		if err != nil {
			return fmt.Errorf("add neighbour %s on %s: %w", s.Addr, s.Link, err)
		}
		return nil
	})
}

func (s *NeighAdd) Undo(context.Context) error {
	return onLink(s.NS, s.Link, s.LinkIndex, func(h *netlink.Handle) error {
		n, err := findNeigh(h, s.LinkIndex, s.Addr)
		if err != nil || n == nil || n.State != netlink.NUD_PERMANENT || n.HardwareAddr.String() != s.MAC {
			return err
		}
		return h.NeighDel(n)
	})
}

// NeighDel forgets the MAC of an address.
type NeighDel struct {
	NS        string     `json:"ns,omitempty"`
	Link      string     `json:"link"`
	Addr      netip.Addr `json:"addr"`
	LinkIndex int        `json:"link_index,omitempty"`
	// MAC and State, NUD_ of linux/neighbour.h, are those of the entry.
	MAC   string `json:"mac,omitempty"`
	State int    `json:"state,omitempty"`
}

func (s *NeighDel) Kind() string { return "neigh.del" }
func (s *NeighDel) Why() string {
	return fmt.Sprintf("%s forgets the MAC of %s: the next packet there has to ask for it.", label(s.NS), s.Addr)
}
func (s *NeighDel) Shell() string {
	return ip(s.NS) + "neigh del " + s.Addr.String() + " dev " + s.Link
}

func (s *NeighDel) Check(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		s.LinkIndex = l.Attrs().Index
		n, err := findNeigh(h, s.LinkIndex, s.Addr)
		if err == nil && n == nil {
			err = fmt.Errorf("%s in %s has no neighbour %s", s.Link, label(s.NS), s.Addr)
		}
		if err == nil {
			s.MAC, s.State = n.HardwareAddr.String(), n.State
		}
		return err
	})
}

func (s *NeighDel) Do(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		n, err := findNeigh(h, s.LinkIndex, s.Addr)
		if err == nil && n != nil {
			err = h.NeighDel(n)
		}
		if err != nil {
			return fmt.Errorf("delete neighbour %s of %s: %w", s.Addr, s.Link, err)
		}
		return nil
	})
}

// Undo puts back what had a MAC; what had none the kernel was only asking for.
func (s *NeighDel) Undo(context.Context) error {
	if s.State == 0 || s.MAC == "" {
		return nil
	}
	return onLink(s.NS, s.Link, s.LinkIndex, func(h *netlink.Handle) error {
		there, err := findNeigh(h, s.LinkIndex, s.Addr)
		if err != nil || there != nil {
			return err
		}
		mac, err := net.ParseMAC(s.MAC)
		if err != nil {
			return err
		}
		return h.NeighSet(&netlink.Neigh{LinkIndex: s.LinkIndex, IP: net.IP(s.Addr.AsSlice()), HardwareAddr: mac, State: s.State})
	})
}

// findNeigh is the neighbour as the kernel has it, nil for none.
func findNeigh(h *netlink.Handle, index int, addr netip.Addr) (*netlink.Neigh, error) {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := h.NeighList(index, family)
	if err != nil {
		return nil, fmt.Errorf("list neighbours: %w", err)
	}
	for _, n := range list {
		if n.IP.Equal(net.IP(addr.AsSlice())) {
			return &n, nil
		}
	}
	return nil, nil
}
