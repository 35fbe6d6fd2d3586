package steps

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops"
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

// message describes the address on the link with the given index.
func (s *AddrAdd) message(link int) []byte {
	a, bits := s.Addr.Addr(), s.Addr.Bits()
	header := nl.NewIfAddrmsg(addrFamily(a))
	header.Index, header.Prefixlen = uint32(link), uint8(bits)
	attrs := []*nl.RtAttr{attr(unix.IFA_LOCAL, a.AsSlice()), attr(unix.IFA_ADDRESS, a.AsSlice())}
	switch {
	case a.Is6():
		header.IfAddrmsg.Flags = unix.IFA_F_NODAD
	case bits < 31: // RFC 3021
		broadcast := a.AsSlice()
		for i, m := range net.CIDRMask(bits, 32) {
			broadcast[i] |= ^m
		}
		attrs = append(attrs, attr(unix.IFA_BROADCAST, broadcast))
	}
	return withAttrs(header.Serialize(), attrs...)
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

func (s *AddrAdd) Check(ctx context.Context) error {
	if ops.JustMade(ctx, linkWord(s.NS, s.Link)) {
		return nil
	}
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

func (s *AddrAdd) Do(ctx context.Context) error {
	return over(ctx, s.NS, func(c *conn) error {
		link, err := c.link(ctx, s.NS, s.Link)
		if err != nil {
			return err
		}
		if _, err := c.request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, s.message(link)); err != nil {
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
		return sendRaw(unix.RTM_DELADDR, 0, s.message(l.Attrs().Index))
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
