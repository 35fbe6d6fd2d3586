package capture

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"vethscope/ops/netns"
)

// Options sizes a Session; the zero value is what is good for most.
type Options struct {
	// Snaplen is how many bytes of a packet are kept, 65535 by default. What
	// was on the wire is told by Record.Length.
	Snaplen int
	// Blocks of 128 KiB are given to each point's ring, 32 by default. What
	// comes while the ring is full is counted as Stats.Dropped.
	Blocks int
	// Timeout is how long the kernel may hold a packet back before it hands
	// it over, 4 ms by default; whole milliseconds.
	Timeout time.Duration
	// Filter chooses the packets, in the syntax of pcap-filter(7); "" takes all.
	// It is compiled for each link by package filter, attached before the first
	// packet is taken, and run by the kernel.
	Filter string
	// Buffer is how many records wait for the reader of the session before
	// new ones are counted as Stats.Skipped, 65536 by default. Their data is
	// bounded as well, to 64 MiB.
	Buffer int
	// VXLANPorts are UDP ports that carry VXLAN besides 4789 and 8472: those of
	// the vxlan links in the namespaces of the points.
	VXLANPorts []uint16
}

const (
	blockSize   = 128 << 10 // holds the longest frame, a segment of 64 KiB that is yet to be cut
	bufferBytes = 64 << 20
	// slack is what the kernel's timer and we may be late beyond the timeout.
	slack = 5 * time.Millisecond
	// nsCheck is how often we look whether a namespace still has its name. Our
	// socket keeps it alive otherwise, and its links with it.
	nsCheck = 250 * time.Millisecond
)

func (o Options) withDefaults() (Options, error) {
	if o.Snaplen == 0 {
		o.Snaplen = 65535
	}
	if o.Blocks == 0 {
		o.Blocks = 32
	}
	if o.Timeout == 0 {
		o.Timeout = 4 * time.Millisecond
	}
	if o.Buffer == 0 {
		o.Buffer = 1 << 16
	}
	if o.Snaplen < 0 || o.Blocks < 0 || o.Timeout < time.Millisecond || o.Buffer < 0 {
		return o, fmt.Errorf("capture: no such size: snaplen %d, blocks %d, timeout %v, buffer %d; give positive numbers",
			o.Snaplen, o.Blocks, o.Timeout, o.Buffer)
	}
	return o, nil
}

// Session is a running capture at several points. Its methods may be called
// concurrently.
type Session struct {
	opts    Options
	readers []*reader // in the order of the points
	budget  budget
	out     chan []*Record
	wake    chan struct{} // tells the merger that something was handed over
	quit    chan struct{} // closed by Close: give up what was not taken
	once    sync.Once
	all     sync.WaitGroup
	cancel  func() bool
}

// Open begins to capture at all the points, or at none: the error names the
// point that could not be opened and what to do. It is fs.ErrNotExist when a
// namespace or a link is missing, fs.ErrPermission when the privilege is
// (CAP_NET_RAW in the namespace, CAP_SYS_ADMIN to enter one), and a
// *filter.Error when the filter cannot be compiled for the link.
//
// The caller reads Records until it is closed, and calls Close. When ctx ends,
// the session is closed.
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
		wake: make(chan struct{}, 1), quit: make(chan struct{}),
		budget: budget{records: int64(opts.Buffer), bytes: bufferBytes},
	}
	seen := map[Point]bool{}
	for i, p := range points {
		if seen[p] {
			err = fmt.Errorf("capture at %s: the point is given twice; name it once", p)
		} else {
			err = s.addReader(p, i)
		}
		if err != nil {
			for _, r := range s.readers {
				r.ring.Close()
			}
			return nil, err
		}
		seen[p] = true
	}
	s.start(ctx)
	return s, nil
}

func (s *Session) addReader(p Point, order int) error {
	r, err := openReader(p, order, s)
	if err != nil {
		return explain(p, err)
	}
	s.readers = append(s.readers, r)
	return nil
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
	live := make(chan struct{})
	var reading sync.WaitGroup
	for _, r := range s.readers {
		reading.Go(r.run)
	}
	s.all.Go(func() {
		reading.Wait()
		close(live)
	})
	s.all.Go(func() { s.watchNamespaces(live) })
	s.all.Go(func() { newMerger(s).run(live) })
	// Close waits, and must not wait for the goroutine that runs this.
	s.cancel = context.AfterFunc(ctx, s.end)
}

// watchNamespaces ends the points of a namespace that lost its name.
func (s *Session) watchNamespaces(live <-chan struct{}) {
	tick := time.NewTicker(nsCheck)
	defer tick.Stop()
	for {
		select {
		case <-live:
			return
		case <-tick.C:
		}
		for _, r := range s.readers {
			inode, err := netns.Inode(r.path)
			if errors.Is(err, fs.ErrNotExist) || err == nil && inode != r.inode {
				r.finish(fmt.Sprintf("namespace %s is gone", r.point.NS))
			}
		}
	}
}

// Records hands out all packets of all points, in the order of the kernel's
// timestamps, in batches. It is closed when every point has ended, or after
// Stop or Close. A packet is final, and handed out, one block timeout and 5 ms
// after it was seen. When the reader of the channel is slow, packets are
// skipped and counted; they do not pile up.
func (s *Session) Records() <-chan []*Record { return s.out }

// Stats are the counts of every point, in the order in which they were given.
func (s *Session) Stats() []Stats {
	out := make([]Stats, len(s.readers))
	for i, r := range s.readers {
		out[i] = r.stats()
	}
	return out
}

// Stop ends the capture and returns at once. Records still hands out what had
// been seen until then, and is closed behind it.
func (s *Session) Stop() {
	for _, r := range s.readers {
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
	s.Stop()
}

// notify wakes the merger.
func (s *Session) notify() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to wake anyway
	}
}

// budget bounds what waits between the rings and the reader of the session.
type budget struct {
	records, bytes         int64
	usedRecords, usedBytes atomic.Int64
}

// take asks for room for one record with n bytes.
func (b *budget) take(n int) bool {
	records, bytes := b.usedRecords.Add(1), b.usedBytes.Add(int64(n))
	if records > b.records || bytes > b.bytes {
		b.give(n)
		return false
	}
	return true
}

func (b *budget) give(n int) {
	b.usedRecords.Add(-1)
	b.usedBytes.Add(-int64(n))
}
