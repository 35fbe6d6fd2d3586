package capture

import "encoding/binary"

// ipv4 takes an IPv4 header and what follows (RFC 791).
func (h *Headers) ipv4(data []byte) ([]byte, bool) {
	if len(data) < 20 {
		return h.malformed(nil)
	}
	total, size := int(binary.BigEndian.Uint16(data[2:])), int(data[0]&15)*4
	if total == 0 { // a segment that is yet to be cut is too long to say how long
		total = int(uint16(len(data)))
	}
	if total < 20 || size < 20 || size > total || size > len(data) {
		return h.malformed(nil)
	}
	kept := data[:min(total, len(data))]
	if size > 20 && !validIPOptions(kept[20:size]) {
		return h.malformed(nil)
	}
	h.Key.Version = 4
	*(*[4]byte)(h.Key.Src[:4]) = [4]byte(data[12:16])
	*(*[4]byte)(h.Key.Dst[:4]) = [4]byte(data[16:20])
	h.TTL, h.Protocol = data[8], data[9]
	h.IPID, h.IPChecksum = binary.BigEndian.Uint16(data[4:]), binary.BigEndian.Uint16(data[10:])
	missing := total - len(kept)
	if offset := binary.BigEndian.Uint16(data[6:]) & 0x3fff; offset != 0 { // a fragment: behind its header is anything
		h.part = partOf(h.Protocol, uint32(h.IPID), offset&0x1fff == 0, kept[size:])
		h.Payload = int32(len(kept) - size + missing)
		return kept[size:], false
	}
	return h.transport(kept[size:], missing)
}

// validIPOptions walks over the options of an IPv4 header.
func validIPOptions(b []byte) bool {
	for len(b) > 0 {
		switch b[0] {
		case 0:
			return true
		case 1:
			b = b[1:]
			continue
		}
		if len(b) < 2 || int(b[1]) > len(b) || b[1] <= 2 {
			return false
		}
		b = b[b[1]:]
	}
	return true
}

// ipv6 takes an IPv6 header and what follows (RFC 8200).
func (h *Headers) ipv6(data []byte) ([]byte, bool) {
	if len(data) < 40 {
		return h.malformed(nil)
	}
	length := int(binary.BigEndian.Uint16(data[4:]))
	kept := data[40:]
	if length > 0 && length < len(kept) {
		kept = kept[:length]
	}
	protocol, options := data[6], 0
	if protocol == protoHopByHop {
		size, jumbo, ok := hopByHop(kept)
		if !ok || jumbo > 0 && length != 0 || jumbo == 0 && length == 0 {
			return h.malformed(nil)
		}
		protocol = kept[0]
		switch {
		case jumbo > 0: // the decoder leaves the options where they are
			kept = kept[:min(jumbo, len(kept))]
		default:
			options, kept = size, kept[size:]
		}
	} else if length == 0 {
		return h.malformed(nil)
	}
	h.Key.Version, h.Key.Src, h.Key.Dst = 6, [16]byte(data[8:24]), [16]byte(data[24:40])
	h.TTL, h.Protocol = data[7], protocol
	return h.transport(kept, max(length-len(kept)-options, 0))
}

// hopByHop walks over the Hop-by-Hop options at the beginning of b. jumbo is
// the length that a jumbogram gives there, 0 without one (RFC 2675).
func hopByHop(b []byte) (size, jumbo int, ok bool) {
	if len(b) < 2 {
		return 0, 0, false
	}
	if size = int(b[1])*8 + 8; len(b) < size {
		return 0, 0, false
	}
	// An option may reach beyond its header; the decoder lets it.
	for at := 2; at < size; {
		if len(b)-at < 2 {
			return 0, 0, false
		}
		if b[at] == 0 {
			at++
			continue
		}
		n := int(b[at+1]) + 2
		if len(b)-at < n {
			return 0, 0, false
		}
		if b[at] == 0xc2 && jumbo == 0 {
			if n != 6 {
				return 0, 0, false
			}
			if jumbo = int(binary.BigEndian.Uint32(b[at+2:])); jumbo <= 0xffff {
				return 0, 0, false
			}
		}
		at += n
	}
	return size, jumbo, true
}

