package capture

// A session that saves its packets keeps each of them in the frame that it will
// have in the file, so that whole runs of them are written as they lie there.

// frameHead is what a frame says of its packet.
type frameHead struct {
	point        int // the number of its interface, until it is known better
	time         int64
	kept, length int
	outgoing     bool
}

// Lengths of a pcapng frame around its packet: an Enhanced Packet Block with one
// option, the direction (draft-ietf-opsawg-pcapng, section 4.3).
const (
	ngFrameHead = 28
	ngFrameTail = 16
)

// around is how many bytes stand before and behind n bytes of a packet.
func (f Format) around(n int) (head, tail int) {
	switch f {
	case FormatPCAPNG:
		return ngFrameHead, -n&3 + ngFrameTail
	case FormatPCAP:
		return pcapFrameHead, 0
	}
	return 0, 0
}

// frame writes a frame into b, around the packet that stands there.
func frame(f Format, b []byte, h frameHead) {
	if f == FormatPCAP {
		le.PutUint32(b[12:], uint32(h.length))
		le.PutUint32(b, uint32(h.time/1e9))
		le.PutUint32(b[4:], uint32(h.time%1e9))
		le.PutUint32(b[8:], uint32(h.kept))
		return
	}
	tail := b[ngFrameHead+h.kept:]
	head := b[:ngFrameHead:ngFrameHead]
	le.PutUint32(head, ngPacket)
	le.PutUint32(head[4:], uint32(len(b)))
	le.PutUint32(head[8:], uint32(h.point))
	le.PutUint32(head[12:], uint32(h.time>>32))
	le.PutUint32(head[16:], uint32(h.time))
	le.PutUint32(head[20:], uint32(h.kept))
	le.PutUint32(head[24:], uint32(h.length))
	for len(tail) > ngFrameTail {
		tail[0] = 0
		tail = tail[1:]
	}
	way := uint32(ngInbound)
	if h.outgoing {
		way = ngOutbound
	}
	le.PutUint32(tail, ngOptFlags|4<<16) // code and length
	le.PutUint32(tail[4:], way)
	le.PutUint32(tail[8:], ngOptEnd)
	le.PutUint32(tail[12:], uint32(len(b)))
}

// frameLength is the length of the frame that b begins with.
func frameLength(f Format, b []byte) int {
	if f == FormatPCAP {
		return pcapFrameHead + int(le.Uint32(b[8:]))
	}
	return int(le.Uint32(b[4:]))
}

// readFrame is what the frame that b begins with says, and its packet.
func readFrame(f Format, b []byte) (h frameHead, data []byte) {
	if f == FormatPCAP {
		h.time = int64(le.Uint32(b))*1e9 + int64(le.Uint32(b[4:]))
		h.kept, h.length = int(le.Uint32(b[8:])), int(le.Uint32(b[12:]))
		return h, b[pcapFrameHead : pcapFrameHead+h.kept]
	}
	h.point = int(le.Uint32(b[8:]))
	h.time = int64(le.Uint32(b[12:]))<<32 | int64(le.Uint32(b[16:]))
	h.kept, h.length = int(le.Uint32(b[20:])), int(le.Uint32(b[24:]))
	h.outgoing = le.Uint32(b[le.Uint32(b[4:])-12:]) == ngOutbound
	return h, b[ngFrameHead : ngFrameHead+h.kept]
}

// frameInterface is the number of a pcapng frame's interface.
func frameInterface(b []byte) int { return int(le.Uint32(b[8:])) }

// setInterface gives a pcapng frame the number of its interface.
func setInterface(b []byte, id int) { le.PutUint32(b[8:], uint32(id)) }
