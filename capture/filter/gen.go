package filter

import (
	"golang.org/x/net/bpf"
)

// The kernel's ancillary loads, at negative offsets (linux/filter.h: SKF_AD_OFF
// and what follows it), as libpcap writes them.
const (
	adPacketType = 0xfffff000 + 4
	adVLANTag    = 0xfffff000 + 44
	adVLANTagged = 0xfffff000 + 48

	packetOutgoing = 4    // PACKET_OUTGOING of linux/if_packet.h
	maxLength      = 1500 // what is above it in an Ethernet header is a type
)

// generator makes a decision tree of an expression. It goes through it in the
// order of the text, because "vlan", "mpls" and "pppoes" move the offsets of
// everything behind them.
type generator struct {
	opts Options
	// stripped is set for packets whose VLAN tag is never in their data, as
	// display filters see them.
	stripped bool
	offset   offsets
	slots    int  // of scratch memory that are taken
	computed bool // numbers were compared before
}

// offsets say where headers are.
type offsets struct {
	link uint32 // of the type in the link layer header
	pay  uint32 // of what is behind that header
	net  uint32 // of the network header behind pay, past MPLS labels

	labels int  // MPLS labels so far
	ppp    bool // the link layer header is that of PPP
	vlans  int

	slot      int   // scratch memory that holds 4 when the tag is in the data; -1 without "vlan"
	read      bool  // something depends on slot
	untracked bool  // nothing will
	lost      token // the word "vlan" where libpcap would lose what slot holds
}

func newGenerator(o Options) *generator {
	g := &generator{opts: o, offset: offsets{link: 12, pay: 14, slot: -1}}
	if o.LinkType == RawIP {
		g.offset.link, g.offset.pay = 0, 0
	}
	return g
}

// prologue is what the program begins with.
func (g *generator) prologue() []bpf.Instruction {
	if g.offset.slot < 0 || g.offset.untracked {
		return nil
	}
	return g.storeOffset(0)
}

// tree makes the decision of one expression.
func (g *generator) tree(e expr) node {
	switch e := e.(type) {
	case everything:
		return constant(true)
	case andExpr:
		left := g.tree(e.left)
		return both{left, g.tree(e.right)}
	case orExpr:
		left := g.tree(e.left)
		return either{left, g.tree(e.right)}
	case notExpr:
		return negated{g.tree(e.x)}
	case protoExpr:
		return g.protoWord(e.word)
	case idExpr:
		return g.identifier(e)
	case castExpr:
		return g.cast(e)
	case lengthExpr:
		length := []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtLen}}
		if e.word.text == "greater" {
			return test{load: length, cond: bpf.JumpGreaterOrEqual, k: e.number.number}
		}
		return negated{test{load: length, cond: bpf.JumpGreaterThan, k: e.number.number}}
	case relExpr:
		return g.relation(e)
	case tagExpr:
		return g.tag(e)
	case vxlanExpr:
		return g.vxlan(e)
	case flagExpr:
		return g.flag(e)
	}
	panic("filter: an expression that the generator does not know")
}

func (g *generator) flag(e flagExpr) node {
	if e.word.text == "pppoed" {
		g.needEthernet(e.word)
		return g.linkType(e.word, 0x8863)
	}
	if g.offset.ppp && !g.stripped {
		bail(e.word, `must stand before "pppoes", behind which libpcap looks for it in the wrong place`)
	}
	out := g.equal(bpf.LoadAbsolute{Off: adPacketType, Size: 2}, packetOutgoing)
	if e.word.text == "outbound" {
		return out
	}
	return negated{out}
}

// needEthernet refuses what looks at an Ethernet header where there is none.
func (g *generator) needEthernet(at token) {
	if g.opts.LinkType != Ethernet {
		bail(at, "the packets of this link have no Ethernet header")
	}
	if g.offset.ppp {
		bail(at, `behind "pppoes" there is no Ethernet header`)
	}
}

func (g *generator) equal(load bpf.Instruction, k uint32) node {
	return test{load: []bpf.Instruction{load}, cond: bpf.JumpEqual, k: k}
}

// loadAt loads from a fixed offset, or from one that a VLAN tag may move.
func (g *generator) loadAt(off uint32, size int) []bpf.Instruction {
	if g.offset.slot < 0 || g.offset.untracked {
		return []bpf.Instruction{bpf.LoadAbsolute{Off: off, Size: size}}
	}
	g.readOffset()
	return []bpf.Instruction{bpf.LoadScratch{Dst: bpf.RegX, N: g.offset.slot}, bpf.LoadIndirect{Off: off, Size: size}}
}

// readOffset notes that something depends on where the tag is. libpcap computes
// in the very memory that tells it, so what is computed first destroys it.
func (g *generator) readOffset() {
	if g.offset.lost.kind != tokEnd {
		bail(g.offset.lost, "must stand before comparisons of numbers, after which libpcap loses sight of the tag")
	}
	g.offset.read = true
}

func (g *generator) equalAt(off uint32, size int, k uint32) node {
	return test{load: g.loadAt(off, size), cond: bpf.JumpEqual, k: k}
}

