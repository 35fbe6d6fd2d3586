package pages

import (
	"context"
	"sync"
	"time"

	"vethscope/capture"
)

const (
	// refresh is how often the conversations are drawn anew.
	refresh = 250 * time.Millisecond
	// glance is how often packets are counted meanwhile: at two million a second
	// the store holds them for fifty milliseconds.
	glance = 10 * time.Millisecond
)

// tally counts the conversations of a source, in commands.
type tally struct {
	source Source

	mu       sync.Mutex // one command at a time
	c        *capture.Conversations
	next     uint64 // serial of the packet that is counted next
	early    uint64 // packets that were let go before the counting began
	missed   uint64 // since then, before they were counted, or that cannot be read
	rewrites uint64 // the last of the page's that was told
	briefs   []capture.Brief
}

func newTally(s Source) *tally { return &tally{source: s, c: capture.NewConversations(0)} }

// begin finds the first packet that is there.
func (t *tally) begin() {
	if t.next == 0 {
		t.next, _ = t.source.Span()
		t.early = t.next - 1
	}
}

// tallyMsg brings the conversations as they are now.
type tallyMsg struct {
	of     *tally
	round  int // of the page's commands
	rows   []capture.Conversation
	sides  []capture.Conversation // what each point saw of the selected one
	points []capture.Point
	counts capture.ConversationCounts
	early  uint64
	missed uint64
	more   bool // there are packets that were not counted yet
}

// count counts what there is, and while more comes goes on until it is time to
// draw. now is the time that rates are as of, as capture.Conversations takes it.
func (t *tally) count(ctx context.Context, selected int, rewrites []packet, now func() int64) (msg tallyMsg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begin()
	for _, r := range rewrites {
		if r.serial > t.rewrites {
			t.c.Tell(r.rewrite)
			t.rewrites = r.serial
		}
	}
	for until := time.Now().Add(refresh); ; {
		n, more := t.catchUp(until)
		if msg.more = more; n == 0 || more || !time.Now().Before(until) {
			break
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return msg
		}
	}
	msg.of, msg.rows, msg.sides = t, t.c.Snapshot(now(), nil), t.c.Sides(selected, now())
	msg.points, msg.counts = t.source.Points(), t.c.Counts()
	msg.early, msg.missed = t.early, t.missed
	return msg
}

// catchUp counts all packets that there are, and says how many; more is true
// when it took too long.
func (t *tally) catchUp(until time.Time) (n int, more bool) {
	if t.briefs == nil {
		t.briefs = make([]capture.Brief, 512)
	}
	for {
		got := t.source.View(t.next, t.briefs)
		if _, end := t.source.Span(); got == 0 && t.next < end { // it cannot be read
			t.next++
			t.missed++
			continue
		}
		if got == 0 {
			return n, false
		}
		t.missed += t.briefs[0].Serial - t.next
		for i := range t.briefs[:got] {
			t.c.See(&t.briefs[i])
		}
		t.next = t.briefs[got-1].Serial + 1
		if n += got; !time.Now().Before(until) {
			return n, true
		}
	}
}

// conversationAt is the conversation of one packet, at the point where it was
// seen: ok is false when the packet is not there any more.
func conversationAt(s Source, serial uint64) (c capture.Conversation, at capture.Point, ok bool) {
	t := newTally(s)
	t.begin()
	briefs := make([]capture.Brief, 512)
	for {
		n := s.View(t.next, briefs)
		for i := range briefs[:n] {
			b := &briefs[i]
			if t.c.See(b); b.Serial < serial {
				continue
			}
			c, ok = t.c.Of(b)
			c.Point = b.Point
			return c, s.Points()[b.Point], ok && b.Serial == serial
		}
		if t.next += uint64(max(n, 1)); t.next > serial {
			return c, at, false
		}
		if n > 0 {
			t.next = briefs[n-1].Serial + 1
		}
	}
}
