package capture

import (
	"context"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A chunk holds packets of one point, in the order in which they were read.
// It has no pointers, so that the garbage collector passes it over.
const (
	chunkPackets = 512
	chunkBytes   = blockSize // what fits into a block of a ring fits in here
)

type chunk struct {
	// The reader of the point alone writes these; who learned of a packet
	// through the store may read what belongs to it.
	n      int // packets
	used   int // bytes of data
	point  int // whose packets they are
	framed bool
	briefs [chunkPackets]Brief
	at     [chunkPackets]uint32 // where the packet's data begins
	data   [chunkBytes]byte

	// These belong to the store's lock.
	full    bool // the reader has left it
	dropped int  // packets that were let go: by the store, and by who saves them
}

// firstChunks are made at first, all others at once when they are not enough: in
// small steps the garbage collector would run at each.
const firstChunks = 32

// newSlab asks for huge pages: packets that come by the million go through all of
// the store again and again, and small pages cost as much as they do. Memory is
// taken as it is used, all the same.
func newSlab(n int) []chunk {
	slab := make([]chunk, n)
	b := unsafe.Slice((*byte)(unsafe.Pointer(&slab[0])), uintptr(n)*unsafe.Sizeof(slab[0]))
	page := uintptr(os.Getpagesize())
	if skip := -uintptr(unsafe.Pointer(&b[0])) & (page - 1); skip < uintptr(len(b)) {
		b = b[skip:]
	}
	_ = unix.Madvise(b[:len(b)&^int(page-1)], unix.MADV_HUGEPAGE) // the kernel may have none
	return slab
}

// ref is where a packet lies: a chunk's number, and the packet's in it.
type ref uint32

const refBits = 9 // of the packet's number in the chunk

func (r ref) chunk() int { return int(r >> refBits) }
func (r ref) index() int { return int(r & (chunkPackets - 1)) }

// Store keeps the last packets of a session, all points in one order of time.
// Its memory is bounded. Its methods may be called concurrently, and while
// packets come: who looks at it copies what he needs and holds nothing up.
type Store struct {
	vxlanPorts []uint16

	mu      sync.Mutex
	points  []Point
	skipped []uint64 // of each point, by Records
	chunks  []*chunk
	free    []int   // chunks that nothing uses
	slab    []chunk // that were not used yet
	limit   int     // of chunks
	holders int     // who lets a packet go until its chunk is free: the store, who saves, or both
	order   []ref   // a ring: the packet with serial n stands at n modulo the length
	first   uint64
	next    uint64 // serial of the packet that comes next
	grown   chan struct{}
	ended   bool
	follows uint64 // the serial that Records hands out next; 0 when nobody asked for records

	lookups sync.Mutex
	decoder []*decoder // of Record, one a point
}

func newStore(keep, limit int, vxlanPorts []uint16) *Store {
	return &Store{vxlanPorts: vxlanPorts, limit: limit, holders: 1, order: make([]ref, keep), first: 1, next: 1}
}

// chunkFor gives a reader a chunk, and takes back the one that it has filled.
// The oldest packets make room. ok is false when there is none: all are taken
// by packets that are not in order yet.
func (st *Store) chunkFor(filled int) (number int, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if filled >= 0 {
		st.leave(filled)
	}
	for len(st.free) == 0 && len(st.chunks) >= st.limit && st.first < st.next {
		st.evict()
	}
	if n := len(st.free); n > 0 {
		number = st.free[n-1]
		st.free = st.free[:n-1]
		c := st.chunks[number]
		c.n, c.used, c.full, c.dropped = 0, 0, false, 0
		return number, true
	}
	if len(st.chunks) >= st.limit {
		return 0, false
	}
	if len(st.slab) == 0 {
		n := st.limit - len(st.chunks)
		if len(st.chunks) == 0 {
			n = min(n, firstChunks)
		}
		st.slab = newSlab(n)
	}
	st.chunks, st.slab = append(st.chunks, &st.slab[0]), st.slab[1:]
	return len(st.chunks) - 1, true
}

// chunk is a chunk that chunkFor has given.
func (st *Store) chunk(number int) *chunk {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.chunks[number]
}

// allChunks are the chunks by their numbers, until there is a new one.
func (st *Store) allChunks() []*chunk {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.chunks[:len(st.chunks):len(st.chunks)]
}

// point is the point with this number.
func (st *Store) point(number int) Point {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.points[number]
}

// leave takes back a chunk that its reader writes no more. mu is held.
func (st *Store) leave(number int) {
	c := st.chunks[number]
	c.full = true
	st.reuse(number, c)
}

// reuse frees a chunk that nobody holds any more. mu is held.
func (st *Store) reuse(number int, c *chunk) {
	if c.full && c.dropped == c.n*st.holders {
		st.free = append(st.free, number)
	}
}

// give is leave, for a reader that ends.
func (st *Store) give(number int) {
	st.mu.Lock()
	st.leave(number)
	st.mu.Unlock()
}

// open makes room for one more point.
func (st *Store) open(p Point) {
	st.mu.Lock()
	st.limit += pointChunks
	st.points = append(st.points[:len(st.points):len(st.points)], p)
	st.skipped = append(st.skipped, 0)
	st.mu.Unlock()
}

// evict lets the oldest packet go. mu is held.
func (st *Store) evict() {
	r := st.order[st.first%uint64(len(st.order))]
	if st.follows == st.first {
		st.skipped[st.brief(r).Point]++
		st.follows++
	}
	st.first++
	st.drop(r, 1)
}

// drop lets go of n packets of a chunk, for one holder; r is one of them. mu is
// held.
func (st *Store) drop(r ref, n int) {
	c := st.chunks[r.chunk()]
	c.dropped += n
	st.reuse(r.chunk(), c)
}

// saved lets go of packets, for who saves them.
func (st *Store) saved(refs []ref) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(refs) > 0 {
		n := 1
		for n < len(refs) && refs[n].chunk() == refs[0].chunk() {
			n++
		}
		st.drop(refs[0], n)
		refs = refs[n:]
	}
}

