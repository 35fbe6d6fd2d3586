package filter

import "golang.org/x/net/bpf"

// tag is "vlan", "mpls" and "pppoes": each tests for its header and moves the
// offsets of all that follows behind it.
func (g *generator) tag(e tagExpr) node {
	g.needEthernet(e.word)
	switch e.word.text {
	case "vlan":
		return g.vlan(e)
	case "mpls":
		return g.mpls(e)
	}
	return g.pppoe(e)
}

const tagLen = 4

func (g *generator) vlan(e tagExpr) node {
	if e.number.number > 4095 {
		bail(e.number, "VLAN identifiers end at 4095")
	}
	if g.offset.labels > 0 {
		bail(e.word, `must stand before "mpls"`)
	}
	g.offset.vlans++
	if g.offset.vlans > 1 {
		return g.innerVLAN(e)
	}
	tagged := g.equal(bpf.LoadAbsolute{Off: adVLANTagged, Size: 1}, 1)
	match := node(constant(true))
	if e.number.kind != tokEnd {
		match = test{load: []bpf.Instruction{bpf.LoadAbsolute{Off: adVLANTag, Size: 1}, vlanMask}, cond: bpf.JumpEqual, k: e.number.number}
	}
	if g.stripped {
		return both{tagged, match}
	}
	return choice{tagged, match, g.outerVLAN(e)}
}

var vlanMask = bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xfff}

// outerVLAN is for a tag that the kernel has left in the packet. All that
// follows then is 4 bytes further on, which the packet's own program has to
// remember: other packets may have their tag taken out.
func (g *generator) outerVLAN(e tagExpr) node {
	var move []bpf.Instruction
	in := g.isTag()
	if !g.offset.untracked {
		g.offset.slot = offsetSlot
		if g.computed {
			g.offset.lost = e.word
		}
		move = g.storeOffset(tagLen)
	}
	first := in[0].(test)
	first.load = append(move, first.load...)
	n := anyOf(first, in[1], in[2])
	if e.number.kind == tokEnd {
		return n
	}
	id := test{load: []bpf.Instruction{bpf.LoadAbsolute{Off: 14, Size: 2}, vlanMask}, cond: bpf.JumpEqual, k: e.number.number}
	return both{n, id}
}

func (g *generator) storeOffset(n uint32) []bpf.Instruction {
	return []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegA, Val: n}, bpf.StoreScratch{Src: bpf.RegA, N: g.offset.slot}}
}

// innerVLAN is for the tag behind another one, which is always in the packet.
func (g *generator) innerVLAN(e tagExpr) node {
	in := g.isTag()
	n := anyOf(in[0], in[1:]...)
	if e.number.kind != tokEnd {
		n = both{n, g.maskedAt(g.offset.pay, 2, 0xfff, e.number.number)}
	}
	g.offset.link += tagLen
	g.offset.pay += tagLen
	return n
}

// isTag has a test for each of the types that stand for a tag.
func (g *generator) isTag() []node {
	at := g.offset.link
	return []node{g.equalAt(at, 2, 0x8100), g.equalAt(at, 2, 0x88a8), g.equalAt(at, 2, 0x9100)}
}

func (g *generator) mpls(e tagExpr) node {
	const label = 20 // bits
	if e.number.number >= 1<<label {
		bail(e.number, "MPLS labels end at 1048575")
	}
	n := g.linkType(e.word, etherMPLS)
	if e.number.kind != tokEnd {
		n = both{n, g.maskedAt(g.network(0), 4, 0xfffff000, e.number.number<<12)}
	}
	g.offset.labels++
	g.offset.net += 4
	return n
}

// behindLabels says what the last label carries: MPLS does not tell, so that
// the first bits of it are taken for the IP version.
func (g *generator) behindLabels(at token, proto uint32) node {
	bottom := g.network(0) - 2 // the byte with the bottom-of-stack bit
	switch proto {
	case etherMPLS:
		return g.maskedAt(bottom, 1, 1, 0)
	case etherIP, etherIP6:
		return both{g.maskedAt(bottom, 1, 1, 1), g.ipVersion(proto)}
	}
	bail(at, `behind "mpls" only ip and ip6 can be told apart`)
	return nil
}

func (g *generator) pppoe(e tagExpr) node {
	if g.offset.labels > 0 {
		bail(e.word, `must stand before "mpls"`)
	}
	n := g.linkType(e.word, 0x8864)
	if e.number.kind != tokEnd {
		if e.number.number > 65535 {
			bail(e.number, "PPPoE sessions end at 65535")
		}
		n = both{n, g.maskedAt(g.network(0), 4, 0xffff, e.number.number)}
	}
	const header = 6
	g.offset.ppp = true
	g.offset.link = g.offset.pay + header
	g.offset.pay = g.offset.link + 2
	return n
}

// vxlan is UDP to a VXLAN port with the I flag set (RFC 7348, section 5). The
// words behind it still mean the outer packet.
func (g *generator) vxlan(e vxlanExpr) node {
	ip4 := all(g.carriesOnly(e.word, etherIP, protoUDP), g.noFragment(), g.vxlanHeader(e, g.behindIP4))
	ip6 := all(g.carriesOnly(e.word, etherIP6, protoUDP), g.vxlanHeader(e, g.behindIP6))
	return either{ip4, ip6}
}

// vxlanHeader tests what begins with the UDP header.
func (g *generator) vxlanHeader(e vxlanExpr, at func(off uint32, size int) []bpf.Instruction) node {
	port := func(k uint32) node { return test{load: at(2, 2), cond: bpf.JumpEqual, k: k} }
	ports := either{port(4789), port(8472)}
	n := node(ports)
	if e.port.kind != tokEnd {
		n = port(e.port.number)
	}
	n = both{n, test{load: at(8, 1), cond: bpf.JumpBitsSet, k: 0x08}}
	if e.vni.kind == tokEnd {
		return n
	}
	load := append(at(12, 4), bpf.ALUOpConstant{Op: bpf.ALUOpShiftRight, Val: 8})
	return both{n, test{load: load, cond: bpf.JumpEqual, k: e.vni.number}}
}
