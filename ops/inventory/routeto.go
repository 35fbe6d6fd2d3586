package inventory

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// Hop is where a namespace sends packets for an address.
type Hop struct {
	Link  string // "" when there is no route
	Local bool   // the address is the namespace's own
}

// HopTo asks the kernel's routing of the namespace that nsPath opens (ip-route(8),
// "route get"). That there is no route is no error. It may be called
// concurrently.
func HopTo(ctx context.Context, nsPath string, dst netip.Addr) (Hop, error) {
	var hop Hop
	if err := ctx.Err(); err != nil {
		return hop, err
	}
	err := netns.Do(nsPath, func() error {
		h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer h.Close()
		routes, err := h.RouteGet(net.IP(dst.AsSlice()))
		if errors.Is(err, unix.ENETUNREACH) || errors.Is(err, unix.EHOSTUNREACH) || errors.Is(err, unix.EINVAL) {
			return nil
		}
		if err != nil || len(routes) == 0 {
			return err
		}
		hop.Local = routes[0].Type == unix.RTN_LOCAL
		l, err := h.LinkByIndex(routes[0].LinkIndex)
		if err == nil {
			hop.Link = l.Attrs().Name
		}
		return err
	})
	if err != nil {
		return Hop{}, fmt.Errorf("route to %s: %w", dst, err)
	}
	return hop, nil
}
