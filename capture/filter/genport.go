package filter

import (
	"strings"

	"golang.org/x/net/bpf"
)

// portProtocols are those that have ports, in the order of libpcap's tests.
var portProtocols = []uint32{protoSCTP, protoTCP, protoUDP}

// port is a port or a range of ports, of one protocol or of all. Fragments
// other than the first have none; IPv6 packets with extension headers are not
// looked at, as in libpcap.
func (g *generator) port(e idExpr) node {
	protos := portProtocols
	switch e.q.proto {
	case "":
	case "tcp", "udp", "sctp":
		protos = []uint32{ipProtocols[e.q.proto]}
	default:
		bail(e.q.at, "has no ports; tcp, udp and sctp have")
	}
	lo, hi, protos := portRange(e, protos)
	of := func(load []bpf.Instruction) node {
		if lo == hi {
			return test{load: load, cond: bpf.JumpEqual, k: lo}
		}
		return both{test{load: load, cond: bpf.JumpGreaterOrEqual, k: lo},
			negated{test{load: load, cond: bpf.JumpGreaterThan, k: hi}}}
	}
	ports := func(at func(uint32, int) []bpf.Instruction) node {
		return direction(e.q.dir, func() node { return of(at(0, 2)) }, func() node { return of(at(2, 2)) })
	}
	ip6 := both{g.carriesOnly(e.id, etherIP6, protos...), ports(g.behindIP6)}
	ip4 := all(g.carriesOnly(e.id, etherIP, protos...), g.noFragment(), ports(g.behindIP4))
	return either{ip6, ip4}
}

// carriesOnly is an IP version and one of some protocols, right behind its header.
func (g *generator) carriesOnly(at token, version uint32, protos ...uint32) node {
	off := g.network(9)
	if version == etherIP6 {
		off = g.network(6)
	}
	var of node
	for _, p := range protos {
		if n := g.equalAt(off, 1, p); of == nil {
			of = n
		} else {
			of = either{of, n}
		}
	}
	return both{g.linkType(at, version), of}
}

func (g *generator) noFragment() node {
	return negated{test{load: g.loadAt(g.network(6), 2), cond: bpf.JumpBitsSet, k: 0x1fff}}
}

// behindIP4 loads from behind an IPv4 header, whose length the packet tells.
func (g *generator) behindIP4(off uint32, size int) []bpf.Instruction {
	return append(g.headerLength(), bpf.LoadIndirect{Off: g.network(off), Size: size})
}

// headerLength puts into X how far an IPv4 header moves what is behind it.
func (g *generator) headerLength() []bpf.Instruction {
	if g.offset.slot < 0 || g.offset.untracked {
		return []bpf.Instruction{bpf.LoadMemShift{Off: g.network(0)}}
	}
	return append(g.loadAt(g.network(0), 1), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
		bpf.ALUOpConstant{Op: bpf.ALUOpShiftLeft, Val: 2}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
}

func (g *generator) behindIP6(off uint32, size int) []bpf.Instruction {
	return g.loadAt(g.network(40+off), size)
}

// portRange reads "80", "http", "80-90" and "http-90". A service that only one
// protocol has narrows the protocols, as in libpcap.
func portRange(e idExpr, protos []uint32) (lo, hi uint32, of []uint32) {
	switch e.id.kind {
	case tokNumber:
		if e.id.number > 65535 {
			bail(e.id, "ports end at 65535")
		}
		return e.id.number, e.id.number, protos
	case tokName:
	default:
		bail(e.id, "a port expected: a number or the name of a service")
	}
	name := strings.TrimPrefix(e.id.text, `\`)
	if first, last, ok := strings.Cut(name, "-"); ok && e.q.typ == "portrange" {
		lo, _ = portNumber(e.id, first, protos)
		hi, _ = portNumber(e.id, last, protos)
		return min(lo, hi), max(lo, hi), protos
	}
	lo, of = portNumber(e.id, name, protos)
	return lo, lo, of
}
