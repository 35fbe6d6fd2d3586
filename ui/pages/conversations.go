package pages

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// conversations is the page of who talks with whom in what is captured.
type conversations struct {
	kit.Browser[int, capture.Conversation]
	app   *App
	from  *Capture
	tally *tally
	round int // of commands: those of earlier ones bring nothing
	seen  tallyMsg
	start int64 // of the first
}

// tallyTick asks for the next count.
type tallyTick struct{ round int }

func newConversations(app *App, from *Capture) *conversations {
	p := &conversations{app: app, from: from}
	type row = capture.Conversation
	number := func(title string, text func(row) string, value func(row) float64, priority int) kit.Column[row] {
		return kit.Column[row]{Title: title, Cell: text, Right: true, Priority: priority, Min: 7, // which stays as the numbers change
			Compare: func(a, b row) int { return cmp.Compare(value(a), value(b)) }}
	}
	size := func(title string, value func(row) uint64, priority int) kit.Column[row] {
		return number(title, func(r row) string { return amount(float64(value(r))) + "B" }, func(r row) float64 { return float64(value(r)) }, priority)
	}
	p.Table = kit.NewTable(func(r row) int { return r.Number },
		kit.Column[row]{Title: "Proto", Cell: func(r row) string { return r.Name() }, Style: strongCell[row]},
		kit.Column[row]{Title: "A", Cell: func(r row) string { a, _ := r.Ends(); return a }, Flex: true, Min: 16, Ends: true, Compare: byEnd(0)},
		kit.Column[row]{Title: "B", Cell: func(r row) string { _, b := r.Ends(); return b }, Flex: true, Min: 16, Ends: true, Compare: byEnd(1)},
		kit.Column[row]{Title: "State", Cell: func(r row) string { return r.State.String() }, Style: dimCell[row], Priority: 4},
		kit.Column[row]{Title: "In", Cell: func(r row) string { return r.TunnelText() }, Style: dimCell[row], Priority: 3},
		kit.Column[row]{Title: "Flow", Cell: func(r row) string { return some(r.Flow) }, Right: true, Style: dimCell[row], Priority: 9},
		number("Packets", func(r row) string { return fmt.Sprint(r.Packets()) }, func(r row) float64 { return float64(r.Packets()) }, 5),
		size("A→B", func(r row) uint64 { return r.AB.Bytes }, 7),
		size("B→A", func(r row) uint64 { return r.BA.Bytes }, 7),
		size("Bytes", func(r row) uint64 { return r.Bytes() }, 0),
		number("Rate", p.rate, p.perSecond, 0),
		number("Start", func(r row) string { return fmt.Sprintf("%.3f", float64(r.First-p.start)/1e9) }, func(r row) float64 { return float64(r.First) }, 8),
		number("Lasted", func(r row) string { return lasted(r.Duration()) }, func(r row) float64 { return float64(r.Duration()) }, 6),
		kit.Column[row]{Title: "At", Cell: p.at, Wide: true, Style: dimCell[row], Priority: 10},
	)
	p.SortBy("Bytes", true)
	p.PaneTitle = func(r row) string { a, b := r.Ends(); return words(r.Name(), a, "↔", b) }
	p.Pane = func(th *kit.Theme, r row, w int) []string { return kit.Sections(th, w, p.about(r)) }
	return p
}

