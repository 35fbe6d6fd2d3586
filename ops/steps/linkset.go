package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// withLink runs f with the link called name, which must be there.
func withLink(ns, name string, f func(m rawLink) error) error {
	err := netns.Do(netns.Path(ns), func() error {
		m, err := getLink(0, name)
		if errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("no link %s in %s", name, label(ns))
		}
		if err != nil {
			return err
		}
		return f(m)
	})
	return explain(err)
}

// undoLink runs f with the link that has the index, whatever it is called now. A
// link that is gone needs no undo.
func undoLink(ns string, index int, f func(m rawLink) error) error {
	if index == 0 {
		return nil // nothing was done
	}
	err := netns.Do(netns.Path(ns), func() error {
		m, err := haveLink(index, "")
		if err != nil || m == nil {
			return err
		}
		return f(m)
	})
	if ns != "" && undoGone(err) {
		return nil
	}
	return explain(err)
}

// setLink sends one property of the link with the index.
func setLink(what string, index int, typ int, value []byte) error {
	if err := linkRequest(unix.RTM_NEWLINK, 0, linkMessage(index), attr(typ, value)); err != nil {
		return fmt.Errorf("set %s: %w", what, err)
	}
	return nil
}

// LinkDown switches a link off. Routes by it, and its IPv6 addresses, are lost
// with that; Undo restores them.
type LinkDown struct {
	NS    string     `json:"ns,omitempty"`
	Link  string     `json:"link"`
	Saved *savedLink `json:"saved,omitempty"`
}

func (s *LinkDown) Kind() string { return "link.down" }
func (s *LinkDown) Why() string {
	return "A link that is down passes nothing, and every route by it is gone: switching it on again does not bring those back."
}
func (s *LinkDown) Shell() string { return ip(s.NS) + "link set " + s.Link + " down" }

func (s *LinkDown) Check(context.Context) (err error) {
	s.Saved, err = saveEnd(s.NS, s.Link)
	return err
}

func (s *LinkDown) Do(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error { return setFlags(m.index(), 0, unix.IFF_UP) })
}

func (s *LinkDown) Undo(context.Context) error {
	if s.Saved == nil || !s.Saved.Conf.Up {
		return nil
	}
	return undoLink(s.NS, s.Saved.Index, func(m rawLink) error {
		if err := setFlags(m.index(), unix.IFF_UP, unix.IFF_UP); err != nil {
			return err
		}
		return s.Saved.Conf.restoreConf(m.index())
	})
}

// minMTU6 is the least that IPv6 needs, RFC 8200; below it a link loses IPv6.
const minMTU6 = 1280

// LinkMTU sets the size of the largest packet that a link takes, in bytes.
type LinkMTU struct {
	NS    string     `json:"ns,omitempty"`
	Link  string     `json:"link"`
	MTU   int        `json:"mtu"`
	Saved *savedLink `json:"saved,omitempty"`
}

func (s *LinkMTU) Kind() string { return "link.mtu" }
func (s *LinkMTU) Why() string {
	return "The MTU is the largest packet that the link takes. What wraps packets in others, as a VXLAN does, must leave room for the wrapping: 1450 is 1500 less its 50 bytes."
}
func (s *LinkMTU) Shell() string {
	return ip(s.NS) + "link set " + s.Link + " mtu " + strconv.Itoa(s.MTU)
}

func (s *LinkMTU) Check(context.Context) (err error) {
	s.Saved, err = saveEnd(s.NS, s.Link)
	return err
}

func (s *LinkMTU) Do(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error {
		return setLink(fmt.Sprintf("MTU of %s to %d", s.Link, s.MTU), m.index(), unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU)))
	})
}

func (s *LinkMTU) Undo(context.Context) error {
	if s.Saved == nil {
		return nil
	}
	old := s.Saved.raw().attrs().u32(unix.IFLA_MTU)
	return undoLink(s.NS, s.Saved.Index, func(m rawLink) error {
		if m.attrs().u32(unix.IFLA_MTU) != old {
			if err := setLink("MTU", m.index(), unix.IFLA_MTU, nl.Uint32Attr(old)); err != nil {
				return err
			}
		}
		if s.MTU >= minMTU6 || old < minMTU6 {
			return nil
		}
		if err := writeSysctls(s.Saved.Sysctls); err != nil {
			return err
		}
		return s.Saved.Conf.restoreConf(m.index())
	})
}

// LinkMAC sets a link's hardware address.
type LinkMAC struct {
	NS    string `json:"ns,omitempty"`
	Link  string `json:"link"`
	MAC   string `json:"mac"`
	Old   string `json:"old,omitempty"`
	Index int    `json:"index,omitempty"`
	// Neighs are the entered neighbours: the kernel forgets them with the MAC.
	Neighs [][]byte `json:"neighs,omitempty"`
}

func (s *LinkMAC) Kind() string { return "link.mac" }
func (s *LinkMAC) Why() string {
	return "The MAC is the address on the wire. Neighbours who know the old one have to ask again before they reach this link."
}
func (s *LinkMAC) Shell() string { return ip(s.NS) + "link set " + s.Link + " address " + s.MAC }

func (s *LinkMAC) Check(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error {
		s.Index, s.Old = m.index(), net.HardwareAddr(m.attrs().get(unix.IFLA_ADDRESS)).String()
		if s.Old == "" {
			return fmt.Errorf("link %s has no MAC: it is of kind %s", s.Link, m.kind())
		}
		var err error
		s.Neighs, err = listNeighs(s.Index)
		return err
	})
}

