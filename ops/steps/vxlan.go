package steps

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// VxlanOverhead is what VXLAN adds to every packet: the inner Ethernet header
// (14 bytes), VXLAN's (8), UDP's (8) and the outer IPv4 header (20); RFC 7348.
const VxlanOverhead = 50

// VxlanAdd makes one end of a VXLAN: a link that wraps the frames given to it
// into UDP and sends them to other machines. Its MTU is always set, because the
// kernel derives it only from Dev, and forgets it when the link is moved.
type VxlanAdd struct {
	NS       string     `json:"ns,omitempty"`
	Name     string     `json:"name"`
	VNI      uint32     `json:"vni"`
	Local    netip.Addr `json:"local"`           // the source of the outer packets
	Dev      string     `json:"dev,omitempty"`   // that they leave by; "" leaves it to the routes
	Port     uint16     `json:"port"`            // UDP, to which they go; IANA's is 4789
	Group    netip.Addr `json:"group"`           // of multicast, for what has no known place; zero for none
	Learning bool       `json:"learning"`        // who sent a frame is remembered to be where it came from
	Proxy    bool       `json:"proxy"`           // answer ARP from the neighbour table instead of sending it on
	MTU      int        `json:"mtu"`             // the underlay's less VxlanOverhead
	Mark     string     `json:"mark"`            // the alias
	Index    int        `json:"index,omitempty"` // once made
}

func (s *VxlanAdd) Kind() string { return "vxlan.add" }
func (s *VxlanAdd) Why() string {
	return fmt.Sprintf("%s puts each frame into a UDP packet to port %d of the machine where it belongs, with the number %d to tell this network from others; that costs %d bytes, which leaves %d for the packet inside.",
		s.Name, s.Port, s.VNI, VxlanOverhead, s.MTU)
}

func (s *VxlanAdd) Shell() string {
	line := fmt.Sprintf("%slink add %s mtu %d type vxlan id %d", ip(s.NS), s.Name, s.MTU, s.VNI)
	if s.Local.IsValid() {
		line += " local " + s.Local.String()
	}
	if s.Group.IsValid() {
		line += " group " + s.Group.String()
	}
	if s.Dev != "" {
		line += " dev " + s.Dev
	}
	line += fmt.Sprintf(" dstport %d", s.Port)
	if !s.Learning {
		line += " nolearning"
	}
	if s.Proxy {
		line += " proxy"
	}
	return line + "; " + ip(s.NS) + "link set " + s.Name + " alias " + s.Mark
}

func (s *VxlanAdd) Check(ctx context.Context) error {
	s.Index = 0
	if s.VNI == 0 || s.VNI >= 1<<24 {
		return fmt.Errorf("VNI %d is not 1 to %d", s.VNI, 1<<24-1)
	}
	if err := freeLink(ctx, s.NS, s.Name); err != nil {
		return err
	}
	return in(s.NS, func(h *netlink.Handle) error {
		if s.Dev != "" {
			if _, err := needLink(h, s.NS, s.Dev); err != nil {
				return err
			}
		}
		return s.freeVNI(h)
	})
}

// freeVNI refuses a VNI that another vxlan has on the same port: the two would
// not know whose an incoming packet is.
func (s *VxlanAdd) freeVNI(h *netlink.Handle) error {
	links, err := h.LinkList()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	for _, l := range links {
		if v, ok := l.(*netlink.Vxlan); ok && v.VxlanId == int(s.VNI) && v.Port == int(s.Port) {
			return fmt.Errorf("VNI %d on port %d is %s's in %s: choose another VNI", s.VNI, s.Port, v.Name, label(s.NS))
		}
	}
	return nil
}

// vniWait is how long the kernel is given to let go of a VNI: a namespace is
// taken apart after its deletion has returned.
const vniWait = 3 * time.Second

func (s *VxlanAdd) Do(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, vniWait)
	defer cancel()
	for {
		err := s.add()
		if !errors.Is(err, unix.EEXIST) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: VNI %d on port %d is another's, perhaps a vxlan that was moved out of %s", err, s.VNI, s.Port, label(s.NS))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *VxlanAdd) add() error {
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := s.link(h)
		if err != nil {
			return err
		}
		if err := h.LinkAdd(l); err != nil {
			return lacks("vxlan", fmt.Errorf("add vxlan %s: %w", s.Name, err))
		}
		s.Index = l.Index
		return h.LinkSetAlias(l, s.Mark)
	})
}

func (s *VxlanAdd) link(h *netlink.Handle) (*netlink.Vxlan, error) {
	l := &netlink.Vxlan{
		LinkAttrs: netlink.NewLinkAttrs(),
		VxlanId:   int(s.VNI), Port: int(s.Port), Learning: s.Learning, Proxy: s.Proxy,
		SrcAddr: net.IP(s.Local.AsSlice()), Group: net.IP(s.Group.AsSlice()),
	}
	l.Name, l.MTU = s.Name, s.MTU
	if s.Dev != "" {
		dev, err := needLink(h, s.NS, s.Dev)
		if err != nil {
			return nil, err
		}
		l.VtepDevIndex = dev.Attrs().Index
	}
	return l, nil
}

func (s *VxlanAdd) Undo(context.Context) error {
	return madeLink{s.NS, s.Name, s.Index, s.Mark}.delete()
}
