package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// NetnsDelete deletes a named namespace and what is in it. Undo makes another of
// that name with the same links, addresses, routes and parameters.
type NetnsDelete struct {
	Name  string      `json:"name"`
	Saved *savedNetns `json:"saved,omitempty"`
}

// savedNetns is a namespace as it was.
type savedNetns struct {
	Inode   uint64       `json:"inode"`
	Lo      *savedLink   `json:"lo"`
	Links   []*savedLink `json:"links,omitempty"` // but lo; parents before what lies on them
	Sysctls []Param      `json:"sysctls,omitempty"`
	// Routes are those that are no link's, as a blackhole.
	Routes savedRoutes `json:"routes"`
}

func (s *NetnsDelete) Kind() string { return "netns.delete" }
func (s *NetnsDelete) Why() string {
	return "A namespace takes its links with it, and a veth its other end, wherever that is."
}
func (s *NetnsDelete) Shell() string { return "ip netns delete " + s.Name }

func (s *NetnsDelete) Check(context.Context) error {
	inode, err := netns.Inode(netns.Path(s.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no namespace %s", s.Name)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(s.unused(inode), s.bare()); err != nil {
		return err
	}
	saved := &savedNetns{Inode: inode}
	if err := saved.read(s.Name); err != nil {
		return err
	}
	s.Saved = saved
	return nil
}

// unused refuses a namespace that processes live in: with them it would live on
// without a name.
func (s *NetnsDelete) unused(inode uint64) error {
	found, _ := netns.List()
	for _, f := range found {
		if f.Inode != inode || len(f.Processes) == 0 {
			continue
		}
		p := f.Processes[0]
		return fmt.Errorf("namespace %s has %d processes in it, such as %d (%s): end them first", s.Name, len(f.Processes), p.PID, p.Command)
	}
	return nil
}

// bare refuses a namespace with what could not be restored beside its links:
// tables of the packet filter, and rules of routing.
func (s *NetnsDelete) bare() error {
	var tables []string
	err := inNft(s.Name, func(c *nftables.Conn) error {
		list, err := c.ListTables()
		for _, t := range list {
			tables = append(tables, t.Name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(tables) > 0 {
		return fmt.Errorf("namespace %s has the nft table %s, which could not be restored: delete that first", s.Name, tables[0])
	}
	return in(s.Name, func(h *netlink.Handle) error {
		for _, file := range []string{"ip_tables_names", "ip6_tables_names"} {
			data, _ := os.ReadFile("/proc/thread-self/net/" + file)
			if names := strings.Fields(string(data)); len(names) > 0 {
				return fmt.Errorf("namespace %s has the iptables-legacy table %s, which could not be restored", s.Name, names[0])
			}
		}
		rules, err := h.RuleList(netlink.FAMILY_ALL)
		for _, r := range rules {
			// The kernel's own: local, main and default.
			if r.Priority != 0 && r.Priority != 32766 && r.Priority != 32767 {
				return fmt.Errorf("namespace %s has the routing rule %d, which could not be restored: delete it first with ip-rule(8)", s.Name, r.Priority)
			}
		}
		return err
	})
}

func (n *savedNetns) read(name string) error {
	var links []rawLink
	err := netns.Do(netns.Path(name), func() (err error) {
		if n.Sysctls, err = sysctlsUnder("net", ofOneLink); err != nil {
			return err
		}
		if n.Routes, err = saveRoutes(func(r SavedRoute) bool { return r.leavesBy(0) && !r.attrs().has(unix.RTA_MULTIPATH) }); err != nil {
			return err
		}
		links, err = listLinks()
		return err
	})
	if err != nil {
		return explain(err)
	}
	seen := map[string]bool{}
	for _, m := range links {
		if m.name() == "lo" {
			if n.Lo, err = saveEnd(name, "lo"); err != nil {
				return err
			}
			continue
		}
		if seen[m.name()] {
			continue // the other end of one before
		}
		l, err := n.readLink(name, m.name())
		if err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
		for _, end := range l.ends() {
			if end.NS == name {
				seen[end.Name] = true
			}
		}
		n.Links = append(n.Links, l)
	}
	n.sort()
	return nil
}

func (n *savedNetns) readLink(ns, name string) (*savedLink, error) {
	l, err := saveLink(ns, name)
	if err != nil {
		return nil, err
	}
	if err := l.deletable(); err != nil {
		return nil, err
	}
	for _, end := range l.ends() {
		if err := end.keepsQueues(); err != nil {
			return nil, err
		}
		// What lies on it in the namespace itself is kept, too.
		elsewhere := slices.DeleteFunc(namedNamespaces(), func(other string) bool { return other == ns })
		child, err := carried(end.NS, end.Index, elsewhere)
		if err != nil {
			return nil, err
		}
		if child != "" {
			return nil, fmt.Errorf("link %s carries %s, which would be deleted with it: delete that first", end.Name, child)
		}
	}
	return l, nil
}

// sort puts links that lie on others behind those. The kernel numbers them in
// the order in which they were made, which a move may have changed.
func (n *savedNetns) sort() {
	var out []*savedLink
	placed := map[int]bool{}
	for len(out) < len(n.Links) {
		before := len(out)
		for _, l := range n.Links {
			lower := 0
			if l.Kind != "veth" && l.ParentNS == l.NS {
				lower = lowerLink(l.raw())
			}
			if placed[l.Index] || lower != 0 && lower != l.Index && !placed[lower] && n.has(lower) {
				continue
			}
			placed[l.Index] = true
			out = append(out, l)
		}
		if len(out) == before {
			return // a circle, which the kernel does not make
		}
	}
	n.Links = out
}

func (n *savedNetns) has(index int) bool {
	for _, l := range n.Links {
		if l.Index == index {
			return true
		}
	}
	return false
}

// ofOneLink is true for the directories with the parameters of a single link.
func ofOneLink(path string) bool {
	dir, name := path[:strings.LastIndexByte(path, '/')], path[strings.LastIndexByte(path, '/')+1:]
	return (strings.HasSuffix(dir, "/conf") || strings.HasSuffix(dir, "/neigh")) && name != "all" && name != "default"
}

// Do deletes the links one by one before the name: the kernel takes a namespace
// apart in its own time, and what is made next must not meet the rest of it.
func (s *NetnsDelete) Do(context.Context) error {
	for i := len(s.Saved.Links) - 1; i >= 0; i-- {
		if err := s.Saved.Links[i].remove(); err != nil {
			return err
		}
	}
	return explain(netns.Delete(s.Name))
}

func (s *NetnsDelete) Undo(context.Context) error {
	if s.Saved == nil {
		return nil
	}
	_, err := netns.Inode(netns.Path(s.Name))
	if errors.Is(err, fs.ErrNotExist) {
		_ = os.Remove(netns.Path(s.Name)) // a stub that a crash left
		_, err = netns.Create(s.Name)
	}
	if err != nil {
		return explain(err)
	}
	err = netns.Do(netns.Path(s.Name), func() error { return writeSysctls(s.Saved.Sysctls) })
	if err != nil {
		return explain(err)
	}
	if err := s.Saved.Lo.setUp(); err != nil {
		return err
	}
	if err := remakeAll(s.Saved.Links); err != nil {
		return err
	}
	if err := s.Saved.Lo.configure(); err != nil {
		return err
	}
	return explain(netns.Do(netns.Path(s.Name), s.Saved.Routes.addMissing))
}
