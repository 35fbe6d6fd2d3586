package main

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"vethscope/capture"
	"vethscope/ops/inventory"
)

// batch is what following packets has brought since the last one.
type batch struct {
	packets  int               // how many came
	records  []*capture.Record // they, decoded, if the follower was told to
	rewrites []*capture.Rewrite
	journeys []*capture.Journey // if it was told to
	notices  []string           // what went wrong on the way, for the user
}

// following says what a follower does with the packets.
type following struct {
	capture.Options
	records  bool // decode every one, at about a microsecond each
	rewrites bool // find out which were rewritten; needs two points
	journeys bool // tell of every one's way
	// forwarded tells, as rewrites, also of those that were only forwarded.
	forwarded bool
}

// follower captures at several points and tells which packets were rewritten
// between them, and by which rule: it joins the capture with conntrack and the
// rules of the namespaces that the points are in, and of the host.
type follower struct {
	session  *capture.Session
	store    *capture.Store
	records  bool
	matcher  *capture.Matcher       // nil when nothing is matched
	journeys *capture.Journeys      // nil when nobody asks for them
	nat      *translator            // nil when nothing is matched
	told     *capture.Translations  // what it told, when set before run
	talks    *capture.Conversations // counted, when set before run
	notices  chan string
	forgot   bool          // that the matcher forgets flows was told
	taken    uint64        // serial of the last packet
	skipped  atomic.Uint64 // packets that the store let go of before we saw them
}

// tick is how often the matcher is told the time when no packet tells it.
const tick = 50 * time.Millisecond

// follow opens the points. When it returns, every packet and every flow from now
// on is seen.
func follow(ctx context.Context, points []capture.Point, o following) (*follower, error) {
	f := &follower{records: o.records, notices: make(chan string, 16)}
	var err error
	matching := o.rewrites && len(points) > 1
	if matching || o.journeys {
		if f.nat, err = watchTranslations(ctx, points, f.notice); err != nil {
			return nil, err
		}
	}
	if o.VXLANPorts == nil {
		o.VXLANPorts = vxlanPorts(ctx)
	}
	// run ends the session when ctx ends: what was captured until then counts.
	if f.session, err = capture.Open(context.WithoutCancel(ctx), points, o.Options); err != nil {
		f.close()
		return nil, err
	}
	f.store = f.session.Store()
	if o.journeys {
		f.journeys = capture.NewJourneys(f.store.Record, points...)
	}
	if matching {
		f.matcher = capture.NewMatcher(points...)
		f.matcher.OnlyRewritten = !o.forwarded
	}
	return f, nil
}

// vxlanPorts are the UDP ports of all vxlan links: an underlay sees the packets
// of links that live elsewhere.
func vxlanPorts(ctx context.Context) []uint16 {
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return nil // the usual ports are known all the same
	}
	var out []uint16
	for _, n := range snap.Namespaces {
		for _, l := range n.Links {
			if d := l.Detail; d != nil && d.Port > 0 && !slices.Contains(out, uint16(d.Port)) {
				out = append(out, uint16(d.Port))
			}
		}
	}
	return out
}

// notice never blocks: a user who got sixteen needs no seventeenth.
func (f *follower) notice(text string) {
	select {
	case f.notices <- text:
	default:
	}
}

// run hands out what comes, until ctx ends or all points have ended. It is
// called once; everything is closed when it returns.
func (f *follower) run(ctx context.Context, emit func(batch)) {
	defer f.close()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	emit, finish := f.apart(emit)
	defer finish()
	seen, spare := make(chan []capture.Brief), make(chan []capture.Brief, 2)
	go f.read(seen, spare)
	for {
		var b batch
		select {
		case briefs, ok := <-seen:
			f.learn(ctx, &b) // what rewrote these packets has begun
			if !ok {
				f.flush(&b)
				emit(b)
				return
			}
			f.see(&b, briefs)
			f.taken = briefs[len(briefs)-1].Serial
			spare <- briefs
		case text := <-f.notices:
			b.notices = []string{text}
		case now := <-ticker.C:
			f.learn(ctx, &b)
			if _, end := f.store.Span(); end > f.taken+1 {
				break // time goes by the packets that wait to be taken
			}
			f.advance(&b, now.Add(-tick)) // what is on its way through the rings is not late yet
		case <-ctx.Done():
			f.session.Stop()
			ctx = context.Background() // go on until the packets are through
		}
		emit(b) // also when it is empty: time passes
	}
}

