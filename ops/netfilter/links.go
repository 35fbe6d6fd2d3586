package netfilter

import (
	"net"

	"vethscope/ops/netns"
)

// wantLinks says whether some rule names a link by its index, which has to be
// translated to be read: iif, oif, or a set of such.
func (ts *tables) wantLinks() bool {
	for _, t := range ts.list {
		for _, s := range t.sets {
			for _, dt := range concatTypes(s.keyType) {
				if dt == typeIfindex {
					return true
				}
			}
		}
	}
	for _, ch := range ts.chains {
		for _, r := range ch.rules {
			for _, e := range r.exprs {
				if e.name == "meta" && metaKeys[e.attrs.u32(2)].typ == typeIfindex {
					return true
				}
			}
		}
	}
	return false
}

// loadLinks fills in the links' names. Where they cannot be read the index
// stays a number, as nft(8) shows a link that is gone.
func (ts *tables) loadLinks(nsPath string) {
	names := map[uint32]string{}
	err := netns.Do(nsPath, func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			names[uint32(l.Index)] = l.Name
		}
		return err
	})
	if err != nil {
		return
	}
	for _, t := range ts.list {
		t.links = names
	}
}
