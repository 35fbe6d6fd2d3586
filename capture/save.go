package capture

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// SaveOptions says how a session saves its packets; the zero value writes each
// as soon as its place in the order is known, without comments.
type SaveOptions struct {
	// Hold is how long a packet waits for its comment.
	Hold time.Duration
	// Release, when it is closed, says that no more comments come: what waits is
	// written at once.
	Release <-chan struct{}
	// Count ends the capture when so many packets are written; 0 does not.
	Count int
}

// commentWaiting packets wait for a comment at most: who captures a flood wants
// it whole.
const commentWaiting = 1 << 16

// saver holds packets that are to be saved, in the order of time. Packet n of
// them has the serial n in the store, too.
type saver struct {
	wake chan struct{}

	mu       sync.Mutex
	refs     []ref
	ended    bool
	next     uint64 // serial of the packet that is written next
	comments map[uint64]string
}

func newSaver() *saver {
	return &saver{wake: make(chan struct{}, 1), next: 1, comments: map[uint64]string{}}
}

func (v *saver) add(refs []ref) {
	v.mu.Lock()
	v.refs = append(v.refs, refs...)
	v.mu.Unlock()
	v.notify()
}

// finish says that nothing more comes.
func (v *saver) finish() {
	v.mu.Lock()
	v.ended = true
	v.mu.Unlock()
	v.notify()
}

func (v *saver) notify() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// take empties the queue into waiting, behind what stands there.
func (v *saver) take(waiting []ref) (_ []ref, ended bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(waiting) == 0 {
		waiting, v.refs = v.refs, waiting
	} else {
		waiting, v.refs = append(waiting, v.refs...), v.refs[:0]
	}
	return waiting, v.ended
}

// Comment gives a packet, by its serial in the Store, a comment in the file that
// Save writes. It returns false when the packet was written already, or when the
// file can hold no comment.
func (s *Session) Comment(serial uint64, text string) bool {
	v := s.saver
	if v == nil || s.opts.Save == FormatPCAP {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if serial < v.next {
		return false
	}
	v.comments[serial] = text
	return true
}

// Save writes all packets of all points to w, in the order of time, from the
// first one on, until every point has ended; it flushes what it wrote, but leaves
// the statistics and Close to the caller. It is called once, soon after Open, in
// a session with Options.Save: until then, and when w is too slow, 128 MiB of
// packets wait, and what comes then is counted as Stats.Overrun. When writing
// fails the session is stopped.
func (s *Session) Save(w *FileWriter, o SaveOptions) error {
	if s.saver == nil || w.o.Format != s.opts.Save {
		return fmt.Errorf("capture: packets are kept for a file of format %q, and cannot be saved as %q", s.opts.Save, w.o.Format)
	}
	v := saving{s: s, w: w, o: o, framing: s.opts.Save.framing()}
	err := v.run()
	if err != nil {
		s.Stop()
	}
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	return err
}

// saving is one run of Save.
type saving struct {
	s       *Session
	w       *FileWriter
	o       SaveOptions
	framing framing
	waiting []ref
	chunks  []*chunk
	written int
}

var errEnough = errors.New("enough packets are written")

func (v *saving) run() error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var spare []ref
	for {
		var ended bool
		v.waiting, ended = v.s.saver.take(v.waiting)
		v.chunks = v.s.store.allChunks()
		n, wait := v.due()
		ended = ended && n == len(v.waiting)
		err := v.write(v.waiting[:n])
		v.s.store.saved(v.waiting[:n])
		if n == len(v.waiting) {
			v.waiting = v.waiting[:0]
		} else {
			spare = append(spare[:0], v.waiting[n:]...)
			v.waiting, spare = spare, v.waiting
		}
		switch {
		case errors.Is(err, errEnough):
			v.s.Stop()
			return nil
		case err != nil:
			return err
		case ended:
			return nil
		}
		if err := v.w.Flush(); err != nil {
			return err
		}
		if wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-v.s.saver.wake:
		case <-timer.C:
		case <-v.o.Release:
			v.o.Hold, v.o.Release = 0, nil
		}
	}
}

// due is how many of those that wait are to be written now, and when there will
// be more; 0 when nothing waits.
func (v *saving) due() (n int, wait time.Duration) {
	if v.o.Hold == 0 {
		return len(v.waiting), 0
	}
	until := time.Now().Add(-v.o.Hold).UnixNano()
	for n = max(len(v.waiting)-commentWaiting, 0); n < len(v.waiting); n++ {
		_, b := v.frame(v.waiting[n])
		if at := v.framing.time(b); at > until {
			return n, time.Duration(at-until) + time.Millisecond
		}
	}
	return n, 0
}

// frame is a packet's frame, and what stands behind it in its chunk.
func (v *saving) frame(r ref) (*chunk, []byte) {
	c := v.chunks[r.chunk()]
	return c, c.data[int(c.at[r.index()])-v.framing.head():]
}

// write writes packets in runs that lie behind each other.
func (v *saving) write(refs []ref) error {
	if v.o.Count > 0 && v.written+len(refs) >= v.o.Count {
		if err := v.writeRuns(refs[:v.o.Count-v.written]); err != nil {
			return err
		}
		return errEnough
	}
	return v.writeRuns(refs)
}

func (v *saving) writeRuns(refs []ref) error {
	for len(refs) > 0 {
		text, n := v.s.saver.begin(refs)
		c, b := v.frame(refs[0])
		last, end := v.frame(refs[n-1])
		b = b[:len(b)-len(end)+v.framing.length(end)]
		k := interfaceKey{point: v.s.store.point(last.point), unframed: !c.framed}
		var err error
		if text == "" {
			err = v.w.writeFrames(k, b, n)
		} else {
			err = v.w.Write(v.record(k, b), text)
		}
		if err != nil {
			return err
		}
		v.written += n
		refs = refs[n:]
	}
	return nil
}

// record is what a Writer needs to know of the packet in an Enhanced Packet Block;
// in pcap files there are no comments.
func (v *saving) record(k interfaceKey, b []byte) *Record {
	kept, way := le.Uint32(b[20:]), le.Uint32(b[len(b)-12:])
	return &Record{Point: k.point, unframed: k.unframed, Time: time.Unix(0, v.framing.time(b)), Outgoing: way == ngOutbound,
		Length: int(le.Uint32(b[24:])), Data: b[ngFrameHead : ngFrameHead+kept]}
}

// begin says how many of the packets lie behind each other and have no comment,
// or the comment of the first one. These are written now.
func (v *saver) begin(refs []ref) (comment string, n int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n < len(refs) && refs[n] == refs[0]+ref(n) && refs[n].chunk() == refs[0].chunk() {
		if len(v.comments) > 0 {
			text, ok := v.comments[v.next]
			if ok && n > 0 {
				break
			}
			if ok {
				delete(v.comments, v.next)
				v.next++
				return text, 1
			}
		}
		v.next++
		n++
	}
	return "", n
}
