package steps

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops"
)

// madeLink is a link that a step made: the one with the index that it had or,
// where a crash lost the index, one that bears our mark or none yet.
type madeLink struct {
	ns, name string
	index    int
	mark     string
}

// is says whether l is that link, and not one of someone who has taken its name.
func (m madeLink) is(a *netlink.LinkAttrs) bool {
	return a.Name == m.name && (m.index == 0 || a.Index == m.index) && (a.Alias == "" || a.Alias == m.mark)
}

func (m madeLink) delete() error {
	return undoIn(m.ns, func(h *netlink.Handle) error {
		l, err := findLink(h, m.name)
		if err != nil || l == nil || !m.is(l.Attrs()) {
			return err
		}
		return h.LinkDel(l)
	})
}

// deleteLinks deletes links of one namespace, and returns the error of each.
// Before the kernel frees a link it waits, some 10 ms, until every processor has
// let go of it; for all links of a group (see group in ip-link(8)) it waits once.
func deleteLinks(ns string, links []madeLink) []error {
	errs := make([]error, len(links))
	err := undoIn(ns, func(h *netlink.Handle) error {
		list, err := h.LinkList()
		if err != nil {
			return fmt.Errorf("list links: %w", err)
		}
		group, there := freeGroup(list), byName(list)
		found := false
		for i, m := range links {
			if l := there[m.name]; l != nil && m.is(l.Attrs()) {
				found = true
				errs[i] = h.LinkSetGroup(l, group)
			}
		}
		if !found {
			return nil
		}
		return linkRequest(unix.RTM_DELLINK, 0, linkMessage(0), attr(unix.IFLA_GROUP, nl.Uint32Attr(uint32(group))))
	})
	for i, m := range links {
		if err != nil || errs[i] != nil { // it may just have gone, or else tells why not
			errs[i] = m.delete()
		}
	}
	return errs
}

func byName(list []netlink.Link) map[string]netlink.Link {
	out := map[string]netlink.Link{}
	for _, l := range list {
		out[l.Attrs().Name] = l
	}
	return out
}

// freeGroup is a link group that none of the links is in.
func freeGroup(list []netlink.Link) int {
	for {
		group := 1<<16 + rand.IntN(1<<30)
		if !slices.ContainsFunc(list, func(l netlink.Link) bool { return l.Attrs().Group == uint32(group) }) {
			return group
		}
	}
}

func (s *VethAdd) UndoBatch() string   { return "link " + s.NS }
func (s *BridgeAdd) UndoBatch() string { return "link " + s.NS }

func (s *VethAdd) UndoAll(_ context.Context, all []ops.Step) []error {
	return deleteLinks(s.NS, madeLinks(all))
}

func (s *BridgeAdd) UndoAll(_ context.Context, all []ops.Step) []error {
	return deleteLinks(s.NS, madeLinks(all))
}

func madeLinks(all []ops.Step) []madeLink {
	out := make([]madeLink, len(all))
	for i, s := range all {
		out[i] = s.(interface{ made() madeLink }).made()
	}
	return out
}
