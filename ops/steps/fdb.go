package steps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// FdbEntry is a line of a forwarding database: where frames to a MAC go. On a
// vxlan that is another machine, Dst; on the port of a bridge it is the port.
type FdbEntry struct {
	MAC string     `json:"mac"`
	Dst netip.Addr `json:"dst"` // zero on the port of a bridge
}

// flag is where the entry is kept: by the link itself, or by its bridge.
func (e FdbEntry) flag() int {
	if e.Dst.IsValid() {
		return netlink.NTF_SELF
	}
	return netlink.NTF_MASTER
}

// text is the entry as bridge(8) takes it.
func (e FdbEntry) text(link string) string {
	if e.Dst.IsValid() {
		return e.MAC + " dev " + link + " dst " + e.Dst.String()
	}
	return e.MAC + " dev " + link + " master"
}

// neigh is the entry as the kernel takes it: one that never ages.
func (e FdbEntry) neigh(index int) (*netlink.Neigh, error) {
	mac, err := net.ParseMAC(e.MAC)
	if err != nil {
		return nil, err
	}
	state := netlink.NUD_PERMANENT
	if !e.Dst.IsValid() {
		state = netlink.NUD_NOARP // on a bridge, permanent would mean the host itself
	}
	return &netlink.Neigh{LinkIndex: index, Family: unix.AF_BRIDGE, Flags: e.flag(), State: state,
		HardwareAddr: mac, IP: net.IP(e.Dst.AsSlice())}, nil
}

// find is the entry as the kernel has it, nil for none. A bridge with VLANs has
// one for each as well; that without a VLAN stands for them all.
func (e FdbEntry) find(h *netlink.Handle, index int) (*netlink.Neigh, error) {
	want, err := e.neigh(index)
	if err != nil {
		return nil, err
	}
	list, err := h.NeighList(index, unix.AF_BRIDGE)
	if err != nil {
		return nil, fmt.Errorf("list the forwarding database: %w", err)
	}
	var found *netlink.Neigh
	for _, n := range list {
		// A bridge's entries bear no flag but the number of the bridge.
		self := n.Flags&netlink.NTF_SELF != 0
		if n.HardwareAddr.String() == want.HardwareAddr.String() && self == e.Dst.IsValid() && n.IP.Equal(want.IP) {
			n.Flags |= e.flag()
			if found == nil || n.Vlan == 0 {
				found = &n
			}
		}
	}
	return found, nil
}

// many is true for the MACs that may have several places: that of all zeros,
// "whatever else", and those of groups.
func (e FdbEntry) many() bool {
	mac, err := net.ParseMAC(e.MAC)
	return err == nil && (mac[0]&1 == 1 || mac.String() == "00:00:00:00:00:00")
}

func (e FdbEntry) add(h *netlink.Handle, n *netlink.Neigh) error {
	if e.many() {
		return h.NeighAppend(n)
	}
	return h.NeighAdd(n)
}

// bridgeTool begins a bridge(8) line that acts in ns.
func bridgeTool(ns string) string {
	if ns == "" {
		return "bridge "
	}
	return "bridge -n " + ns + " "
}

// FdbAdd tells a vxlan, or a bridge, where a MAC is.
type FdbAdd struct {
	NS   string `json:"ns,omitempty"`
	Link string `json:"link"` // the vxlan, or the port
	FdbEntry
	LinkIndex int `json:"link_index,omitempty"`
}

func (s *FdbAdd) Kind() string { return "fdb.add" }
func (s *FdbAdd) Why() string {
	if s.Dst.IsValid() {
		return fmt.Sprintf("Tells %s of %s that frames to %s go inside a packet to %s; learning is not needed then, and nothing is flooded.",
			s.Link, label(s.NS), s.MAC, s.Dst)
	}
	return fmt.Sprintf("Tells the bridge that %s is behind its port %s, without waiting to hear from it.", s.MAC, s.Link)
}
func (s *FdbAdd) Shell() string {
	verb, how := "add", ""
	if s.many() {
		verb = "append"
	}
	if !s.Dst.IsValid() {
		how = " static"
	}
	return bridgeTool(s.NS) + "fdb " + verb + " " + s.text(s.Link) + how
}

