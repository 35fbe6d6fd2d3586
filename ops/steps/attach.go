package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"vethscope/ops/netns"
)

// NetnsAttach gives an existing namespace a second name, so that two containers
// share it.
type NetnsAttach struct {
	Name  string `json:"name"`
	With  string `json:"with"`            // the namespace that has it already
	Inode uint64 `json:"inode,omitempty"` // of both
}

func (s *NetnsAttach) Kind() string { return "netns.attach" }
func (s *NetnsAttach) Why() string {
	return fmt.Sprintf("%s gets no namespace of its own but %s's: one set of links, addresses, routes and ports for both.", s.Name, s.With)
}
func (s *NetnsAttach) Shell() string {
	return "touch " + netns.Path(s.Name) + "; mount --bind " + netns.Path(s.With) + " " + netns.Path(s.Name)
}

func (s *NetnsAttach) Check(context.Context) error {
	inode, err := netns.Inode(netns.Path(s.With))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no namespace %s to share", s.With)
	}
	if err != nil {
		return err
	}
	s.Inode = inode
	return freeName(s.Name)
}

func (s *NetnsAttach) Do(context.Context) error {
	inode, err := netns.Attach(s.Name, netns.Path(s.With))
	if err == nil && inode != s.Inode {
		err = fmt.Errorf("namespace %s was replaced by another meanwhile", s.With)
	}
	return explain(err)
}

func (s *NetnsAttach) Undo(context.Context) error { return deleteName(s.Name, s.Inode) }

// freeName refuses a name that a namespace has already.
func freeName(name string) error {
	_, err := os.Lstat(netns.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("namespace %s already exists: delete it or choose another name", name)
}

// deleteName takes the name from a namespace, unless another namespace than the
// one with the inode has it by now; inode 0 is any.
func deleteName(name string, inode uint64) error {
	now, err := netns.Inode(netns.Path(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if inode != 0 && now != 0 && now != inode {
		return nil // deleted by someone, and the name taken again: not ours
	}
	if err := netns.Delete(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
