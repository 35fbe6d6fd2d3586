package netfilter

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// attribute is a netlink attribute in bytes.
func attribute(typ uint16, data []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(len(data)+4))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, data...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func text(s string) []byte { return append([]byte(s), 0) }

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func expression(name string, data []byte) []byte {
	return attribute(1, append(attribute(1, text(name)), attribute(2, data)...))
}

// FuzzDecode puts any bytes where the kernel's would stand: the expressions and
// userdata of a rule and the elements of a set, in a table of nft's and in one
// of iptables', for either family, and then reads, writes and evaluates them.
func FuzzDecode(f *testing.F) {
	seeds := [][]byte{
		expression("meta", append(attribute(1, number(1)), attribute(2, number(metaIifname))...)),
		expression("cmp", append(append(attribute(1, number(1)), attribute(2, number(0))...), attribute(3, attribute(1, text("lo")))...)),
		expression("payload", append(append(append(attribute(1, number(1)), attribute(2, number(1))...), attribute(3, number(12))...), attribute(4, number(4))...)),
		expression("bitwise", append(append(append(append(attribute(1, number(1)), attribute(2, number(1))...), attribute(3, number(4))...),
			attribute(4, attribute(1, []byte{255, 0, 0, 0}))...), attribute(5, attribute(1, []byte{0, 0, 0, 0}))...)),
		expression("lookup", append(append(attribute(1, text("s")), attribute(2, number(1))...), attribute(3, number(0))...)),
		expression("lookup", append(append(attribute(1, text("s")), attribute(2, number(1))...), attribute(3, number(1))...)),
		expression("immediate", append(attribute(1, number(0)), attribute(2, attribute(2, append(attribute(1, number(0xfffffffd)), attribute(2, text("c"))...)))...)),
		expression("nat", append(append(append(attribute(1, number(1)), attribute(2, number(2))...), attribute(3, number(1))...), attribute(5, number(9))...)),
		expression("fib", append(append(attribute(1, number(1)), attribute(2, number(3))...), attribute(3, number(2))...)),
		expression("dynset", append(append(attribute(1, text("s")), attribute(3, number(0))...), attribute(7, attribute(1, text("counter")))...)),
		expression("range", append(attribute(1, number(23)), attribute(3, attribute(1, make([]byte, 64)))...)),
		expression("byteorder", append(append(attribute(1, number(4)), attribute(4, number(64))...), attribute(5, number(8))...)),
	}
	for name := range xtMatches {
		seeds = append(seeds, expression("match", append(append(attribute(1, text(name)), attribute(2, number(1))...), attribute(3, make([]byte, 160))...)))
	}
	for name := range xtTargets {
		seeds = append(seeds, expression("target", append(append(attribute(1, text(name)), attribute(2, number(2))...), attribute(3, make([]byte, 44))...)))
	}
	elements := attribute(1, append(attribute(1, attribute(1, []byte{10, 0, 0, 1})), attribute(2, attribute(1, number(80)))...))
	for i, s := range seeds {
		f.Add(s, elements, uint32(i), uint32(4), []byte{0, 2, 'x', 0})
		f.Add(s[:len(s)-3], elements[:len(elements)-5], uint32(setInterval), uint32(64), []byte{0, 200})
	}
	f.Fuzz(func(t *testing.T, exprs, elems []byte, flags, keyLen uint32, userdata []byte) {
		for _, family := range []uint8{familyIP, familyIP6, familyInet, familyBridge} {
			for _, name := range []string{"nat", "lab"} {
				decodeAll(family, name, exprs, elems, flags, keyLen, userdata)
			}
		}
	})
}

func decodeAll(family uint8, name string, exprs, elems []byte, flags, keyLen uint32, userdata []byte) {
	ts := &tables{byKey: map[tableKey]*table{}}
	ts.addTable(family, parseAttrs(attribute(unix.NFTA_TABLE_NAME, text(name))))
	hook := append(attribute(unix.NFTA_HOOK_HOOKNUM, number(flags%6)), attribute(unix.NFTA_HOOK_PRIORITY, number(flags))...)
	chain := append(attribute(unix.NFTA_CHAIN_TABLE, text(name)), attribute(unix.NFTA_CHAIN_NAME, text("PREROUTING"))...)
	chain = append(chain, attribute(unix.NFTA_CHAIN_HOOK, hook)...)
	ts.addChain(family, parseAttrs(append(chain, attribute(unix.NFTA_CHAIN_TYPE, text("nat"))...)))
	ts.addChain(family, parseAttrs(append(attribute(unix.NFTA_CHAIN_TABLE, text(name)), attribute(unix.NFTA_CHAIN_NAME, text("c"))...)))
	set := append(attribute(unix.NFTA_SET_TABLE, text(name)), attribute(unix.NFTA_SET_NAME, text("s"))...)
	set = append(set, attribute(unix.NFTA_SET_FLAGS, number(flags))...)
	set = append(set, attribute(unix.NFTA_SET_KEY_TYPE, number(keyLen*2654435761))...)
	ts.addSet(family, parseAttrs(append(set, attribute(unix.NFTA_SET_KEY_LEN, number(keyLen))...)))
	ts.list[0].sets["s"].addElements(family, attrs{unix.NFTA_SET_ELEM_LIST_ELEMENTS: elems})
	for _, chain := range []string{"PREROUTING", "c"} {
		ts.addRule(family, attrs{
			unix.NFTA_RULE_TABLE: text(name), unix.NFTA_RULE_CHAIN: text(chain),
			unix.NFTA_RULE_EXPRESSIONS: exprs, unix.NFTA_RULE_USERDATA: userdata,
		})
	}
	rs := newRuleset(ts)
	for _, r := range ts.chains[0].rules {
		nftRule(r)
		iptablesRule(r)
	}
	for _, p := range []Packet{
		{InLink: "up0", OutLink: "br0", Protocol: "tcp", Src: netip.MustParseAddrPort("10.0.0.1:1"), Dst: netip.MustParseAddrPort("10.0.0.2:2")},
		{OutLink: "up0", Protocol: "icmpv6", Src: netip.MustParseAddrPort("[fd00::1]:1"), Dst: netip.MustParseAddrPort("[fd00::2]:1")},
	} {
		rs.Translate(p)
		rs.Attribute(Flow{Protocol: p.Protocol, Original: Tuple{p.Src, p.Dst}, Reply: Tuple{p.Dst, p.Src}}, p.InLink, p.OutLink, nil)
	}
}
