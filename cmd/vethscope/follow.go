package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"vethscope/capture"
	"vethscope/ops/inventory"
)

// batch is what following packets has brought since the last one.
type batch struct {
	records  []*capture.Record
	rewrites []*capture.Rewrite
	journeys []*capture.Journey // only of a follower that was told to
	notices  []string           // what went wrong on the way, for the user
}

// follower captures at several points and tells which packets were rewritten
// between them, and by which rule: it joins the capture with conntrack and the
// rules of the namespaces that the points are in, and of the host.
type follower struct {
	points  []capture.Point
	session *capture.Session
	matcher *capture.Matcher
	// journeys, when set before run, tells of every packet's way.
	journeys *capture.Journeys
	nat      *translator
	taken    uint64 // serial of the last record
	notices  chan string
}

// tick is how often the matcher is told the time when no packet tells it.
const tick = 50 * time.Millisecond

// follow opens the points. When it returns, every packet and every flow from now
// on is seen.
func follow(ctx context.Context, points []capture.Point, o capture.Options) (*follower, error) {
	f := &follower{points: points, matcher: capture.NewMatcher(points...), notices: make(chan string, 16)}
	var err error
	if f.nat, err = watchTranslations(ctx, points, f.notice); err != nil {
		return nil, err
	}
	if o.VXLANPorts == nil {
		o.VXLANPorts = vxlanPorts(ctx)
	}
	// run ends the session when ctx ends: what was captured until then counts.
	if f.session, err = capture.Open(context.WithoutCancel(ctx), points, o); err != nil {
		f.close()
		return nil, err
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
	for {
		var b batch
		select {
		case records, ok := <-f.session.Records():
			f.learn(ctx, &b) // what rewrote these packets has begun
			if !ok {
				b.rewrites = append(b.rewrites, f.matcher.Flush()...)
				f.travel(&b, (*capture.Journeys).Flush)
				emit(b)
				return
			}
			b.records = records
			f.taken = records[len(records)-1].Serial
			for _, r := range records {
				b.rewrites = append(b.rewrites, f.matcher.Add(r)...)
				f.travel(&b, func(j *capture.Journeys) []*capture.Journey { return j.Add(r) })
			}
		case text := <-f.notices:
			b.notices = []string{text}
		case now := <-ticker.C:
			f.learn(ctx, &b)
			if _, end := f.session.Store().Span(); end > f.taken+1 {
				break // time goes by the packets that wait to be taken
			}
			// What is on its way through the rings is not late yet.
			b.rewrites = append(b.rewrites, f.matcher.Advance(now.Add(-tick))...)
			f.travel(&b, func(j *capture.Journeys) []*capture.Journey { return j.Advance(now.Add(-tick)) })
		case <-ctx.Done():
			f.session.Stop()
			ctx = context.Background() // go on until the records are through
		}
		emit(b) // also when it is empty: time passes
	}
}

// learn tells the matcher of the flows that have begun.
func (f *follower) learn(ctx context.Context, b *batch) {
	for _, t := range f.nat.take(ctx) {
		b.rewrites = append(b.rewrites, f.matcher.Translate(t)...)
		f.travel(b, func(j *capture.Journeys) []*capture.Journey { return j.Translate(t) })
	}
}

// travel adds the journeys that are complete after do.
func (f *follower) travel(b *batch, do func(*capture.Journeys) []*capture.Journey) {
	if f.journeys != nil {
		b.journeys = append(b.journeys, do(f.journeys)...)
	}
}

// stats are the counts of every point.
func (f *follower) stats() []capture.Stats { return f.session.Stats() }

func (f *follower) close() {
	if f.session != nil {
		f.session.Close()
	}
	f.nat.close()
}

// errNoPoint says that a point was not named right.
var errNoPoint = errors.New("a point is NAMESPACE:LINK, such as host:up0")
