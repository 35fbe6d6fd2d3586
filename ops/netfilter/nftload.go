package netfilter

import (
	"fmt"
	"strings"
)

// key is a thing that an expression loads, with the type of its value.
type key struct {
	name string
	typ  datatype
	size int
}

// metaKeys are NFT_META_* by number.
var metaKeys = map[uint32]key{
	0: {"meta length", typeHost, 4}, 1: {"meta protocol", typeEtherType, 2}, 2: {"meta priority", typeRaw, 4},
	3: {"meta mark", typeMark, 4}, 4: {"iif", typeIfindex, 4}, 5: {"oif", typeIfindex, 4},
	6: {"iifname", typeIfname, 16}, 7: {"oifname", typeIfname, 16}, 8: {"meta iiftype", typeHost, 2},
	9: {"meta oiftype", typeHost, 2}, 10: {"meta skuid", typeHost, 4}, 11: {"meta skgid", typeHost, 4},
	12: {"meta nftrace", typeHost, 1}, 13: {"meta rtclassid", typeHost, 4}, 15: {"meta nfproto", typeNfproto, 1},
	16: {"meta l4proto", typeProto, 1}, 17: {"meta ibrname", typeIfname, 16}, 18: {"meta obrname", typeIfname, 16},
	19: {"meta pkttype", typePktType, 1}, 20: {"meta cpu", typeHost, 4}, 21: {"iifgroup", typeHost, 4},
	22: {"oifgroup", typeHost, 4}, 23: {"meta cgroup", typeHost, 4}, 24: {"meta random", typeHost, 4},
	25: {"meta ipsec", typeBool, 1}, 26: {"meta iifkind", typeIfname, 16}, 27: {"meta oifkind", typeIfname, 16},
	31: {"meta day", typeDay, 1}, 33: {"meta sdif", typeIfindex, 4}, 34: {"meta sdifname", typeIfname, 16},
}

const (
	metaProtocol = 1
	metaMark     = 3
	metaIif      = 4
	metaOif      = 5
	metaIifname  = 6
	metaOifname  = 7
	metaNftrace  = 12
	metaNfproto  = 15
	metaL4proto  = 16
)

func (x *nftText) meta(a attrs) bool {
	k, ok := metaKeys[a.u32(2)]
	if !ok {
		return false
	}
	if a.has(3) {
		x.emit("%s set %s", k.name, x.constant(a.u32(3), k.typ))
		return true
	}
	x.set(a.u32(1), operand{text: k.name, typ: k.typ, size: k.size})
	return true
}

// ctKeys are NFT_CT_* by number.
var ctKeys = map[uint32]key{
	0: {"state", typeCTState, 4}, 1: {"direction", typeCTDir, 1}, 2: {"status", typeCTStatus, 4},
	3: {"mark", typeMark, 4}, 6: {"helper", typeQuoted, 16}, 7: {"l3proto", typeNfproto, 1}, 8: {"saddr", typeIPv4, 4},
	9: {"daddr", typeIPv4, 4}, 10: {"protocol", typeProto, 1}, 11: {"proto-src", typePort, 2},
	12: {"proto-dst", typePort, 2}, 14: {"packets", typeHost, 8}, 15: {"bytes", typeHost, 8},
	16: {"avgpkt", typeHost, 8}, 17: {"zone", typeHost, 2}, 19: {"ip saddr", typeIPv4, 4},
	20: {"ip daddr", typeIPv4, 4}, 21: {"ip6 saddr", typeIPv6, 16}, 22: {"ip6 daddr", typeIPv6, 16},
	23: {"id", typeHost, 4},
}

const (
	ctState     = 0
	ctDirection = 1
	ctStatus    = 2
	ctMark      = 3
)

func (x *nftText) ct(a attrs) bool {
	k, ok := ctKeys[a.u32(2)]
	if !ok {
		return false
	}
	if a.has(4) {
		x.emit("ct %s set %s", k.name, x.constant(a.u32(4), k.typ))
		return true
	}
	name := "ct " + k.name
	if a.has(3) {
		name = "ct " + []string{"original", "reply"}[a.u32(3)&1] + " " + k.name
	}
	x.set(a.u32(1), operand{text: name, typ: k.typ, size: k.size})
	return true
}

// What a fib expression asks for (NFT_FIB_RESULT_*, NFTA_FIB_F_*).
const (
	fibOif      = 1
	fibOifname  = 2
	fibAddrtype = 3

	fibSaddr   = 0x1
	fibDaddr   = 0x2
	fibPresent = 0x20
)

func (x *nftText) fib(a attrs) bool {
	var from []string
	for i, n := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if a.u32(3)&(1<<i) != 0 {
			from = append(from, n)
		}
	}
	o := operand{size: 4}
	result := ""
	switch a.u32(2) {
	case fibOif:
		result, o.typ = "oif", typeIfindex
	case fibOifname:
		result, o.typ, o.size = "oifname", typeIfname, 16
	case fibAddrtype:
		result, o.typ = "type", typeFibType
	default:
		return false
	}
	if a.u32(3)&fibPresent != 0 {
		o.typ = typeBool
	}
	o.text = "fib " + strings.Join(from, " . ") + " " + result
	x.set(a.u32(1), o)
	return true
}

func (x *nftText) rt(a attrs) bool {
	k, ok := map[uint32]key{
		0: {"rt classid", typeHost, 4}, 1: {"rt nexthop", typeIPv4, 4}, 2: {"rt nexthop", typeIPv6, 16},
		3: {"rt mtu", typeHost, 2},
	}[a.u32(2)]
	x.set(a.u32(1), operand{text: k.name, typ: k.typ, size: k.size})
	return ok
}

func (x *nftText) socket(a attrs) bool {
	k, ok := map[uint32]key{
		0: {"socket transparent", typeHost, 1}, 1: {"socket mark", typeMark, 4}, 2: {"socket wildcard", typeHost, 1},
	}[a.u32(1)]
	x.set(a.u32(2), operand{text: k.name, typ: k.typ, size: k.size})
	return ok
}

func (x *nftText) numgen(a attrs) bool {
	text := fmt.Sprintf("numgen %s mod %d", []string{"inc", "random"}[a.u32(3)&1], a.u32(2))
	if off := a.u32(4); off != 0 {
		text += fmt.Sprintf(" offset %d", off)
	}
	x.set(a.u32(1), operand{text: text, typ: typeHost, size: 4})
	return true
}

func (x *nftText) hash(a attrs) bool {
	text := fmt.Sprintf("symhash mod %d", a.u32(4))
	if a.u32(7) == 0 { // NFT_HASH_JENKINS
		text = fmt.Sprintf("jhash %s mod %d", x.concat(a.u32(1), int(a.u32(3))), a.u32(4))
		if a.has(5) {
			text += fmt.Sprintf(" seed 0x%x", a.u32(5))
		}
	}
	if off := a.u32(6); off != 0 {
		text += fmt.Sprintf(" offset %d", off)
	}
	x.set(a.u32(2), operand{text: text, typ: typeHost, size: 4})
	return true
}
