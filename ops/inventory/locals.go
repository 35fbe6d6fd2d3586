package inventory

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// Locals are the addresses for which a namespace takes packets itself, as its
// table "local" has them. It is immutable.
type Locals struct {
	addrs    map[netip.Addr]bool
	prefixes []netip.Prefix // of more than one address, as 127.0.0.0/8
}

// Has says whether the namespace takes what is sent to an address.
func (l *Locals) Has(a netip.Addr) bool {
	if l.addrs[a] {
		return true
	}
	for _, p := range l.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// LocalsOf reads them in the network namespace that nsPath opens. It only reads,
// keeps no socket, and may be called concurrently. It does not follow policy
// routing that puts another table before "local".
func LocalsOf(ctx context.Context, nsPath string) (*Locals, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	out := &Locals{addrs: map[netip.Addr]bool{}}
	err := netns.Do(nsPath, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		routes, err := h.RouteListFiltered(unix.AF_UNSPEC, &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL},
			netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
		for _, r := range routes {
			if r.Dst == nil {
				continue
			}
			addr, ok := netip.AddrFromSlice(r.Dst.IP)
			bits, size := r.Dst.Mask.Size()
			if !ok {
				continue
			}
			if size == 32 {
				addr = addr.Unmap()
			}
			if bits == size {
				out.addrs[addr] = true
			} else {
				out.prefixes = append(out.prefixes, netip.PrefixFrom(addr, bits))
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read local addresses: %w", err)
	}
	return out, nil
}
