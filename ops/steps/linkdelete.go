package steps

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// LinkDelete deletes a link, with the other end of a veth. Undo makes it again
// with all that was configured on it.
type LinkDelete struct {
	NS   string `json:"ns,omitempty"`
	Link string `json:"link"`
	// Saved is the link as it was.
	Saved *savedLink `json:"saved,omitempty"`
}

func (s *LinkDelete) Kind() string { return "link.delete" }
func (s *LinkDelete) Why() string {
	return "A link takes its addresses and routes with it, and a veth its other end: a cable with one end is none."
}
func (s *LinkDelete) Shell() string { return ip(s.NS) + "link delete " + s.Link }

func (s *LinkDelete) Check(context.Context) error {
	saved, err := saveLink(s.NS, s.Link)
	if err != nil {
		return err
	}
	if err := saved.deletable(); err != nil {
		return err
	}
	for _, end := range saved.ends() {
		if err := errors.Join(end.keepsQueues(), end.carriesNothing()); err != nil {
			return err
		}
	}
	s.Saved = saved
	return nil
}

func (s *LinkDelete) Do(context.Context) error { return s.Saved.remove() }

func (s *LinkDelete) Undo(context.Context) error {
	if s.Saved == nil {
		return nil
	}
	return remakeAll([]*savedLink{s.Saved})
}

// remove deletes the link if it is there.
func (s *savedLink) remove() error {
	err := netns.Do(netns.Path(s.NS), func() error {
		m, err := haveLink(s.Index, "")
		if err != nil || m == nil || m.name() != s.Name {
			return err
		}
		return linkRequest(unix.RTM_DELLINK, 0, linkMessage(s.Index))
	})
	if err != nil {
		return fmt.Errorf("delete link %s: %w", s.Name, explain(err))
	}
	return nil
}

// remakeAll makes links again: first all of them, as they may lean on each other,
// then what is set on them, and last what needs them to be up.
func remakeAll(links []*savedLink) error {
	for _, l := range links {
		if err := l.remake(); err != nil {
			return err
		}
	}
	for _, f := range []func(*savedLink) error{(*savedLink).setUp, (*savedLink).configure} {
		for _, l := range links {
			for _, end := range l.ends() {
				if err := f(end); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
