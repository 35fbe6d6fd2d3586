package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// workers is how many namespaces are read at once: the kernel's own locks make
// more useless.
const workers = 2

// Collect reads everything once. What could not be read with the privilege that
// there is becomes a warning, and the namespace's Unreadable; an error means
// that ctx ended. Nothing stays open.
func Collect(ctx context.Context) (*Snapshot, error) {
	found, warnings := netns.List()
	spaces := make([]*space, len(found))
	for i, f := range found {
		spaces[i] = &space{found: f}
	}
	if err := each(ctx, spaces, func(s *space) { s.read(ctx, readLinksPart|readRulesPart) }); err != nil {
		return nil, err
	}
	spaces = alive(spaces)
	if err := resolveIDs(ctx, spaces, spaces); err != nil {
		return nil, err
	}
	return assemble(spaces, warnings), nil
}

// space is what has been read of one namespace.
type space struct {
	found netns.Found
	gone  bool // it vanished before it could be read

	links    []Link // their peers by number only
	routes   []Route
	linksErr error

	rules    netfilter.Ruleset
	rulesErr error

	// ids are the numbers that this namespace has given to others, by inode.
	ids map[int]uint64
}

// part is what of a namespace is read.
type part uint8

const (
	readLinksPart part = 1 << iota // links, addresses and routes
	readRulesPart                  // chains and rules
)

// each calls f for every space, workers at a time, until ctx ends.
func each(ctx context.Context, spaces []*space, f func(*space)) error {
	var g errgroup.Group
	g.SetLimit(workers)
	for _, s := range spaces {
		g.Go(func() error {
			if ctx.Err() == nil {
				f(s)
			}
			return ctx.Err()
		})
	}
	return g.Wait()
}

func alive(spaces []*space) []*space {
	out := make([]*space, 0, len(spaces))
	for _, s := range spaces {
		if !s.gone {
			out = append(out, s)
		}
	}
	return out
}

// read reads the parts of the namespace anew.
func (s *space) read(ctx context.Context, parts part) {
	if parts&readLinksPart != 0 {
		s.links, s.routes, s.linksErr = readKernel(s.found)
		s.gone = errors.Is(s.linksErr, fs.ErrNotExist)
	}
	// Where the links are out of reach, so are the rules: one reason is enough.
	if parts&readRulesPart != 0 && s.linksErr == nil {
		s.rules, s.rulesErr = readRules(ctx, s.found)
		if s.rulesErr != nil {
			inode, err := netns.Inode(s.found.Path)
			s.gone = errors.Is(err, fs.ErrNotExist) || err == nil && inode != s.found.Inode
		}
	}
}

// unreadable says in one line what could not be read, and why.
func (s *space) unreadable() string {
	switch err := cmp.Or(s.linksErr, s.rulesErr); { // rules are read only after links
	case err == nil:
		return ""
	case errors.Is(s.linksErr, fs.ErrPermission):
		return fmt.Sprintf("%v (needs root, or CAP_SYS_ADMIN there)", err)
	default:
		return err.Error()
	}
}

func readKernel(f netns.Found) (links []Link, routes []Route, err error) {
	err = withHandle(f, func(h *netlink.Handle) error {
		if links, err = readLinks(h); err != nil {
			return err
		}
		routes, err = readRoutes(h, links)
		return err
	})
	return links, routes, err
}

// withHandle calls f with an rtnetlink handle in the namespace, on a thread
// inside it, and closes the handle. The own namespace is not entered, since that
// alone would need privilege. It fails with fs.ErrNotExist when the path leads to
// another namespace by now.
func withHandle(found netns.Found, f func(*netlink.Handle) error) error {
	open := func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		defer h.Close()
		return f(h)
	}
	if found.Kind == netns.FoundSelf {
		return open()
	}
	return netns.Do(found.Path, func() error {
		inode, err := netns.Inode(netns.Self)
		if err != nil {
			return err
		}
		if inode != found.Inode {
			return &fs.PathError{Op: "enter", Path: found.Path, Err: os.ErrNotExist}
		}
		return open()
	})
}

// dumpTries is how often a dump that a change interrupted is taken again.
const dumpTries = 20

// dump repeats a dump until no change interrupted it (NLM_F_DUMP_INTR).
func dump[T any](f func() ([]T, error)) (out []T, err error) {
	for range dumpTries {
		if out, err = f(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return out, err
		}
	}
	return nil, fmt.Errorf("%w %d times in a row", err, dumpTries)
}

// assemble makes the snapshot of what was read; it only computes.
func assemble(spaces []*space, warnings []string) *Snapshot {
	snap := &Snapshot{Time: time.Now(), Namespaces: make([]Namespace, len(spaces))}
	snap.Warnings = append(append(snap.Warnings, warnings...), unreadableWarnings(spaces)...)
	nsids := hostIDs(spaces)
	for i, s := range spaces {
		n := &snap.Namespaces[i]
		*n = Namespace{
			Inode: s.found.Inode, Name: s.found.Name, Also: s.found.Also, Kind: s.found.Kind, Path: s.found.Path,
			NSID: -1, Routes: s.routes, Chains: s.rules.Chains, Rules: s.rules.Rules,
			Unreadable: s.unreadable(),
		}
		if id, ok := nsids[s.found.Inode]; ok {
			n.NSID = id
		}
		for _, p := range s.found.Processes {
			n.Processes = append(n.Processes, Process(p))
		}
	}
	resolvePeers(snap, spaces)
	return snap
}

// hostIDs are the numbers that the own namespace has given, by inode.
func hostIDs(spaces []*space) map[uint64]int {
	ids := map[uint64]int{}
	for _, s := range spaces {
		if s.found.Kind != netns.FoundSelf {
			continue
		}
		for id, inode := range s.ids {
			ids[inode] = id
		}
	}
	return ids
}

// namedInWarning is how many namespaces a warning names before it counts.
const namedInWarning = 3

// unreadableWarnings tells what could not be read, one warning per reason.
func unreadableWarnings(spaces []*space) []string {
	var keys []string
	groups := map[string][]*space{}
	for _, s := range spaces {
		if s.unreadable() == "" {
			continue
		}
		// The path is in the reason, and would make each one different.
		key := strings.ReplaceAll(s.unreadable(), s.found.Path, "")
		if groups[key] == nil {
			keys = append(keys, key)
		}
		groups[key] = append(groups[key], s)
	}
	var warnings []string
	for _, key := range keys {
		group := groups[key]
		var names []string
		for _, s := range group[:min(len(group), namedInWarning)] {
			names = append(names, s.found.Name)
		}
		who := strings.Join(names, ", ")
		if more := len(group) - len(names); more > 0 {
			who += fmt.Sprintf(" and %d more", more)
		}
		warnings = append(warnings, fmt.Sprintf("network namespace %s: %s", who, group[0].unreadable()))
	}
	return warnings
}
