package capture

import "time"

// Stream puts together what the two sides of a TCP or UDP conversation said to
// each other, out of its packets at one point: in the order of the sequence
// numbers, each byte once. What was not kept of packets and what was never seen
// is told, not skipped. What is in a tunnel is found in there. UDP's datagrams
// stand in the order in which they came. Parts of fragmented IP packets are not
// put together: they are missing.
//
// The libraries for this (gopacket's tcpassembly and reassembly) take a segment
// of which not all was kept for a shorter one, and hence what was not kept for
// lost. A Stream is for one goroutine.
type Stream struct {
	of   Conversation
	at   Point
	talk tcpTalk
	over bool // another connection uses the ports
	last *Record
	ways [2]halfStream
	out  []Chunk
}

// Chunk is a part of what was said: Data, or so many bytes that are Missing.
type Chunk struct {
	FromB  bool      // B of the conversation said it, otherwise A
	Time   time.Time // of the packet that completed it
	Serial uint64
	Data   []byte // part of a record: not to be changed
	// Missing is how many bytes stand here that are not there: for NotKept they
	// were in a packet of which only the beginning was kept, otherwise no packet
	// with them was seen.
	Missing int64
	NotKept bool
}

// halfStream is what one side of a TCP connection sends.
type halfStream struct {
	next    uint32 // the sequence number that is expected
	begun   bool   // next is known
	acked   uint32 // the other side has it until here
	hasAck  bool
	ended   bool // FIN was taken
	waiting []segment
	held    int // bytes that wait
}

// segment is data that waits for what stands before it.
type segment struct {
	from, end uint32
	data      []byte // may be shorter than end-from
	fin       bool
}

// Bounds of what waits for a hole to be filled, for a capture of one direction:
// where both are seen, the other side's acknowledgements tell what never comes.
const (
	maxUnsaid   = 4 << 20
	maxSegments = 4096
)

// NewStream makes a Stream of a conversation, as Conversations tells of it, at
// the point with the number Conversation.Point.
func NewStream(c Conversation, at Point) *Stream {
	s := &Stream{of: c, at: at, last: &Record{}}
	s.talk.start = [2]uint32{c.StartA, c.StartB}
	s.talk.started = [2]bool{c.Opened, c.Answered}
	for i := range s.ways {
		if s.talk.started[i] {
			s.ways[i].next, s.ways[i].begun = s.talk.start[i]+1, true
		}
	}
	return s
}

// Streams says that there is something to follow: the conversation is TCP or
// UDP, with ports.
func (c *Conversation) Streams() bool {
	return (c.Protocol == protoTCP || c.Protocol == protoUDP) && !c.ARP && c.Key.SrcPort|c.Key.DstPort != 0
}

// Takes says that the packet belongs to the stream: only such need be decoded.
func (s *Stream) Takes(b *Brief) bool {
	return b.Point == s.of.Point && b.Serial >= s.of.FirstSerial && s.has(b)
}

// has says that the packet is one of the conversation.
func (s *Stream) has(b *Brief) bool {
	h := b.Innermost()
	return !s.over && b.Tunnel == s.of.Tunnel && b.VNI == s.of.VNI && h.Key.Protocol == s.of.Protocol &&
		(h.Key == s.of.Key || h.Key == s.of.Key.mirror())
}

// Over says that nothing more can come: the ports belong to another connection.
func (s *Stream) Over() bool { return s.over }

// Add takes the next record, in the order of time, and returns what was said as
// far as it is complete by then. Records of other conversations and points are
// ignored.
func (s *Stream) Add(rec *Record) []Chunk {
	s.out = nil
	if rec.Point != s.at || rec.Serial < s.of.FirstSerial {
		return nil
	}
	b := rec.Brief(s.of.Point)
	if !s.has(&b) {
		return nil
	}
	s.last = rec
	h, dir := b.Innermost(), 0
	if h.Key != s.of.Key {
		dir = 1
	}
	level := rec
	if b.Tunnel != NoTunnel {
		if level = rec.inner; level == nil {
			return nil
		}
	}
	length := int(max(h.Payload, 0))
	data := level.payload[:min(len(level.payload), length)]
	if h.Key.Protocol == protoUDP {
		s.say(rec, dir, data, uint32(length))
		return s.out
	}
	if s.talk.another(h, dir == 1) {
		s.over = true
		s.flush()
		return s.out
	}
	s.talk.segment(h, dir)
	s.segment(rec, h, dir, segment{h.TCPSeq, h.TCPSeq + uint32(length), data, h.TCPFlags&flagFIN != 0})
	return s.out
}

