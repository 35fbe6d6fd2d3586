package pages

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// maxStream is how many bytes of a stream are shown.
const maxStream = 4 << 20

// following reads a stream out of a source, in commands.
type following struct {
	source Source
	find   func() (capture.Conversation, capture.Point, bool)

	mu     sync.Mutex // one command at a time
	conv   capture.Conversation
	at     capture.Point
	stream *capture.Stream
	next   uint64
	missed uint64 // packets that were let go unread
	said   int    // bytes
}

// streamMsg brings a part of a stream.
type streamMsg struct {
	of     *following
	round  int
	conv   capture.Conversation
	at     capture.Point
	gone   bool // the packet that it was about is not there any more
	chunks []capture.Chunk
	missed uint64
	more   bool
	full   bool // there is more than is shown
	ended  bool
}

// read reads on for a moment. last says that nothing more will come: then what
// waits for what is missing is told.
func (f *following) read(ctx context.Context, last bool) (msg streamMsg) {
	f.mu.Lock()
	defer f.mu.Unlock()
	msg.of = f
	if f.stream == nil {
		var ok bool
		if f.conv, f.at, ok = f.find(); !ok || !f.conv.Streams() {
			msg.gone, msg.ended = true, true
			return msg
		}
		f.stream, f.next = capture.NewStream(f.conv, f.at), f.conv.FirstSerial
	}
	until := time.Now().Add(scanTime)
	briefs := make([]capture.Brief, 512)
	for ctx.Err() == nil && f.said < maxStream && !f.stream.Over() {
		n := f.source.View(f.next, briefs)
		if _, end := f.source.Span(); n == 0 && f.next < end { // it cannot be read
			f.next++
			f.missed++
			continue
		}
		if n == 0 {
			break
		}
		f.missed += briefs[0].Serial - f.next
		for i := range briefs[:n] {
			f.take(&briefs[i], &msg)
		}
		f.next = briefs[n-1].Serial + 1
		if msg.more = time.Now().After(until); msg.more {
			break
		}
	}
	if last && !msg.more {
		msg.chunks = append(msg.chunks, f.stream.Flush()...)
	}
	msg.conv, msg.at, msg.missed, msg.full = f.conv, f.at, f.missed, f.said >= maxStream
	msg.ended = last && !msg.more || f.stream.Over() || msg.full
	return msg
}

func (f *following) take(b *capture.Brief, msg *streamMsg) {
	if !f.stream.Takes(b) {
		return
	}
	rec, ok := f.source.Record(b.Serial)
	if !ok {
		f.missed++
		return
	}
	for _, c := range f.stream.Add(rec) {
		f.said += len(c.Data)
		msg.chunks = append(msg.chunks, c)
	}
}

// turn is what one side said until the other one did, or bytes of it that are
// missing.
type turn struct {
	fromB   bool
	at      int // behind how many bytes of that side
	data    []byte
	missing string
}

// streamPage shows what the two sides of a conversation said to each other.
type streamPage struct {
	app    *App
	from   *Capture
	task   *following
	round  int
	seen   streamMsg // without its chunks
	turns  []turn
	said   [2]int // bytes of each side
	passed [2]int // and with those that are missing
	cut    int64  // bytes that were not kept
	hex    bool
	only   int // 1 for A, 2 for B, 0 for both
	lines  []streamLine
	fit    fitted // what lines were made for
	top    int
	page   int
	stick  bool // to the end
	search finder
}

type streamTick struct{ round int }

func newStreamPage(app *App, from *Capture, s Source, find func() (capture.Conversation, capture.Point, bool)) *streamPage {
	return &streamPage{app: app, from: from, task: &following{source: s, find: find}, search: finder{in: kit.NewInput("")}}
}

// Title is the page's.
func (p *streamPage) Title() string { return "stream" }

// Show reads while the page is seen.
func (p *streamPage) Show(visible bool) tea.Cmd {
	p.round++
	if !visible || p.seen.ended {
		return nil
	}
	return p.read()
}

func (p *streamPage) read() tea.Cmd {
	task, round, ctx := p.task, p.round, p.app.Context
	last := !p.from.growing() || p.from.source() != task.source
	return func() tea.Msg {
		msg := task.read(ctx, last)
		msg.round = round
		return msg
	}
}

// Update takes a part of the stream, and keys while something is looked for.
func (p *streamPage) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case streamTick:
		if msg.round == p.round {
			return p.read()
		}
	case streamMsg:
		if msg.of != p.task {
			return nil
		}
		p.add(msg.chunks, msg.conv.Name() == "tcp")
		msg.chunks = nil
		p.seen = msg
		switch {
		case msg.round != p.round || msg.ended:
		case msg.more:
			return p.read()
		default:
			round := p.round
			return p.app.Tick(refresh, func(time.Time) tea.Msg { return streamTick{round} })
		}
	case tea.KeyMsg:
		p.typed(msg)
	}
	return nil
}

