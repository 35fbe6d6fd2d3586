package steps

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// LinkMove moves a link to another namespace. The kernel takes it down and its
// addresses and routes away; Undo moves it back and restores them.
type LinkMove struct {
	NS    string     `json:"ns,omitempty"`
	Link  string     `json:"link"`
	To    string     `json:"to"` // "" for the host
	Saved *savedLink `json:"saved,omitempty"`
}

func (s *LinkMove) Kind() string { return "link.move" }
func (s *LinkMove) Why() string {
	return fmt.Sprintf("A link lives in one namespace. Moved to %s it is gone from %s, and so are its addresses and routes; a veth stays joined to its other end.",
		label(s.To), label(s.NS))
}
func (s *LinkMove) Shell() string {
	to := s.To
	if to == "" {
		to = "$$" // the namespace of the process with this number: the shell's
	}
	return ip(s.NS) + "link set " + s.Link + " netns " + to
}

func (s *LinkMove) Check(ctx context.Context) error {
	saved, err := saveEnd(s.NS, s.Link)
	if err != nil {
		return err
	}
	if saved.Name == "lo" || saved.Kind == "bridge" {
		return fmt.Errorf("link %s cannot be moved: a bridge or lo belongs to its namespace", s.Link)
	}
	if err := errors.Join(saved.keepsQueues(), freeLink(ctx, s.To, s.Link)); err != nil {
		return err
	}
	s.Saved = saved
	return nil
}

func (s *LinkMove) Do(context.Context) error {
	return moveLink(s.NS, s.Saved.Index, s.To, 0)
}

// moveLink moves a link; wanted is the number that it is to have there, 0 for
// its own or, if that is taken, any.
func moveLink(ns string, index int, to string, wanted int) error {
	f, err := os.Open(netns.Path(to))
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", label(to), err)
	}
	defer f.Close()
	err = netns.Do(netns.Path(ns), func() error {
		attrs := []*nl.RtAttr{attr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(f.Fd())))}
		if wanted != 0 {
			attrs = append(attrs, attr(unix.IFLA_NEW_IFINDEX, nl.Uint32Attr(uint32(wanted))))
		}
		return linkRequest(unix.RTM_NEWLINK, 0, linkMessage(index), attrs...)
	})
	if err != nil {
		return fmt.Errorf("move link to %s: %w", label(to), explain(err))
	}
	return nil
}

func (s *LinkMove) Undo(context.Context) error {
	if s.Saved == nil {
		return nil
	}
	home, err := s.Saved.there()
	if err != nil {
		return err
	}
	if !home {
		index, err := s.away()
		if err != nil || index == 0 {
			return err
		}
		if err := moveLink(s.To, index, s.NS, s.Saved.Index); err != nil {
			return err
		}
	}
	return errors.Join(s.Saved.setUp(), s.Saved.configure())
}

// away is the number of the link where it was moved to, 0 when it has gone since.
// It is the one that has name, kind and MAC.
func (s *LinkMove) away() (index int, err error) {
	err = netns.Do(netns.Path(s.To), func() error {
		m, err := haveLink(0, s.Link)
		if err != nil || m == nil {
			return err
		}
		mac := s.Saved.raw().attrs().get(unix.IFLA_ADDRESS)
		if m.kind() == s.Saved.Kind && string(m.attrs().get(unix.IFLA_ADDRESS)) == string(mac) {
			index = m.index()
		}
		return nil
	})
	if s.To != "" && undoGone(err) {
		return 0, nil
	}
	return index, explain(err)
}
