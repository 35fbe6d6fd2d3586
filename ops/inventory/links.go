package inventory

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// readLinks reads every link of the handle's namespace with its addresses, in
// the order of their indexes. A Peer has its numbers only; resolvePeers finds
// the rest.
func readLinks(h *netlink.Handle) ([]Link, error) {
	raw, err := dump(h.LinkList)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	addrs, err := readAddrs(h)
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int]*netlink.LinkAttrs, len(raw))
	for _, l := range raw {
		byIndex[l.Attrs().Index] = l.Attrs()
	}
	links := make([]Link, 0, len(raw))
	for _, l := range raw {
		link := newLink(l, byIndex)
		link.Addrs = addrs[link.Index]
		links = append(links, link)
	}
	slices.SortFunc(links, func(a, b Link) int { return cmp.Compare(a.Index, b.Index) })
	return links, nil
}

func newLink(l netlink.Link, byIndex map[int]*netlink.LinkAttrs) Link {
	a := l.Attrs()
	link := Link{
		Index: a.Index, Name: a.Name, Kind: linkKind(l), State: operState(a.OperState),
		MTU: a.MTU, MAC: hardwareAddr(a), Alias: a.Alias,
		Peer: newPeer(l), Detail: newDetail(l),
	}
	if master := byIndex[a.MasterIndex]; master != nil {
		link.Master = master.Name
	}
	// ip(8) marks a link whose parent, in the same namespace, is down.
	parent := byIndex[a.ParentIndex]
	parentDown := a.ParentIndex != 0 && nsid(a) < 0 && (parent == nil || parent.RawFlags&unix.IFF_UP == 0)
	link.Flags = linkFlags(a.RawFlags, parentDown)
	return link
}

func linkKind(l netlink.Link) string {
	if l.Attrs().RawFlags&unix.IFF_LOOPBACK != 0 {
		return "loopback"
	}
	return l.Type() // "device" where the kernel names none
}

// linkFlagNames are in the order in which ip(8) writes them.
var linkFlagNames = []struct {
	flag uint32
	name string
}{
	{unix.IFF_LOOPBACK, "LOOPBACK"},
	{unix.IFF_BROADCAST, "BROADCAST"},
	{unix.IFF_POINTOPOINT, "POINTOPOINT"},
	{unix.IFF_MULTICAST, "MULTICAST"},
	{unix.IFF_NOARP, "NOARP"},
	{unix.IFF_ALLMULTI, "ALLMULTI"},
	{unix.IFF_PROMISC, "PROMISC"},
	{unix.IFF_MASTER, "MASTER"},
	{unix.IFF_SLAVE, "SLAVE"},
	{unix.IFF_DEBUG, "DEBUG"},
	{unix.IFF_DYNAMIC, "DYNAMIC"},
	{unix.IFF_AUTOMEDIA, "AUTOMEDIA"},
	{unix.IFF_PORTSEL, "PORTSEL"},
	{unix.IFF_NOTRAILERS, "NOTRAILERS"},
	{unix.IFF_UP, "UP"},
	{unix.IFF_LOWER_UP, "LOWER_UP"},
	{unix.IFF_DORMANT, "DORMANT"},
	{unix.IFF_ECHO, "ECHO"},
}

// linkFlags writes flags (netdevice(7)) as ip(8) does: NO-CARRIER stands for UP
// without RUNNING, M-DOWN for a parent that is down.
func linkFlags(flags uint32, parentDown bool) []string {
	var names []string
	if flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING == 0 {
		names = append(names, "NO-CARRIER")
	}
	flags &^= unix.IFF_RUNNING
	for _, f := range linkFlagNames {
		if flags&f.flag != 0 {
			names = append(names, f.name)
		}
		flags &^= f.flag
	}
	if flags != 0 {
		names = append(names, strconv.FormatUint(uint64(flags), 16))
	}
	if parentDown {
		names = append(names, "M-DOWN")
	}
	return names
}

// operState writes an RFC 2863 state as ip(8) does.
func operState(s netlink.LinkOperState) string {
	names := []string{"UNKNOWN", "NOTPRESENT", "DOWN", "LOWERLAYERDOWN", "TESTING", "DORMANT", "UP"}
	if int(s) < len(names) {
		return names[s]
	}
	return fmt.Sprintf("%#x", uint8(s))
}

// hardwareAddr writes the link layer address as ip(8) does; of an IPv4 tunnel
// it is an IPv4 address. The library leaves an address of zeros out.
func hardwareAddr(a *netlink.LinkAttrs) string {
	switch a.EncapType {
	case "ipip", "sit", "gre":
		ip := net.IP(a.HardwareAddr)
		if len(ip) != net.IPv4len {
			ip = net.IPv4zero
		}
		return ip.String()
	case "ether", "loopback":
		if len(a.HardwareAddr) == 0 {
			return "00:00:00:00:00:00"
		}
	}
	return a.HardwareAddr.String()
}

