package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"vethscope/capture/internal/ring"
	"vethscope/ops/netns"
)

// Options sizes a Session; the zero value is what is good for most.
type Options struct {
	// Snaplen is how many bytes of a packet are kept, 65535 by default; 256
	// are enough to look at. What was on the wire is told by Record.Length.
	Snaplen int
	// Memory of each point's ring, in blocks of 128 KiB: by default 128 for the first
	// two points, 32 up to the sixteenth, and 16 behind. What comes while the ring
	// is full is counted as Stats.Dropped.
	Blocks int
	// Timeout is how long the kernel may hold a packet back before it hands
	// it over; whole milliseconds. By default 4 ms, 8 ms behind the eighth
	// point, and 16 ms behind the sixteenth: each costs a timer. 64 ms with
	// KeepNone.
	Timeout time.Duration
	// Filter chooses the packets, in the syntax of pcap-filter(7); "" takes all.
	// It is compiled for each link by package filter, attached before the first
	// packet is taken, and run by the kernel.
	Filter string
	// Keep is how many packets the Store keeps, 100,000 by default. With KeepNone
	// it stays empty, for who does no more than to save packets.
	Keep int
	// Memory is about how many bytes the Store may take; by default what Keep
	// packets of 256 bytes need, or 128 MiB when Snaplen is more.
	Memory int64
	// Buffer is how many records wait for the reader of Records before the
	// oldest are counted as Stats.Skipped, as many as are kept by default.
	Buffer int
	// Save is the format in which the packets are to be saved, and says that Save
	// will be called.
	Save Format
	// VXLANPorts are UDP ports that carry VXLAN besides 4789 and 8472: those of
	// the vxlan links in the namespaces of the points.
	VXLANPorts []uint16
}

// KeepNone is an Options.Keep.
const KeepNone = -1

const (
	blockSize = 128 << 10 // holds the longest frame, a segment of 64 KiB that is yet to be cut
	// mostSnaplen is what a chunk has room for, in its frame. Only a segment that
	// is even longer than usual (BIG TCP) is cut by it.
	mostSnaplen = chunkBytes - 256
	// viewSnaplen bytes of 512 packets fill a chunk.
	viewSnaplen = chunkBytes / chunkPackets
	// pendingChunks hold what is not in order yet.
	pendingChunks = 64
	// saveMemory holds what is yet to be saved, and viewMemory the store of who
	// does not say how much it may take.
	saveMemory, viewMemory = 128 << 20, 128 << 20
	// pointChunks are filling, or just about to be emptied.
	pointChunks = 2
	// saveTimeout and saveBlock are good when nobody looks.
	saveTimeout = 64 * time.Millisecond
	saveBlock   = 1 << 20
	// slack is what the kernel's timer and we may be late beyond the timeout.
	slack = 5 * time.Millisecond
	// nsCheck is how often we look whether a namespace still has its name. Our
	// socket keeps it alive otherwise, and its links with it.
	nsCheck = 250 * time.Millisecond
)

func (o Options) withDefaults() (Options, error) {
	if o.Snaplen < 0 || o.Blocks < 0 || o.Timeout != 0 && o.Timeout < time.Millisecond || o.Keep < KeepNone || o.Memory < 0 || o.Buffer < 0 {
		return o, fmt.Errorf("capture: no such size: snaplen %d, blocks %d, timeout %v, keep %d, memory %d, buffer %d; give positive numbers",
			o.Snaplen, o.Blocks, o.Timeout, o.Keep, o.Memory, o.Buffer)
	}
	if o.Keep == KeepNone && o.Save == "" {
		return o, errors.New("capture: packets are neither kept nor saved; do one of them")
	}
	if o.Snaplen == 0 {
		o.Snaplen = 65535
	}
	o.Snaplen = min(o.Snaplen, mostSnaplen)
	if o.Keep == 0 {
		o.Keep = 100_000
	}
	if o.Buffer == 0 {
		o.Buffer = max(o.Keep, 0)
	}
	return o, nil
}

