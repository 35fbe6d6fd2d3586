package netfilter

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// Older releases of iptables-nft keep ports in xt blobs (struct xt_tcp, xt_udp),
// and DNAT in revision 0 (struct nf_nat_ipv4_multi_range_compat); the installed
// one does not make them.
func TestOldIptables(t *testing.T) {
	u16 := binary.NativeEndian.AppendUint16
	tcp := u16(u16(u16(u16(nil, 0), 0xffff), 8080), 8090)
	tcp = append(tcp, 0, 0, 0, 0)
	dnat := binary.NativeEndian.AppendUint32(nil, 1) // ranges
	dnat = binary.NativeEndian.AppendUint32(dnat, natMapIPs|natProtoSpec)
	dnat = append(dnat, 172, 17, 0, 2, 172, 17, 0, 2, 0, 80, 0, 80)
	xt := func(kind, name string, info []byte) []byte {
		return expression(kind, append(append(attribute(1, text(name)), attribute(2, number(0))...), attribute(3, info)...))
	}
	protocol := append(append(append(attribute(1, number(1)), attribute(2, number(baseNetwork))...), attribute(3, number(9))...), attribute(4, number(1))...)
	is6 := append(append(attribute(1, number(1)), attribute(2, number(cmpEq))...), attribute(3, attribute(1, []byte{6}))...)
	exprs := append(append(expression("payload", protocol), expression("cmp", is6)...), xt("match", "tcp", tcp)...)
	rs := oneRule("nat", append(exprs, xt("target", "DNAT", dnat)...))

	const want = "-A PREROUTING -p tcp -m tcp --dport 8080:8090 -j DNAT --to-destination 172.17.0.2:80"
	if r := rs.Rules[0]; r.Text != want || len(r.Unknown) > 0 || *r.NAT != (NAT{Kind: "dnat", Addr: "172.17.0.2", Port: "80"}) {
		t.Errorf("%+v", r)
	}
	p := Packet{InLink: "a", OutLink: "b", Protocol: "tcp", Src: addrPort("10.0.0.1:1"), Dst: addrPort("10.0.0.2:8085")}
	if got := rs.Translate(p); got.DNAT == nil || got.DNAT.To != addrPort("172.17.0.2:80") || got.Unsure != nil {
		t.Errorf("%+v", got)
	}
	p.Dst = netip.AddrPortFrom(p.Dst.Addr(), 8091)
	if got := rs.Translate(p); got.DNAT != nil || got.Unsure != nil {
		t.Errorf("%+v", got)
	}
}

// A blob that ends too early is shown raw.
func TestShortBlob(t *testing.T) {
	rs := oneRule("nat", expression("target", append(append(attribute(1, text("DNAT")), attribute(2, number(2))...), attribute(3, []byte{1, 0})...)))
	r := rs.Rules[0]
	if r.Text != "-A PREROUTING -j DNAT <DNAT revision 2 0100>" || len(r.Unknown) != 1 || r.NAT != nil {
		t.Errorf("%+v", r)
	}
}

// oneRule is a ruleset of one rule in an ip table's prerouting chain of NAT.
func oneRule(name string, exprs []byte) *Ruleset {
	ts := &tables{byKey: map[tableKey]*table{}}
	ts.addTable(familyIP, attrs{unix.NFTA_TABLE_NAME: text(name)})
	hook := append(attribute(unix.NFTA_HOOK_HOOKNUM, number(0)), attribute(unix.NFTA_HOOK_PRIORITY, number(0))...)
	ts.addChain(familyIP, attrs{
		unix.NFTA_CHAIN_TABLE: text(name), unix.NFTA_CHAIN_NAME: text("PREROUTING"), unix.NFTA_CHAIN_HOOK: hook,
		unix.NFTA_CHAIN_TYPE: text("nat"),
	})
	ts.addRule(familyIP, attrs{
		unix.NFTA_RULE_TABLE: text(name), unix.NFTA_RULE_CHAIN: text("PREROUTING"), unix.NFTA_RULE_EXPRESSIONS: exprs,
	})
	return newRuleset(ts)
}
