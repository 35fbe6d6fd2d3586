package steps

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// AddrDelete takes an address off a link, and with it the connected route and
// the routes that send from it. Undo restores them.
type AddrDelete struct {
	NS    string       `json:"ns,omitempty"`
	Link  string       `json:"link"`
	Addr  netip.Prefix `json:"addr"`
	Index int          `json:"index,omitempty"`
	Saved linkConf     `json:"saved"`
	// Sysctls are the link's parameters: with the last address of a family the
	// kernel forgets them, and the neighbours.
	Sysctls []Param `json:"sysctls,omitempty"`
}

func (s *AddrDelete) Kind() string { return "addr.delete" }
func (s *AddrDelete) Why() string {
	return "The connected route goes with the address; an IPv4 address that was the first of its subnet takes the others of that subnet along."
}
func (s *AddrDelete) Shell() string {
	return ip(s.NS) + "addr delete " + s.Addr.String() + " dev " + s.Link
}

// names says whether m is the address.
func (s *AddrDelete) names(m body) bool {
	a := m.attrs(unix.SizeofIfAddrmsg)
	value := a.get(unix.IFA_LOCAL)
	if value == nil {
		value = a.get(unix.IFA_ADDRESS)
	}
	addr, _ := netip.AddrFromSlice(value)
	return netip.PrefixFrom(addr, int(m[1])) == s.Addr
}

func (s *AddrDelete) Check(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) (err error) {
		s.Index = m.index()
		if s.Saved, err = saveConf(s.Index); err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Saved.Addrs, func(b []byte) bool { return s.names(b) }) {
			return fmt.Errorf("link %s of %s has no address %s", s.Link, label(s.NS), s.Addr)
		}
		s.Saved.FDB = nil // it stays
		s.Sysctls, err = linkSysctls(s.Link)
		return err
	})
}

func (s *AddrDelete) Do(context.Context) error {
	return withLink(s.NS, s.Link, func(m rawLink) error {
		for _, b := range s.Saved.Addrs {
			if !s.names(b) {
				continue
			}
			if err := sendRaw(unix.RTM_DELADDR, 0, b); err != nil {
				return fmt.Errorf("delete address %s of %s: %w", s.Addr, s.Link, err)
			}
		}
		return nil
	})
}

func (s *AddrDelete) Undo(context.Context) error {
	return undoLink(s.NS, s.Index, func(m rawLink) error {
		err := s.Saved.restoreConf(s.Index)
		if err == nil && m.name() == s.Link {
			err = writeSysctls(s.Sysctls)
		}
		if errors.Is(err, unix.ENETDOWN) {
			return nil // taken down since: the addresses are back, its routes would be gone
		}
		return err
	})
}
