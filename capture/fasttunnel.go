package capture

import (
	"encoding/binary"
	"slices"
)

// carried finds the packet within the packet whose payload this is, and sets
// b's Tunnel and VNI.
func (f *briefer) carried(b *Brief, payload []byte) (inner []byte, unframed, ok bool) {
	h := &b.Outer
	switch {
	case h.Key.Protocol == protoUDP && slices.Contains(f.vxlanPorts, h.Key.DstPort):
		inner, ok = b.vxlan(payload)
	case h.Key.Protocol == protoUDP && h.Key.DstPort == genevePort:
		inner, unframed, ok = b.geneve(payload)
	case h.Key.Protocol != 0:
		return nil, false, false
	case h.Protocol == protoIPIP || h.Protocol == protoIPv6:
		b.Tunnel, inner, unframed, ok = IPIP, payload, true, true
	case h.Protocol == protoGRE:
		inner, unframed, ok = b.gre(payload)
	}
	if ok && len(inner) == 0 {
		h.Malformed = true
	}
	if !ok || len(inner) == 0 {
		b.Tunnel, b.VNI = NoTunnel, 0
		return nil, false, false
	}
	return inner, unframed, true
}

// vxlan takes the header of RFC 7348, section 5.
func (b *Brief) vxlan(p []byte) (inner []byte, ok bool) {
	if len(p) < 8 {
		b.Outer.Malformed = true
		return nil, false
	}
	if p[0]&8 == 0 { // nothing that a VXLAN endpoint takes
		return nil, false
	}
	b.Tunnel, b.VNI = VXLAN, binary.BigEndian.Uint32(p[4:])>>8
	return p[8:], true
}

// geneve takes the header of RFC 8926, section 3.4.
func (b *Brief) geneve(p []byte) (inner []byte, unframed, ok bool) {
	size, valid := geneveSize(p)
	if !valid {
		b.Outer.Malformed = true
		return nil, false, false
	}
	if unframed, ok = carriedKind(binary.BigEndian.Uint16(p[2:])); !ok {
		return nil, false, false
	}
	b.Tunnel, b.VNI = Geneve, binary.BigEndian.Uint32(p[4:])>>8
	return p[size:], unframed, true
}

// geneveSize walks over the options. gopacket counts in bytes, and fails where
// they run over.
func geneveSize(p []byte) (size int, ok bool) {
	if len(p) < 8 {
		return 0, false
	}
	left := int(p[0]&0x3f) * 4
	if len(p) < left+7 {
		return 0, false
	}
	for size = 8; left > 0; {
		if size > 255 || len(p)-size < 4 {
			return 0, false
		}
		n := int(p[size+3]&15)*4 + 4
		if len(p)-size < n {
			return 0, false
		}
		left -= n
		size += n
	}
	return size, size <= 255
}

// gre takes the header of RFC 2784, section 2, with RFC 2890's key and number.
func (b *Brief) gre(p []byte) (inner []byte, unframed, ok bool) {
	if len(p) < 4 {
		b.Outer.Malformed = true
		return nil, false, false
	}
	if p[1]&7 != 0 { // version 1 is PPTP's, with another header (RFC 2637)
		return nil, false, false
	}
	size, valid := greSize(p)
	if !valid {
		b.Outer.Malformed = true
		return nil, false, false
	}
	if unframed, ok = carriedKind(binary.BigEndian.Uint16(p[2:])); !ok {
		return nil, false, false
	}
	b.Tunnel = GRE
	return p[size:], unframed, true
}

func greSize(p []byte) (size int, ok bool) {
	size = 4
	if p[0]&0xc0 != 0 {
		size += 4
	}
	if p[0]&0x20 != 0 {
		size += 4
	}
	if p[0]&0x10 != 0 {
		size += 4
	}
	for p[0]&0x40 != 0 { // source routes (RFC 1701)
		if len(p) < size+4 || len(p) < size+4+int(p[size+3]) {
			return 0, false
		}
		end := p[size] == 0 && p[size+1] == 0 && p[size+3] == 0
		size += 4 + int(p[size+3])
		if end {
			break
		}
	}
	if p[1]&0x80 != 0 {
		size += 4
	}
	return size, len(p) >= size
}

// carriedKind says how the packet within begins; ok is false when it is none.
func carriedKind(etherType uint16) (unframed, ok bool) {
	switch etherType {
	case etherTypeTEB:
		return false, true
	case etherTypeIPv4, etherTypeIPv6:
		return true, true
	}
	return false, false
}

// quoted is the key of the packet that an ICMP error quotes. Of a packet in a
// tunnel the inner one counts, if enough of it is quoted: of what is too long for
// the network that carries the tunnel, the one who sent it is to be found.
func (f *briefer) quoted(b []byte) (k Key, ok bool) {
	var q Brief
	if payload, ok := f.parse(&q.Outer, b, false); ok {
		if inner, unframed, carried := f.carried(&q, payload); carried {
			f.parse(&q.Inner, inner, !unframed)
			if k = q.Inner.Key; !q.Inner.arp && (k.SrcPort != 0 || k.DstPort != 0) {
				return k, true
			}
		}
	}
	k = keyOf(quotedTuple(b))
	return k, k.Version != 0
}
