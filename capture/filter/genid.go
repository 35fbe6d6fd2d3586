package filter

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/bpf"
)

// identifier is an address, network, port or protocol with its qualifiers.
func (g *generator) identifier(e idExpr) node {
	switch e.q.typ {
	case "port", "portrange":
		return g.port(e)
	case "proto":
		return g.proto(e)
	}
	switch e.id.kind {
	case tokMAC:
		return g.macHost(e)
	case tokIP6:
		return g.ip6Host(e)
	case tokName:
		bail(e.id, "names are not resolved; give an address")
	}
	return g.ip4Host(e)
}

// direction combines the tests of source and destination.
func direction(dir string, src, dst func() node) node {
	switch dir {
	case "src":
		return src()
	case "dst":
		return dst()
	case "and":
		return both{src(), dst()}
	}
	return either{src(), dst()}
}

func (g *generator) macHost(e idExpr) node {
	if e.q.proto != "ether" && e.q.proto != "link" || e.q.typ == "net" {
		bail(e.id, "an Ethernet address needs ether before it: ether host %s", e.id.text)
	}
	g.needEthernet(e.id)
	a, ok := parseMAC(e.id.text)
	if !ok {
		bail(e.id, "not an Ethernet address")
	}
	return direction(e.q.dir, func() node { return g.mac(6, a) }, func() node { return g.mac(0, a) })
}

// parseMAC reads all forms that the scanner takes.
func parseMAC(s string) (a [6]byte, ok bool) {
	parts := strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(":-.", r) })
	if len(parts) == 6 {
		for i, p := range parts {
			parts[i] = strings.Repeat("0", 2-min(len(p), 2)) + p
		}
	}
	m, err := net.ParseMAC(insertColons(strings.Join(parts, "")))
	if err != nil || len(m) != 6 {
		return a, false
	}
	return [6]byte(m), true
}

func insertColons(hex string) string {
	var b strings.Builder
	for i, c := range hex {
		if i > 0 && i%2 == 0 {
			b.WriteByte(':')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// mac compares an address in the Ethernet header, which no tag moves.
func (g *generator) mac(off uint32, a [6]byte) node {
	return both{g.equal(bpf.LoadAbsolute{Off: off + 2, Size: 4}, binary.BigEndian.Uint32(a[2:])),
		g.equal(bpf.LoadAbsolute{Off: off, Size: 2}, uint32(binary.BigEndian.Uint16(a[:])))}
}

// ip4Host is a host or a network, in IP, ARP and RARP headers.
func (g *generator) ip4Host(e idExpr) node {
	addr, mask := g.ip4Range(e)
	fields := func(src, dst uint32) node {
		at := func(off uint32) func() node {
			return func() node { return g.ip4Field(off, addr, mask) }
		}
		return direction(e.q.dir, at(src), at(dst))
	}
	in := func(proto, src, dst uint32) node {
		return both{g.linkType(e.id, proto), fields(src, dst)}
	}
	switch e.q.proto {
	case "":
		if g.offset.labels > 0 {
			return in(etherIP, 12, 16)
		}
		arp := either{g.linkType(e.id, etherARP), g.linkType(e.id, etherRARP)}
		return either{in(etherIP, 12, 16), both{arp, fields(14, 24)}}
	case "ip":
		return in(etherIP, 12, 16)
	case "arp":
		return in(etherARP, 14, 24)
	case "rarp":
		return in(etherRARP, 14, 24)
	}
	bail(e.q.at, "cannot qualify an IPv4 address; ip, arp and rarp can")
	return nil
}

func (g *generator) ip4Field(off, addr, mask uint32) node {
	if mask == 0 {
		return constant(true)
	}
	return g.maskedAt(g.network(off), 4, mask, addr)
}

// ip4Range is the address and the mask to compare it under. Short forms are
// networks, also without net before them: 10.1 is 10.1.0.0/16.
func (g *generator) ip4Range(e idExpr) (addr, mask uint32) {
	if e.id.kind == tokNumber {
		addr, mask = e.id.number, 0xffffffff
		for e.q.typ == "net" && addr != 0 && addr&0xff000000 == 0 {
			addr, mask = addr<<8, mask<<8
		}
		return addr, mask
	}
	addr, mask = dotted(e.id)
	switch {
	case e.prefix.kind != tokEnd:
		if e.prefix.number > 32 {
			bail(e.prefix, "a prefix of IPv4 has at most 32 bits")
		}
		mask = ^uint32(0) << (32 - e.prefix.number)
	case e.mask.kind != tokEnd:
		mask, _ = dotted(e.mask)
	default:
		return addr, mask
	}
	if e.q.typ != "net" {
		bail(e.id, "a mask needs net before the address")
	}
	if addr&^mask != 0 {
		bail(e.id, "has bits set outside of its mask; the network is %s", dottedText(addr&mask))
	}
	return addr, mask
}

// dotted reads one to four numbers, and the mask that covers them.
func dotted(t token) (addr, mask uint32) {
	parts := strings.Split(t.text, ".")
	for _, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			bail(t, "not an IPv4 address: each number is 0 to 255")
		}
		addr = addr<<8 | uint32(n)
	}
	missing := 8 * (4 - len(parts))
	return addr << missing, ^uint32(0) << missing
}

func dottedText(a uint32) string {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, a))).String()
}

func (g *generator) ip6Host(e idExpr) node {
	if e.q.proto != "" && e.q.proto != "ip6" {
		bail(e.q.at, "cannot qualify an IPv6 address; ip6 can")
	}
	addr, err := netip.ParseAddr(e.id.text)
	if err != nil {
		bail(e.id, "not an IPv6 address")
	}
	bits := 128
	if e.prefix.kind != tokEnd {
		if e.prefix.number > 128 {
			bail(e.prefix, "a prefix of IPv6 has at most 128 bits")
		}
		bits = int(e.prefix.number)
		if e.q.typ != "net" && bits != 128 {
			bail(e.id, "a prefix length needs net before the address")
		}
	}
	prefix := netip.PrefixFrom(addr, bits).Masked()
	if prefix.Addr() != addr {
		bail(e.id, "has bits set outside of its prefix; the network is %s", prefix)
	}
	at := func(off uint32) func() node {
		return func() node { return g.ip6Field(off, addr, bits) }
	}
	return both{g.linkType(e.id, etherIP6), direction(e.q.dir, at(8), at(24))}
}

// ip6Field compares an address word by word.
func (g *generator) ip6Field(off uint32, addr netip.Addr, bits int) node {
	a := addr.As16()
	n := node(constant(true))
	for i := uint32(0); bits > 0; i += 4 {
		mask := ^uint32(0)
		if bits < 32 {
			mask <<= 32 - bits
		}
		n = both{n, g.maskedAt(g.network(off+i), 4, mask, binary.BigEndian.Uint32(a[i:]))}
		bits -= 32
	}
	return n
}

func (g *generator) proto(e idExpr) node {
	number := func(names map[string]uint32) uint32 {
		switch e.id.kind {
		case tokNumber:
			return e.id.number
		case tokName:
			if n, ok := names[strings.TrimPrefix(e.id.text, `\`)]; ok {
				return n
			}
		}
		bail(e.id, "not a protocol that is known; give its number")
		return 0
	}
	switch e.q.proto {
	case "ether", "link":
		return g.linkType(e.id, number(etherTypes))
	case "":
		return g.carries(e.id, "both", number(ipProtocols))
	case "ip", "ip6":
		return g.carries(e.id, e.q.proto, number(ipProtocols))
	}
	bail(e.q.at, "carries no other protocol; use ip proto or ether proto")
	return nil
}