func some(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// amount is a number in three digits or so: "999 ", "1.2 k", "34 M".
func amount(n float64) string {
	for _, unit := range []string{" ", " k", " M", " G"} {
		switch {
		case n < 9.95 && unit != " ":
			return fmt.Sprintf("%.1f%s", n, unit)
		case n < 999.5:
			return fmt.Sprintf("%.0f%s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.0f T", n)
}

// perSecond is the bytes a second just now; of what is not captured any more, the
// mean.
func (p *conversations) perSecond(c capture.Conversation) float64 {
	switch d := c.Duration(); {
	case p.from.running:
		return c.Rate()
	case d > 0:
		return float64(c.Bytes()) / d.Seconds()
	}
	return 0
}

func (p *conversations) rate(c capture.Conversation) string {
	if n := p.perSecond(c); n >= 0.5 {
		return amount(n) + "B/s"
	}
	return "-"
}

func lasted(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Hour:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Minute).String()
}

// byEnd orders by address, then by port.
func byEnd(which int) func(a, b capture.Conversation) int {
	return func(a, b capture.Conversation) int {
		x, x2 := a.Key.Addrs()
		y, y2 := b.Key.Addrs()
		if which == 1 {
			x, y = x2, y2
		}
		return x.Compare(y)
	}
}

// at says where most of a conversation was seen, and that it was elsewhere.
func (p *conversations) at(c capture.Conversation) string {
	if int(c.Point) >= len(p.seen.points) {
		return ""
	}
	s := p.seen.points[c.Point].String()
	if c.Points > 1 {
		s += fmt.Sprintf(" +%d", c.Points-1)
	}
	return s
}

// Title is the page's.
func (p *conversations) Title() string { return "conversations" }

// Tell says how many there are.
func (p *conversations) Tell() string { return p.Table.Tell() }

// Show begins to count when the page is seen, and goes on where it was.
func (p *conversations) Show(visible bool) tea.Cmd {
	p.round++
	if !visible {
		return nil
	}
	return p.count()
}

// count is the next command.
func (p *conversations) count() tea.Cmd {
	source := p.from.source()
	switch {
	case source == nil:
		p.tally, p.seen = nil, tallyMsg{}
		p.SetRows(nil)
		return p.wait()
	case p.tally == nil || p.tally.source != source:
		p.tally = newTally(source)
	}
	selected := 0
	if r, ok := p.Selected(); ok {
		selected = r.Number
	}
	t, round, rewrites, ctx, now := p.tally, p.round, p.from.rewrites.rows, p.app.Context, p.now
	return func() tea.Msg {
		msg := t.count(ctx, selected, rewrites, now)
		msg.round = round
		return msg
	}
}

// now is the time that rates are as of: what is not captured any more stands
// still.
func (p *conversations) now() int64 {
	if p.from.running && p.app.Now != nil {
		return p.app.Now().UnixNano()
	}
	return 0
}

func (p *conversations) wait() tea.Cmd {
	round := p.round
	return p.app.Tick(refresh, func(time.Time) tea.Msg { return tallyTick{round} })
}

// Update takes what was counted, and keys while a filter is typed.
func (p *conversations) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tallyTick:
		if msg.round == p.round {
			return p.count()
		}
	case tallyMsg:
		if msg.round != p.round || msg.of != p.tally {
			return nil
		}
		p.seen = msg
		if len(msg.rows) > 0 {
			p.start = msg.rows[0].First
		}
		p.SetRows(msg.rows)
		if msg.more {
			return p.count()
		}
		return p.wait()
	}
	return p.Browser.Update(msg)
}

// View draws what is worth a warning, and the table.
func (p *conversations) View(th *kit.Theme, w, h int) string {
	p.Empty = "No packet yet."
	if p.from.source() == nil {
		p.Empty = "Nothing has been captured yet: c on the links page does."
	}
	head := p.head(th, w)
	return kit.Block(head, w, len(head)) + "\n" + p.Browser.View(th, w, h-len(head))
}

func (p *conversations) head(th *kit.Theme, w int) []string {
	total := 0.0
	for i := range p.seen.rows {
		total += p.seen.rows[i].PacketRate()
	}
	n, now := p.seen.counts, strings.TrimSpace(amount(total))+"/s now"
	if !p.from.running {
		now = "mean rates"
	}
	lines := []string{"  " + th.Dim.Render(kit.Cut(fmt.Sprintf("%d packets at all points, %s · counted where most of each was seen", n.Packets, now), w-3))}
	for _, warn := range []struct {
		n    uint64
		text string
	}{
		{p.seen.early, "packets had been let go before the counting began"},
		{p.seen.missed, "packets were let go before they were counted, or cannot be read"},
		{n.LetGo, "conversations were let go, those that had been silent for longest"},
		{n.Packets - n.Addressed, "packets have no addresses and belong to no conversation"},
	} {
		if warn.n > 0 {
			lines = append(lines, "  "+th.Warn.Render(kit.Cut(fmt.Sprintf("! %d %s", warn.n, warn.text), w-3)))
		}
	}
	return lines
}

