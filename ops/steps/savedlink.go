package steps

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// rawLink is a link as the kernel told it: struct ifinfomsg with attributes.
type rawLink body

func (m rawLink) attrs() attrList { return body(m).attrs(unix.SizeofIfInfomsg) }
func (m rawLink) index() int      { return int(body(m).u32(4)) }
func (m rawLink) flags() uint32   { return body(m).u32(8) }
func (m rawLink) name() string    { return m.attrs().text(unix.IFLA_IFNAME) }
func (m rawLink) info() attrList  { return nested(m.attrs().get(unix.IFLA_LINKINFO)) }
func (m rawLink) kind() string    { return m.info().text(unix.IFLA_INFO_KIND) }

// getLink reads one link by its index or, when that is 0, by its name.
func getLink(index int, name string) (rawLink, error) {
	out := linkMessage(index).Serialize()
	if index == 0 {
		out = append(out, attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)).Serialize()...)
	}
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	req.AddRawData(out)
	msgs, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 || len(msgs[0]) < unix.SizeofIfInfomsg {
		return nil, fmt.Errorf("read link %s: no answer", name)
	}
	return rawLink(msgs[0]), nil
}

// haveLink is getLink that returns nil where there is no such link.
func haveLink(index int, name string) (rawLink, error) {
	m, err := getLink(index, name)
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	}
	return m, err
}

// listLinks reads all links.
func listLinks() ([]rawLink, error) {
	msgs, err := dumpRaw(unix.RTM_GETLINK, unix.RTM_NEWLINK, linkMessage(0))
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	var out []rawLink
	for _, m := range msgs {
		if len(m) >= unix.SizeofIfInfomsg {
			out = append(out, rawLink(m))
		}
	}
	return out, nil
}

// savedLink is all that is needed to make a link again.
type savedLink struct {
	NS    string `json:"ns,omitempty"`
	Name  string `json:"name"`
	Index int    `json:"index"`
	Kind  string `json:"kind"`
	// Link is the message of the kernel that describes it.
	Link []byte `json:"link"`
	// Master is the bridge that it is a port of.
	Master string `json:"master,omitempty"`
	// ParentNS is the namespace of the link that a macvlan and the like lie on.
	ParentNS string   `json:"parent_ns,omitempty"`
	Conf     linkConf `json:"conf"`
	Sysctls  []Param  `json:"sysctls,omitempty"`
	// Peer is the other end of a veth.
	Peer *savedLink `json:"peer,omitempty"`
	// Ports are the ports of a bridge.
	Ports []savedPort `json:"ports,omitempty"`
}

func (s *savedLink) raw() rawLink { return rawLink(s.Link) }

// savedPort is a link's membership in a bridge.
type savedPort struct {
	Name string   `json:"name"`
	Data []byte   `json:"data,omitempty"` // IFLA_INFO_SLAVE_DATA, what can be set
	FDB  [][]byte `json:"fdb,omitempty"`
}

// saveLink reads everything about a link, and about the other end of a veth.
func saveLink(ns, name string) (*savedLink, error) {
	s, err := saveEnd(ns, name)
	if err != nil || s.Kind != "veth" {
		return s, err
	}
	peerNS, peer, err := peerOf(s)
	if err != nil {
		return nil, err
	}
	s.Peer, err = saveEnd(peerNS, peer)
	return s, err
}

// saveEnd is saveLink without the other end of a veth.
func saveEnd(ns, name string) (*savedLink, error) {
	s := &savedLink{NS: ns, Name: name}
	err := netns.Do(netns.Path(ns), func() error {
		m, err := getLink(0, name)
		if errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("no link %s in %s", name, label(ns))
		}
		if err != nil {
			return err
		}
		s.Index, s.Kind, s.Link = m.index(), m.kind(), m
		if err := s.saveMaster(); err != nil {
			return err
		}
		if s.Conf, err = saveConf(s.Index); err != nil {
			return err
		}
		s.Conf.Up = m.flags()&unix.IFF_UP != 0
		if s.Sysctls, err = linkSysctls(name); err != nil {
			return err
		}
		return s.savePorts()
	})
	if err != nil {
		return nil, explain(err)
	}
	s.ParentNS, err = parentNS(s)
	return s, err
}

func (s *savedLink) saveMaster() error {
	index := int(s.raw().attrs().u32(unix.IFLA_MASTER))
	if index == 0 {
		return nil
	}
	m, err := getLink(index, "")
	if err != nil {
		return err
	}
	s.Master = m.name()
	if m.kind() != "bridge" {
		return fmt.Errorf("link %s belongs to the %s %s, which could not be restored: release it first", s.Name, m.kind(), s.Master)
	}
	return nil
}

// savePorts keeps what the ports of a bridge lose with it.
func (s *savedLink) savePorts() error {
	if s.Kind != "bridge" {
		return nil
	}
	all, err := listLinks()
	if err != nil {
		return err
	}
	for _, m := range all {
		if int(m.attrs().u32(unix.IFLA_MASTER)) != s.Index {
			continue
		}
		p, err := savePort(m)
		if err != nil {
			return err
		}
		s.Ports = append(s.Ports, p)
	}
	return nil
}

