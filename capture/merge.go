package capture

import (
	"cmp"
	"container/heap"
	"math"
	"time"
)

const endOfTime = int64(math.MaxInt64)

// merger puts the records of all points into one order of time.
//
// A packet may be read up to a block timeout after it was seen, so a record is
// final only when every point is known to have nothing older. A point whose
// reader waits on an empty ring has nothing older than timeout and slack; a
// busy one has nothing much older than what it read last.
type merger struct {
	session *Session
	hold    time.Duration
	heap    entries
	came    uint64
	serial  uint64
	batch   []*Record // final, waiting to be taken
	clock   clock
}

func newMerger(s *Session) *merger {
	return &merger{session: s, hold: s.opts.Timeout + slack}
}

// run hands records out until all points have ended and all is taken, or
// until the session is closed.
func (m *merger) run(live <-chan struct{}) {
	defer close(m.session.out)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		m.collect()
		if live == nil && len(m.batch) == 0 {
			return
		}
		var out chan []*Record
		if len(m.batch) > 0 {
			out = m.session.out
		}
		if m.heap.Len() > 0 {
			timer.Reset(m.session.opts.Timeout / 2)
		}
		select {
		case out <- m.batch:
			m.taken()
		case <-m.session.wake:
		case <-timer.C:
		case <-live:
			live = nil // every reader has put its last into its queue
		case <-m.session.quit:
			if live != nil {
				<-live
			}
			m.giveUp()
			return
		}
	}
}

// collect moves what is final to the batch.
func (m *merger) collect() {
	now := m.clock.now().UnixNano()
	bound := endOfTime
	for _, r := range m.session.readers {
		records, b := r.collect(now, m.hold)
		bound = min(bound, b)
		for _, rec := range records {
			m.came++
			heap.Push(&m.heap, entry{rec, rec.Time.UnixNano(), r.order, m.came})
		}
	}
	for m.heap.Len() > 0 && m.heap[0].time <= bound {
		rec := heap.Pop(&m.heap).(entry).rec
		m.serial++
		rec.Serial = m.serial
		m.batch = append(m.batch, rec)
	}
}

// taken makes room for as much as the reader of the session took.
func (m *merger) taken() {
	for _, rec := range m.batch {
		m.session.budget.give(len(rec.Data))
	}
	m.batch = nil
}

// giveUp counts as skipped what nobody took. All readers have ended.
func (m *merger) giveUp() {
	m.collect()
	for _, rec := range m.batch {
		for _, r := range m.session.readers {
			if r.point == rec.Point {
				r.skip(1)
			}
		}
	}
	m.batch = nil
}

// entry is a record with what it is ordered by.
type entry struct {
	rec   *Record
	time  int64
	order int    // of its point
	came  uint64 // keeps what one point saw at one moment in its order
}

// entries is a heap.
type entries []entry

func (h entries) Len() int      { return len(h) }
func (h entries) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *entries) Push(x any)   { *h = append(*h, x.(entry)) }

func (h entries) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.order, b.order), cmp.Compare(a.came, b.came)) < 0
}

func (h *entries) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = entry{}
	*h = (*h)[:last]
	return e
}

// clock is the wall clock, except that it does not go back when somebody sets
// it: records would then wait for as long.
type clock struct{ last time.Time }

func (c *clock) now() time.Time {
	t := time.Now()
	if !c.last.IsZero() {
		if steady := c.last.Add(t.Sub(c.last)); t.Round(0).Before(steady.Round(0)) {
			t = steady
		}
	}
	c.last = t
	return t
}
