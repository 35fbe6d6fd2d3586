package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
)

// BridgeAdd makes a bridge, the kernel's software switch. MAC is fixed because
// a bridge without one takes the lowest of its ports', and changes it as they
// come and go; those who know the old one lose their gateway for a while.
type BridgeAdd struct {
	NS   string `json:"ns,omitempty"`
	Name string `json:"name"`
	MAC  string `json:"mac"`
	Mark string `json:"mark"` // the alias
	// Group is the link group of ip-link(8), 0 for the default one. The group
	// IsolationGroup makes the bridge one of those that NftIsolate keeps apart.
	Group uint32 `json:"group,omitempty"`
	Index int    `json:"index,omitempty"` // once made
}

func (s *BridgeAdd) Kind() string { return "bridge.add" }
func (s *BridgeAdd) Why() string {
	return "A bridge is a switch in software: its ports are other links, and the host itself is plugged in through the bridge's own address."
}
func (s *BridgeAdd) Shell() string {
	line := ip(s.NS) + "link add " + s.Name + " address " + s.MAC + " type bridge; " + ip(s.NS) + "link set " + s.Name + " alias " + s.Mark
	if s.Group != 0 {
		line += fmt.Sprintf(" group %d", s.Group)
	}
	return line
}

func (s *BridgeAdd) Check(ctx context.Context) error { return freeLink(ctx, s.NS, s.Name) }

func (s *BridgeAdd) Do(ctx context.Context) error {
	mac, err := net.ParseMAC(s.MAC)
	if err != nil {
		return fmt.Errorf("add bridge %s: %w", s.Name, err)
	}
	return over(ctx, s.NS, func(c *conn) error {
		attrs := []*nl.RtAttr{attr(unix.IFLA_ADDRESS, mac), linkInfo("bridge")}
		if s.Group != 0 {
			attrs = append(attrs, attr(unix.IFLA_GROUP, nl.Uint32Attr(s.Group)))
		}
		if s.Index, err = c.add(s.Name, attrs...); err != nil {
			return fmt.Errorf("add bridge %s: %w", s.Name, err)
		}
		return c.set(linkMessage(s.Index), attr(unix.IFLA_IFALIAS, []byte(s.Mark)))
	})
}

// linkInfo is the part of a message that says what kind of link to make.
func linkInfo(kind string) *nl.RtAttr {
	info := attr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
	return info
}

func (s *BridgeAdd) Undo(context.Context) error { return s.made().delete() }
func (s *BridgeAdd) made() madeLink             { return madeLink{s.NS, s.Name, s.Index, s.Mark} }

// VethAdd makes a veth pair, a cable with two ends: Name in NS and PeerName in
// PeerNS.
type VethAdd struct {
	NS       string `json:"ns,omitempty"`
	Name     string `json:"name"`
	PeerNS   string `json:"peer_ns"`
	PeerName string `json:"peer_name"`
	PeerMAC  string `json:"peer_mac,omitempty"` // "" for a random one
	MTU      int    `json:"mtu,omitempty"`      // of both ends, 0 for the kernel's 1500
	Mark     string `json:"mark"`
	Index    int    `json:"index,omitempty"` // of Name, once made
}

func (s *VethAdd) Kind() string { return "veth.add" }
func (s *VethAdd) Why() string {
	return fmt.Sprintf("A veth pair is a cable: what goes in at %s in %s comes out at %s in %s.",
		s.Name, label(s.NS), s.PeerName, label(s.PeerNS))
}
func (s *VethAdd) Shell() string {
	peer, mtu := s.PeerName, ""
	if s.PeerMAC != "" {
		peer += " address " + s.PeerMAC
	}
	if s.MTU != 0 {
		mtu = fmt.Sprintf(" mtu %d", s.MTU)
		peer += mtu
	}
	if s.PeerNS != "" {
		peer += " netns " + s.PeerNS
	}
	return ip(s.NS) + "link add " + s.Name + mtu + " type veth peer name " + peer + "; " +
		ip(s.NS) + "link set " + s.Name + " alias " + s.Mark
}

func (s *VethAdd) Check(ctx context.Context) error {
	err := freeLink(ctx, s.NS, s.Name)
	if !ops.JustMade(ctx, netnsWord(s.PeerNS)) {
		err = errors.Join(err, freeLink(ctx, s.PeerNS, s.PeerName))
	}
	return err
}

func (s *VethAdd) Do(ctx context.Context) error {
	var mac net.HardwareAddr
	if s.PeerMAC != "" {
		var err error
		if mac, err = net.ParseMAC(s.PeerMAC); err != nil {
			return fmt.Errorf("add veth %s: %w", s.Name, err)
		}
	}
	peer, err := os.Open(netns.Path(s.PeerNS))
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", s.PeerNS, err)
	}
	defer peer.Close()
	return over(ctx, s.NS, func(c *conn) error {
		if s.Index, err = c.add(s.Name, s.message(mac, peer)...); err != nil {
			return fmt.Errorf("add veth %s: %w", s.Name, err)
		}
		return c.set(linkMessage(s.Index), attr(unix.IFLA_IFALIAS, []byte(s.Mark)))
	})
}