// transport takes what is behind the IP header. missing bytes of it were not
// kept.
func (h *Headers) transport(b []byte, missing int) ([]byte, bool) {
	for {
		h.Payload = int32(len(b) + missing)
		if len(b) == 0 {
			return b, true
		}
		var payload []byte
		ok := true
		switch h.Protocol {
		case protoTCP:
			payload, ok = h.tcp(b)
		case protoUDP:
			payload, ok = h.udp(b)
		case protoICMP:
			payload, ok = h.icmp(b)
		case protoICMPv6:
			payload, ok = h.icmp6(b)
		case protoHopByHop, protoRouting, protoOptions, protoFragment, protoAuth:
			next, size, whole := extension(h.Protocol, b)
			if size == 0 {
				return h.malformed(b)
			}
			header := b
			b = b[size:]
			h.Protocol = next
			if !whole {
				h.part = partOf(next, binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint16(header[2:])&^7 == 0, b)
				h.Payload = int32(len(b) + missing)
				return b, false
			}
			continue
		default:
			return b, true
		}
		if !ok {
			return h.malformed(b)
		}
		h.Payload = int32(len(payload) + missing)
		h.Key.Protocol = h.Protocol
		return payload, true
	}
}

// extension takes one extension header of IPv6 (RFC 8200, section 4; RFC 4302).
// size is 0 when it is not all there; whole is false for a fragment.
func extension(kind uint8, b []byte) (next uint8, size int, whole bool) {
	least := 2
	switch kind {
	case protoFragment:
		if len(b) < 8 {
			return 0, 0, false
		}
		return b[0], 8, binary.BigEndian.Uint16(b[2:])&^6 == 0
	case protoAuth:
		if least = 12; len(b) >= least {
			size = max((int(b[1])+2)*4, least)
		}
	default:
		if len(b) >= least {
			size = int(b[1])*8 + 8
		}
	}
	if len(b) < least || len(b) < size {
		return 0, 0, false
	}
	return b[0], size, true
}

func (h *Headers) tcp(b []byte) ([]byte, bool) {
	if len(b) < 20 {
		return nil, false
	}
	size := int(b[12]>>4) * 4
	if size < 20 || size > len(b) || !validTCPOptions(b[20:size]) {
		return nil, false
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	h.TCPSeq, h.TCPAck = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])
	h.TCPFlags, h.Checksum = b[13], binary.BigEndian.Uint16(b[16:])
	return b[size:], true
}

func validTCPOptions(b []byte) bool {
	for len(b) > 0 {
		switch b[0] {
		case 0:
			return true
		case 1:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return false
		}
		b = b[b[1]:]
	}
	return true
}

func (h *Headers) udp(b []byte) ([]byte, bool) {
	if len(b) < 8 {
		return nil, false
	}
	end := int(binary.BigEndian.Uint16(b[4:]))
	switch {
	case end == 0: // a jumbogram
		end = len(b)
	case end < 8:
		return nil, false
	}
	h.Key.SrcPort, h.Key.DstPort = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	h.Checksum = binary.BigEndian.Uint16(b[6:])
	return b[8:min(end, len(b))], true
}

func (h *Headers) icmp(b []byte) ([]byte, bool) {
	if len(b) < 8 {
		return nil, false
	}
	h.ICMPType, h.ICMPCode, h.Checksum = b[0], b[1], binary.BigEndian.Uint16(b[2:])
	switch h.ICMPType {
	case 8, 0, 13, 14, 15, 16, 17, 18: // queries, with an identifier
		h.setICMPID(b)
	}
	return b[8:], true
}

func (h *Headers) icmp6(b []byte) ([]byte, bool) {
	if len(b) < 4 {
		return nil, false
	}
	h.ICMPType, h.ICMPCode, h.Checksum = b[0], b[1], binary.BigEndian.Uint16(b[2:])
	if len(b) < 8 {
		return nil, true
	}
	if h.ICMPType == 128 || h.ICMPType == 129 {
		h.setICMPID(b)
	}
	return b[8:], true
}

func (h *Headers) setICMPID(b []byte) {
	id := binary.BigEndian.Uint16(b[4:])
	h.Key.SrcPort, h.Key.DstPort, h.ICMPSeq = id, id, binary.BigEndian.Uint16(b[6:])
}
