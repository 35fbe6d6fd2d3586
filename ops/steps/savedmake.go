package steps

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// settable says which parts of IFLA_INFO_DATA make a link of each kind again; the
// rest is state, which the kernel tells and does not take. linux/if_link.h.
var settable = map[string][]uint16{
	"veth":  nil, // the peer, which is not told
	"dummy": nil,
	"ifb":   nil,
	// IFLA_BR_*: timers, STP, ageing, priority, forwarding of reserved groups,
	// multicast, netfilter; not VLANs, which not every kernel's bridge knows.
	"bridge":  {1, 2, 3, 4, 5, 6, 9, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 42, 43, 44},
	"vxlan":   {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 29},
	"macvlan": {nl.IFLA_MACVLAN_MODE, nl.IFLA_MACVLAN_FLAGS},
	"ipvlan":  {nl.IFLA_IPVLAN_MODE, 2}, // IFLA_IPVLAN_FLAGS
	"vlan":    {nl.IFLA_VLAN_ID, nl.IFLA_VLAN_FLAGS, nl.IFLA_VLAN_PROTOCOL},
}

// settablePort is settable for IFLA_BRPORT_*: not the state and the timers.
var settablePort = []uint16{2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 25, 27, 28, 29, 30, 31, 32, 33}

// settableLink are the attributes that a link of any kind is made with.
var settableLink = []uint16{unix.IFLA_IFNAME, unix.IFLA_ADDRESS, unix.IFLA_MTU, unix.IFLA_TXQLEN, unix.IFLA_GROUP,
	unix.IFLA_NUM_TX_QUEUES, unix.IFLA_NUM_RX_QUEUES}

// deletable refuses a link that could not be made again.
func (s *savedLink) deletable() error {
	_, known := settable[s.Kind]
	switch {
	case s.Name == "lo":
		return fmt.Errorf("lo of %s cannot be deleted: it is part of the namespace", label(s.NS))
	case s.Kind == "":
		return fmt.Errorf("link %s is a device of the machine, and cannot be deleted", s.Name)
	case !known:
		return fmt.Errorf("link %s is of kind %s, which could not be restored: delete it with ip(8)", s.Name, s.Kind)
	case s.hasXDP():
		return fmt.Errorf("link %s has an XDP program, which could not be restored: detach it first", s.Name)
	case s.Kind == "bridge" && slices.ContainsFunc(nested(s.raw().info().get(unix.IFLA_INFO_DATA)).get(7), func(b byte) bool { return b != 0 }):
		return fmt.Errorf("bridge %s filters VLANs, whose table could not be restored: switch vlan_filtering off first", s.Name)
	}
	return nil
}

func (s *savedLink) hasXDP() bool {
	mode := nested(s.raw().attrs().get(unix.IFLA_XDP)).get(unix.IFLA_XDP_ATTACHED)
	return len(mode) == 1 && mode[0] != 0
}

// keepsQueues refuses a link whose queueing would be lost.
func (s *savedLink) keepsQueues() error {
	var kind string
	err := in(s.NS, func(h *netlink.Handle) (err error) {
		kind, err = hasQdisc(h, s.Index)
		return err
	})
	if err == nil && kind != "" {
		err = fmt.Errorf("link %s has the queueing discipline %s, which could not be restored: delete it first with tc(8)", s.Name, kind)
	}
	return err
}

// carriesNothing refuses a link that others lie on: they would go with it.
func (s *savedLink) carriesNothing() error {
	child, err := carried(s.NS, s.Index, namedNamespaces())
	if err == nil && child != "" {
		err = fmt.Errorf("link %s carries %s, which would be deleted with it: delete that first", s.Name, child)
	}
	return err
}

// ends are s and the other end of a veth.
func (s *savedLink) ends() []*savedLink {
	if s.Peer == nil {
		return []*savedLink{s}
	}
	return []*savedLink{s, s.Peer}
}

