package steps

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// linkConf is what people and programs have configured on a link, and what the
// link loses when it is deleted, moved or, in part, switched off.
type linkConf struct {
	// Addrs, Neighs and FDB are messages as the kernel told them: struct
	// ifaddrmsg and ndmsg with attributes.
	Addrs  [][]byte    `json:"addrs,omitempty"`
	Neighs [][]byte    `json:"neighs,omitempty"`
	FDB    [][]byte    `json:"fdb,omitempty"`
	Routes savedRoutes `json:"routes"`
	Up     bool        `json:"up"`
}

// Constants of the kernel's headers that golang.org/x/sys lacks.
const (
	ifaProto       = 11 // IFA_PROTO, linux/if_addr.h
	ifaProtKernelL = 2  // IFAPROT_KERNEL_LL
	ntfSelf        = 1 << 1
	ntfMaster      = 1 << 2
	ntfProxy       = 1 << 3
	sizeofNdmsg    = 12
)

// saveConf reads the configuration of the link with the given index in the
// calling thread's namespace.
func saveConf(index int) (linkConf, error) {
	var c linkConf
	var err error
	if c.Addrs, err = listAddrs(index); err != nil {
		return c, err
	}
	if c.Neighs, err = listNeighs(index); err != nil {
		return c, err
	}
	if c.FDB, err = listFDB(index); err != nil {
		return c, err
	}
	c.Routes, err = saveRoutes(func(r SavedRoute) bool { return r.leavesBy(index) })
	return c, err
}

// restoreConf adds what is missing of c. The link must be as up as c says.
func (c linkConf) restoreConf(index int) error {
	if err := c.restoreAddrs(index); err != nil {
		return err
	}
	if err := c.restoreNeighs(); err != nil {
		return err
	}
	if err := c.restoreFDB(index); err != nil {
		return err
	}
	if err := c.Routes.addMissing(); err != nil {
		return err
	}
	if err := c.removeConnected(index); err != nil {
		return err
	}
	return c.Routes.reorder()
}

func (c linkConf) restoreNeighs() error {
	for _, n := range c.Neighs {
		if err := sendRaw(unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, n); err != nil {
			return fmt.Errorf("add neighbour again: %w", err)
		}
	}
	return nil
}

// removeConnected deletes the connected routes that came back with the addresses
// of c although somebody had deleted them.
func (c linkConf) removeConnected(index int) error {
	all, err := listRoutes()
	if err != nil {
		return err
	}
	for _, r := range all {
		ofOurs := slices.ContainsFunc(c.Addrs, func(m []byte) bool { return connected(m) == r.dst() })
		if r.protocol() != unix.RTPROT_KERNEL || !r.leavesBy(index) || !ofOurs ||
			slices.ContainsFunc(c.Routes.Routes, func(o SavedRoute) bool { return o.key() == r.key() }) {
			continue
		}
		if err := r.send(unix.RTM_DELROUTE, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("delete connected route again: %w", err)
		}
	}
	return nil
}

// connected is the subnet of an address.
func connected(m body) netip.Prefix {
	addr, _ := netip.AddrFromSlice(m.attrs(unix.SizeofIfAddrmsg).get(unix.IFA_ADDRESS))
	return netip.PrefixFrom(addr, int(m[1])).Masked()
}

// listAddrs lists the addresses of a link but for those that it gives itself.
func listAddrs(index int) ([][]byte, error) {
	msgs, err := dumpRaw(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, fmt.Errorf("read addresses: %w", err)
	}
	var out [][]byte
	for _, m := range msgs {
		if len(m) >= unix.SizeofIfAddrmsg && int(body(m).u32(4)) == index && !ownLinkLocal(m) {
			out = append(out, m)
		}
	}
	return out, nil
}

// ownLinkLocal is true for the IPv6 address that a link has by itself once it is
// up. Kernels before 5.18 do not say who made it.
func ownLinkLocal(m body) bool {
	a := m.attrs(unix.SizeofIfAddrmsg)
	if proto := a.get(ifaProto); len(proto) == 1 {
		return proto[0] == ifaProtKernelL
	}
	addr := a.get(unix.IFA_ADDRESS)
	return len(addr) == 16 && bytes.HasPrefix(addr, []byte{0xfe, 0x80}) && addr[11] == 0xff && addr[12] == 0xfe
}

// addrKey is what tells one address of a link from another.
func addrKey(m body) string {
	a := m.attrs(unix.SizeofIfAddrmsg)
	return fmt.Sprintf("%d/%d %x %x", m[0], m[1], a.get(unix.IFA_LOCAL), a.get(unix.IFA_ADDRESS))
}

// restoreAddrs adds the addresses that are missing, and brings those of IPv4,
// whose first is the one that the host speaks with, into their order.
func (c linkConf) restoreAddrs(index int) error {
	now, err := listAddrs(index)
	if err != nil {
		return err
	}
	has := func(list [][]byte, m []byte) bool {
		return slices.ContainsFunc(list, func(o []byte) bool { return addrKey(o) == addrKey(m) })
	}
	var four, six [][]byte
	for _, m := range c.Addrs {
		if m[0] == unix.AF_INET {
			four = append(four, m)
		} else {
			six = append(six, m)
		}
	}
	// The kernel lists the newest IPv6 address first.
	slices.Reverse(six)
	for _, m := range six {
		if !has(now, m) {
			if err := addAddr(m); err != nil {
				return err
			}
		}
	}
	return restoreAddrs4(four, slices.DeleteFunc(now, func(m []byte) bool { return m[0] != unix.AF_INET || !has(four, m) }))
}