// add takes chunks; what one side says in a row is one turn, but each datagram is
// one for itself.
func (p *streamPage) add(chunks []capture.Chunk, tcp bool) {
	for _, c := range chunks {
		last, side := len(p.turns)-1, b2i(c.FromB)
		t := turn{fromB: c.FromB, at: p.passed[side]}
		p.said[side] += len(c.Data)
		p.passed[side] += len(c.Data) + int(c.Missing)
		switch {
		case c.Missing > 0 && c.NotKept:
			t.missing = plural(int(c.Missing), "byte") + " not kept"
			p.cut += c.Missing
		case c.Missing > 0:
			t.missing = plural(int(c.Missing), "byte") + " missing: no packet with them was seen"
		case tcp && last >= 0 && p.turns[last].fromB == c.FromB && p.turns[last].missing == "":
			p.turns[last].data = append(p.turns[last].data, c.Data...)
			continue
		default:
			t.data = append([]byte(nil), c.Data...)
		}
		p.turns = append(p.turns, t)
	}
	p.fit = fitted{}
}

// Tell says how much there is.
func (p *streamPage) Tell() string {
	if len(p.lines) == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d-%d of %s", p.top+1, min(p.top+p.page, len(p.lines)), plural(len(p.lines), "line"))
}

// Actions of the page.
func (p *streamPage) Actions() []kit.Action {
	do := func(f func()) func() tea.Cmd { return func() tea.Cmd { f(); return nil } }
	own := []kit.Action{
		{ID: "stream.hex", Binding: kit.Bind("x", "text or bytes"), Bar: 10, Run: do(func() { p.hex = !p.hex })},
		{ID: "stream.side", Binding: kit.Bind("tab", "both sides, A, or B"), Bar: 11, Run: do(func() { p.only = (p.only + 1) % 3 })},
		{ID: "stream.search", Binding: kit.Bind("/", "look for text"), Bar: 12, Run: do(func() { p.search.typing = true })},
		{ID: "stream.copy", Binding: kit.Bind("Y", "copy what is shown"), Bar: 13, Run: func() tea.Cmd {
			return p.app.Copy("what was said", p.text())
		}},
	}
	return append(own, kit.Moves(func(by int) {
		p.top += by
		p.stick = p.top >= len(p.lines)-p.page && by > 0
	}, func() int { return len(p.lines) }, func() int { return p.page })...)
}

// View draws who they are, and a part of what they say.
func (p *streamPage) View(th *kit.Theme, w, h int) string {
	head := p.head(th, w)
	foot := p.search.lines(th, w)
	p.page = h - len(head) - len(foot)
	p.arrange(w - 4)
	if p.stick {
		p.top = len(p.lines)
	}
	p.top = max(0, min(p.top, len(p.lines)-p.page))
	var body []string
	for i := p.top; i < min(len(p.lines), p.top+p.page); i++ {
		body = append(body, p.draw(th, p.lines[i], i == p.search.at && p.search.found))
	}
	if len(p.lines) == 0 {
		body = []string{"", "  " + th.Dim.Render(p.nothing())}
	}
	out := kit.Block(head, w, len(head)) + "\n" + kit.Block(body, w, p.page)
	if len(foot) > 0 {
		out += "\n" + kit.Block(foot, w, len(foot))
	}
	return out
}

func (p *streamPage) nothing() string {
	switch {
	case p.seen.gone:
		return "The packet is not kept any more, or is neither TCP nor UDP."
	case !p.seen.ended:
		return "Nothing has been said yet."
	case p.said != [2]int{}:
		return "This side said nothing."
	}
	return "Nothing was said."
}

func (p *streamPage) head(th *kit.Theme, w int) []string {
	c := &p.seen.conv
	if p.seen.of == nil || p.seen.gone {
		return []string{""}
	}
	a, b := c.Ends()
	side := func(mark, name, end string, n int) string {
		return fmt.Sprintf("%s %s %s %sB", mark, name, end, amount(float64(n)))
	}
	in := ""
	if c.Tunnel != capture.NoTunnel {
		in = " in " + c.TunnelText()
	}
	place := th.Strong.Render(c.Name()) + th.Dim.Render(in+" at "+kit.Safe(p.seen.at.String()))
	ends := th.Accent.Render(side(toB, "A", a, p.said[0])) + "  " + th.Good.Render(side(toA, "B", b, p.said[1]))
	lines := []string{"  " + place + "  " + ends}
	if kit.Width(lines[0]) > w-1 {
		lines = []string{"  " + place, "  " + ends}
	}
	for _, warn := range []struct {
		on   bool
		text string
	}{
		{p.seen.missed > 0, fmt.Sprintf("%d packets of the capture were let go unread: what they said is missing", p.seen.missed)},
		{p.cut > 0, fmt.Sprintf("%sB not kept: the capture cut its packets short (--snaplen)", amount(float64(p.cut)))},
		{p.seen.full, fmt.Sprintf("there is more: the first %d MB are shown", maxStream>>20)},
	} {
		if warn.on {
			lines = append(lines, "  "+th.Warn.Render(kit.Cut("! "+warn.text, w-3)))
		}
	}
	return lines
}

// text is what is shown, for the clipboard.
func (p *streamPage) text() string {
	var b strings.Builder
	for _, l := range p.lines {
		b.WriteString(p.lineText(l) + "\n")
		if b.Len() > maxCopy {
			b.WriteString("…\n")
			break
		}
	}
	return b.String()
}

// maxCopy bounds what is given to the terminal's clipboard; many take no more.
const maxCopy = 100_000
