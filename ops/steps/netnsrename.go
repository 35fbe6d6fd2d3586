package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// NetnsRename gives a named namespace another name. The namespace itself, and
// who lives in it, notices nothing.
type NetnsRename struct {
	Name  string `json:"name"`
	To    string `json:"to"`
	Inode uint64 `json:"inode,omitempty"`
}

func (s *NetnsRename) Kind() string { return "netns.rename" }
func (s *NetnsRename) Why() string {
	return "A namespace has no name of its own: the name is a file that the namespace is mounted on. Renaming it is mounting it on another."
}
func (s *NetnsRename) Shell() string {
	from, to := netns.Path(s.Name), netns.Path(s.To)
	return "touch " + to + "; mount --bind " + from + " " + to + "; umount " + from + "; rm " + from
}

func (s *NetnsRename) Check(context.Context) error {
	inode, err := netns.Inode(netns.Path(s.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no namespace %s", s.Name)
	}
	if err != nil {
		return err
	}
	if err := netns.CheckName(s.To); err != nil {
		return err
	}
	if _, err := os.Lstat(netns.Path(s.To)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("namespace %s already exists: delete it or choose another name", s.To)
	}
	s.Inode = inode
	return nil
}

func (s *NetnsRename) Do(context.Context) error { return renameNetns(s.Name, s.To) }

func renameNetns(from, to string) error {
	f, err := os.OpenFile(netns.Path(to), os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("name network namespace: %w", err)
	}
	f.Close()
	if err := unix.Mount(netns.Path(from), netns.Path(to), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("rename namespace %s: %w", from, errors.Join(explain(err), os.Remove(netns.Path(to))))
	}
	return explain(netns.Delete(from))
}

func (s *NetnsRename) Undo(context.Context) error {
	if s.Inode == 0 {
		return nil
	}
	old, oldErr := netns.Inode(netns.Path(s.Name))
	now, nowErr := netns.Inode(netns.Path(s.To))
	switch {
	case oldErr == nil && old == s.Inode: // not renamed, or only half
		if nowErr == nil && now == s.Inode {
			return netns.Delete(s.To)
		}
		return s.removeStub()
	case nowErr == nil && now == s.Inode:
		_ = os.Remove(netns.Path(s.Name)) // a stub; a namespace does not let itself be removed
		return renameNetns(s.To, s.Name)
	}
	return nil // gone since
}

// removeStub removes the file that was to become the new name.
func (s *NetnsRename) removeStub() error {
	st, err := os.Lstat(netns.Path(s.To))
	if err != nil || !st.Mode().IsRegular() || st.Size() != 0 {
		return nil
	}
	if _, err := netns.Inode(netns.Path(s.To)); err == nil {
		return nil // someone else's namespace
	}
	return os.Remove(netns.Path(s.To))
}
