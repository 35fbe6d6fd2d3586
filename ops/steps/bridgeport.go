package steps

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops"
)

// PortHairpin lets a bridge send a frame back out of the port that it came in
// by, which a switch never does of itself (IFLA_BRPORT_MODE, linux/if_link.h).
type PortHairpin struct {
	NS    string `json:"ns,omitempty"`
	Link  string `json:"link"` // a port of a bridge
	WasOn bool   `json:"was_on,omitempty"`
}

func (s *PortHairpin) Kind() string { return "bridge.hairpin" }
func (s *PortHairpin) Why() string {
	return fmt.Sprintf("A switch never sends a frame back where it came from. A container that calls its own published port needs just that when bridge-nf-call-iptables rewrites frames inside the bridge, so %s may.", s.Link)
}
func (s *PortHairpin) Shell() string {
	line := "bridge "
	if s.NS != "" {
		line += "-n " + s.NS + " "
	}
	return line + "link set dev " + s.Link + " hairpin on"
}

func (s *PortHairpin) Check(ctx context.Context) error {
	if ops.JustMade(ctx, linkWord(s.NS, s.Link)) {
		return nil
	}
	return in(s.NS, func(h *netlink.Handle) error {
		l, err := needLink(h, s.NS, s.Link)
		if err != nil {
			return err
		}
		if l.Attrs().MasterIndex == 0 {
			// Inside a plan the port is plugged in by an earlier step.
			return fmt.Errorf("link %s is not the port of a bridge: enslave it first", s.Link)
		}
		s.WasOn, err = hairpin(h, l)
		return err
	})
}

func (s *PortHairpin) Do(ctx context.Context) error {
	return over(ctx, s.NS, func(c *conn) error {
		link, err := c.link(ctx, s.NS, s.Link)
		if err != nil {
			return err
		}
		header := linkMessage(link)
		header.Family = unix.AF_BRIDGE
		port := attr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
		port.AddRtAttr(nl.IFLA_BRPORT_MODE, []byte{1})
		if err := c.set(header, port); err != nil {
			return fmt.Errorf("set hairpin mode of %s: %w", s.Link, err)
		}
		return nil
	})
}

func (s *PortHairpin) Undo(context.Context) error {
	if s.WasOn {
		return nil
	}
	return undoIn(s.NS, func(h *netlink.Handle) error {
		l, err := findLink(h, s.Link)
		if err != nil || l == nil || l.Attrs().MasterIndex == 0 {
			return err // a port that is one no more has no mode
		}
		return h.LinkSetHairpin(l, false)
	})
}

func hairpin(h *netlink.Handle, l netlink.Link) (bool, error) {
	info, err := h.LinkGetProtinfo(l)
	if err != nil {
		return false, fmt.Errorf("read hairpin mode of %s: %w", l.Attrs().Name, err)
	}
	return info.Hairpin, nil
}

// NftHairpin masquerades what a subnet sends to a published port of its own
// network: it leaves by the bridge that it came in by.
type NftHairpin struct {
	NS      string       `json:"ns,omitempty"`
	Table   string       `json:"table"`
	Chain   string       `json:"chain"`
	Subnet  netip.Prefix `json:"subnet"`
	Bridge  string       `json:"bridge"`
	Comment string       `json:"comment"`
}

func (s *NftHairpin) Kind() string { return "nft.hairpin" }
func (s *NftHairpin) Why() string {
	return fmt.Sprintf("A container that calls a published port of its own network must be answered by way of the host: without this the answer would come straight from its neighbour, whom it never called. Callers from outside %s keep their address.", s.Subnet)
}

func (s *NftHairpin) text() string {
	return fmt.Sprintf(`%s saddr %s oifname "%s" ct status dnat counter masquerade comment "%s"`,
		nftFamily(s.Subnet.Addr()), s.Subnet, s.Bridge, s.Comment)
}

func (s *NftHairpin) Shell() string { return ruleLine(s.NS, s.Table, s.Chain, s.text()) }

func (s *NftHairpin) Check(ctx context.Context) error {
	return checkRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

func (s *NftHairpin) Do(ctx context.Context) error { return addRule(ctx, s.NS, s.rule(), s.Comment) }

func (s *NftHairpin) rule() *nftables.Rule {
	exprs := matchSource(s.Subnet)
	exprs = append(exprs,
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(s.Bridge)})
	exprs = append(exprs, matchDNATed(expr.CmpOpNeq)...)
	exprs = append(exprs, &expr.Counter{}, &expr.Masq{})
	return newRule(s.Table, s.Chain, s.Comment, exprs)
}

func (s *NftHairpin) Undo(ctx context.Context) error {
	return undoRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

// ipsDstNAT is IPS_DST_NAT of linux/netfilter/nf_conntrack_common.h: the
// connection's destination was rewritten.
const ipsDstNAT = 1 << 5

// matchDNATed compares the DNAT bit of the connection's status with 0.
func matchDNATed(op expr.CmpOp) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATUS, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(ipsDstNAT), Xor: make([]byte, 4)},
		&expr.Cmp{Op: op, Register: 1, Data: make([]byte, 4)},
	}
}
