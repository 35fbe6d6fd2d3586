package filter

import (
	"encoding/binary"
	"slices"
)

// frame is a packet, or one that it carries.
type frame struct {
	Packet
	link  LinkType
	vxlan bool // it was taken out of VXLAN
	vni   uint32
	port  uint16 // the UDP port of that
}

// maxFrames is how deep packets within packets are looked for.
const maxFrames = 8

// unpack finds the packet and those that it carries, the outermost first.
func unpack(s Subject) []frame {
	f := frame{Packet: Packet{Data: s.Data, Length: s.Length, Outgoing: s.Outgoing}, link: s.LinkType}
	frames := make([]frame, 0, 2)
	for range maxFrames {
		f.Packet = withoutTag(f.Packet, f.link)
		frames = append(frames, f)
		inner, ok := f.inner(s.VXLANPorts)
		if !ok {
			break
		}
		inner.Outgoing = s.Outgoing
		inner.Length = len(inner.Data) + f.Length - len(f.Data) // what was not kept belongs to the innermost
		f = inner
	}
	return frames
}

func isTagType(t uint16) bool { return t == 0x8100 || t == 0x88a8 || t == 0x9100 }

// withoutTag takes the first VLAN tag out, as the kernel does.
func withoutTag(p Packet, link LinkType) Packet {
	if link != Ethernet || len(p.Data) < 18 || !isTagType(binary.BigEndian.Uint16(p.Data[12:])) {
		return p
	}
	p.Tagged, p.TCI = true, binary.BigEndian.Uint16(p.Data[14:])
	p.Data = slices.Concat(p.Data[:12], p.Data[16:])
	p.Length -= tagLen
	return p
}

// inner is the packet that f carries.
func (f frame) inner(vxlanPorts []uint16) (frame, bool) {
	proto, b := uint32(0), f.Data
	if f.link == Ethernet {
		if proto, b = etherPayload(b); b == nil {
			return frame{}, false
		}
	} else if len(b) > 0 {
		proto = map[byte]uint32{4: etherIP, 6: etherIP6}[b[0]>>4]
	}
	switch proto {
	case etherIP:
		proto, b = ip4Payload(b)
	case etherIP6:
		proto, b = ip6Payload(b)
	default:
		return frame{}, false
	}
	switch {
	case b == nil:
	case proto == protoIPinIP || proto == protoIP6in:
		return raw(b)
	case proto == protoGRE:
		return grePayload(b)
	case proto == protoUDP:
		return udpPayload(b, vxlanPorts)
	}
	return frame{}, false
}

func raw(b []byte) (frame, bool) { return frame{Packet: Packet{Data: b}, link: RawIP}, true }

func etherPayload(b []byte) (proto uint32, rest []byte) {
	at := 12
	for len(b) >= at+2 {
		t := binary.BigEndian.Uint16(b[at:])
		if !isTagType(t) {
			return uint32(t), b[at+2:]
		}
		at += tagLen
	}
	return 0, nil
}

// ip4Payload has no rest for a fragment other than the first.
func ip4Payload(b []byte) (proto uint32, rest []byte) {
	if len(b) < 20 || b[0]>>4 != 4 {
		return 0, nil
	}
	n := int(b[0]&0xf) * 4
	if n < 20 || len(b) < n || binary.BigEndian.Uint16(b[6:])&0x1fff != 0 {
		return 0, nil
	}
	return uint32(b[9]), b[n:]
}

// ip6Payload goes past the extension headers that have a payload behind them
// (RFC 8200, section 4).
func ip6Payload(b []byte) (proto uint32, rest []byte) {
	if len(b) < 40 || b[0]>>4 != 6 {
		return 0, nil
	}
	proto, b = uint32(b[6]), b[40:]
	for len(b) >= 8 {
		n := 8
		switch proto {
		case 0, 43, 60: // hop-by-hop options, routing, destination options
			n += int(b[1]) * 8
		case protoFrag6:
			if binary.BigEndian.Uint16(b[2:])&0xfff8 != 0 {
				return 0, nil
			}
		default:
			return proto, b
		}
		if len(b) < n {
			return 0, nil
		}
		proto, b = uint32(b[0]), b[n:]
	}
	return proto, b
}

// grePayload is what is behind a GRE header and its optional fields (RFC 2784
// and 2890).
func grePayload(b []byte) (frame, bool) {
	if len(b) < 4 || b[1]&7 != 0 { // version 0
		return frame{}, false
	}
	n := 4
	for _, bit := range []byte{0x80, 0x20, 0x10} { // checksum, key, sequence number
		if b[0]&bit != 0 {
			n += 4
		}
	}
	if len(b) < n {
		return frame{}, false
	}
	return byType(binary.BigEndian.Uint16(b[2:]), b[n:])
}

// byType is a payload whose kind is told by an Ethernet type.
func byType(t uint16, b []byte) (frame, bool) {
	switch t {
	case 0x6558: // an Ethernet frame
		return frame{Packet: Packet{Data: b}}, true
	case etherIP, etherIP6:
		return raw(b)
	}
	return frame{}, false
}

// udpPayload knows VXLAN (RFC 7348) and GENEVE (RFC 8926).
func udpPayload(b []byte, vxlanPorts []uint16) (frame, bool) {
	if len(b) < 16 {
		return frame{}, false
	}
	port, head := binary.BigEndian.Uint16(b[2:]), b[8:]
	switch {
	case port == 6081 && head[0]>>6 == 0:
		n := 8 + int(head[0]&0x3f)*4
		if len(head) < n {
			return frame{}, false
		}
		return byType(binary.BigEndian.Uint16(head[2:]), head[n:])
	case (port == 4789 || port == 8472 || slices.Contains(vxlanPorts, port)) && head[0]&0x08 != 0:
		return frame{Packet: Packet{Data: head[8:]}, vxlan: true, vni: binary.BigEndian.Uint32(head[4:]) >> 8, port: port}, true
	}
	return frame{}, false
}
