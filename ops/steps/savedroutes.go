package steps

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// SavedRoute is a route as the kernel told it: a struct rtmsg of
// linux/rtnetlink.h with its attributes.
type SavedRoute []byte

const (
	sizeofRtmsg = unix.SizeofRtMsg
	rtaNHID     = 30 // RTA_NH_ID
)

func (r SavedRoute) family() byte   { return r[0] }
func (r SavedRoute) protocol() byte { return r[5] }
func (r SavedRoute) kind() byte     { return r[7] } // RTN_UNICAST…

func (r SavedRoute) attrs() attrList { return body(r).attrs(sizeofRtmsg) }

func (r SavedRoute) table() uint32 {
	if t := r.attrs().u32(unix.RTA_TABLE); t != 0 {
		return t
	}
	return uint32(r[4])
}

// place is what routes of one place have in common: family, table, destination,
// TOS and metric. Only the first of them is used.
func (r SavedRoute) place() string {
	a := r.attrs()
	return fmt.Sprintf("%d %d %s/%d %d %d", r.family(), r.table(), hex.EncodeToString(a.get(unix.RTA_DST)), r[1], r[3], a.u32(unix.RTA_PRIORITY))
}

// key tells a route from all others: its place and where it leads.
func (r SavedRoute) key() string {
	a := r.attrs()
	return fmt.Sprintf("%s %d %x %x %x %x", r.place(), r.kind(), a.get(unix.RTA_OIF), a.get(unix.RTA_GATEWAY), a.get(unix.RTA_VIA), legs(a.get(unix.RTA_MULTIPATH)))
}

// legs are the hops of a multipath route without their flags, which change.
func legs(b []byte) []byte {
	b = slices.Clone(b)
	for rest := b; len(rest) >= unix.SizeofRtNexthop; {
		n := int(rest[0]) | int(rest[1])<<8
		if n < unix.SizeofRtNexthop || n > len(rest) {
			break
		}
		rest[2] = 0
		rest = rest[min(len(rest), (n+3)&^3):]
	}
	return b
}

func (r SavedRoute) dst() netip.Prefix {
	dst, ok := netip.AddrFromSlice(r.attrs().get(unix.RTA_DST))
	switch {
	case ok:
	case r.family() == unix.AF_INET6:
		dst = netip.IPv6Unspecified()
	default:
		dst = netip.IPv4Unspecified()
	}
	return netip.PrefixFrom(dst, int(r[1]))
}

// leavesBy says whether the route, or a leg of it, leaves by the link.
func (r SavedRoute) leavesBy(index int) bool {
	a := r.attrs()
	if int(a.u32(unix.RTA_OIF)) == index {
		return true
	}
	for rest := body(a.get(unix.RTA_MULTIPATH)); len(rest) >= unix.SizeofRtNexthop; {
		if int(rest.u32(4)) == index {
			return true
		}
		n := int(rest[0]) | int(rest[1])<<8
		if n < unix.SizeofRtNexthop {
			return false
		}
		rest = rest[min(len(rest), (n+3)&^3):]
	}
	return false
}

// byItself says whether the kernel makes such a route along with a link, without
// being asked, in its own time.
func (r SavedRoute) byItself() bool {
	kernels := r.protocol() == unix.RTPROT_KERNEL
	linkLocal := bytes.HasPrefix(r.attrs().get(unix.RTA_DST), []byte{0xfe, 0x80})
	return r.table() == unix.RT_TABLE_LOCAL || kernels && (linkLocal || r.kind() != unix.RTN_UNICAST)
}

// send adds or deletes the route.
func (r SavedRoute) send(msgType int, flags int) error {
	out := slices.Clone([]byte(r))
	// What the kernel says of a route's state it does not want to be told:
	// RTNH_F_DEAD, RTNH_F_LINKDOWN and the like.
	copy(out[8:12], []byte{0, 0, 0, 0})
	return sendRaw(msgType, flags, out)
}

