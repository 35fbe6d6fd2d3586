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

// reader takes the packets of one point out of its ring.
type reader struct {
	point   Point
	order   int // breaks ties between points
	path    string
	inode   uint64
	session *Session
	ring    *ring.Ring
	framed  bool
	decoder *decoder

	mu      sync.Mutex
	queue   []*Record // read, decoded, and waiting for the merger
	newest  int64     // the latest timestamp that was put into the queue
	packets uint64
	bytes   uint64
	skipped uint64
	reason  string // why the point shall end
	ended   string // why it has ended
}

func openReader(p Point, order int, s *Session) (*reader, error) {
	r := &reader{point: p, order: order, path: p.Path, session: s, decoder: newDecoder(s.opts.VXLANPorts...)}
	if r.path == "" {
		r.path = netns.Path(p.NS)
	}
	var err error
	if r.inode, err = netns.Inode(r.path); err != nil {
		return nil, err
	}
	err = netns.Do(r.path, func() error {
		var err error
		r.ring, err = ring.Open(p.Link, ring.Config{
			BlockSize: blockSize, Blocks: s.opts.Blocks, Timeout: s.opts.Timeout, Snaplen: s.opts.Snaplen,
			Filter: s.opts.program(),
		})
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
	defer r.session.notify()
	for {
		block, err := r.ring.Next()
		if err != nil {
			r.drain()
			r.close(err)
			return
		}
		r.take(block)
	}
}

// drain takes what the kernel had handed over when the point ended; at most
// one round of the ring, as more may be coming all the time.
func (r *reader) drain() {
	for range r.session.opts.Blocks {
		block, ok := r.ring.TryNext()
		if !ok {
			return
		}
		r.take(block)
	}
}

// take copies a block's packets, gives the block back and queues the records.
func (r *reader) take(block ring.Block) {
	records := make([]*Record, 0, block.Len())
	var packets, bytes, skipped uint64
	block.Each(func(pkt *ring.Packet) {
		packets++
		bytes += uint64(pkt.Length)
		if !r.session.budget.take(r.size(pkt)) {
			skipped++
			return
		}
		records = append(records, r.record(pkt))
	})
	r.ring.Release()
	newest := int64(0)
	for _, rec := range records {
		r.decoder.decode(rec)
		newest = max(newest, rec.Time.UnixNano())
	}
	r.mu.Lock()
	r.queue = append(r.queue, records...)
	r.newest = max(r.newest, newest)
	r.packets += packets
	r.bytes += bytes
	r.skipped += skipped
	r.mu.Unlock()
	r.session.notify()
}

// tagged says that the kernel's VLAN tag must be put back.
func (r *reader) tagged(pkt *ring.Packet) bool {
	return pkt.Tagged && r.framed && len(pkt.Data) >= addressBytes
}

// size is the length of the Data that record will make.
func (r *reader) size(pkt *ring.Packet) int {
	if r.tagged(pkt) {
		return len(pkt.Data) + tagBytes
	}
	return len(pkt.Data)
}

// record copies a packet out of the ring.
func (r *reader) record(pkt *ring.Packet) *Record {
	rec := &Record{
		Point: r.point, Time: time.Unix(0, pkt.Time), Outgoing: pkt.Outgoing,
		Length: pkt.Length, Offload: pkt.Offload, unframed: !r.framed,
	}
	rec.Data = make([]byte, 0, r.size(pkt))
	if !r.tagged(pkt) {
		rec.Data = append(rec.Data, pkt.Data...)
		return rec
	}
	rec.Length += tagBytes
	rec.Data = append(rec.Data, pkt.Data[:addressBytes]...)
	rec.Data = binary.BigEndian.AppendUint16(rec.Data, pkt.TPID)
	rec.Data = binary.BigEndian.AppendUint16(rec.Data, pkt.TCI)
	rec.Data = append(rec.Data, pkt.Data[addressBytes:]...)
	return rec
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

// skip counts records that nobody took.
func (r *reader) skip(n uint64) {
	r.mu.Lock()
	r.skipped += n
	r.mu.Unlock()
}

func (r *reader) close(err error) {
	r.ring.Close()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = err.Error()
	if errors.Is(err, ring.ErrStopped) {
		r.ended = r.reason
	}
}

// collect empties the queue. Every record of the point that is still to come
// is later than bound, as far as the kernel's timer is on time.
func (r *reader) collect(now int64, hold time.Duration) (records []*Record, bound int64) {
	idle := r.ring.CaughtUp() // asked before the queue is looked at
	r.mu.Lock()
	defer r.mu.Unlock()
	records, r.queue = r.queue, nil
	switch {
	case r.ended != "":
		return records, endOfTime
	case idle:
		return records, now - int64(hold)
	}
	return records, r.newest - int64(slack)
}

func (r *reader) stats() Stats {
	_, dropped := r.ring.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	return Stats{
		Point: r.point, Packets: r.packets, Bytes: r.bytes,
		Dropped: dropped, Skipped: r.skipped, Ended: r.ended,
	}
}
