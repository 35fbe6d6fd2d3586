package steps

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
)

// RouteProtocol marks the routes that we add to the host, and to namespaces that
// we did not make: `ip route show proto 118` lists them. It is a number of its
// own among those of rtnetlink(7), which nobody has registered.
const RouteProtocol = 118

// RouteAdd adds a route by way of a gateway, or straight out of a link, or one
// that leads nowhere.
type RouteAdd struct {
	NS   string       `json:"ns,omitempty"`
	Dst  netip.Prefix `json:"dst"`  // 0.0.0.0/0 or ::/0 is the default route
	Via  netip.Addr   `json:"via"`  // zero: what the route leads to is on the link
	Link string       `json:"link"` // "": the one that Via is on
	// Metric decides between routes to the same destination, the least wins; 0
	// for the kernel's own choice.
	Metric int `json:"metric,omitempty"`
	Table  int `json:"table,omitempty"` // 0 for main
	// Type is "", or that of a route that leads nowhere: "blackhole",
	// "unreachable" or "prohibit".
	Type string `json:"type,omitempty"`
	// Protocol marks the route; 0 for RouteProtocol on the host and "boot", as
	// ip-route(8) has it, elsewhere.
	Protocol int `json:"protocol,omitempty"`
	// Reason replaces what is said of a default route.
	Reason string `json:"reason,omitempty"`
}

// routeTypes are the types that RouteAdd takes, with what they do.
var routeTypes = map[string]struct {
	number int
	why    string
}{
	"":            {unix.RTN_UNICAST, ""},
	"blackhole":   {unix.RTN_BLACKHOLE, "Packets to it are dropped, and nobody is told."},
	"unreachable": {unix.RTN_UNREACHABLE, "Packets to it are answered with \"host unreachable\"."},
	"prohibit":    {unix.RTN_PROHIBIT, "Packets to it are answered with \"administratively prohibited\"."},
}

func (s *RouteAdd) Kind() string { return "route.add" }
func (s *RouteAdd) Why() string {
	switch {
	case s.Reason != "":
		return s.Reason
	case s.Type != "":
		return routeTypes[s.Type].why
	case s.Dst.Bits() > 0:
		return fmt.Sprintf("%s looks up where to send a packet in its routes, longest prefix first; this one is for %s.", label(s.NS), s.Dst)
	}
	return fmt.Sprintf("Without it %s only reaches its own subnet; everything else is \"network is unreachable\".", label(s.NS))
}

func (s *RouteAdd) Shell() string {
	line := routeLine(s.NS, s.Dst, "add", s.Type, s.Via, s.Link, s.Metric, s.Table)
	if p := s.protocol(); p != unix.RTPROT_BOOT {
		line += fmt.Sprintf(" proto %d", p)
	}
	return line
}

// routeLine is a line of ip-route(8).
func routeLine(ns string, dst netip.Prefix, verb, typ string, via netip.Addr, link string, metric, table int) string {
	line := ip(ns)
	if dst.Addr().Is6() {
		line += "-6 "
	}
	line += "route " + verb + " "
	if typ != "" {
		line += typ + " "
	}
	if dst.Bits() == 0 {
		line += "default"
	} else {
		line += dst.String()
	}
	if via.IsValid() {
		line += " via " + via.String()
	}
	if link != "" {
		line += " dev " + link
	}
	if metric != 0 {
		line += " metric " + strconv.Itoa(metric)
	}
	if table != 0 {
		line += " table " + strconv.Itoa(table)
	}
	return line
}

func (s *RouteAdd) protocol() int {
	switch {
	case s.Protocol != 0:
		return s.Protocol
	case s.NS == "":
		return RouteProtocol
	}
	return unix.RTPROT_BOOT
}

// message describes the route by way of the link with the given index, 0 for none.
func (s *RouteAdd) message(link int) []byte {
	header := nl.NewRtMsg()
	header.Family = uint8(addrFamily(s.Dst.Addr()))
	header.Dst_len = uint8(s.Dst.Bits())
	header.Protocol = uint8(s.protocol())
	header.Type = uint8(routeTypes[s.Type].number)
	header.Table = unix.RT_TABLE_UNSPEC // RTA_TABLE has it, which holds more than 255
	if !s.Via.IsValid() && s.Dst.Addr().Is4() && s.Type == "" {
		header.Scope = unix.RT_SCOPE_LINK
	}
	attrs := []*nl.RtAttr{attr(unix.RTA_TABLE, nl.Uint32Attr(uint32(s.table())))}
	if s.Dst.Bits() > 0 {
		attrs = append(attrs, attr(unix.RTA_DST, s.Dst.Addr().AsSlice()))
	}
	if s.Via.IsValid() {
		attrs = append(attrs, attr(unix.RTA_GATEWAY, s.Via.AsSlice()))
	}
	if link != 0 {
		attrs = append(attrs, attr(unix.RTA_OIF, nl.Uint32Attr(uint32(link))))
	}
	if s.Metric != 0 {
		attrs = append(attrs, attr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(s.Metric))))
	}
	return withAttrs(header.Serialize(), attrs...)
}

func (s *RouteAdd) table() int {
	if s.Table == 0 {
		return unix.RT_TABLE_MAIN
	}
	return s.Table
}

func (s *RouteAdd) String() string {
	text := routeLine("", s.Dst, "", s.Type, s.Via, s.Link, s.Metric, s.Table)
	return text[len("ip route  "):]
}

