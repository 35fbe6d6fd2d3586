package capture

// A session that saves its packets keeps each of them in the frame that it will
// have in the file, so that whole runs of them are written as they lie there.

// framing is what stands around a packet in a chunk.
type framing uint8

const (
	noFrame framing = iota
	ngFrame
	pcapFrame
)

// framing is that of a format; noFrame when packets are not saved.
func (f Format) framing() framing {
	switch f {
	case FormatPCAPNG:
		return ngFrame
	case FormatPCAP:
		return pcapFrame
	}
	return noFrame
}

// Lengths of a pcapng frame around its packet: an Enhanced Packet Block with one
// option, the direction (draft-ietf-opsawg-pcapng, section 4.3).
const (
	ngFrameHead = 28
	ngFrameTail = 16
)

// head is how many bytes stand before the packet.
func (f framing) head() int {
	switch f {
	case ngFrame:
		return ngFrameHead
	case pcapFrame:
		return pcapFrameHead
	}
	return 0
}

// size is the length of the frame around n bytes of a packet, with them.
func (f framing) size(n int) int {
	switch f {
	case ngFrame:
		return ngFrameHead + (n+3)&^3 + ngFrameTail
	case pcapFrame:
		return pcapFrameHead + n
	}
	return n
}

// frameNG writes an Enhanced Packet Block into b, around the packet that stands
// there. The interface gets the number of the point, until it is known better.
func frameNG(b []byte, point int, ns int64, kept, length int, outgoing bool) {
	head := b[:ngFrameHead]
	le.PutUint64(head, ngPacket|uint64(len(b))<<32)
	le.PutUint64(head[8:], uint64(uint32(point))|uint64(ns)>>32<<32)
	le.PutUint64(head[16:], uint64(uint32(ns))|uint64(kept)<<32)
	le.PutUint32(head[24:], uint32(length))
	tail := b[len(b)-ngFrameTail:]
	if pad := -kept & 3; pad > 0 {
		clear(b[len(b)-ngFrameTail-pad : len(b)-ngFrameTail])
	}
	way := uint64(ngInbound)
	if outgoing {
		way = ngOutbound
	}
	le.PutUint64(tail, ngOptFlags|4<<16|way<<32) // code, length and value
	le.PutUint64(tail[8:], ngOptEnd|uint64(len(b))<<32)
}

// framePcap writes the header of a packet into b.
func framePcap(b []byte, ns int64, kept, length int) {
	head := b[:pcapFrameHead]
	sec, frac := uint64(ns)/1e9, uint64(ns)%1e9
	le.PutUint64(head, uint64(uint32(sec))|frac<<32)
	le.PutUint64(head[8:], uint64(uint32(kept))|uint64(length)<<32)
}

// length is that of the frame that b begins with.
func (f framing) length(b []byte) int {
	if f == pcapFrame {
		return pcapFrameHead + int(le.Uint32(b[8:]))
	}
	return int(le.Uint32(b[4:]))
}

// time is that of the packet in the frame that b begins with, in nanoseconds
// since 1970.
func (f framing) time(b []byte) int64 {
	if f == pcapFrame {
		return int64(le.Uint32(b))*1e9 + int64(le.Uint32(b[4:]))
	}
	return int64(le.Uint32(b[12:]))<<32 | int64(le.Uint32(b[16:]))
}

// frameInterface is the number of a pcapng frame's interface.
func frameInterface(b []byte) int { return int(le.Uint32(b[8:])) }

// setInterface gives a pcapng frame the number of its interface.
func setInterface(b []byte, id int) { le.PutUint32(b[8:], uint32(id)) }
