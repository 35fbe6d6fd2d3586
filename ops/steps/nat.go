package steps

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"golang.org/x/sys/unix"
)

// NftMasquerade lets a subnet speak to the world beyond its bridge under the
// address of the link that its packets leave by.
type NftMasquerade struct {
	NS      string       `json:"ns,omitempty"`
	Table   string       `json:"table"`
	Chain   string       `json:"chain"`
	Subnet  netip.Prefix `json:"subnet"`
	Except  string       `json:"except"` // the bridge: what leaves by it stays inside
	Comment string       `json:"comment"`
}

func (s *NftMasquerade) Kind() string { return "nft.masquerade" }
func (s *NftMasquerade) Why() string {
	return fmt.Sprintf("Nobody outside knows a way back to %s. Masquerading gives packets that leave the host's own address, and undoes it on the replies.", s.Subnet)
}

// text is the rule as nft(8) prints it.
func (s *NftMasquerade) text() string {
	return fmt.Sprintf(`%s saddr %s oifname != "%s" counter masquerade comment "%s"`,
		nftFamily(s.Subnet.Addr()), s.Subnet, s.Except, s.Comment)
}

func (s *NftMasquerade) Shell() string { return ruleLine(s.NS, s.Table, s.Chain, s.text()) }

func (s *NftMasquerade) Check(ctx context.Context) error {
	return checkRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

func (s *NftMasquerade) Do(ctx context.Context) error { return addRule(ctx, s.NS, s.rule(), s.Comment) }

func (s *NftMasquerade) rule() *nftables.Rule {
	exprs := matchSource(s.Subnet)
	exprs = append(exprs,
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(s.Except)},
		&expr.Counter{},
		&expr.Masq{},
	)
	return newRule(s.Table, s.Chain, s.Comment, exprs)
}

func (s *NftMasquerade) Undo(ctx context.Context) error {
	return undoRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

// NftDNAT publishes a port: what is sent to Port of any of the host's own
// addresses goes to To instead.
type NftDNAT struct {
	NS       string         `json:"ns,omitempty"`
	Table    string         `json:"table"`
	Chain    string         `json:"chain"`
	Protocol string         `json:"protocol"` // "tcp" or "udp"
	Port     uint16         `json:"port"`
	To       netip.AddrPort `json:"to"`
	Comment  string         `json:"comment"`
}

func (s *NftDNAT) Kind() string { return "nft.dnat" }
func (s *NftDNAT) Why() string {
	who := "Whoever calls"
	if s.Chain == "output" {
		who = "When the host itself calls"
	}
	return fmt.Sprintf("%s port %d of one of the host's own addresses is led to %s; \"local\" keeps calls to other machines' port %d out of it.",
		who, s.Port, s.To, s.Port)
}

func (s *NftDNAT) text() string {
	return fmt.Sprintf(`fib daddr type local %s dport %d counter dnat %s to %s comment "%s"`,
		s.Protocol, s.Port, nftFamily(s.To.Addr()), s.To, s.Comment)
}

func (s *NftDNAT) Shell() string { return ruleLine(s.NS, s.Table, s.Chain, s.text()) }

func (s *NftDNAT) Check(ctx context.Context) error {
	return checkRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

func (s *NftDNAT) Do(ctx context.Context) error { return addRule(ctx, s.NS, s.rule(), s.Comment) }

func (s *NftDNAT) rule() *nftables.Rule {
	exprs := []expr.Any{
		&expr.Fib{Register: 1, FlagDADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{protocolNumber(s.Protocol)}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binary.BigEndian.AppendUint16(nil, s.Port)},
		&expr.Counter{},
		&expr.Immediate{Register: 1, Data: s.To.Addr().AsSlice()},
		&expr.Immediate{Register: 2, Data: binary.BigEndian.AppendUint16(nil, s.To.Port())},
		&expr.NAT{
			Type: expr.NATTypeDestNAT, Family: familyNumber(s.To.Addr()),
			RegAddrMin: 1, RegAddrMax: 1, RegProtoMin: 2, RegProtoMax: 2, Specified: true,
		},
	}
	return newRule(s.Table, s.Chain, s.Comment, exprs)
}

func (s *NftDNAT) Undo(ctx context.Context) error {
	return undoRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

// ruleLine is the shell line that adds a rule at the end of a chain.
func ruleLine(ns, table, chain, text string) string {
	return nftLine(ns, fmt.Sprintf("add rule inet %s %s %s", table, chain, text))
}

func addRule(ctx context.Context, ns string, r *nftables.Rule, comment string) error {
	err := overNft(ctx, ns, func(c *nftables.Conn) error {
		c.AddRule(r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("add rule %q: %w", comment, err)
	}
	return nil
}

func newRule(table, chain, comment string, exprs []expr.Any) *nftables.Rule {
	t := inetTable(table)
	return &nftables.Rule{
		Table: t,
		Chain: &nftables.Chain{Table: t, Name: chain},
		Exprs: exprs,
		// nft(8) ends the comment with a NUL, and reads it so.
		UserData: userdata.AppendString(nil, userdata.TypeComment, comment),
	}
}

// matchSource compares the source address with a prefix, in the form that
// nft(8) itself would use, so that it prints the same text.
func matchSource(p netip.Prefix) []expr.Any {
	offset := uint32(12) // of the source in the IPv4 header
	if p.Addr().Is6() {
		offset = 8
	}
	addr := p.Masked().Addr().AsSlice()
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{byte(familyNumber(p.Addr()))}},
	}
	if p.Bits()%8 == 0 { // whole bytes: compare only those
		n := p.Bits() / 8
		return append(exprs,
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(n)},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr[:n]})
	}
	n := uint32(len(addr))
	return append(exprs,
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: n},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: n, Mask: ipNet(p).Mask, Xor: make([]byte, n)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: addr})
}

// ifname is an interface name as the kernel compares it: 16 bytes, NUL-padded.
func ifname(name string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return b
}

func nftFamily(a netip.Addr) string {
	if a.Is6() {
		return "ip6"
	}
	return "ip"
}

func familyNumber(a netip.Addr) uint32 {
	if a.Is6() {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

func protocolNumber(name string) byte {
	if name == "udp" {
		return unix.IPPROTO_UDP
	}
	return unix.IPPROTO_TCP
}