// listRoutes reads the routes of all tables that were made by somebody, or for an
// address, in the kernel's order.
func listRoutes() ([]SavedRoute, error) {
	var out []SavedRoute
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		msgs, err := dumpRaw(unix.RTM_GETROUTE, unix.RTM_NEWROUTE, &nl.RtMsg{RtMsg: unix.RtMsg{Family: family}})
		if err != nil {
			return nil, fmt.Errorf("read routes: %w", err)
		}
		for _, m := range msgs {
			r := SavedRoute(m)
			// A kernel without IPv6 answers with all that it has.
			if len(m) < sizeofRtmsg || r.family() != family || r.byItself() || body(m).u32(8)&unix.RTM_F_CLONED != 0 {
				continue
			}
			out = append(out, r)
		}
	}
	return out, nil
}

// savedRoutes are the routes by a link, and beside them, in order, those of other
// links in the same places: which of them is first decides which is used.
type savedRoutes struct {
	// Routes are all of them; Own says of each whether it is the link's.
	Routes []SavedRoute `json:"routes,omitempty"`
	Own    []bool       `json:"own,omitempty"`
}

// saveRoutes keeps the routes of which own is true.
func saveRoutes(own func(SavedRoute) bool) (savedRoutes, error) {
	var out savedRoutes
	all, err := listRoutes()
	if err != nil {
		return out, err
	}
	places := map[string]bool{}
	for _, r := range all {
		if own(r) {
			if r.attrs().has(rtaNHID) {
				return out, fmt.Errorf("a route uses a nexthop object, which could not be restored: replace it first")
			}
			places[r.place()] = true
		}
	}
	for _, r := range all {
		if places[r.place()] {
			out.Routes = append(out.Routes, r)
			out.Own = append(out.Own, own(r))
		}
	}
	return out, nil
}

// addMissing tries until nothing more succeeds, as a gateway must be reachable
// before a route may lead there.
func (s savedRoutes) addMissing() error {
	now, err := routeKeys()
	if err != nil {
		return err
	}
	var left []SavedRoute
	for i, r := range s.Routes {
		if s.Own[i] && !now[r.key()] {
			left = append(left, r)
		}
	}
	for len(left) > 0 {
		var failed []SavedRoute
		var errs []error
		for _, r := range left {
			err := r.send(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
			if err != nil && !errors.Is(err, unix.EEXIST) {
				failed = append(failed, r)
				errs = append(errs, fmt.Errorf("add route again: %w", err))
			}
		}
		if len(failed) == len(left) {
			return errors.Join(errs...)
		}
		left = failed
	}
	return nil
}

func routeKeys() (map[string]bool, error) {
	all, err := listRoutes()
	if err != nil {
		return nil, err
	}
	keys := map[string]bool{}
	for _, r := range all {
		keys[r.key()] = true
	}
	return keys, nil
}

// reorder brings the routes of each place into the order that they had, by moving
// those that stand wrong to the end, one after the other.
func (s savedRoutes) reorder() error {
	all, err := listRoutes()
	if err != nil {
		return err
	}
	places := map[string][]SavedRoute{}
	there := map[string]bool{}
	for _, r := range all {
		places[r.place()] = append(places[r.place()], r)
		there[r.key()] = true
	}
	want := map[string][]SavedRoute{}
	for _, r := range s.Routes {
		if there[r.key()] {
			want[r.place()] = append(want[r.place()], r)
		}
	}
	for place, wanted := range want {
		if err := reorderPlace(wanted, places[place]); err != nil {
			return err
		}
	}
	return nil
}

func reorderPlace(want, now []SavedRoute) error {
	right := 0
	for right < len(want) && right < len(now) && want[right].key() == now[right].key() {
		right++
	}
	if right == len(want) {
		return nil
	}
	for _, r := range want[right:] {
		if err := r.send(unix.RTM_DELROUTE, 0); err != nil {
			return fmt.Errorf("order routes: %w", err)
		}
		if err := r.send(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_APPEND); err != nil {
			return fmt.Errorf("order routes: %w", err)
		}
	}
	return nil
}
