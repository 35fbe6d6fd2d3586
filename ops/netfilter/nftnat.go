package netfilter

import "strings"

// The flags of a NAT range (NF_NAT_RANGE_*, linux/netfilter/nf_nat.h).
const (
	natMapIPs       = 1 << 0
	natProtoSpec    = 1 << 1
	natProtoRandom  = 1 << 2
	natPersistent   = 1 << 3
	natRandomFully  = 1 << 4
	natProtoOffset  = 1 << 5
	natNetmap       = 1 << 6
	natKindSNAT     = 0
	natKindDNAT     = 1
	kindDNAT        = "dnat"
	kindSNAT        = "snat"
	kindMasquerade  = "masquerade"
	kindRedirect    = "redirect"
	attrNATAddrMin  = 3
	attrNATAddrMax  = 4
	attrNATProtoMin = 5
	attrNATProtoMax = 6
	attrNATFlags    = 7
)

func natFlagText(flags uint32) string {
	var words []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{{natProtoRandom, "random"}, {natRandomFully, "fully-random"}, {natPersistent, "persistent"}} {
		if flags&f.bit != 0 {
			words = append(words, f.name)
		}
	}
	if len(words) == 0 {
		return ""
	}
	return " " + strings.Join(words, ",")
}

// natStatement writes snat and dnat.
func (x *nftText) natStatement(a attrs) bool {
	kind := kindSNAT
	if a.u32(1) == natKindDNAT {
		kind = kindDNAT
	}
	addrType, family := typeIPv4, " ip"
	if a.u32(2) == familyIP6 {
		addrType, family = typeIPv6, " ip6"
	}
	if x.table.family != familyInet {
		family = ""
	}
	flags := a.u32(attrNATFlags)
	if flags&natNetmap != 0 {
		family += " prefix"
	}
	n := &NAT{Kind: kind}
	n.Addr = x.natPart(a, attrNATAddrMin, attrNATAddrMax, addrType, flags)
	n.Port = x.natPart(a, attrNATProtoMin, attrNATProtoMax, typePort, flags)
	target := n.Addr
	if addrType == typeIPv6 && n.Port != "" && n.Addr != "" {
		target = "[" + n.Addr + "]"
	}
	switch {
	case n.Port == mappedRest: // one map gives both
		n.Port = ""
		family = map[datatype]string{typeIPv4: " ip", typeIPv6: " ip6"}[addrType]
		target = n.Addr
	case n.Port != "":
		target += ":" + n.Port
	}
	x.nat = n
	x.emit("%s%s to %s%s", kind, family, target, natFlagText(flags))
	return n.Addr != "" || n.Port != ""
}

// natPart writes the address or the port of a rewrite, or a range of them.
func (x *nftText) natPart(a attrs, low, high uint16, t datatype, flags uint32) string {
	if !a.has(low) {
		return ""
	}
	text := x.constant(a.u32(low), t)
	if a.has(high) && a.u32(high) != a.u32(low) && flags&natNetmap == 0 {
		text += "-" + x.constant(a.u32(high), t)
	}
	return text
}

func (x *nftText) masquerade(a attrs) bool {
	x.toPorts(kindMasquerade, x.natPart(a, 2, 3, typePort, 0), a.u32(1))
	return true
}

func (x *nftText) redirect(a attrs) bool {
	x.toPorts(kindRedirect, x.natPart(a, 1, 2, typePort, 0), a.u32(3))
	return true
}

func (x *nftText) toPorts(kind, ports string, flags uint32) {
	x.nat = &NAT{Kind: kind, Port: ports}
	to := ""
	if ports != "" {
		to = " to :" + ports
	}
	x.emit("%s%s%s", kind, to, natFlagText(flags))
}
