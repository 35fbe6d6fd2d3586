package netfilter

import (
	"net/netip"
	"slices"
)

// xtTarget runs an iptables target.
func (m *machine) xtTarget(b *xtInfo) action {
	switch b.name {
	case "DNAT":
		return m.xtNAT(b, kindDNAT)
	case "SNAT", "NETMAP":
		return m.xtNAT(b, kindSNAT)
	case "MASQUERADE":
		return m.xtNAT(b, kindMasquerade)
	case "REDIRECT":
		return m.xtNAT(b, kindRedirect)
	case "MARK":
		if b.rev == 2 {
			m.mark.set(b.u32(0), b.u32(4))
		}
	case "CONNMARK":
		m.xtConnmark(b)
	case "REJECT":
		return m.decide(verdictDrop)
	default:
		if !slices.Contains(harmlessTargets, b.name) {
			m.unsure[clean("target "+b.name)] = true
			m.opaque()
		}
	}
	return proceed
}

// harmlessTargets change nothing that NAT rules ask for, and go on to the next
// rule.
var harmlessTargets = []string{"LOG", "NFLOG", "TRACE", "CHECKSUM", "TCPMSS", "CT", "CLASSIFY", "DSCP", "TOS", "TTL",
	"HL", "SET", "TEE", "SECMARK", "CONNSECMARK", "ECN", "AUDIT", "RATEEST", "IDLETIMER", "LED"}

func (m *machine) xtConnmark(b *xtInfo) {
	value, ctMask, nfMask := b.u32(0), b.u32(4), b.u32(8)
	switch connmarkMode(b) {
	case connmarkSet:
		m.ctMark.set(value, ctMask)
	case connmarkSave:
		m.ctMark.set(m.mark.value&nfMask, ctMask)
		m.ctMark.open = m.ctMark.open || m.mark.open
	case connmarkRestore:
		m.mark.set(m.ctMark.value&ctMask, nfMask)
		m.mark.open = m.mark.open || m.ctMark.open
	}
}

// xtMatch runs an iptables match; one that is not understood is an open
// question.
func (m *machine) xtMatch(b *xtInfo) action {
	matches, known := m.xtMatches(b)
	if !known || b.short {
		return test(m.either("match " + b.name))
	}
	return test(matches)
}

func (m *machine) xtMatches(b *xtInfo) (matches, known bool) {
	switch b.name {
	case "comment":
		return true, true
	case "addrtype":
		return m.xtAddrtype(b)
	case "conntrack":
		return m.xtConntrack(b)
	case "tcp", "udp":
		return m.xtPorts(b)
	case "multiport":
		return m.xtMultiport(b)
	case "mark":
		return m.mark.matches(b), b.rev == 1 && !m.mark.open
	case "connmark":
		return m.ctMark.matches(b), b.rev == 1 && !m.ctMark.open
	case "icmp", "icmp6":
		typ := b.u8(0)
		any := typ == 0xff && b.name == "icmp"
		hit := any || typ == m.pkt.ICMPType && b.u8(1) == 0
		return m.pkt.isICMP() && hit != (b.u8(3)&1 != 0), true
	case "iprange":
		return m.xtIPRange(b)
	}
	return false, false
}

// matches is struct xt_mark_mtinfo1, and that of connmark.
func (k mark) matches(b *xtInfo) bool { return (k.value&b.u32(4) == b.u32(0)) != (b.u8(8) != 0) }

func (m *machine) xtAddrtype(b *xtInfo) (matches, known bool) {
	src, dst, flags := b.u16(0), b.u16(2), b.u32(4)
	if b.rev != 1 || flags&(addrtypeLimitIn|addrtypeLimitOut) != 0 {
		return false, false
	}
	matches, known = true, true
	for _, c := range []struct {
		types  uint16
		addr   netip.Addr
		invert bool
	}{{src, m.src.Addr(), flags&addrtypeInvertSource != 0}, {dst, m.dst.Addr(), flags&addrtypeInvertDest != 0}} {
		if c.types == 0 {
			continue
		}
		typ, ok := m.addrType(c.addr)
		known = known && ok
		matches = matches && (c.types&(1<<typ) != 0) != c.invert
	}
	return matches, known
}

// xtConntrack answers for the state; the other parts of the match are rare in
// NAT rules and left open.
func (m *machine) xtConntrack(b *xtInfo) (matches, known bool) {
	c := readConntrack(b)
	if c.match != conntrackState || b.rev != 2 && b.rev != 3 {
		return false, false
	}
	state := uint16(xtStateNew)
	if m.pkt.Related {
		state = xtStateRelated
	}
	if m.ctStatus&ipsSNAT != 0 {
		state |= xtStateSNAT
	}
	if m.ctStatus&ipsDNAT != 0 {
		state |= xtStateDNAT
	}
	return (c.state&state != 0) != (c.invert&conntrackState != 0), true
}

func within(port, low, high uint16) bool { return low <= port && port <= high }

func (m *machine) xtPorts(b *xtInfo) (matches, known bool) {
	invert, known := b.u8(8), true
	if b.name == "tcp" {
		invert = b.u8(11)
		known = b.u8(8) == 0 && b.u8(9) == 0 // no TCP option, no flags
	}
	if m.pkt.Protocol != b.name {
		return false, true
	}
	if b.u16(0) != 0 || b.u16(2) != 0xffff {
		m.used.port(factSrc)
	}
	if b.u16(4) != 0 || b.u16(6) != 0xffff {
		m.used.port(m.dstAt)
	}
	src := within(m.src.Port(), b.u16(0), b.u16(2)) != (invert&1 != 0)
	dst := within(m.dst.Port(), b.u16(4), b.u16(6)) != (invert&2 != 0)
	if !src || !dst {
		return false, true
	}
	return true, known
}

func (m *machine) xtMultiport(b *xtInfo) (matches, known bool) {
	mp, ok := readMultiport(b)
	m.used.port(factSrc)
	m.used.port(m.dstAt)
	hit := slices.ContainsFunc(mp.ranges, func(r [2]uint16) bool {
		src, dst := within(m.src.Port(), r[0], r[1]), within(m.dst.Port(), r[0], r[1])
		return mp.which != 1 && src || mp.which != 0 && dst
	})
	return hit != mp.invert, ok
}

func (m *machine) xtIPRange(b *xtInfo) (matches, known bool) {
	size := addrSize(b.family)
	flags := b.u8(64)
	m.used.addr(factSrc)
	m.used.addr(m.dstAt)
	inside := func(a netip.Addr, off int) bool {
		low, _ := netip.AddrFromSlice(b.bytes(off, size))
		high, _ := netip.AddrFromSlice(b.bytes(off+16, size))
		return low.Compare(a) <= 0 && a.Compare(high) <= 0
	}
	if flags&1 != 0 && inside(m.src.Addr(), 0) == (flags&16 != 0) {
		return false, b.rev == 1
	}
	if flags&2 != 0 && inside(m.dst.Addr(), 32) == (flags&32 != 0) {
		return false, b.rev == 1
	}
	return true, b.rev == 1
}
