package capture

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"vethscope/capture/internal/ring"
	"vethscope/ops/netns"
)

// In an Ethernet frame a VLAN tag stands behind the two addresses.
const (
	addressBytes = 12
	tagBytes     = 4
)

// entry is a packet that was read and waits for its place in the order.
type entry struct {
	time int64
	ref  ref
}

// reader takes the packets of one point out of its ring.
type reader struct {
	point   Point
	order   int // breaks ties between points; the point's number
	path    string
	inode   uint64
	session *Session
	ring    *ring.Ring
	timeout time.Duration // of the ring's blocks
	framed  bool
	framing framing
	unseen  bool // nobody looks at the packets: they need no summary
	briefer briefer

	// Of the goroutine that reads.
	number  int // of the chunk that is being filled, -1 without one
	chunk   *chunk
	entries []entry // of one block

	mu      sync.Mutex
	queue   []entry // waiting for the merger
	newest  int64   // the latest timestamp that was put into the queue
	packets uint64
	bytes   uint64
	overrun uint64
	reason  string // why the point shall end
	ended   string // why it has ended
}

func openReader(p Point, order int, s *Session, conf ring.Config) (*reader, error) {
	r := &reader{
		point: p, order: order, path: p.Path, session: s, timeout: conf.Timeout, number: -1,
		framing: s.opts.Save.framing(), unseen: s.opts.Keep == KeepNone,
		briefer: briefer{append([]uint16{vxlanPort, vxlanKernelPort}, s.opts.VXLANPorts...)},
	}
	if r.path == "" {
		r.path = netns.Path(p.NS)
	}
	var err error
	if r.inode, err = netns.Inode(r.path); err != nil {
		return nil, err
	}
	err = netns.Do(r.path, func() error {
		var err error
		r.ring, err = ring.Open(p.Link, conf)
		return err
	})
	if err != nil {
		if r.ring != nil { // the way back from the namespace failed
			r.ring.Close()
		}
		return nil, err
	}
	r.framed = r.ring.Framed()
	return r, nil
}

// run reads until the point ends.
func (r *reader) run() {
	for {
		block, err := r.ring.Next()
		if err != nil {
			r.close(err)
			return
		}
		r.take(block)
	}
}

// take copies a block's packets into the store, with their summaries, gives
// the block back and tells the merger.
func (r *reader) take(block ring.Block) {
	r.entries = r.entries[:0]
	var packets, bytes, overrun uint64
	newest := int64(0)
	pkt := block.Packets() // not in the loop's head: it would be copied for every packet
	for pkt.Next() {
		packets++
		bytes += uint64(pkt.Length)
		if n := r.kept(&pkt.Packet); r.room(r.framing.size(n)) {
			r.copy(&pkt.Packet, n)
			newest = max(newest, pkt.Time)
		} else {
			overrun++
		}
	}
	r.ring.Release()
	r.mu.Lock()
	r.queue = append(r.queue, r.entries...)
	r.newest = max(r.newest, newest)
	r.packets += packets
	r.bytes += bytes
	r.overrun += overrun
	r.mu.Unlock()
	r.session.notify()
}

// room makes sure that the chunk has room for one packet with n bytes.
func (r *reader) room(n int) bool {
	if r.chunk != nil && r.chunk.n < chunkPackets && r.chunk.used+n <= chunkBytes {
		return true
	}
	number, ok := r.session.store.chunkFor(r.number)
	if r.number, r.chunk = number, nil; !ok {
		r.number = -1
		return false
	}
	r.chunk = r.session.store.chunk(number)
	r.chunk.framed, r.chunk.point = r.framed, r.order
	return n <= chunkBytes
}

// tagged says that the kernel's VLAN tag must be put back.
func (r *reader) tagged(pkt *ring.Packet) bool {
	return pkt.Tagged && r.framed && len(pkt.Data) >= addressBytes
}

// kept is how many bytes of a packet are kept, the tag included.
func (r *reader) kept(pkt *ring.Packet) int {
	if r.tagged(pkt) {
		return len(pkt.Data) + tagBytes
	}
	return len(pkt.Data)
}

// copy takes a packet out of the ring, into the chunk; n bytes of it are kept.
func (r *reader) copy(pkt *ring.Packet, n int) {
	c, length := r.chunk, pkt.Length
	from := c.used + r.framing.head()
	data := c.data[from : from+n : from+n]
	parsed := data
	if n == len(pkt.Data) {
		copy(data, pkt.Data)
		parsed = pkt.Data[:n:n] // the copy is on its way yet
	} else {
		length += tagBytes
		copy(data, pkt.Data[:addressBytes])
		binary.BigEndian.PutUint16(data[addressBytes:], pkt.TPID)
		binary.BigEndian.PutUint16(data[addressBytes+2:], pkt.TCI)
		copy(data[addressBytes+tagBytes:], pkt.Data[addressBytes:])
	}
	if !r.unseen {
		b := &c.briefs[c.n]
		b.Time, b.Length, b.Kept, b.Point = pkt.Time, uint32(length), uint32(n), uint16(r.order)
		b.Outgoing, b.Offload = pkt.Outgoing, pkt.Offload
		r.briefer.parseInto(b, parsed, r.framed) // View settles it
	}
	end := c.used + r.framing.size(n)
	switch r.framing {
	case ngFrame:
		frameNG(c.data[c.used:end], r.order, pkt.Time, n, length, pkt.Outgoing)
	case pcapFrame:
		framePcap(c.data[c.used:end], pkt.Time, n, length)
	}
	c.at[c.n] = uint32(from)
	r.entries = append(r.entries, entry{pkt.Time, ref(r.number<<refBits | c.n)})
	c.used = end
	c.n++
}

// finish asks the reader to end, for the first reason that is given.
func (r *reader) finish(reason string) {
	r.mu.Lock()
	if r.reason == "" {
		r.reason = reason
	}
	r.mu.Unlock()
	r.ring.Stop()
}

// live says that the point has not ended, and was not asked to.
func (r *reader) live() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reason == "" && r.ended == ""
}

func (r *reader) close(err error) {
	r.ring.Close()
	if r.chunk != nil {
		r.session.store.give(r.number)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = err.Error()
	if errors.Is(err, ring.ErrStopped) {
		r.ended = r.reason
	}
}

// collect empties the queue into a slice of the caller's, and takes empty for
// the next one. Every packet of the point that is still to come is later than
// bound, as far as the kernel's timer is on time.
func (r *reader) collect(now int64, empty []entry) (entries []entry, bound int64) {
	idle := r.ring.CaughtUp() // asked before the queue is looked at
	r.mu.Lock()
	defer r.mu.Unlock()
	entries, r.queue = r.queue, empty
	switch {
	case r.ended != "":
		return entries, endOfTime
	case idle:
		return entries, now - int64(r.timeout+slack)
	}
	return entries, r.newest - int64(slack)
}

func (r *reader) stats() Stats {
	_, dropped := r.ring.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Point: r.point, Packets: r.packets, Bytes: r.bytes,
		Dropped: dropped, Overrun: r.overrun, Ended: r.ended,
	}
}