// there says whether the link exists. Another that has taken its name or number
// since is an error: it is not ours to touch.
func (s *savedLink) there() (bool, error) {
	var have rawLink
	err := netns.Do(netns.Path(s.NS), func() (err error) {
		if have, err = haveLink(s.Index, ""); err != nil || have != nil && have.name() == s.Name && have.kind() == s.Kind {
			return err
		}
		if have != nil {
			return fmt.Errorf("link %s cannot be made again: its number %d in %s is taken by %s", s.Name, s.Index, label(s.NS), have.name())
		}
		other, err := haveLink(0, s.Name)
		if err == nil && other != nil {
			err = fmt.Errorf("link %s cannot be made again: %s has another link of that name now", s.Name, label(s.NS))
		}
		return err
	})
	return have != nil, explain(err)
}

// remake makes the link again, bare, if it is not there.
func (s *savedLink) remake() error {
	for _, end := range s.ends() {
		if there, err := end.there(); there || err != nil {
			return err
		}
	}
	info := attr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
	info.AddRtAttr(unix.IFLA_INFO_KIND, nl.NonZeroTerminated(s.Kind))
	var peer *os.File
	if s.Peer != nil {
		var err error
		if peer, err = os.Open(netns.Path(s.Peer.NS)); err != nil {
			return fmt.Errorf("open namespace %s: %w", label(s.Peer.NS), err)
		}
		defer peer.Close()
		info.AddChild(s.Peer.peerInfo(int(peer.Fd())))
	} else if data := nested(s.raw().info().get(unix.IFLA_INFO_DATA)).only(settable[s.Kind]); len(data) > 0 {
		info.AddRtAttr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, data)
	}
	parent, err := s.parent()
	if err != nil {
		return err
	}
	err = netns.Do(netns.Path(s.NS), func() error {
		out := linkMessage(s.Index).Serialize()
		out = append(out, s.raw().attrs().only(settableLink)...)
		out = append(append(out, parent...), info.Serialize()...)
		return sendRaw(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, out)
	})
	if err != nil {
		return fmt.Errorf("make link %s again: %w", s.Name, explain(err))
	}
	return nil
}

// peerInfo describes s as the other end of a veth that is being made.
func (s *savedLink) peerInfo(ns int) *nl.RtAttr {
	data := attr(unix.IFLA_INFO_DATA|unix.NLA_F_NESTED, nil)
	peer := data.AddRtAttr(nl.VETH_INFO_PEER|unix.NLA_F_NESTED, nil)
	peer.AddChild(linkMessage(s.Index))
	for _, a := range s.raw().attrs() {
		if slices.Contains(settableLink, a.Attr.Type) {
			peer.AddRtAttr(int(a.Attr.Type), a.Value)
		}
	}
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(ns)))
	return data
}

// parent are the attributes that name the link that s lies on.
func (s *savedLink) parent() ([]byte, error) {
	index := s.raw().attrs().u32(unix.IFLA_LINK)
	if s.Peer != nil || index == 0 && s.ParentNS == s.NS {
		return nil, nil
	}
	var out []byte
	if s.Kind != "vxlan" { // which has it in its data
		out = attr(unix.IFLA_LINK, nl.Uint32Attr(index)).Serialize()
	}
	if s.ParentNS != s.NS {
		id, err := giveNSID(s.NS, s.ParentNS)
		if err != nil {
			return nil, fmt.Errorf("find namespace %s from %s: %w", label(s.ParentNS), label(s.NS), err)
		}
		out = append(out, attr(unix.IFLA_LINK_NETNSID, nl.Uint32Attr(uint32(id))).Serialize()...)
	}
	return out, nil
}

// nsid is the number that the namespace other has in ns, -1 for none.
func nsid(ns, other string) (id int, err error) {
	f, err := os.Open(netns.Path(other))
	if err != nil {
		return -1, err
	}
	defer f.Close()
	err = in(ns, func(h *netlink.Handle) (err error) {
		id, err = h.GetNetNsIdByFd(int(f.Fd()))
		return err
	})
	return id, err
}