// about is what the pane tells of a conversation.
func (p *conversations) about(c capture.Conversation) []kit.Section {
	a, b := c.Ends()
	facts := []kit.Fact{{Label: "A", Value: a}, {Label: "B", Value: b}, {Label: "began", Value: c.Start().Format("15:04:05.000000")},
		{Label: "lasted", Value: lasted(c.Duration())}}
	if c.State != capture.TCPNone {
		facts = append(facts, kit.Fact{Label: "state", Value: c.State.String()})
	}
	if c.Tunnel != capture.NoTunnel {
		facts = append(facts, kit.Fact{Label: "carried in", Value: c.TunnelText()})
	}
	if c.Flow != 0 {
		facts = append(facts, kit.Fact{Label: "flow", Value: fmt.Sprintf("%d, which NAT rewrites: its other conversations have that number, too", c.Flow)})
	}
	out := []kit.Section{{Title: "Conversation " + fmt.Sprint(c.Number), Facts: facts}}
	sides := p.seen.sides
	if len(sides) == 0 || sides[0].Number != c.Number { // what was selected just now is told with the next count
		sides = []capture.Conversation{c}
	}
	for _, s := range sides {
		s.Points = 1
		out = append(out, kit.Section{Title: "At " + p.at(s), Facts: []kit.Fact{
			{Label: "A→B", Value: traffic(s.AB, p.from.running)}, {Label: "B→A", Value: traffic(s.BA, p.from.running)},
		}})
	}
	return out
}

// traffic tells of one direction; live, with the rates.
func traffic(t capture.Traffic, live bool) string {
	s := fmt.Sprintf("%s, %d bytes", plural(int(t.Packets), "packet"), t.Bytes)
	if live && t.ByteRate >= 0.5 {
		s += fmt.Sprintf(", now %s packets/s, %sB/s", strings.TrimSpace(amount(t.PacketRate)), amount(t.ByteRate))
	}
	if t.Again > 0 {
		s += fmt.Sprintf(", %d sent again", t.Again)
	}
	if t.Late > 0 {
		s += fmt.Sprintf(", %d out of order", t.Late)
	}
	return s
}

// Actions of the page.
func (p *conversations) Actions() []kit.Action {
	none := func() string {
		if _, ok := p.Selected(); !ok {
			return "no conversation is selected"
		}
		return ""
	}
	own := []kit.Action{
		{ID: "conversations.packets", Binding: kit.Bind("enter", "show its packets"), Bar: 10, Disabled: none, Run: func() tea.Cmd {
			c, _ := p.Selected()
			back := p.app.Home() // first: what is not seen is not filtered
			return tea.Batch(back, p.from.only(c.Filter()))
		}},
		{ID: "conversations.follow", Binding: kit.Bind("f", "follow its stream"), Bar: 11, Disabled: func() string {
			c, ok := p.Selected()
			if ok && !c.Streams() {
				return "only TCP and UDP carry what can be followed, and this is " + c.Name()
			}
			return none()
		}, Run: func() tea.Cmd {
			c, _ := p.Selected()
			return p.app.Push(newStreamPage(p.app, p.from, p.tally.source, func() (capture.Conversation, capture.Point, bool) {
				return c, p.seen.points[c.Point], true
			}))
		}},
		p.Toggle("o"),
	}
	own = append(own, p.app.copyActions(func() (string, string) {
		c, ok := p.Selected()
		if !ok {
			return "", ""
		}
		return "the filter for it", c.Filter()
	}, func() string {
		c, _ := p.Selected()
		a, b := c.Ends()
		return words(c.Name(), a, b, c.TunnelText(), c.State.String(), "A→B", traffic(c.AB, false), "B→A", traffic(c.BA, false))
	})...)
	return append(own, p.Browser.Actions()...)
}

// talkActions of the capture page are those about conversations.
func (p *Capture) talkActions() []kit.Action {
	return []kit.Action{
		{ID: "capture.follow", Binding: kit.Bind("f", "follow its stream"), Disabled: func() string {
			if p.chosen() == nil {
				return "no packet is selected"
			}
			return ""
		}, Run: func() tea.Cmd {
			source, serial := p.source(), p.chosen().Serial
			return p.app.Push(newStreamPage(p.app, p, source, func() (capture.Conversation, capture.Point, bool) {
				return conversationAt(source, serial)
			}))
		}},
		{ID: "capture.conversations", Binding: kit.Bind("K", "conversations"), Bar: 61, Disabled: func() string {
			if p.source() == nil {
				return "nothing has been captured yet: c on the links page does"
			}
			return ""
		}, Run: func() tea.Cmd {
			if p.talks == nil {
				p.talks = newConversations(p.app, p)
			}
			return p.app.Push(p.talks)
		}},
	}
}

// growing says that there may be more packets in a moment.
func (p *Capture) growing() bool { return p.running || p.file != nil && !p.file.indexed }

// only shows all packets that pass a filter.
func (p *Capture) only(filter string) tea.Cmd {
	p.all = true
	return p.setFilter(filter)
}