func (s *FdbAdd) Check(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		s.LinkIndex = l.Attrs().Index
		n, err := s.find(h, s.LinkIndex)
		if err == nil && n != nil {
			err = fmt.Errorf("%s in %s already has an entry for %s", s.Link, label(s.NS), s.text(s.Link))
		}
		return err
	})
}

func (s *FdbAdd) Do(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		n, err := s.neigh(s.LinkIndex)
		if err == nil {
			err = s.add(h, n)
		}
		if err != nil {
			return fmt.Errorf("add fdb entry %s: %w", s.text(s.Link), err)
		}
		return nil
	})
}

func (s *FdbAdd) Undo(context.Context) error {
	return onLink(s.NS, s.Link, s.LinkIndex, func(h *netlink.Handle) error {
		n, err := s.find(h, s.LinkIndex)
		if err != nil || n == nil {
			return err
		}
		return h.NeighDel(keepPlace(n))
	})
}

// FdbDel takes a line out of a forwarding database.
type FdbDel struct {
	NS   string `json:"ns,omitempty"`
	Link string `json:"link"`
	FdbEntry
	LinkIndex int `json:"link_index,omitempty"`
	// State, Flags and VLAN are those of the entry; NUD_ and NTF_ of
	// linux/neighbour.h.
	State int `json:"state,omitempty"`
	Flags int `json:"flags,omitempty"`
	VLAN  int `json:"vlan,omitempty"`
}

func (s *FdbDel) Kind() string { return "fdb.del" }
func (s *FdbDel) Why() string {
	return fmt.Sprintf("%s of %s forgets where %s is.", s.Link, label(s.NS), s.MAC)
}
func (s *FdbDel) Shell() string { return bridgeTool(s.NS) + "fdb del " + s.text(s.Link) }

func (s *FdbDel) Check(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		s.LinkIndex = l.Attrs().Index
		n, err := s.find(h, s.LinkIndex)
		if err == nil && n == nil {
			err = fmt.Errorf("%s in %s has no entry for %s", s.Link, label(s.NS), s.text(s.Link))
		}
		if err == nil {
			s.State, s.Flags, s.VLAN = n.State, n.Flags, n.Vlan
		}
		return err
	})
}

func (s *FdbDel) Do(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		n, err := s.find(h, s.LinkIndex)
		if err == nil && n != nil {
			err = h.NeighDel(keepPlace(n))
		}
		if err != nil {
			return fmt.Errorf("delete fdb entry %s: %w", s.text(s.Link), err)
		}
		return nil
	})
}

func (s *FdbDel) Undo(context.Context) error {
	if s.State == 0 {
		return nil // never came as far as Do
	}
	return onLink(s.NS, s.Link, s.LinkIndex, func(h *netlink.Handle) error {
		there, err := s.find(h, s.LinkIndex)
		if err != nil || there != nil {
			return err
		}
		n, err := s.neigh(s.LinkIndex)
		if err != nil {
			return err
		}
		n.State, n.Flags, n.Vlan = s.State, s.Flags, s.VLAN
		return s.add(h, n)
	})
}

// keepPlace is n as RTM_DELNEIGH wants it: with what says which one.
func keepPlace(n *netlink.Neigh) *netlink.Neigh {
	return &netlink.Neigh{LinkIndex: n.LinkIndex, Family: n.Family, HardwareAddr: n.HardwareAddr, IP: n.IP,
		Flags: n.Flags & (netlink.NTF_SELF | netlink.NTF_MASTER), State: n.State, Vlan: n.Vlan}
}

// onLink runs f for an Undo, if the link is still the one that the step knew.
func onLink(ns, name string, index int, f func(h *netlink.Handle) error) error {
	return undoIn(ns, func(h *netlink.Handle) error {
		l, err := findLink(h, name)
		if err != nil || l == nil || l.Attrs().Index != index {
			return err
		}
		if err := f(h); !errors.Is(err, unix.ENOENT) {
			return err
		}
		return nil // gone meanwhile
	})
}