// maskedAt compares some bits.
func (g *generator) maskedAt(off uint32, size int, mask, k uint32) node {
	load := g.loadAt(off, size)
	if full := uint32(1<<(8*size) - 1); mask != full {
		load = append(load, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: mask})
	}
	return test{load: load, cond: bpf.JumpEqual, k: k}
}

// network is the offset of a field of the network layer header.
func (g *generator) network(off uint32) uint32 { return g.offset.pay + g.offset.net + off }

// linkType says whether the link layer carries a protocol, by its Ethernet type.
func (g *generator) linkType(at token, proto uint32) node {
	o := &g.offset
	switch {
	case o.labels > 0:
		return g.behindLabels(at, proto)
	case o.ppp:
		return g.equalAt(o.link, 2, pppType(proto))
	case g.opts.LinkType == RawIP:
		return g.ipVersion(proto)
	case proto == 0xfe || proto == 0xf0: // both access points are the protocol's
		return both{g.isLength(), g.equalAt(o.pay, 2, proto<<8|proto)}
	case proto == 0xe0:
		bail(at, "IPX is not supported; use ether proto 0x8137")
	case proto == 0x809b || proto == 0x80f3:
		bail(at, "AppleTalk is not supported")
	case proto <= maxLength:
		return both{g.isLength(), g.equalAt(o.pay, 1, proto)}
	}
	return g.equalAt(o.link, 2, proto)
}

// isLength says that the frame is one of IEEE 802.3, with a length and LLC.
func (g *generator) isLength() node {
	return negated{test{load: g.loadAt(g.offset.link, 2), cond: bpf.JumpGreaterThan, k: maxLength}}
}

// ipVersion tells protocols apart where the IP header comes first.
func (g *generator) ipVersion(proto uint32) node {
	switch proto {
	case etherIP:
		return g.maskedAt(g.network(0), 1, 0xf0, 0x40)
	case etherIP6:
		return g.maskedAt(g.network(0), 1, 0xf0, 0x60)
	}
	return constant(false)
}

// pppType is the PPP protocol number of an Ethernet type (RFC 1661, IANA).
func pppType(proto uint32) uint32 {
	switch proto {
	case etherIP:
		return 0x21
	case etherIP6:
		return 0x57
	case 0x6003: // DECnet
		return 0x27
	case 0xfe: // OSI
		return 0x23
	case 0x42: // spanning tree
		return 0x31
	}
	return proto
}

func (g *generator) protoWord(word token) node {
	switch w := word.text; {
	case protoFamily[w] != "":
		return g.carries(word, protoFamily[w], ipProtocols[w])
	case w == "ether" || w == "link":
		bail(word, "needs what to compare: host, src, dst, proto, broadcast, multicast or [offset]")
	}
	return g.linkType(word, etherTypes[word.text])
}

// carries says that the packet is of an IP version, "ip", "ip6" or "both", and
// of an IP protocol. Of IPv6's extension headers only the fragment header is
// looked behind, as libpcap does.
func (g *generator) carries(at token, family string, proto uint32) node {
	switch family {
	case "ip":
		return both{g.linkType(at, etherIP), g.equalAt(g.network(9), 1, proto)}
	case "ip6":
		direct := g.equalAt(g.network(6), 1, proto)
		fragment := both{g.equalAt(g.network(6), 1, protoFrag6), g.equalAt(g.network(40), 1, proto)}
		return both{g.linkType(at, etherIP6), either{direct, fragment}}
	}
	return either{g.carries(at, "ip", proto), g.carries(at, "ip6", proto)}
}

func (g *generator) cast(e castExpr) node {
	proto, word := e.proto.text, e.word.text
	switch {
	case proto == "" || proto == "ether" || proto == "link":
		g.needEthernet(e.word)
		if word == "broadcast" {
			return g.mac(0, [6]byte{255, 255, 255, 255, 255, 255})
		}
		return test{load: []bpf.Instruction{bpf.LoadAbsolute{Off: 0, Size: 1}}, cond: bpf.JumpBitsSet, k: 1}
	case proto == "ip" && word == "multicast":
		return both{g.linkType(e.proto, etherIP), test{load: g.loadAt(g.network(16), 1), cond: bpf.JumpGreaterOrEqual, k: 224}}
	case proto == "ip6" && word == "multicast":
		return both{g.linkType(e.proto, etherIP6), g.equalAt(g.network(24), 1, 255)}
	case proto == "ip":
		return g.ipBroadcast(e)
	}
	bail(e.proto, "has no %s; ether and ip do", word)
	return nil
}

// ipBroadcast is a destination whose host part is all zeros or all ones.
func (g *generator) ipBroadcast(e castExpr) node {
	if len(g.opts.Netmask) != 4 {
		bail(e.word, "the netmask of the link is not known; use dst host with the address")
	}
	m := g.opts.Netmask
	host := ^(uint32(m[0])<<24 | uint32(m[1])<<16 | uint32(m[2])<<8 | uint32(m[3]))
	return both{g.linkType(e.proto, etherIP),
		either{g.maskedAt(g.network(16), 4, host, 0), g.maskedAt(g.network(16), 4, host, host)}}
}
