package netfilter

import (
	"encoding/binary"
	"net/netip"
)

// nat runs dnat and snat. A statement for the other family does nothing.
func (m *machine) nat(a attrs) action {
	family := uint8(a.u32(2))
	if family != familyInet && family != m.family() {
		return proceed
	}
	r := &rewrite{rule: m.rule, kind: kindSNAT, netmap: a.u32(attrNATFlags)&natNetmap != 0}
	if a.u32(1) == natKindDNAT {
		r.kind = kindDNAT
	}
	if a.has(attrNATAddrMin) {
		high := a.u32(attrNATAddrMax)
		if !a.has(attrNATAddrMax) {
			high = a.u32(attrNATAddrMin)
		}
		r.low, r.high = m.addr(r, a.u32(attrNATAddrMin)), m.addr(r, high)
	}
	m.ports(r, a, attrNATProtoMin, attrNATProtoMax)
	m.apply(r)
	return m.decide(verdictAccept)
}

// addr is the address in a register.
func (m *machine) addr(r *rewrite, reg uint32) netip.Addr {
	b, known := m.load(reg, addrSize(m.family()))
	if !known {
		r.unknown = true
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// ports reads a range of ports from the registers that two attributes name.
func (m *machine) ports(r *rewrite, a attrs, low, high uint16) {
	if !a.has(low) {
		return
	}
	r.hasPort = true
	top := a.u32(high)
	if !a.has(high) {
		top = a.u32(low)
	}
	first, known1 := m.load(a.u32(low), 2)
	last, known2 := m.load(top, 2)
	r.unknown = r.unknown || !known1 || !known2
	r.portLow, r.portHigh = binary.BigEndian.Uint16(first), binary.BigEndian.Uint16(last)
}

// portsNAT runs masquerade and redirect, whose address the kernel chooses.
func (m *machine) portsNAT(kind string, a attrs, low, high uint16) action {
	r := &rewrite{rule: m.rule, kind: kind}
	m.ports(r, a, low, high)
	m.apply(r)
	return m.decide(verdictAccept)
}

// xtNAT runs the NAT targets of iptables.
func (m *machine) xtNAT(b *xtInfo, kind string) action {
	nr := readNATRange(b)
	r := &rewrite{rule: m.rule, kind: kind}
	if nr.flags&natMapIPs != 0 {
		low, ok1 := netip.AddrFromSlice(nr.low)
		high, ok2 := netip.AddrFromSlice(nr.high)
		r.low, r.high, r.unknown = low, high, !ok1 || !ok2
	}
	if nr.flags&natProtoSpec != 0 {
		r.hasPort, r.portLow, r.portHigh = true, nr.portLow, nr.portTop
	}
	if b.name == "NETMAP" {
		r.netmap = true
		r.kind = kindSNAT
		if m.destinationHook() {
			r.kind = kindDNAT
		}
	}
	if b.short {
		r.unknown = true
	}
	m.apply(r)
	return m.decide(verdictAccept)
}