// message describes both ends of the pair. Each gets one queue a way, which is what
// it uses in any case: unless told, the kernel also makes spare ones, as many as
// there are processors, for ethtool(8) to switch on, and takes twice as long.
func (s *VethAdd) message(peerMAC net.HardwareAddr, peerNS *os.File) []*nl.RtAttr {
	info := linkInfo("veth")
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	peer.AddChild(linkMessage(0))
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.PeerName))
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(peerNS.Fd())))
	one := nl.Uint32Attr(1)
	attrs := []*nl.RtAttr{attr(unix.IFLA_NUM_TX_QUEUES, one), attr(unix.IFLA_NUM_RX_QUEUES, one)}
	for _, a := range attrs {
		peer.AddChild(a)
	}
	attrs = append(attrs, info)
	if peerMAC != nil {
		peer.AddRtAttr(unix.IFLA_ADDRESS, peerMAC)
	}
	if s.MTU != 0 {
		mtu := attr(unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU)))
		peer.AddChild(mtu)
		attrs = append(attrs, mtu)
	}
	return attrs
}

func (s *VethAdd) Undo(context.Context) error { return s.made().delete() }
func (s *VethAdd) made() madeLink             { return madeLink{s.NS, s.Name, s.Index, s.Mark} }

// LinkMaster plugs a link into a bridge.
type LinkMaster struct {
	NS     string `json:"ns,omitempty"`
	Link   string `json:"link"`
	Master string `json:"master"`
}

func (s *LinkMaster) Kind() string { return "link.master" }
func (s *LinkMaster) Why() string {
	return fmt.Sprintf("Plugs %s into the switch: frames that arrive there are now %s's to forward.", s.Link, s.Master)
}
func (s *LinkMaster) Shell() string { return ip(s.NS) + "link set " + s.Link + " master " + s.Master }

func (s *LinkMaster) Check(ctx context.Context) error {
	if ops.JustMade(ctx, linkWord(s.NS, s.Link)) {
		return nil
	}
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		if l.Attrs().MasterIndex != 0 {
			return fmt.Errorf("link %s is already the port of another bridge: release it first", s.Link)
		}
		_, err = needLink(h, s.NS, s.Master)
		return err
	})
}

func (s *LinkMaster) Do(ctx context.Context) error {
	return over(ctx, s.NS, func(c *conn) error {
		link, err := c.link(ctx, s.NS, s.Link)
		if err != nil {
			return err
		}
		master, err := c.link(ctx, s.NS, s.Master)
		if err != nil {
			return err
		}
		return c.set(linkMessage(link), attr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(master))))
	})
}

func (s *LinkMaster) Undo(context.Context) error {
	return undoIn(s.NS, func(h *netlink.Handle) error {
		l, err := findLink(h, s.Link)
		if err != nil || l == nil {
			return err
		}
		m, err := findLink(h, s.Master)
		if err != nil || m == nil || l.Attrs().MasterIndex != m.Attrs().Index {
			return err
		}
		return h.LinkSetNoMaster(l)
	})
}

// LinkUp switches a link on.
type LinkUp struct {
	NS    string `json:"ns,omitempty"`
	Link  string `json:"link"`
	WasUp bool   `json:"was_up,omitempty"`
}

func (s *LinkUp) Kind() string { return "link.up" }
func (s *LinkUp) Why() string {
	if s.Link == "lo" {
		return fmt.Sprintf("Until lo is up, %s cannot even reach its own 127.0.0.1.", label(s.NS))
	}
	return "A new link is down: nothing passes until it is switched on."
}
func (s *LinkUp) Shell() string { return ip(s.NS) + "link set " + s.Link + " up" }

func (s *LinkUp) Check(ctx context.Context) error {
	if s.isNew(ctx) {
		return nil
	}
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		s.WasUp = isUp(l)
		return nil
	})
}

// isNew is true for a link that the running plan has made, or has got with a
// namespace: it is down.
func (s *LinkUp) isNew(ctx context.Context) bool {
	return ops.JustMade(ctx, linkWord(s.NS, s.Link)) || s.Link == "lo" && ops.JustMade(ctx, netnsWord(s.NS))
}

func (s *LinkUp) Do(ctx context.Context) error {
	return over(ctx, s.NS, func(c *conn) error {
		link, err := c.link(ctx, s.NS, s.Link)
		if err != nil {
			return err
		}
		header := linkMessage(link)
		header.Flags, header.Change = unix.IFF_UP, unix.IFF_UP
		return c.set(header)
	})
}

func (s *LinkUp) Undo(context.Context) error {
	if s.WasUp {
		return nil
	}
	return undoIn(s.NS, func(h *netlink.Handle) error {
		l, err := findLink(h, s.Link)
		if err != nil || l == nil || !isUp(l) {
			return err
		}
		return h.LinkSetDown(l)
	})
}

func isUp(l netlink.Link) bool { return l.Attrs().RawFlags&1 != 0 } // IFF_UP

// undoGone is true for the errors that say that what an Undo looks for is gone.
func undoGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist)
}