// maxBatches is how many batches may wait for who takes them.
const maxBatches = 16

// apart decodes what is told of, and hands it to emit, in a goroutine of its own:
// the matching does not wait for it. finish returns when all was handed on.
func (f *follower) apart(emit func(batch)) (queue func(batch), finish func()) {
	batches, done := make(chan batch, maxBatches), make(chan struct{})
	go func() {
		defer close(done)
		for b := range batches {
			for _, r := range b.rewrites {
				r.Load(f.store.Record)
			}
			emit(b)
		}
	}()
	return func(b batch) { batches <- b }, func() { close(batches); <-done }
}

// atOnce is how many packets are looked at at once.
const atOnce = 1024

// read goes through the store until it has ended. The slices come back by spare.
func (f *follower) read(seen chan<- []capture.Brief, spare chan []capture.Brief) {
	defer close(seen)
	for range cap(spare) {
		spare <- make([]capture.Brief, atOnce)
	}
	for serial := uint64(1); f.store.Wait(context.Background(), serial-1); {
		briefs := (<-spare)[:atOnce]
		briefs = briefs[:f.store.View(serial, briefs)]
		f.skipped.Add(briefs[0].Serial - serial)
		serial = briefs[len(briefs)-1].Serial + 1
		seen <- briefs
	}
}

// see takes the next packets.
func (f *follower) see(b *batch, briefs []capture.Brief) {
	b.packets = len(briefs)
	if f.records {
		f.decode(b, briefs)
		return
	}
	for i := range briefs {
		brief := &briefs[i]
		if f.talks != nil {
			f.talks.See(brief)
		}
		// A connection's first packets are decoded in any case: the store
		// counts the numbers of the others from there.
		if brief.Innermost().TCPFlags&tcpSYN != 0 {
			_, _ = f.store.Record(brief.Serial)
		}
		if f.matcher != nil {
			b.rewrites = append(b.rewrites, f.matcher.See(brief)...)
		}
		if f.journeys != nil {
			b.journeys = append(b.journeys, f.journeys.See(brief)...)
		}
	}
}

// decode takes the next packets, when all of them are asked for.
func (f *follower) decode(b *batch, briefs []capture.Brief) {
	for i := range briefs {
		rec, ok := f.store.Record(briefs[i].Serial)
		if !ok {
			f.skipped.Add(1)
			continue
		}
		b.records = append(b.records, rec)
		if f.matcher != nil {
			b.rewrites = append(b.rewrites, f.matcher.Add(rec)...)
		}
		if f.journeys != nil {
			b.journeys = append(b.journeys, f.journeys.Add(rec)...)
		}
	}
}

const tcpSYN = 2

// learn tells of the flows that have begun.
func (f *follower) learn(ctx context.Context, b *batch) {
	if f.nat == nil {
		return
	}
	for _, t := range f.nat.take(ctx) {
		if f.told != nil {
			f.told.Add(t)
		}
		if f.matcher != nil {
			b.rewrites = append(b.rewrites, f.matcher.Translate(t)...)
		}
		if f.journeys != nil {
			b.journeys = append(b.journeys, f.journeys.Translate(t)...)
		}
	}
}

// advance tells the time.
func (f *follower) advance(b *batch, now time.Time) {
	if f.matcher != nil {
		b.rewrites = append(b.rewrites, f.matcher.Advance(now)...)
		if f.matcher.Forgotten() > 0 && !f.forgot {
			f.forgot = true
			f.notice("more flows are rewritten than can be remembered: later packets of the oldest stay unmatched")
		}
	}
	if f.journeys != nil {
		b.journeys = append(b.journeys, f.journeys.Advance(now)...)
	}
}

// flush waits for nothing any more.
func (f *follower) flush(b *batch) {
	if f.matcher != nil {
		b.rewrites = append(b.rewrites, f.matcher.Flush()...)
	}
	if f.journeys != nil {
		b.journeys = append(b.journeys, f.journeys.Flush()...)
	}
}

// stats are the counts of every point.
func (f *follower) stats() []capture.Stats { return f.session.Stats() }

func (f *follower) close() {
	if f.session != nil {
		f.session.Close()
	}
	if f.nat != nil {
		f.nat.close()
	}
}

// errNoPoint says that a point was not named right.
var errNoPoint = errors.New("a point is NAMESPACE:LINK, such as host:up0")
