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

// AddrAdd gives a link an address. The kernel adds the connected route itself.
type AddrAdd struct {
	NS     string       `json:"ns,omitempty"`
	Link   string       `json:"link"`
	Addr   netip.Prefix `json:"addr"` // the address, with its network's length
	Reason string       `json:"reason"`
}

func (s *AddrAdd) Kind() string { return "addr.add" }
func (s *AddrAdd) Why() string  { return s.Reason }
func (s *AddrAdd) Shell() string {
	line := ip(s.NS) + "addr add " + s.Addr.String() + " dev " + s.Link
	if s.Addr.Addr().Is6() {
		line += " nodad" // we know that it is unique, and need not wait a second for it
	}
	return line
}

func (s *AddrAdd) netlinkAddr() *netlink.Addr {
	a := &netlink.Addr{IPNet: ipNet(s.Addr)}
	if s.Addr.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	return a
}

func (s *AddrAdd) find(h *netlink.Handle, l netlink.Link) (bool, error) {
	addrs, err := h.AddrList(l, netlink.FAMILY_ALL)
	if err != nil {
		return false, err
	}
	for _, a := range addrs {
		if a.IPNet.String() == s.Addr.String() {
			return true, nil
		}
	}
	return false, nil
}

func (s *AddrAdd) Check(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		there, err := s.find(h, l)
		if err == nil && there {
			err = fmt.Errorf("link %s already has %s", s.Link, s.Addr)
		}
		return err
	})
}

func (s *AddrAdd) Do(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		if err := h.AddrAdd(l, s.netlinkAddr()); err != nil {
			return fmt.Errorf("add address %s to %s: %w", s.Addr, s.Link, err)
		}
		return nil
	})
}

func (s *AddrAdd) Undo(context.Context) error {
	return undoIn(s.NS, func(h *netlink.Handle) error {
		l, err := findLink(h, s.Link)
		if err != nil || l == nil {
			return err
		}
		if there, err := s.find(h, l); err != nil || !there {
			return err
		}
		return h.AddrDel(l, s.netlinkAddr())
	})
}

// RouteAdd adds a route by way of a gateway, or straight out of a link.
type RouteAdd struct {
	NS   string       `json:"ns,omitempty"`
	Dst  netip.Prefix `json:"dst"` // 0.0.0.0/0 or ::/0 is the default route
	Via  netip.Addr   `json:"via"` // zero: what the route leads to is on the link
	Link string       `json:"link"`
	// Reason replaces what is said of a default route.
	Reason string `json:"reason,omitempty"`
}

func (s *RouteAdd) Kind() string { return "route.add" }
func (s *RouteAdd) Why() string {
	if s.Reason != "" {
		return s.Reason
	}
	return fmt.Sprintf("Without it %s only reaches its own subnet; everything else is \"network is unreachable\".", label(s.NS))
}
func (s *RouteAdd) Shell() string {
	dst := s.Dst.String()
	if s.Dst.Bits() == 0 {
		dst = "default"
	}
	line := ip(s.NS)
	if s.Dst.Addr().Is6() {
		line += "-6 "
	}
	return line + "route add " + dst + s.via() + " dev " + s.Link
}

func (s *RouteAdd) via() string {
	if !s.Via.IsValid() {
		return ""
	}
	return " via " + s.Via.String()
}

func (s *RouteAdd) route(l netlink.Link) *netlink.Route {
	r := &netlink.Route{
		LinkIndex: l.Attrs().Index,
		Dst:       ipNet(s.Dst),
		Gw:        net.IP(s.Via.AsSlice()),
		Protocol:  unix.RTPROT_BOOT, // as ip-route(8) marks what an admin adds
	}
	if !s.Via.IsValid() && s.Dst.Addr().Is4() {
		r.Scope = unix.RT_SCOPE_LINK
	}
	return r
}

func (s *RouteAdd) family() int {
	if s.Dst.Addr().Is6() {
		return netlink.FAMILY_V6
	}
	return netlink.FAMILY_V4
}

// find lists the routes of the main table to Dst.
func (s *RouteAdd) find(h *netlink.Handle) ([]netlink.Route, error) {
	return h.RouteListFiltered(s.family(),
		&netlink.Route{Dst: ipNet(s.Dst), Table: unix.RT_TABLE_MAIN},
		netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
}

func (s *RouteAdd) Check(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		if _, err := needLink(h, s.NS, s.Link); err != nil {
			return err
		}
		routes, err := s.find(h)
		if err == nil && len(routes) > 0 {
			err = fmt.Errorf("%s already has a route to %s", label(s.NS), s.Dst)
		}
		return err
	})
}

func (s *RouteAdd) Do(context.Context) error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		if err := h.RouteAdd(s.route(l)); err != nil {
			return fmt.Errorf("add route to %s%s dev %s: %w", s.Dst, s.via(), s.Link, err)
		}
		return nil
	})
}

func (s *RouteAdd) Undo(context.Context) error {
	return undoIn(s.NS, func(h *netlink.Handle) error {
		l, err := findLink(h, s.Link)
		if err != nil || l == nil {
			return err
		}
		err = h.RouteDel(s.route(l))
		if errors.Is(err, unix.ESRCH) {
			return nil // never added, or gone with the link's address
		}
		return err
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