func (st *Store) brief(r ref) *Brief { return &st.chunks[r.chunk()].briefs[r.index()] }

// add puts packets at the end; they are in the order of time.
func (st *Store) add(refs []ref) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(refs) > 0 {
		some := refs[:min(len(refs), len(st.order))]
		st.makeRoom(len(some))
		at := int(st.next % uint64(len(st.order)))
		n := copy(st.order[at:], some)
		copy(st.order, some[n:])
		st.next += uint64(len(some))
		refs = refs[len(some):]
	}
	st.wake()
}

// makeRoom lets the oldest packets go, until n more are not too many. mu is held.
func (st *Store) makeRoom(n int) {
	size := len(st.order)
	for over := int(st.next-st.first) + n - size; over > 0; {
		if st.follows == st.first {
			st.evict()
			over--
			continue
		}
		// Most lie behind each other in one chunk, and go together.
		at := int(st.first % uint64(size))
		run, most := 1, min(over, size-at)
		if st.follows > st.first {
			most = min(most, int(st.follows-st.first))
		}
		for run < most && st.order[at+run] == st.order[at]+ref(run) && st.order[at+run].index() != 0 {
			run++
		}
		st.first += uint64(run)
		st.drop(st.order[at], run)
		over -= run
	}
}

// finish says that nothing more comes.
func (st *Store) finish() {
	st.mu.Lock()
	st.ended = true
	st.wake()
	st.mu.Unlock()
}

func (st *Store) wake() {
	if st.grown != nil {
		close(st.grown)
		st.grown = nil
	}
}

// Wait returns true when there is a packet behind the one with this serial, at
// once or as soon as it comes. It returns false when none will come any more,
// or when ctx ends.
func (st *Store) Wait(ctx context.Context, serial uint64) bool {
	for {
		st.mu.Lock()
		switch {
		case st.next-1 > serial:
			st.mu.Unlock()
			return true
		case st.ended:
			st.mu.Unlock()
			return false
		}
		if st.grown == nil {
			st.grown = make(chan struct{})
		}
		grown := st.grown
		st.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return false
		}
	}
}

// Span is the serials of the packets that are kept: the oldest one's, and the
// one behind the newest; both are equal when there is none. The packets before
// the oldest one were let go: there were first-1 of them.
func (st *Store) Span() (first, end uint64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.first, st.next
}

// Points are all that there were: Brief.Point is an index into them.
func (st *Store) Points() []Point {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.points
}

// Len is the number of packets that are kept.
func (st *Store) Len() int {
	first, end := st.Span()
	return int(end - first)
}

// Evicted is the number of packets that were let go to make room.
func (st *Store) Evicted() uint64 {
	first, _ := st.Span()
	return first - 1
}

// Memory is what the store takes, in bytes, and the most that it will take.
func (st *Store) Memory() (used, limit int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	size, order := int64(unsafe.Sizeof(chunk{})), int64(len(st.order))*int64(unsafe.Sizeof(ref(0)))
	return int64(len(st.chunks))*size + order, int64(st.limit)*size + order
}

// View copies the summaries of the packets from serial on, at most len(dst) of
// them, into dst, and returns how many. When the packet with this serial is no
// longer kept it begins at the oldest one.
func (st *Store) View(serial uint64, dst []Brief) int {
	st.mu.Lock()
	defer st.mu.Unlock()
	serial = max(serial, st.first)
	if serial >= st.next {
		return 0
	}
	n := min(len(dst), int(st.next-serial))
	for i := range n {
		dst[i] = *st.brief(st.order[serial%uint64(len(st.order))])
		dst[i].settle()
		dst[i].Serial = serial // in the store it is where the packet stands
		serial++
	}
	return n
}

// Record decodes one packet; ok is false when it is not kept any more, or not
// there yet.
func (st *Store) Record(serial uint64) (rec *Record, ok bool) {
	st.mu.Lock()
	if serial < st.first || serial >= st.next {
		st.mu.Unlock()
		return nil, false
	}
	r := st.order[serial%uint64(len(st.order))]
	rec = st.record(r)
	rec.Serial = serial
	point := int(st.brief(r).Point)
	st.mu.Unlock()

	st.lookups.Lock()
	defer st.lookups.Unlock()
	for len(st.decoder) <= point {
		st.decoder = append(st.decoder, newDecoder(st.vxlanPorts...))
	}
	st.decoder[point].decode(rec)
	return rec, true
}

// record copies a packet. mu is held.
func (st *Store) record(r ref) *Record {
	rec := &Record{Data: make([]byte, 0, st.brief(r).Kept)}
	st.copyTo(rec, r)
	return rec
}

// copyTo copies a packet into rec, whose Data is used again. mu is held.
func (st *Store) copyTo(rec *Record, r ref) {
	c, i := st.chunks[r.chunk()], r.index()
	b := &c.briefs[i]
	*rec = Record{
		Point: st.points[b.Point], Time: time.Unix(0, b.Time), Outgoing: b.Outgoing, Offload: b.Offload,
		Length: int(b.Length), Data: append(rec.Data[:0], c.data[c.at[i]:c.at[i]+b.Kept]...), unframed: !c.framed,
	}
}