// chunks is how many chunks the store may have, those of the points apart.
func (o Options) chunks() int {
	const size = int64(unsafe.Sizeof(chunk{}))
	memory := o.Memory
	switch {
	case o.Keep == KeepNone:
		memory = 0
	case memory > 0:
	case o.Snaplen <= viewSnaplen:
		memory = size * int64((o.Keep+chunkPackets-1)/chunkPackets)
	default:
		memory = viewMemory
	}
	if o.Save != "" {
		memory += saveMemory
	}
	return int(memory/size) + pendingChunks
}

// ring is the next point's ring when there are n already. A block is used up when
// its time has come, full or not: the number of blocks is how many timeouts may
// pass until somebody reads. Each block costs us a wake-up: they are long where
// there is memory, and very long when nobody looks.
func (o Options) ring(n int) ring.Config {
	c := ring.Config{BlockSize: 2 * blockSize, Blocks: 64, Timeout: 4 * time.Millisecond, Snaplen: o.Snaplen, Filter: o.program()}
	switch {
	case n >= 16:
		c.Timeout, c.BlockSize, c.Blocks = 16*time.Millisecond, blockSize, 16
	case n >= 8:
		c.Timeout, c.BlockSize, c.Blocks = 8*time.Millisecond, blockSize, 32
	case n >= 2:
		c.BlockSize, c.Blocks = blockSize, 32
	}
	if o.Blocks != 0 {
		c.BlockSize, c.Blocks = blockSize, o.Blocks
	}
	if o.Keep == KeepNone {
		c.Timeout = saveTimeout
		for c.BlockSize < saveBlock && c.Blocks > 8 {
			c.BlockSize, c.Blocks = c.BlockSize*2, c.Blocks/2
		}
	}
	if o.Timeout != 0 {
		c.Timeout = o.Timeout
	}
	return c
}

// Session is a running capture at several points. Its methods may be called
// concurrently.
type Session struct {
	opts   Options
	store  *Store
	saver  *saver // nil without Options.Save
	out    chan []*Record
	wake   chan struct{} // tells the merger that something was handed over
	live   chan struct{} // closed when the last point has ended
	quit   chan struct{} // closed by Close: give up what was not taken
	once   sync.Once
	all    sync.WaitGroup
	cancel func() bool

	mu      sync.Mutex
	readers []*reader // of every point that there was, in the order of opening
	running int
	closed  bool
	asked   bool // for Records
}

// Open begins to capture at all the points, or at none: the error names the
// point that could not be opened and what to do. It is fs.ErrNotExist when a
// namespace or a link is missing, fs.ErrPermission when the privilege is
// (CAP_NET_RAW in the namespace, CAP_SYS_ADMIN to enter one), and a
// *filter.Error when the filter cannot be compiled for the link.
//
// The packets are found in the Store, in order, and handed out by Records to
// who wants each of them. The caller calls Close. When ctx ends, the session is
// closed.
func Open(ctx context.Context, points []Point, opts Options) (*Session, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(points) == 0 {
		return nil, errors.New("capture: no point given; name at least one NAMESPACE:LINK")
	}
	s := &Session{
		opts: opts, out: make(chan []*Record),
		wake: make(chan struct{}, 1), live: make(chan struct{}), quit: make(chan struct{}),
	}
	s.store = newStore(max(opts.Keep, 0), opts.chunks(), opts.VXLANPorts)
	if opts.Save != "" {
		s.saver = newSaver()
		if opts.Keep != KeepNone {
			s.store.holders++
		}
	}
	for _, p := range points {
		if err := s.open(p); err != nil {
			for _, r := range s.readers {
				r.ring.Close()
			}
			return nil, err
		}
	}
	s.start(ctx)
	return s, nil
}

// open adds a reader that does not run yet.
func (s *Session) open(p Point) error {
	n := 0
	for _, r := range s.readers {
		if !r.live() {
			continue
		}
		if n++; r.point == p {
			return fmt.Errorf("capture at %s: the point is given twice; name it once", p)
		}
	}
	if len(s.readers) > math.MaxUint16 {
		return fmt.Errorf("capture at %s: too many points in one session; begin a new one", p)
	}
	r, err := openReader(p, len(s.readers), s, s.opts.ring(n))
	if err != nil {
		return explain(p, err)
	}
	s.store.open(p)
	s.readers = append(s.readers, r)
	return nil
}

