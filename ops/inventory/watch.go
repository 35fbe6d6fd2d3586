package inventory

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// snapshotGap is the least time between two readings: at most 10 a second.
	snapshotGap = 100 * time.Millisecond
	// listGap is how often namespaces and processes are listed anew. Nothing
	// tells of a namespace that only processes hold.
	listGap = 2 * time.Second
	// rulesGap is how often the rules are read while they are polled.
	rulesGap = time.Second
)

// Watcher keeps a Snapshot up to date. It hears of every change in every
// namespace (rtnetlink(7) and nf_tables events) and reads only what changed, in
// the namespace where it changed. It holds no file or socket in any of them.
// What the kernel sends no event for (the alias of a link that is down, say) is
// seen with the next change of that namespace.
//
// The process's main thread must be pinned (netns.Pin).
type Watcher struct {
	out    chan *Snapshot
	marks  *marks
	poll   atomic.Bool
	buffer int // of the event sockets, in bytes
	// resyncs counts how often the kernel dropped events and all was read anew.
	resyncs atomic.Int64
}

// NewWatcher returns a Watcher that Run sets going.
func NewWatcher() *Watcher {
	return &Watcher{out: make(chan *Snapshot, 1), marks: newMarks(), buffer: eventBuffer}
}

// Snapshots gives the newest snapshot that was not received yet: first a whole
// one, then one after every change, at most 10 a second. Those that came in
// between are dropped. It is closed when Run ends.
func (w *Watcher) Snapshots() <-chan *Snapshot { return w.out }

// SetRulePolling says whether the rules are read once a second for their
// counters, of which no event tells. It may be called at any time, concurrently.
func (w *Watcher) SetRulePolling(on bool) {
	if w.poll.Swap(on) != on && on {
		w.marks.add(func(d *dirty) { d.allRules = true })
	}
}

// Run watches until ctx ends, and then returns nil. It is called once. All that
// it started has ended, and all that it opened is closed, when it returns.
//
// Without the privilege to hear of other namespaces it hears of its own only,
// reads the others every 2 seconds as far as it may, and says so in a warning of
// each snapshot.
func (w *Watcher) Run(ctx context.Context) error {
	defer close(w.out)
	names, err := newNameWatcher()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return names.hear(ctx, w.marks) })
	g.Go(func() error { return w.observe(ctx) })
	return g.Wait()
}

// observe opens the observer, hears it, and reads what it tells of.
func (w *Watcher) observe(ctx context.Context) error {
	state := &state{spaces: map[uint64]*watched{}}
	o, err := newObserver(w.buffer)
	if err != nil {
		state.warning = fmt.Sprintf("live updates are for the own network namespace only, others are read every %v: %v", listGap, err)
		if o, err = newOwnObserver(w.buffer); err != nil {
			return err
		}
	}
	defer o.close()
	state.observer = o

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return o.hear(ctx, o.route, w.marks, func(d *dirty, id int) { d.links[id] = true })
	})
	if o.rules != nil {
		g.Go(func() error {
			return o.hear(ctx, o.rules, w.marks, func(d *dirty, id int) { d.rules[id] = true })
		})
	}
	g.Go(func() error { return w.follow(ctx, state) })
	return g.Wait()
}

// follow reads what is marked, and sends snapshots, until ctx ends.
func (w *Watcher) follow(ctx context.Context, state *state) error {
	lister, poller := time.NewTicker(listGap), time.NewTicker(rulesGap)
	defer lister.Stop()
	defer poller.Stop()
	w.marks.add(func(d *dirty) { d.all = true })
	var serial uint64
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-lister.C:
			w.marks.add(func(d *dirty) { d.list, d.all = true, d.all || state.observer.control == nil })
			continue
		case <-poller.C:
			if w.poll.Load() {
				w.marks.add(func(d *dirty) { d.allRules = true })
			}
			continue
		case <-w.marks.some:
		}
		start := time.Now()
		d := w.marks.take()
		if d.overrun {
			w.resyncs.Add(1)
		}
		changed, err := state.update(ctx, d)
		if err != nil {
			return nil // ctx ended
		}
		if state.lost {
			w.marks.add(func(d *dirty) { d.list = true })
		}
		if changed {
			serial++
			w.send(state.snapshot(serial))
		}
		// The first change after a quiet time is shown at once; those that
		// come close behind it wait for each other.
		if (changed || d.reads()) && !pause(ctx, snapshotGap-time.Since(start)) {
			return nil
		}
	}
}

// send replaces a snapshot that nobody has received yet.
func (w *Watcher) send(s *Snapshot) {
	select {
	case <-w.out:
	default:
	}
	w.out <- s // has room: nobody else sends
}

// pause waits, and tells whether ctx is still going on.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