// giveNSID is nsid that numbers other if it has no number.
func giveNSID(ns, other string) (int, error) {
	id, err := nsid(ns, other)
	if err != nil || id >= 0 {
		return id, err
	}
	f, err := os.Open(netns.Path(other))
	if err != nil {
		return -1, err
	}
	defer f.Close()
	err = in(ns, func(h *netlink.Handle) error { return h.SetNetNsIdByFd(int(f.Fd()), -1) })
	if err != nil {
		return -1, err
	}
	return nsid(ns, other)
}

// setUp gives a link its alias, parameters, master and flags, and brings it up
// if it was.
func (s *savedLink) setUp() error {
	err := netns.Do(netns.Path(s.NS), func() error {
		if err := writeSysctls(s.Sysctls); err != nil {
			return err
		}
		if alias := s.raw().attrs().get(unix.IFLA_IFALIAS); alias != nil {
			if err := linkRequest(unix.RTM_NEWLINK, 0, linkMessage(s.Index), attr(unix.IFLA_IFALIAS, alias)); err != nil {
				return err
			}
		}
		for _, p := range s.Ports {
			if err := p.restore(s.Index); err != nil {
				return err
			}
		}
		if err := s.plugIn(); err != nil {
			return err
		}
		return setFlags(s.Index, s.raw().flags(), unix.IFF_PROMISC|unix.IFF_ALLMULTI|unix.IFF_NOARP|unix.IFF_MULTICAST|unix.IFF_UP)
	})
	if err != nil {
		return fmt.Errorf("set up link %s as before: %w", s.Name, explain(err))
	}
	return nil
}

// plugIn makes a port of s again.
func (s *savedLink) plugIn() error {
	if s.Master == "" {
		return nil
	}
	m, err := haveLink(0, s.Master)
	if err != nil || m == nil {
		return err
	}
	data := nested(s.raw().info().get(unix.IFLA_INFO_SLAVE_DATA)).only(settablePort)
	return savedPort{Name: s.Name, Data: data}.restore(m.index())
}

// setFlags makes those flags of a link that mask names as flags has them.
func setFlags(index int, flags, mask uint32) error {
	m := linkMessage(index)
	m.Flags, m.Change = flags&mask, mask
	return linkRequest(unix.RTM_NEWLINK, 0, m)
}

// configure gives the link its addresses, neighbours, forwarding entries and
// routes.
func (s *savedLink) configure() error {
	err := netns.Do(netns.Path(s.NS), func() error { return s.Conf.restoreConf(s.Index) })
	if err != nil {
		return fmt.Errorf("configure link %s as before: %w", s.Name, explain(err))
	}
	return nil
}

// linkSysctls reads the parameters of a link that can be set.
func linkSysctls(name string) ([]Param, error) {
	var out []Param
	for _, dir := range []string{"net/ipv4/conf/", "net/ipv4/neigh/", "net/ipv6/conf/", "net/ipv6/neigh/"} {
		params, err := sysctlsUnder(dir+name, func(string) bool { return false })
		if err != nil {
			return nil, err
		}
		out = append(out, params...)
	}
	return out, nil
}

// sysctlsUnder reads all parameters under a directory that can be read and set;
// skip says which directories are passed over.
func sysctlsUnder(dir string, skip func(path string) bool) ([]Param, error) {
	var out []Param
	err := filepath.WalkDir("/proc/sys/"+dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a kernel without IPv6
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skip(path) {
				return fs.SkipDir
			}
			return nil
		}
		st, err := d.Info()
		if err != nil || st.Mode()&0o600 != 0o600 {
			return nil // state, or a trigger
		}
		p := strings.TrimPrefix(path, "/proc/sys/")
		if v, err := readSysctl(p); err == nil { // a secret that was not set cannot be read
			out = append(out, Param{p, v})
		}
		return nil
	})
	return out, err
}

// writeSysctls makes parameters as they were. Some change others: a second look
// finds those.
func writeSysctls(params []Param) error {
	for range 2 {
		for _, p := range params {
			now, err := readSysctl(p.Path)
			if err != nil || now == p.Value {
				continue
			}
			if err := writeSysctl(p.Path, p.Value); err != nil {
				return fmt.Errorf("set %s as before: %w", p.Path, err)
			}
		}
	}
	return nil
}
