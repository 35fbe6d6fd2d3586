package capture

import "encoding/binary"

// part says which part of a fragmented packet it is. Only the first has a
// transport header, and says which flow it is of; the others have its id
// (RFC 791, RFC 8200 section 4.5).
type part struct {
	id           uint32
	sport, dport uint16
	header       uint8 // bytes at the beginning of the first that NAT may change
	kind         partKind
}

type partKind uint8

const (
	wholePacket partKind = iota
	firstPart
	laterPart
	unknownPart // the first, with a header that cannot be read
)

// partOf reads the beginning of a fragment's payload.
func partOf(protocol uint8, id uint32, first bool, payload []byte) part {
	p := part{id: id, kind: laterPart}
	if !first {
		return p
	}
	p.kind = unknownPart
	if len(payload) < 8 {
		return p
	}
	switch protocol {
	case protoUDP, protoTCP:
		p.sport, p.dport = binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:])
		p.kind, p.header = firstPart, 8
		if protocol == protoTCP {
			p.header = 20 // the checksum is in there
		}
	case protoICMP, protoICMPv6:
		if t := payload[0]; protocol == protoICMP && (t == 0 || t == 8) || protocol == protoICMPv6 && (t == 128 || t == 129) {
			p.sport = binary.BigEndian.Uint16(payload[4:])
			p.dport, p.kind, p.header = p.sport, firstPart, 8
		}
	}
	return p
}

// fixed is what of the payload no NAT changes.
func (p *part) fixed(payload []byte) []byte { return payload[min(int(p.header), len(payload)):] }

// parts remembers of which flows the first parts of packets were.
type parts struct {
	now, before map[partKey]Key
}

type partKey struct {
	src, dst [16]byte
	id       uint32
	protocol uint8
}

// maxParts bounds each of the two generations.
const maxParts = 1 << 13

// key is the key of the whole packet that a fragment is a part of, as far as it
// is known.
func (ps *parts) key(h *Headers) Key {
	at := partKey{h.Key.Src, h.Key.Dst, h.part.id, h.Protocol}
	switch h.part.kind {
	case firstPart:
		k := h.Key
		k.Protocol, k.SrcPort, k.DstPort = h.Protocol, h.part.sport, h.part.dport
		if len(ps.now) >= maxParts || ps.now == nil {
			ps.now, ps.before = map[partKey]Key{}, ps.now
		}
		ps.now[at] = k
		return k
	case laterPart:
		if k, ok := ps.now[at]; ok {
			return k
		}
		if k, ok := ps.before[at]; ok {
			return k
		}
	}
	return h.Key
}