// taken says whether another route stands where this one would.
func (s *RouteAdd) taken(h *netlink.Handle) (bool, error) {
	routes, err := h.RouteListFiltered(addrFamily(s.Dst.Addr()),
		&netlink.Route{Dst: ipNet(s.Dst), Table: s.table()}, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
	if err != nil {
		return false, err
	}
	metric := s.Metric
	if metric == 0 && s.Dst.Addr().Is6() {
		metric = 1024 // IP6_RT_PRIO_USER, net/ipv6.h
	}
	for _, r := range routes {
		if r.Priority == metric {
			return true, nil
		}
	}
	return false, nil
}

func (s *RouteAdd) Check(ctx context.Context) error {
	if ops.JustMade(ctx, netnsWord(s.NS)) {
		return nil
	}
	return in(s.NS, func(h *netlink.Handle) error {
		if s.Link != "" {
			if _, err := needLink(h, s.NS, s.Link); err != nil {
				return err
			}
		}
		taken, err := s.taken(h)
		if err == nil && taken {
			err = fmt.Errorf("%s already has a route to %s: delete it, or give this one another metric", label(s.NS), s.Dst)
		}
		return err
	})
}

func (s *RouteAdd) Do(ctx context.Context) error {
	return over(ctx, s.NS, func(c *conn) (err error) {
		link := 0
		if s.Link != "" {
			if link, err = c.link(ctx, s.NS, s.Link); err != nil {
				return err
			}
		}
		if _, err := c.request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, s.message(link)); err != nil {
			return fmt.Errorf("add route %s: %w", s, err)
		}
		return nil
	})
}

func (s *RouteAdd) Undo(context.Context) error {
	return undoIn(s.NS, func(h *netlink.Handle) error {
		link := 0
		if s.Link != "" {
			l, err := findLink(h, s.Link)
			if err != nil || l == nil {
				return err
			}
			link = l.Attrs().Index
		}
		err := sendRaw(unix.RTM_DELROUTE, 0, s.message(link))
		if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENETUNREACH) {
			return nil // never added, or gone with the link's address
		}
		return err
	})
}

func addrFamily(a netip.Addr) int {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// RouteDelete deletes one route, whoever made it. Undo puts it back into its
// place among others to the same destination.
type RouteDelete struct {
	NS     string       `json:"ns,omitempty"`
	Dst    netip.Prefix `json:"dst"`
	Via    netip.Addr   `json:"via"`
	Link   string       `json:"link,omitempty"`
	Metric int          `json:"metric,omitempty"`
	Table  int          `json:"table,omitempty"`
	Saved  savedRoutes  `json:"saved"`
}

func (s *RouteDelete) Kind() string { return "route.delete" }
func (s *RouteDelete) Why() string {
	return "Without this route the next one that fits is used: one of equal rank, one with a shorter prefix, or the default route."
}
func (s *RouteDelete) Shell() string {
	return routeLine(s.NS, s.Dst, "delete", "", s.Via, s.Link, s.Metric, s.Table)
}

func (s *RouteDelete) Check(context.Context) error {
	err := netns.Do(netns.Path(s.NS), func() error {
		link, err := s.link()
		if err != nil {
			return err
		}
		n := 0
		saved, err := saveRoutes(func(r SavedRoute) bool { return s.names(r, link) })
		if err != nil {
			return err
		}
		for _, own := range saved.Own {
			if own {
				n++
			}
		}
		switch {
		case n == 0:
			return fmt.Errorf("%s has no such route: %s", label(s.NS), s)
		case n > 1:
			return fmt.Errorf("%s has %d such routes: %s; say dev, via or metric, too", label(s.NS), n, s)
		}
		s.Saved = saved
		return nil
	})
	return explain(err)
}

func (s *RouteDelete) String() string {
	return routeLine("", s.Dst, "", "", s.Via, s.Link, s.Metric, s.Table)[len("ip route  "):]
}

func (s *RouteDelete) link() (int, error) {
	if s.Link == "" {
		return 0, nil
	}
	m, err := getLink(0, s.Link)
	if errors.Is(err, unix.ENODEV) {
		return 0, fmt.Errorf("no link %s in %s", s.Link, label(s.NS))
	}
	if err != nil {
		return 0, err
	}
	return m.index(), nil
}

// names says whether r is what s describes; what s leaves out may be anything.
func (s *RouteDelete) names(r SavedRoute, link int) bool {
	a := r.attrs()
	table := s.Table
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	via, _ := netip.AddrFromSlice(a.get(unix.RTA_GATEWAY))
	return r.dst() == s.Dst && r.table() == uint32(table) &&
		(link == 0 || int(a.u32(unix.RTA_OIF)) == link) &&
		(!s.Via.IsValid() || via == s.Via) &&
		(s.Metric == 0 || int(a.u32(unix.RTA_PRIORITY)) == s.Metric)
}

func (s *RouteDelete) Do(context.Context) error {
	err := netns.Do(netns.Path(s.NS), func() error {
		for i, r := range s.Saved.Routes {
			if s.Saved.Own[i] {
				return r.send(unix.RTM_DELROUTE, 0)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("delete route %s: %w", s, explain(err))
	}
	return nil
}

func (s *RouteDelete) Undo(context.Context) error {
	err := netns.Do(netns.Path(s.NS), func() error {
		return errors.Join(s.Saved.addMissing(), s.Saved.reorder())
	})
	if s.NS != "" && undoGone(err) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETDOWN) {
		return nil // its link is gone or down since, and it would be gone with it
	}
	return explain(err)
}