// restoreAddrs4 makes now into want: from the first that differs on, all are
// taken away and added again.
func restoreAddrs4(want, now [][]byte) error {
	right := 0
	for right < len(want) && right < len(now) && addrKey(want[right]) == addrKey(now[right]) {
		right++
	}
	if right == len(want) {
		return nil
	}
	for i := len(now) - 1; i >= right; i-- {
		if err := sendRaw(unix.RTM_DELADDR, 0, now[i]); err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return fmt.Errorf("order addresses: %w", err)
		}
	}
	for _, m := range want[right:] {
		if err := addAddr(m); err != nil {
			return err
		}
	}
	return nil
}

func addAddr(m []byte) error {
	err := sendRaw(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, m)
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add address again: %w", err)
	}
	return nil
}

// listNeighs lists the neighbours of a link that somebody has entered: those that
// are permanent, and the addresses that the host answers for others.
func listNeighs(index int) ([][]byte, error) {
	var out [][]byte
	for _, flags := range []uint8{0, ntfProxy} { // the proxies are another list
		msgs, err := dumpRaw(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, &ndmsg{family: unix.AF_UNSPEC, flags: flags})
		if err != nil {
			return nil, fmt.Errorf("read neighbours: %w", err)
		}
		for _, m := range msgs {
			if len(m) < sizeofNdmsg || int(body(m).u32(4)) != index || m[0] == unix.AF_BRIDGE || m[10]&ntfProxy != flags {
				continue
			}
			if flags == ntfProxy || neighState(m)&unix.NUD_PERMANENT != 0 {
				out = append(out, m)
			}
		}
	}
	return out, nil
}

func neighState(m []byte) uint16 { return uint16(m[8]) | uint16(m[9])<<8 }

// ndmsg is struct ndmsg of linux/neighbour.h as a request.
type ndmsg struct {
	family, flags uint8
	index         int
}

func (m *ndmsg) Len() int { return sizeofNdmsg }

func (m *ndmsg) Serialize() []byte {
	b := make([]byte, sizeofNdmsg)
	b[0], b[10] = m.family, m.flags
	nl.NativeEndian().PutUint32(b[4:], uint32(m.index))
	return b
}

// listFDB lists the forwarding entries of a bridge port, a bridge or a vxlan that
// somebody has entered: not what was learned, nor the link's own addresses.
func listFDB(index int) ([][]byte, error) {
	msgs, err := dumpRaw(unix.RTM_GETNEIGH, unix.RTM_NEWNEIGH, &ndmsg{family: unix.AF_BRIDGE})
	if err != nil {
		return nil, fmt.Errorf("read forwarding table: %w", err)
	}
	mac, err := linkMAC(index)
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for _, m := range msgs {
		if len(m) < sizeofNdmsg || int(body(m).u32(4)) != index || m[0] != unix.AF_BRIDGE {
			continue
		}
		a := body(m).attrs(sizeofNdmsg)
		addr := a.get(unix.NDA_LLADDR)
		// Multicast addresses that a link listens to are listed, too; only a
		// vxlan's lead anywhere.
		listens := len(addr) == 6 && addr[0]&1 != 0 && !a.has(unix.NDA_DST)
		if neighState(m)&(unix.NUD_PERMANENT|unix.NUD_NOARP) != 0 && !bytes.Equal(addr, mac) && !listens {
			out = append(out, m)
		}
	}
	return out, nil
}

func (c linkConf) restoreFDB(index int) error {
	now, err := listFDB(index)
	if err != nil {
		return err
	}
	for _, m := range c.FDB {
		if slices.ContainsFunc(now, func(o []byte) bool { return fdbKey(o) == fdbKey(m) }) {
			continue
		}
		m = toldFDB(m, index)
		flags := unix.NLM_F_CREATE
		if body(m).attrs(sizeofNdmsg).has(unix.NDA_DST) {
			flags |= unix.NLM_F_APPEND // a vxlan's default may have several
		}
		if err := sendRaw(unix.RTM_NEWNEIGH, flags, m); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add forwarding entry again: %w", err)
		}
	}
	return nil
}

// toldFDB is an entry in the form in which the kernel takes it: it says with
// NDA_MASTER, and wants to be told with a flag, that the entry is the bridge's.
func toldFDB(m []byte, index int) []byte {
	m = slices.Clone(m)
	switch master := int(body(m).attrs(sizeofNdmsg).u32(unix.NDA_MASTER)); {
	case m[10]&(ntfSelf|ntfMaster) != 0:
	case master != 0 && master != index:
		m[10] |= ntfMaster
	default:
		m[10] |= ntfSelf
	}
	return m
}

func fdbKey(m []byte) string {
	a := body(m).attrs(sizeofNdmsg)
	return fmt.Sprintf("%x %x %x %x", a.get(unix.NDA_LLADDR), a.get(unix.NDA_DST), a.get(unix.NDA_VLAN), a.get(unix.NDA_PORT))
}

func linkMAC(index int) ([]byte, error) {
	m, err := getLink(index, "")
	if err != nil {
		return nil, err
	}
	return m.attrs().get(unix.IFLA_ADDRESS), nil
}