// Add begins to capture at one more point. It fails as Open does, and when the
// session has ended.
func (s *Session) Add(p Point) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.running == 0 {
		return fmt.Errorf("capture at %s: the capture has ended; begin a new one", p)
	}
	if err := s.open(p); err != nil {
		return err
	}
	s.launch(s.readers[len(s.readers)-1])
	return nil
}

// Remove ends the capture at a point; what was seen there is kept. The others
// go on. ok is false when the session has no such point any more.
func (s *Session) Remove(p Point) (ok bool) {
	for _, r := range s.list() {
		if r.point == p && r.live() {
			r.finish(Stopped)
			return true
		}
	}
	return false
}

// Points are all that there were, in the order in which they were opened:
// Brief.Point is an index into them.
func (s *Session) Points() []Point {
	return s.store.Points()
}

// Store is where the packets are. It can be looked at after the session has
// ended, too.
func (s *Session) Store() *Store { return s.store }

func (s *Session) list() []*reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readers[:len(s.readers):len(s.readers)]
}

// alone says that no more than one point is left.
func (s *Session) alone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running <= 1
}

// explain says in one line what is missing and what to do.
func explain(p Point, err error) error {
	switch {
	case errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("capture at %s: no such link in namespace %s; see `vethscope ls links`: %w", p, p.NS, fs.ErrNotExist)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("capture at %s: no namespace %s; see `vethscope ls namespaces`: %w", p, p.NS, fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("capture at %s: no privilege for it; run it in `vethscope sandbox`, or as root: %w", p, err)
	case errors.Is(err, syscall.ENOMEM):
		return fmt.Errorf("capture at %s: no memory for the ring; watch fewer points: %w", p, err)
	}
	return fmt.Errorf("capture at %s: %w", p, err)
}

func (s *Session) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		s.launch(r)
	}
	s.all.Go(s.watchNamespaces)
	s.all.Go(func() { (&merger{session: s}).run(s.live) })
	// Close waits, and must not wait for the goroutine that runs this.
	s.cancel = context.AfterFunc(ctx, s.end)
}

// launch lets a reader run. mu is held.
func (s *Session) launch(r *reader) {
	s.running++
	s.all.Go(func() {
		r.run()
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.running--; s.running == 0 {
			close(s.live)
		}
		s.notify()
	})
}

// watchNamespaces ends the points of a namespace that lost its name.
func (s *Session) watchNamespaces() {
	tick := time.NewTicker(nsCheck)
	defer tick.Stop()
	for {
		select {
		case <-s.live:
			return
		case <-tick.C:
		}
		for _, r := range s.list() {
			inode, err := netns.Inode(r.path)
			if errors.Is(err, fs.ErrNotExist) || err == nil && inode != r.inode {
				r.finish(fmt.Sprintf("namespace %s is gone", r.point.NS))
			}
		}
	}
}

// Stats are the counts of every point that there was, in the order of Points.
func (s *Session) Stats() []Stats {
	readers := s.list()
	out := make([]Stats, len(readers))
	for i, r := range readers {
		out[i] = r.stats()
		out[i].Skipped = s.store.skips(i)
	}
	return out
}

// Stop ends the capture and returns at once. Records still hands out what had
// been seen until then, and is closed behind it.
func (s *Session) Stop() {
	for _, r := range s.list() {
		r.finish(Stopped)
	}
}

// Close ends the capture, gives up what was not taken from Records, counting
// it as skipped, and returns when all is cleaned up. It may be called again.
func (s *Session) Close() {
	s.cancel()
	s.end()
	s.all.Wait()
}

func (s *Session) end() {
	s.once.Do(func() { close(s.quit) })
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.Stop()
}

// deliver takes packets that are in order.
func (s *Session) deliver(refs []ref) {
	if s.saver != nil {
		s.saver.add(refs)
	}
	if s.opts.Keep != KeepNone {
		s.store.add(refs)
	}
}

// finish says that no more packets come.
func (s *Session) finish() {
	if s.saver != nil {
		s.saver.finish()
	}
	s.store.finish()
}

// notify wakes the merger.
func (s *Session) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to wake anyway
	}
}