func savePort(m rawLink) (savedPort, error) {
	fdb, err := listFDB(m.index())
	return savedPort{Name: m.name(), Data: nested(m.info().get(unix.IFLA_INFO_SLAVE_DATA)).only(settablePort), FDB: fdb}, err
}

// restore plugs a port in again.
func (p savedPort) restore(bridge int) error {
	m, err := haveLink(0, p.Name)
	if err != nil || m == nil {
		return err // gone since, which was not our doing
	}
	switch now := int(m.attrs().u32(unix.IFLA_MASTER)); {
	case now == 0:
		if err := linkRequest(unix.RTM_NEWLINK, 0, linkMessage(m.index()), attr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(bridge)))); err != nil {
			return fmt.Errorf("plug %s in again: %w", p.Name, err)
		}
	case now != bridge:
		return nil // someone plugged it in elsewhere
	}
	if len(p.Data) > 0 {
		info := attr(unix.IFLA_LINKINFO|unix.NLA_F_NESTED, nil)
		info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
		info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA|unix.NLA_F_NESTED, p.Data)
		if err := linkRequest(unix.RTM_NEWLINK, 0, linkMessage(m.index()), info); err != nil {
			return fmt.Errorf("set port %s as before: %w", p.Name, err)
		}
	}
	return linkConf{FDB: p.FDB}.restoreFDB(m.index())
}

// peerOf finds the other end of a veth.
func peerOf(s *savedLink) (ns, name string, err error) {
	index := int(s.raw().attrs().u32(unix.IFLA_LINK))
	if ns, err = namespaceOf(s.NS, s.raw()); err != nil {
		return "", "", fmt.Errorf("the other end of %s could not be restored: %w", s.Name, err)
	}
	err = netns.Do(netns.Path(ns), func() error {
		m, err := getLink(index, "")
		name = m.name()
		return err
	})
	return ns, name, err
}

// parentNS finds the namespace of the link that s lies on, if it is another one.
func parentNS(s *savedLink) (string, error) {
	if s.Kind == "veth" || s.raw().attrs().get(unix.IFLA_LINK_NETNSID) == nil {
		return s.NS, nil
	}
	ns, err := namespaceOf(s.NS, s.raw())
	if err != nil {
		return "", fmt.Errorf("the link that %s lies on could not be found again: %w", s.Name, err)
	}
	return ns, nil
}

// namespaceOf is the name of the namespace that IFLA_LINK of a link in ns counts in.
func namespaceOf(ns string, m rawLink) (string, error) {
	id := m.attrs().get(unix.IFLA_LINK_NETNSID)
	if id == nil {
		return ns, nil
	}
	want := int(int32(body(id).u32(0)))
	for _, other := range namedNamespaces() {
		got, err := nsid(ns, other)
		if err == nil && got == want {
			return other, nil
		}
	}
	return "", errors.New("it is in a namespace without a name")
}

// namedNamespaces are "" and the names of all namespaces that have one.
func namedNamespaces() []string {
	names := []string{""}
	found, _ := netns.List()
	for _, f := range found {
		if f.Kind == netns.FoundNamed && f.Path == netns.Path(f.Name) {
			names = append(names, f.Name)
		}
	}
	return names
}

// carried says which link of the namespaces lies on the one with this index in
// ns: a macvlan, say.
func carried(ns string, index int, namespaces []string) (string, error) {
	for _, other := range namespaces {
		var child string
		err := in(other, func(*netlink.Handle) error {
			id := -1
			if other != ns {
				var err error
				if id, err = nsid(other, ns); err != nil || id < 0 {
					return err
				}
			}
			links, err := listLinks()
			for _, m := range links {
				if m.kind() != "veth" && lowerLink(m) == index && lowerNSID(m) == id && (other != ns || m.index() != index) {
					child = m.name()
				}
			}
			return err
		})
		if err != nil && !undoGone(err) {
			return "", err
		}
		if child != "" {
			return child + " in " + label(other), nil
		}
	}
	return "", nil
}

// lowerLink is the index of the link that m lies on. A vxlan that was moved tells
// its own index in IFLA_LINK.
func lowerLink(m rawLink) int {
	if m.kind() == "vxlan" {
		return int(nested(m.info().get(unix.IFLA_INFO_DATA)).u32(nl.IFLA_VXLAN_LINK))
	}
	return int(m.attrs().u32(unix.IFLA_LINK))
}

func lowerNSID(m rawLink) int {
	if id := m.attrs().get(unix.IFLA_LINK_NETNSID); id != nil {
		return int(int32(body(id).u32(0)))
	}
	return -1
}

func hasQdisc(h *netlink.Handle, index int) (string, error) {
	l, err := h.LinkByIndex(index)
	if err != nil {
		return "", err
	}
	list, err := h.QdiscList(l)
	if err != nil {
		return "", err
	}
	// The kernel's own have no handle.
	i := slices.IndexFunc(list, func(q netlink.Qdisc) bool { return q.Attrs().Handle != 0 })
	if i < 0 {
		return "", nil
	}
	return list[i].Type(), nil
}
