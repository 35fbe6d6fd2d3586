package inventory

import (
	"context"
	"os"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// A link names its peer by index, in a namespace that it names by an id which
// only the link's own namespace knows (network_namespaces(7), IFLA_LINK_NETNSID).
// The kernel answers the other way only: which id has the namespace behind this
// file? So every candidate is asked about, the likely ones first.

// pairKey is a link by its own index and its peer's.
type pairKey struct{ index, peer int }

// resolveIDs finds which namespaces the ids in spaces stand for, among all.
func resolveIDs(ctx context.Context, spaces, all []*space) error {
	pairs := map[pairKey][]*space{}
	for _, s := range all {
		for _, l := range s.links {
			if l.Peer != nil && l.Peer.NSID >= 0 {
				k := pairKey{l.Index, l.Peer.Index}
				pairs[k] = append(pairs[k], s)
			}
		}
	}
	return each(ctx, spaces, func(s *space) { s.resolve(pairs, all) })
}

// resolve fills s.ids anew. Of the own namespace every id is wanted, since they
// are shown; of others those that their links mention.
func (s *space) resolve(pairs map[pairKey][]*space, all []*space) {
	s.ids = map[int]uint64{}
	self := s.found.Kind == netns.FoundSelf
	if s.linksErr != nil || !self && !s.unresolved() {
		return
	}
	// An error leaves ids out, and peers unresolved, as for any namespace that
	// cannot be reached: the links themselves are there.
	_ = withHandle(s.found, func(h *netlink.Handle) error {
		a := asker{handle: h, own: s, asked: map[uint64]bool{}}
		for _, l := range s.links {
			if l.Peer == nil || l.Peer.NSID < 0 {
				continue
			}
			// The other end of a veth mentions this link's index in turn.
			a.find(l.Peer.NSID, pairs[pairKey{l.Peer.Index, l.Index}])
			a.find(l.Peer.NSID, all)
		}
		if self {
			a.find(-1, all)
		}
		return nil
	})
}

// unresolved tells whether a link's peer is in a namespace that is not known.
func (s *space) unresolved() bool {
	return slices.ContainsFunc(s.links, func(l Link) bool {
		return l.Peer != nil && l.Peer.NSID >= 0 && s.ids[l.Peer.NSID] == 0
	})
}

// asker asks one namespace for the ids of others, each once.
type asker struct {
	handle *netlink.Handle
	own    *space
	asked  map[uint64]bool
}

// find asks about candidates until one has the id; all of them for -1.
func (a *asker) find(id int, candidates []*space) {
	for _, c := range candidates {
		if a.own.ids[id] != 0 {
			return
		}
		if c.gone || c == a.own || a.asked[c.found.Inode] {
			continue
		}
		a.asked[c.found.Inode] = true
		if got, err := a.ask(c.found); err == nil && got >= 0 {
			a.own.ids[got] = c.found.Inode
		}
	}
}

func (a *asker) ask(f netns.Found) (int, error) {
	file, err := openNamespace(f)
	if err != nil {
		return -1, err
	}
	defer file.Close()
	return a.handle.GetNetNsIdByFd(int(file.Fd()))
}

// openNamespace opens the namespace for a moment. It fails with os.ErrNotExist
// when the path leads to another one by now.
func openNamespace(f netns.Found) (*os.File, error) {
	file, err := os.Open(f.Path)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil || st.Ino != f.Inode {
		file.Close()
		return nil, &os.PathError{Op: "open", Path: f.Path, Err: os.ErrNotExist}
	}
	return file, nil
}

// linkKey is a link by its identity.
type linkKey struct {
	inode uint64
	index int
}

// resolvePeers gives the snapshot its links, with the names of their peers. The
// links are copied: those that were read serve for later snapshots too.
func resolvePeers(snap *Snapshot, spaces []*space) {
	names := map[linkKey]string{}
	spaceNames := make(map[uint64]string, len(spaces))
	for _, s := range spaces {
		spaceNames[s.found.Inode] = s.found.Name
		for _, l := range s.links {
			names[linkKey{s.found.Inode, l.Index}] = l.Name
		}
	}
	for i, s := range spaces {
		links := slices.Clone(s.links)
		for j := range links {
			p := links[j].Peer
			if p == nil {
				continue
			}
			inode := s.found.Inode
			if p.NSID >= 0 {
				inode = s.ids[p.NSID]
			}
			resolved := *p
			if name := spaceNames[inode]; name != "" {
				resolved.Inode, resolved.NS = inode, name
				resolved.Link = names[linkKey{inode, p.Index}]
			}
			links[j].Peer = &resolved
		}
		snap.Namespaces[i].Links = links
	}
}