func (s *LinkMAC) Do(context.Context) error {
	mac, err := net.ParseMAC(s.MAC)
	if err != nil {
		return fmt.Errorf("set MAC of %s: %w", s.Link, err)
	}
	return withLink(s.NS, s.Link, func(m rawLink) error {
		err := setLink("MAC of "+s.Link, m.index(), unix.IFLA_ADDRESS, mac)
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%w (take the link down first)", err)
		}
		return err
	})
}

func (s *LinkMAC) Undo(context.Context) error {
	return undoLink(s.NS, s.Index, func(m rawLink) error {
		old, err := net.ParseMAC(s.Old)
		if err != nil || bytes.Equal(m.attrs().get(unix.IFLA_ADDRESS), old) {
			return err
		}
		if err := setLink("MAC", m.index(), unix.IFLA_ADDRESS, old); err != nil {
			return err
		}
		return linkConf{Neighs: s.Neighs}.restoreNeighs()
	})
}

// LinkPromisc makes a link take all frames, or only those for itself again.
type LinkPromisc struct {
	NS    string `json:"ns,omitempty"`
	Link  string `json:"link"`
	On    bool   `json:"on"`
	Was   bool   `json:"was,omitempty"`
	Index int    `json:"index,omitempty"`
}

func (s *LinkPromisc) Kind() string { return "link.promisc" }
func (s *LinkPromisc) Why() string {
	return "A link drops frames that are for another MAC. In promiscuous mode it takes them all: what macvlan needs of its parent, though the kernel sees to that itself."
}
func (s *LinkPromisc) Shell() string {
	return ip(s.NS) + "link set " + s.Link + " promisc " + map[bool]string{true: "on", false: "off"}[s.On]
}

func (s *LinkPromisc) Check(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error {
		s.Index, s.Was = m.index(), m.flags()&unix.IFF_PROMISC != 0
		return nil
	})
}

func (s *LinkPromisc) Do(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error { return setPromisc(m.index(), s.On) })
}

func (s *LinkPromisc) Undo(context.Context) error {
	return undoLink(s.NS, s.Index, func(m rawLink) error { return setPromisc(m.index(), s.Was) })
}

func setPromisc(index int, on bool) error {
	var flags uint32
	if on {
		flags = unix.IFF_PROMISC
	}
	return setFlags(index, flags, unix.IFF_PROMISC)
}

// LinkRename gives a link another name.
type LinkRename struct {
	NS    string `json:"ns,omitempty"`
	Link  string `json:"link"`
	To    string `json:"to"`
	Index int    `json:"index,omitempty"`
}

func (s *LinkRename) Kind() string { return "link.rename" }
func (s *LinkRename) Why() string {
	return "A link's name is only a label of its namespace: containers call theirs eth0, whatever it was called before it was moved in."
}
func (s *LinkRename) Shell() string { return ip(s.NS) + "link set " + s.Link + " name " + s.To }

func (s *LinkRename) Check(ctx context.Context) error {
	err := withLink(s.NS, s.Link, func(m rawLink) error {
		s.Index = m.index()
		return nil
	})
	if err != nil {
		return err
	}
	return freeLink(ctx, s.NS, s.To)
}

func (s *LinkRename) Do(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error { return renameLink(m.index(), s.To) })
}

func renameLink(index int, name string) error {
	err := setLink("name "+name, index, unix.IFLA_IFNAME, nl.ZeroTerminated(name))
	if errors.Is(err, unix.EBUSY) { // until Linux 6.2
		err = fmt.Errorf("%w (take the link down first: this kernel renames no link that is up)", err)
	}
	return err
}

func (s *LinkRename) Undo(context.Context) error {
	return undoLink(s.NS, s.Index, func(m rawLink) error {
		if m.name() != s.To {
			return nil // not renamed, or by someone else since
		}
		return renameLink(s.Index, s.Link)
	})
}

// LinkRelease unplugs a link from its bridge.
type LinkRelease struct {
	NS     string     `json:"ns,omitempty"`
	Link   string     `json:"link"`
	Master string     `json:"master,omitempty"` // as it was
	Port   *savedPort `json:"port,omitempty"`
	Index  int        `json:"index,omitempty"`
}

func (s *LinkRelease) Kind() string { return "link.release" }
func (s *LinkRelease) Why() string {
	return "Unplugs the link from the switch: frames that arrive there are the host's own again."
}
func (s *LinkRelease) Shell() string { return ip(s.NS) + "link set " + s.Link + " nomaster" }

func (s *LinkRelease) Check(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error {
		saved := &savedLink{NS: s.NS, Name: s.Link, Link: m}
		if err := saved.saveMaster(); err != nil {
			return err
		}
		if saved.Master == "" {
			return fmt.Errorf("link %s is no port of a bridge", s.Link)
		}
		port, err := savePort(m)
		s.Index, s.Master, s.Port = m.index(), saved.Master, &port
		return err
	})
}

func (s *LinkRelease) Do(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error {
		return setLink("no master of "+s.Link, m.index(), unix.IFLA_MASTER, nl.Uint32Attr(0))
	})
}

func (s *LinkRelease) Undo(context.Context) error {
	return undoLink(s.NS, s.Index, func(m rawLink) error {
		bridge, err := haveLink(0, s.Master)
		if err != nil || bridge == nil || m.name() != s.Port.Name {
			return err
		}
		return s.Port.restore(bridge.index())
	})
}
