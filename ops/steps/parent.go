package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// slave is a macvlan or an ipvlan on a parent link.
type slave struct {
	ns, name string
	link     netlink.Link
}

// slavesOf finds the macvlans and ipvlans on a parent, in whatever namespace that
// can be entered: they know their parent, it does not know them.
func slavesOf(parentNS string, parent netlink.Link) ([]slave, error) {
	home, err := os.Open(netns.Path(parentNS))
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", label(parentNS), err)
	}
	defer home.Close()
	inode, err := netns.Inode(netns.Path(parentNS))
	if err != nil {
		return nil, err
	}
	var out []slave
	found, _ := netns.List()
	for _, f := range found {
		err := netns.Do(f.Path, func() error {
			h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return fmt.Errorf("open netlink: %w", err)
			}
			defer h.Close()
			// First the links: it is by being listed that one which points to
			// another namespace has that numbered.
			links, err := h.LinkList()
			if err != nil {
				return err
			}
			id := -1 // the parent's namespace, as this one numbers it
			if f.Inode != inode {
				if id, err = h.GetNetNsIdByFd(int(home.Fd())); err != nil || id < 0 {
					return err // not numbered: no link here points there
				}
			}
			out = append(out, slavesAmong(links, f.Name, parent.Attrs().Index, id)...)
			return nil
		})
		// What is gone has none, and what is closed to us cannot be asked.
		if err != nil && !undoGone(err) && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("look for links on %s in namespace %s: %w", parent.Attrs().Name, f.Name, err)
		}
	}
	return out, nil
}

func slavesAmong(links []netlink.Link, ns string, parent, id int) []slave {
	var out []slave
	for _, l := range links {
		a := l.Attrs()
		if kind := l.Type(); kind != "macvlan" && kind != "ipvlan" || a.ParentIndex != parent || a.NetNsID != id {
			continue
		}
		out = append(out, slave{ns, a.Name, l})
	}
	return out
}

// checkParent finds the parent of a new macvlan or ipvlan, and what is on it
// already.
func checkParent(ns, name string) ([]slave, error) {
	var parent netlink.Link
	err := in(ns, func(h *netlink.Handle) (err error) {
		parent, err = needLink(h, ns, name)
		if err == nil && parent.Attrs().MasterIndex != 0 {
			err = fmt.Errorf("link %s is the port of a bridge, which takes all that arrives there: choose another parent, or release it first", name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return slavesOf(ns, parent)
}

// addSlave makes l on its parent, straight in another namespace, marks it there,
// and returns its index.
func addSlave(parentNS, parent, ns, mark string, l netlink.Link) (index int, err error) {
	target, err := os.Open(netns.Path(ns))
	if err != nil {
		return 0, fmt.Errorf("open namespace %s: %w", label(ns), err)
	}
	defer target.Close()
	a := l.Attrs()
	err = in(parentNS, func(h *netlink.Handle) error {
		p, err := needLink(h, parentNS, parent)
		if err != nil {
			return err
		}
		a.ParentIndex, a.Namespace = p.Attrs().Index, netlink.NsFd(int(target.Fd()))
		if err := h.LinkAdd(l); err != nil {
			return lacks(l.Type(), fmt.Errorf("add %s %s on %s: %w", l.Type(), a.Name, parent, err))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = in(ns, func(h *netlink.Handle) error {
		made, err := needLink(h, ns, a.Name)
		if err != nil {
			return err
		}
		index = made.Attrs().Index
		return h.LinkSetAlias(made, mark)
	})
	return index, err
}

// slaveShell is the shell line that makes a macvlan or an ipvlan.
func slaveShell(parentNS, parent, ns, name, options, mark string) string {
	line := ip(parentNS) + "link add link " + parent + " name " + name
	switch {
	case ns == parentNS:
	case ns == "":
		line += " netns $$" // the shell's own
	default:
		line += " netns " + ns
	}
	return line + options + "; " + ip(ns) + "link set " + name + " alias " + mark
}
