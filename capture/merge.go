package capture

import (
	"cmp"
	"math"
	"runtime"
	"slices"
	"time"
)

const endOfTime = int64(math.MaxInt64)

// merger puts the packets of all points into one order of time.
//
// A packet may be read up to a block timeout after it was seen, so it is final
// only when every point is known to have nothing older. A point whose reader
// waits on an empty ring has nothing older than its timeout and slack; a busy
// one has nothing much older than what it read last.
type merger struct {
	session *Session
	runs    []run   // one a point
	heads   []int64 // of the runs, in merge
	final   []ref   // what was found to be final, for the store
	clock   clock
}

// run is what was read at one point and waits, in the order of time.
type run struct {
	entries []entry
	head    int
	spare   []entry // the slice that the reader fills next
}

const (
	// settleTime is how long the packets of a single point wait: the kernel
	// stamps them before it puts them into the ring, and may be interrupted in
	// between.
	settleTime = 100 * time.Microsecond
	// leastWait is for what comes with no further block: most do, and the next one
	// is not longer away than this.
	leastWait = 5 * time.Millisecond
)

// run merges until all points have ended and all is in the store, or until the
// session is closed.
func (m *merger) run(live <-chan struct{}) {
	defer m.session.finish()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := m.collect()
		if live == nil {
			return
		}
		if next > 0 {
			timer.Reset(next)
		}
		select {
		case <-m.session.wake:
			// Readers that sleep on busy links wake together: the others bring
			// theirs first, and all is looked at once.
			runtime.Gosched()
			select {
			case <-m.session.wake:
			default:
			}
		case <-timer.C:
		case <-live:
			live = nil // every reader has put its last into its queue
		}
	}
}

// collect moves what is final to the store. It returns after what time more
// will be, 0 when nothing waits.
func (m *merger) collect() time.Duration {
	now := m.clock.now().UnixNano()
	readers := m.session.list()
	for len(m.runs) < len(readers) {
		m.runs = append(m.runs, run{})
	}
	bound, hold := endOfTime, time.Duration(0)
	for i, r := range readers {
		entries, b := r.collect(now, m.runs[i].spare)
		m.runs[i].take(entries)
		bound = min(bound, b)
		hold = max(hold, r.timeout+slack)
	}
	if bound != endOfTime && m.session.alone() {
		bound, hold = max(bound, now-int64(settleTime)), settleTime
	}
	m.merge(bound)
	if len(m.final) > 0 {
		m.session.deliver(m.final)
		m.final = m.final[:0]
	}
	return m.next(now, hold)
}

// next is when the oldest packet that waits will be final.
func (m *merger) next(now int64, hold time.Duration) time.Duration {
	oldest := endOfTime
	for i := range m.runs {
		oldest = min(oldest, m.runs[i].time())
	}
	if oldest == endOfTime {
		return 0
	}
	return max(time.Duration(oldest-now)+hold, leastWait)
}

// take adds what was read, and keeps the other slice for the reader.
func (r *run) take(entries []entry) {
	waiting := len(r.entries) - r.head
	switch {
	case waiting == 0:
		r.spare, r.entries, r.head = r.entries[:0], entries, 0
	default:
		if r.head > len(r.entries)/2 {
			r.entries, r.head = append(r.entries[:0], r.entries[r.head:]...), 0
		}
		r.entries, r.spare = append(r.entries, entries...), entries[:0]
	}
	// A point's own packets may be a little out of order when several
	// processors send.
	wait := r.entries[r.head:]
	for i := max(waiting, 1); i < len(wait); i++ {
		if wait[i].time < wait[i-1].time {
			slices.SortStableFunc(wait, func(a, b entry) int { return cmp.Compare(a.time, b.time) })
			return
		}
	}
}

// time is that of the oldest entry, endOfTime when there is none.
func (r *run) time() int64 {
	if r.head == len(r.entries) {
		return endOfTime
	}
	return r.entries[r.head].time
}

// merge moves the entries up to bound to final. Of two at the same moment that
// of the earlier point comes first.
func (m *merger) merge(bound int64) {
	m.heads = m.heads[:0]
	for i := range m.runs {
		m.heads = append(m.heads, m.runs[i].time())
	}
	for {
		least, first, rival := oldest(m.heads)
		if first == endOfTime || first > bound {
			return
		}
		r := &m.runs[least]
		until := min(bound, rival)
		for r.head < len(r.entries) && r.entries[r.head].time <= until {
			m.final = append(m.final, r.entries[r.head].ref)
			r.head++
		}
		m.heads[least] = r.time()
	}
}

// oldest is the run whose head is the oldest, its time, and the time up to which
// no other run comes before it.
func oldest(heads []int64) (least int, first, rival int64) {
	first, rival = endOfTime, endOfTime
	for i, t := range heads {
		switch {
		case t < first:
			// At the same moment this one comes behind what was the oldest.
			least, first, rival = i, t, min(rival, first-1)
		case t < rival:
			rival = t
		}
	}
	return least, first, rival
}

// clock is the wall clock, except that it does not go back when somebody sets
// it: packets would then wait for as long.
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
