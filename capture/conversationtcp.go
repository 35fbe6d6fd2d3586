package capture

// TCPState is how far a TCP connection has come, as its packets tell; other
// protocols have none.
type TCPState uint8

// The states of a connection, in the order in which it goes through them.
const (
	TCPNone        TCPState = iota // not TCP, or nothing but stray segments
	TCPOpening                     // A has asked: SYN
	TCPAnswered                    // B has agreed: SYN ACK
	TCPEstablished                 // data may flow
	TCPHalfClosed                  // one side has ended: FIN
	TCPClosed                      // both have
	TCPReset                       // one side has broken it off: RST
)

var tcpStateNames = [...]string{"", "opening", "answered", "established", "half closed", "closed", "reset"}

// String is the state in a word or two, "" for TCPNone.
func (s TCPState) String() string { return tcpStateNames[s] }

// Flags of a TCP header (RFC 9293, section 3.1).
const (
	flagFIN = 1 << iota
	flagSYN
	flagRST
	flagPSH
	flagACK
)

// tcpTalk is what the flags of a connection's segments tell of it.
type tcpTalk struct {
	start   [2]uint32 // first numbers, of A and of B
	started [2]bool   // they are known
	fin     [2]bool
	data    bool // there were segments with ACK
	reset   bool
}

// another says that the segment opens another connection than this one: it
// asks, with a number that this one did not begin with. reply says that it goes
// from B to A.
func (t *tcpTalk) another(h *Headers, reply bool) bool {
	if h.TCPFlags&(flagSYN|flagACK|flagRST) != flagSYN {
		return false
	}
	if !reply {
		return !t.started[0] || t.start[0] != h.TCPSeq
	}
	// Both may ask at the same time (RFC 9293, section 3.5).
	return t.data || t.started[1] && t.start[1] != h.TCPSeq
}

// segment takes a segment that goes from A (0) or from B (1).
func (t *tcpTalk) segment(h *Headers, dir int) {
	switch f := h.TCPFlags; {
	case f&flagRST != 0:
		t.reset = true
	case f&flagSYN != 0:
		if !t.started[dir] {
			t.start[dir], t.started[dir] = h.TCPSeq, true
		}
	default:
		t.data = t.data || f&flagACK != 0
		t.fin[dir] = t.fin[dir] || f&flagFIN != 0
	}
}

func (t *tcpTalk) state() TCPState {
	switch {
	case t.reset:
		return TCPReset
	case t.fin[0] && t.fin[1]:
		return TCPClosed
	case t.fin[0] || t.fin[1]:
		return TCPHalfClosed
	case t.data:
		return TCPEstablished
	case t.started[1]:
		return TCPAnswered
	case t.started[0]:
		return TCPOpening
	}
	return TCPNone
}

// tcpOrder tells the segments of one direction at one point apart: those that go
// on, those that fill a hole, and those that bring what was seen before.
type tcpOrder struct {
	next        uint32     // the number that is expected
	begun       bool       // next is known
	holes       [4]numbers // that were jumped over and not filled, the latest first
	again, late uint32
}

// numbers are the sequence numbers from from up to, and without, end; none when
// both are the same.
type numbers struct{ from, end uint32 }

// before compares sequence numbers (RFC 9293, section 3.4).
func before(a, b uint32) bool { return int32(a-b) < 0 }

// segment takes the next segment.
func (o *tcpOrder) segment(h *Headers) {
	length := uint32(max(h.Payload, 0))
	if h.TCPFlags&flagSYN != 0 {
		length++
	}
	if h.TCPFlags&flagFIN != 0 {
		length++
	}
	end := h.TCPSeq + length
	switch {
	case length == 0 || h.TCPFlags&flagRST != 0:
	case !o.begun:
		o.begun, o.next = true, end
	case !before(h.TCPSeq, o.next):
		if h.TCPSeq != o.next {
			o.leave(numbers{o.next, h.TCPSeq})
		}
		o.next = end
	case o.fill(h.TCPSeq, end):
		o.late++
	case !before(o.next, end):
		if length != 1 || h.TCPSeq+1 != o.next || h.TCPFlags&(flagSYN|flagFIN) != 0 {
			o.again++ // not a keep-alive, which sends the last byte again (RFC 9293, section 3.8.4)
		}
	default: // some of it is new
		o.next = end
		o.again++
	}
}

// leave remembers a hole; the one that was left first may be forgotten for it.
func (o *tcpOrder) leave(hole numbers) {
	free := len(o.holes) - 1
	for i, h := range o.holes {
		if h.from == h.end {
			free = i
			break
		}
	}
	copy(o.holes[1:free+1], o.holes[:free])
	o.holes[0] = hole
}

// fill says whether the segment closes a part of a hole.
func (o *tcpOrder) fill(from, end uint32) bool {
	for i := range o.holes {
		h := &o.holes[i]
		if h.from == h.end || !before(from, h.end) || !before(h.from, end) {
			continue
		}
		rest := numbers{end, h.end}
		if h.end = from; !before(h.from, from) {
			h.end = h.from // nothing is left before it
		}
		if before(rest.from, rest.end) {
			o.leave(rest)
		}
		return true
	}
	return false
}
