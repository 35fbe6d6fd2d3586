package netfilter

import (
	"encoding/binary"
	"net/netip"
)

func (m *machine) meta(a attrs) {
	k := a.u32(2)
	if a.has(3) {
		if k == metaMark {
			m.setMark(a.u32(3), &m.mark)
		}
		return
	}
	size := metaKeys[k].size
	if size == 0 {
		size = 16
	}
	b, known := m.metaValue(k)
	if !known {
		m.forget(a.u32(1), size)
		return
	}
	m.store(a.u32(1), b)
}

// setMark changes a mark to what a register holds.
func (m *machine) setMark(reg uint32, k *mark) {
	b, known := m.load(reg, 4)
	k.value, k.open = binary.NativeEndian.Uint32(b), !known
}

func (m *machine) metaValue(k uint32) (b []byte, known bool) {
	switch k {
	case metaProtocol:
		if m.family() == familyIP6 {
			return []byte{0x86, 0xdd}, true
		}
		return []byte{0x08, 0x00}, true
	case metaNfproto:
		return []byte{m.family()}, true
	case metaL4proto:
		return []byte{m.pkt.protocol()}, true
	case metaMark:
		return hostBytes(m.mark.value), !m.mark.open
	case metaIifname:
		in, ok := m.inLink()
		return linkName(in), ok
	case metaOifname:
		out, ok := m.outLink()
		return linkName(out), ok
	case metaIif:
		in, ok := m.inLink()
		b, known = m.linkIndex(in)
		return b, known && ok
	case metaOif:
		out, ok := m.outLink()
		b, known = m.linkIndex(out)
		return b, known && ok
	}
	return nil, false
}

// inLink is the link that the packet came in by; the hooks behind output have
// none.
func (m *machine) inLink() (name string, known bool) {
	made, _ := m.pkt.ends(m.actual)
	return m.in, made || !m.pkt.LinksOpen
}

// outLink is the link that the packet leaves by, "" at the hooks before routing.
func (m *machine) outLink() (name string, known bool) {
	switch m.hook {
	case "prerouting", "input":
		return "", true
	}
	return m.out, m.outKnown
}

func linkName(name string) []byte {
	b := make([]byte, 16)
	copy(b[:15], name)
	return b
}

// linkIndex is 0 for no link, as in the kernel.
func (m *machine) linkIndex(name string) ([]byte, bool) {
	if name == "" {
		return hostBytes(0), true
	}
	for index, n := range m.rule.chain.table.links {
		if n == name {
			return hostBytes(index), true
		}
	}
	return nil, false
}

func (m *machine) ct(a attrs) {
	k := a.u32(2)
	if a.has(4) {
		if k == ctMark {
			m.setMark(a.u32(4), &m.ctMark)
		}
		return
	}
	b, known := m.ctValue(k, a.has(3) && a.u32(3) == 1)
	if !known {
		m.forget(a.u32(1), 16)
		return
	}
	m.store(a.u32(1), b)
	if fact, ok := ctFacts[k]; ok {
		m.comesFrom(a.u32(1), origins(fact, len(b)))
	}
}

// ctFacts are the facts that keys of ct load.
var ctFacts = map[uint32]int{8: factSrc, 19: factSrc, 21: factSrc, 9: factDst, 20: factDst, 22: factDst,
	11: factSrc + factPort, 12: factDst + factPort}

// ctValue is what conntrack says of the first packet of a flow. The reply's
// addresses change at every NAT hook, so they are left open.
func (m *machine) ctValue(k uint32, reply bool) (b []byte, known bool) {
	src, dst := m.pkt.Src, m.pkt.Dst
	v4 := m.family() == familyIP
	switch k {
	case ctState:
		return hostBytes(m.ctState), true
	case ctStatus:
		return hostBytes(m.ctStatus), true
	case ctMark:
		return hostBytes(m.ctMark.value), !m.ctMark.open
	case ctDirection:
		return []byte{0}, true
	case 7: // l3proto
		return []byte{m.family()}, true
	case 10: // protocol
		return []byte{m.pkt.protocol()}, true
	case 8: // saddr
		return src.Addr().AsSlice(), !reply
	case 9: // daddr
		return dst.Addr().AsSlice(), !reply
	case 11: // proto-src
		return binary.BigEndian.AppendUint16(nil, src.Port()), !reply
	case 12: // proto-dst
		return binary.BigEndian.AppendUint16(nil, dst.Port()), !reply
	case 19, 21: // ip saddr, ip6 saddr
		return src.Addr().AsSlice(), !reply && v4 == (k == 19)
	case 20, 22: // ip daddr, ip6 daddr
		return dst.Addr().AsSlice(), !reply && v4 == (k == 20)
	}
	return nil, false
}

// The types of an address (RTN_*, linux/rtnetlink.h).
const (
	rtnUnicast   = 1
	rtnLocal     = 2
	rtnBroadcast = 3
	rtnMulticast = 5
)

// addrType is the type of an address to the routing of the namespace, as far as
// it is known: unreachable and the like are taken for unicast.
func (w *walker) addrType(a netip.Addr) (uint32, bool) {
	switch {
	case a.IsMulticast():
		return rtnMulticast, true
	case a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return rtnBroadcast, true
	case a.IsLoopback():
		return rtnLocal, true
	case w.pkt.IsLocal == nil:
		return 0, false
	case w.pkt.IsLocal(a):
		return rtnLocal, true
	}
	return rtnUnicast, true
}

// fibLink is that the question is about one link only (NFTA_FIB_F_IIF, _OIF).
const fibLink = 0x8 | 0x10

func (m *machine) fib(a attrs) {
	flags := a.u32(3)
	addr := m.dst.Addr()
	if flags&fibSaddr != 0 {
		addr = m.src.Addr()
	}
	typ, known := m.addrType(addr)
	// An address of another link is not local to this one.
	if a.u32(2) != fibAddrtype || !known || flags&fibLink != 0 && typ == rtnLocal {
		m.forget(a.u32(1), 16)
		return
	}
	m.store(a.u32(1), hostBytes(typ))
}