// nsid is the namespace of the link's other end as the link's own namespace
// numbers it, -1 for the same namespace. The library reads the attribute as
// unsigned.
func nsid(a *netlink.LinkAttrs) int { return int(int32(a.NetNsID)) }

// newPeer is the other end of a veth, or the parent of a stacked link; nil for
// a link with neither. A vxlan that was moved names itself as its parent
// (IFLA_LINK), and the link that it really sends through in its own attribute.
func newPeer(l netlink.Link) *Peer {
	a := l.Attrs()
	index := a.ParentIndex
	if v, ok := l.(*netlink.Vxlan); ok {
		index = v.VtepDevIndex
	}
	if index == 0 || index == a.Index && nsid(a) < 0 {
		return nil
	}
	return &Peer{Index: index, NSID: nsid(a)}
}

func newDetail(l netlink.Link) *Detail {
	switch l := l.(type) {
	case *netlink.Vxlan:
		d := &Detail{VNI: l.VxlanId, Port: l.Port}
		if l.SrcAddr != nil {
			d.Local = l.SrcAddr.String()
		}
		return d
	case *netlink.Macvlan:
		return &Detail{Mode: macvlanModes[l.Mode]}
	case *netlink.IPVlan:
		return &Detail{Mode: ipvlanModes[l.Mode]}
	}
	return nil
}

var macvlanModes = map[netlink.MacvlanMode]string{
	netlink.MACVLAN_MODE_PRIVATE:  "private",
	netlink.MACVLAN_MODE_VEPA:     "vepa",
	netlink.MACVLAN_MODE_BRIDGE:   "bridge",
	netlink.MACVLAN_MODE_PASSTHRU: "passthru",
	netlink.MACVLAN_MODE_SOURCE:   "source",
}

var ipvlanModes = map[netlink.IPVlanMode]string{
	netlink.IPVLAN_MODE_L2:  "l2",
	netlink.IPVLAN_MODE_L3:  "l3",
	netlink.IPVLAN_MODE_L3S: "l3s",
}

// readAddrs reads the addresses of every link of the namespace, by link index.
func readAddrs(h *netlink.Handle) (map[int][]Addr, error) {
	raw, err := dump(func() ([]netlink.Addr, error) { return h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	addrs := map[int][]Addr{}
	for _, a := range raw {
		if a.IPNet == nil {
			continue // AF_UNSPEC answers of protocols that are not IP
		}
		addrs[a.LinkIndex] = append(addrs[a.LinkIndex], newAddr(a))
	}
	return addrs, nil
}

func newAddr(a netlink.Addr) Addr {
	addr := Addr{CIDR: a.IPNet.String(), Scope: scopeName(a.Scope), Flags: addrFlags(a)}
	if a.Peer != nil {
		addr.Peer = a.Peer.String()
	}
	return addr
}

// addrFlagNames are in the order in which ip-address(8) writes them.
var addrFlagNames = []struct {
	flag int
	name string
}{
	{unix.IFA_F_NODAD, "nodad"},
	{unix.IFA_F_OPTIMISTIC, "optimistic"},
	{unix.IFA_F_DADFAILED, "dadfailed"},
	{unix.IFA_F_HOMEADDRESS, "home"},
	{unix.IFA_F_DEPRECATED, "deprecated"},
	{unix.IFA_F_TENTATIVE, "tentative"},
	{unix.IFA_F_MANAGETEMPADDR, "mngtmpaddr"},
	{unix.IFA_F_NOPREFIXROUTE, "noprefixroute"},
	{unix.IFA_F_MCAUTOJOIN, "autojoin"},
	{unix.IFA_F_STABLE_PRIVACY, "stable-privacy"},
}

// addrFlags writes the flags as ip-address(8) does, which says "dynamic" of an
// address that is not permanent.
func addrFlags(a netlink.Addr) []string {
	var names []string
	if a.Flags&unix.IFA_F_SECONDARY != 0 {
		// The same bit means temporary (RFC 8981) for IPv6.
		name := "secondary"
		if a.IP.To4() == nil {
			name = "temporary"
		}
		names = append(names, name)
	}
	for _, f := range addrFlagNames {
		if a.Flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	if a.Flags&unix.IFA_F_PERMANENT == 0 {
		names = append(names, "dynamic")
	}
	return names
}

// scopeName writes the scope of an address or a route as ip(8) does.
func scopeName(scope int) string {
	s := netlink.Scope(scope).String()
	switch s {
	case "universe":
		return "global"
	case "unknown":
		return strconv.Itoa(scope)
	}
	return strings.ToLower(s)
}
