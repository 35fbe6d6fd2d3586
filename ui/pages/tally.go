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
	missed   uint64 // packets that were let go before they were counted
	rewrites uint64 // the last of the page's that was told
	briefs   []capture.Brief
}

func newTally(s Source) *tally {
	return &tally{source: s, c: capture.NewConversations(0), next: 1}
}

// tallyMsg brings the conversations as they are now.
type tallyMsg struct {
	of     *tally
	round  int // of the page's commands
	rows   []capture.Conversation
	sides  []capture.Conversation // what each point saw of the selected one
	points []capture.Point
	counts capture.ConversationCounts
	missed uint64
	more   bool // there are packets that were not counted yet
}

// count counts what there is, and while more comes goes on until it is time to
// draw. now is the time that rates are as of, as capture.Conversations takes it.
func (t *tally) count(ctx context.Context, selected int, rewrites []packet, now func() int64) (msg tallyMsg) {
	t.mu.Lock()
	defer t.mu.Unlock()
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
	msg.points, msg.counts, msg.missed = t.source.Points(), t.c.Counts(), t.missed
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
	first, _ := s.Span()
	one := make([]capture.Brief, 1)
	for t.next = first; t.next <= serial; t.next = one[0].Serial + 1 {
		if s.View(t.next, one) == 0 || one[0].Serial > serial {
			return c, at, false
		}
		t.c.See(&one[0])
	}
	if c, ok = t.c.Of(&one[0]); !ok || one[0].Serial != serial {
		return c, at, false
	}
	c.Point = one[0].Point
	return c, s.Points()[c.Point], true
}
