// Package sweep finds and removes what vethscope made, by the marks that it
// bears, when no journal tells of it any more: namespaces and links by their
// alias, nft tables by their name, rules in the tables of others by their
// comment, routes by their protocol number, and background processes by their
// environment. What bears no mark is not touched.
package sweep

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

	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// TablePrefix begins the name of every nft table of ours.
const TablePrefix = "vethscope-"

// Sweep removes all that bears a mark of ours in the namespace that the process
// was started in and in those with a name under netns.Dir; namespaces that only
// processes hold belong to others, or to other sandboxes. It goes on after a
// failure, and returns what it removed in words, in order. It must not run while
// a plan is run: the holder of the journal's lock calls it.
func Sweep(ctx context.Context) ([]string, error) {
	s := &sweeper{ctx: ctx}
	s.processes()
	names := append([]string{""}, named()...)
	for _, ns := range names {
		s.rules(ns)
		s.tables(ns)
		s.routes(ns)
	}
	// Links before namespaces: the kernel takes a namespace apart in its own
	// time, and both ends of a veth should be gone when we return.
	for _, ns := range names {
		s.links(ns)
	}
	for _, ns := range names[1:] {
		s.namespace(ns)
	}
	return s.removed, errors.Join(s.failed...)
}

type sweeper struct {
	ctx     context.Context
	removed []string
	failed  []error
}

func (s *sweeper) say(ns, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if ns != "" {
		text += " in " + ns
	}
	s.removed = append(s.removed, text)
}

// fail notes an error, unless it only says that the thing is gone already, or
// that the kernel has no such things.
func (s *sweeper) fail(what, ns string, err error) {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) ||
		errors.Is(err, netfilter.ErrUnsupported) {
		return
	}
	if ns == "" {
		ns = netns.Host
	}
	s.failed = append(s.failed, fmt.Errorf("sweep %s of %s: %w", what, ns, err))
}

// named are the namespaces that have a name, one name each.
func named() []string {
	found, _ := netns.List()
	var out []string
	for _, f := range found {
		if f.Kind == netns.FoundNamed && f.Path == netns.Path(f.Name) {
			out = append(out, f.Name)
		}
	}
	return out
}

func (s *sweeper) processes() {
	list, err := steps.LeftProcesses()
	s.fail("processes", "", err)
	for _, p := range list {
		if err := p.Undo(s.ctx); err != nil {
			s.fail("processes", "", err)
			continue
		}
		s.say("", "process %d (vethscope %s)", p.PID, strings.Join(p.Args, " "))
	}
}

// rules removes ours from tables of others.
func (s *sweeper) rules(ns string) {
	rules, err := netfilter.Read(s.ctx, netns.Path(ns))
	if err != nil {
		s.fail("rules", ns, err)
		return
	}
	for _, r := range rules.Rules {
		if !strings.HasPrefix(r.Comment, steps.MarkPrefix) || strings.HasPrefix(r.Table, TablePrefix) {
			continue
		}
		family, ok := families[r.Family]
		if !ok {
			continue
		}
		t := &nftables.Table{Family: family, Name: r.Table}
		err := inNft(ns, func(c *nftables.Conn) error {
			return c.DelRule(&nftables.Rule{Table: t, Chain: &nftables.Chain{Table: t, Name: r.Chain}, Handle: r.Handle})
		})
		if err != nil {
			s.fail("rules", ns, err)
			continue
		}
		s.say(ns, "rule %q of table %s %s", r.Comment, r.Family, r.Table)
	}
}

var families = map[string]nftables.TableFamily{
	"ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6, "inet": nftables.TableFamilyINet,
	"bridge": nftables.TableFamilyBridge, "netdev": nftables.TableFamilyNetdev, "arp": nftables.TableFamilyARP,
}

func (s *sweeper) tables(ns string) {
	var ours []*nftables.Table
	err := inNft(ns, func(c *nftables.Conn) error {
		list, err := c.ListTables()
		for _, t := range list {
			if strings.HasPrefix(t.Name, TablePrefix) {
				ours = append(ours, t)
			}
		}
		return err
	})
	s.fail("tables", ns, err)
	for _, t := range ours {
		err := inNft(ns, func(c *nftables.Conn) error {
			c.DelTable(t)
			return nil
		})
		if err != nil {
			s.fail("tables", ns, err)
			continue
		}
		s.say(ns, "nft table %s", t.Name)
	}
}

func inNft(ns string, f func(c *nftables.Conn) error) error {
	return netns.Do(netns.Path(ns), func() error {
		c, err := nftables.New()
		if err != nil {
			return fmt.Errorf("open nf_tables: %w", err)
		}
		if err := f(c); err != nil {
			return err
		}
		return c.Flush()
	})
}

func in(ns string, f func(h *netlink.Handle) error) error {
	return netns.Do(netns.Path(ns), func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer h.Close()
		return f(h)
	})
}

func (s *sweeper) routes(ns string) {
	err := in(ns, func(h *netlink.Handle) error {
		routes, err := h.RouteListFiltered(netlink.FAMILY_ALL,
			&netlink.Route{Protocol: steps.RouteProtocol, Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_PROTOCOL|netlink.RT_FILTER_TABLE)
		for _, r := range routes {
			if err := h.RouteDel(&r); err != nil {
				s.fail("routes", ns, err)
				continue
			}
			s.say(ns, "route %s", r.Dst)
		}
		return err
	})
	s.fail("routes", ns, err)
}

func isOurs(l netlink.Link) bool { return strings.HasPrefix(l.Attrs().Alias, steps.MarkPrefix) }

// links removes the links of ours and, in a namespace of ours, all that can be
// removed.
func (s *sweeper) links(ns string) {
	err := in(ns, func(h *netlink.Handle) error {
		list, err := h.LinkList()
		if err != nil {
			return err
		}
		whole := ns != "" && slices.ContainsFunc(list, func(l netlink.Link) bool { return l.Attrs().Name == "lo" && isOurs(l) })
		for _, l := range list {
			name := l.Attrs().Name
			if name == "lo" || !whole && !isOurs(l) {
				continue
			}
			err := h.LinkDel(l)
			if err != nil && whole && !isOurs(l) {
				continue // a device that someone moved in: it goes home with the namespace
			}
			s.fail("links", ns, err)
			if err == nil {
				s.say(ns, "link %s", name)
			}
		}
		return nil
	})
	s.fail("links", ns, err)
}

// namespace deletes a namespace that we made, under all its names.
func (s *sweeper) namespace(ns string) {
	ours := false
	err := in(ns, func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		ours = err == nil && isOurs(lo)
		return err
	})
	s.fail("namespaces", ns, err)
	if !ours {
		return
	}
	for _, name := range alsoCalled(ns) {
		if err := netns.Delete(name); err != nil {
			s.fail("namespaces", name, err)
			continue
		}
		s.say("", "namespace %s", name)
	}
}

// alsoCalled are all the names of a namespace.
func alsoCalled(ns string) []string {
	inode, err := netns.Inode(netns.Path(ns))
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(netns.Dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if other, err := netns.Inode(netns.Path(e.Name())); err == nil && other == inode {
			out = append(out, e.Name())
		}
	}
	return out
}