// segment takes a TCP segment.
func (s *Stream) segment(rec *Record, h *Headers, dir int, seg segment) {
	if h.TCPFlags&flagACK != 0 {
		s.acknowledge(rec, 1-dir, h.TCPAck)
	}
	if h.TCPFlags&flagRST != 0 {
		return // what it carries is not the stream's (RFC 9293, section 3.5.3)
	}
	if h.TCPFlags&flagSYN != 0 {
		seg.from++ // it takes a number, before the data
		seg.end++
	}
	w := &s.ways[dir]
	if !w.begun {
		if seg.from == seg.end && h.TCPFlags&(flagSYN|flagFIN) == 0 {
			return // an acknowledgement; its number may be that of a keep-alive
		}
		w.next, w.begun = seg.from, true
	}
	if before(w.next, seg.from) {
		w.wait(seg)
	} else {
		s.take(rec, dir, seg)
	}
	s.drain(rec, dir)
}

// acknowledge learns that the other side has all of a direction until ack: what
// of it was not seen is not going to come.
func (s *Stream) acknowledge(rec *Record, dir int, ack uint32) {
	w := &s.ways[dir]
	if !w.begun { // what the other side had before the capture began is not looked for
		w.next, w.begun = ack, true
	}
	if !w.hasAck || before(w.acked, ack) {
		w.acked, w.hasAck = ack, true
	}
	s.drain(rec, dir)
}

// wait keeps a segment, in the order of the numbers.
func (w *halfStream) wait(seg segment) {
	i := len(w.waiting)
	for i > 0 && before(seg.from, w.waiting[i-1].from) {
		i--
	}
	w.waiting = append(w.waiting, segment{})
	copy(w.waiting[i+1:], w.waiting[i:])
	w.waiting[i] = seg
	w.held += len(seg.data)
}

// drain takes the segments that waited and whose turn it is.
func (s *Stream) drain(rec *Record, dir int) {
	w := &s.ways[dir]
	for len(w.waiting) > 0 {
		seg := w.waiting[0]
		if before(w.next, seg.from) {
			hopeless := w.hasAck && !before(w.acked, seg.from)
			if !hopeless && len(w.waiting) <= maxSegments && w.held <= maxUnsaid {
				return
			}
			s.jump(rec, dir, seg.from)
		}
		w.waiting = w.waiting[1:]
		w.held -= len(seg.data)
		s.take(rec, dir, seg)
	}
}

// take takes a segment that does not begin behind what is expected: what of it
// is new.
func (s *Stream) take(rec *Record, dir int, seg segment) {
	w := &s.ways[dir]
	if before(w.next, seg.end) {
		old := w.next - seg.from
		s.say(rec, dir, seg.data[min(int(old), len(seg.data)):], seg.end-w.next)
		w.next = seg.end
	}
	if seg.fin && seg.end == w.next && !w.ended {
		w.ended = true
		w.next++
	}
}

// jump leaves a hole until next.
func (s *Stream) jump(rec *Record, dir int, next uint32) {
	w := &s.ways[dir]
	if before(w.next, next) {
		s.tell(rec, dir, Chunk{Missing: int64(next - w.next)})
		w.next = next
	}
}

// say tells data, of which there were length bytes on the wire.
func (s *Stream) say(rec *Record, dir int, data []byte, length uint32) {
	if len(data) > 0 || length == 0 {
		s.tell(rec, dir, Chunk{Data: data})
	}
	if missing := int64(length) - int64(len(data)); missing > 0 {
		s.tell(rec, dir, Chunk{Missing: missing, NotKept: true})
	}
}

func (s *Stream) tell(rec *Record, dir int, c Chunk) {
	c.FromB, c.Time, c.Serial = dir == 1, rec.Time, rec.Serial
	s.out = append(s.out, c)
}

// Flush returns what still waits, behind the holes that it waited for.
func (s *Stream) Flush() []Chunk {
	s.out = nil
	s.flush()
	return s.out
}

func (s *Stream) flush() {
	for dir := range s.ways {
		w := &s.ways[dir]
		for len(w.waiting) > 0 {
			s.jump(s.last, dir, w.waiting[0].from)
			s.drain(s.last, dir)
		}
		// One byte more than was seen is the FIN, if that was not.
		if w.hasAck && before(w.next+1, w.acked) {
			s.jump(s.last, dir, w.acked)
		}
	}
}
