package pages

import (
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

const (
	// keepJourneys is how many packets of a flow stay on the ladder.
	keepJourneys = 1000
	// lookBack is how many packets before the one that is asked about are looked
	// through for others of its flow.
	lookBack = 1 << 16
	// lookTime is how long packets are looked through at once.
	lookTime = 40 * time.Millisecond
	// lookAgain is when it is seen whether a journey has come to its end while
	// nothing else happens.
	lookAgain = 250 * time.Millisecond
)

// ladder shows the packets of a flow, or of a few, as they go from point to
// point: one column a point, one row a sighting. It goes on while the capture
// does.
type ladder struct {
	app    *App
	title  string
	about  string // the flow
	source Source
	walk   *capture.FlowJourneys
	start  time.Time // of the times

	all    []*capture.Journey // in the order of their beginnings
	points []string           // in the order of the original direction
	gone   int                // journeys that were let go
	missed uint64             // packets that were let go unseen
	at     stop
	seek   uint64 // the packet to stop at when it is found; 0 for none
	follow bool   // stay at the last row
	late   bool   // follow once the packet is found

	visible, running, waiting, more, timed bool
	paused, absolute                       bool
	row, page                              int // line of the cursor, and lines that there were
}

// stop is a row: a sighting of a packet.
type stop struct {
	journey *capture.Journey
	hop     int
}

// ladderMsg brings what was found of the packets that came.
type ladderMsg struct {
	page *ladder
	part capture.FlowPart
}

// ladderTick says that it is time to look again.
type ladderTick struct{ page *ladder }

// ladderOpen brings the packets of a row, and of the one before.
type ladderOpen struct {
	page          *ladder
	before, after *capture.Record
	encap         bool
}

// newLadder is a ladder for the flows of these packets, the first of which is
// asked about; nil when none belongs to a flow.
func newLadder(app *App, c *Capture, of []*capture.Record) *ladder {
	p := &ladder{app: app, source: c.source(), start: c.start, absolute: c.absolute, late: c.list().Following()}
	briefs := make([]capture.Brief, len(of))
	for i, rec := range of {
		briefs[i] = rec.Brief(0)
	}
	if p.source == nil || len(of) == 0 {
		return nil
	}
	first, _ := p.source.Span()
	begin := first
	if p.seek = of[0].Serial; p.seek > first+lookBack {
		begin = p.seek - lookBack
	}
	var ok bool
	if p.walk, ok = capture.NewFlowJourneys(p.source, c.translations, begin, briefs...); !ok {
		return nil
	}
	if p.seek < first {
		p.seek, p.follow = 0, true
	}
	p.title, p.about = "journeys", flowText(&briefs[0])
	if n := len(of); n > 1 {
		p.about += fmt.Sprintf(" and of %s more", plural(n-1, "packet"))
	}
	return p
}

func flowText(b *capture.Brief) string {
	h := b.Innermost()
	src, dst := h.Key.Addrs()
	if src.Port() == 0 || h.Name() == "icmp" || h.Name() == "icmp6" {
		return words(h.Name(), src.Addr().String(), "↔", dst.Addr().String())
	}
	return words(h.Name(), src.String(), "↔", dst.String())
}

func (p *ladder) Title() string { return p.title }

// Show looks at what came while the page was not seen.
func (p *ladder) Show(visible bool) tea.Cmd {
	p.visible = visible
	return p.look()
}

// look looks through packets, unless that is being done or nobody wants it.
func (p *ladder) look() tea.Cmd {
	wanted := p.seek != 0 || p.follow || len(p.all) < keepJourneys
	if p.walk == nil || p.running || p.paused || !p.visible || !wanted {
		return nil
	}
	p.running = true
	walk := p.walk
	look := capture.Look{Now: p.app.Now(), May: lookTime, Most: keepJourneys, Latest: p.follow}
	if !p.follow && p.seek == 0 {
		look.Most -= len(p.all)
	}
	return func() tea.Msg { return ladderMsg{p, walk.Look(look)} }
}

// Update takes what was found.
func (p *ladder) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case CaptureMsg:
		if msg.Source == p.source {
			return p.look()
		}
	case ladderMsg:
		if msg.page == p {
			return p.take(msg.part)
		}
	case ladderTick:
		if msg.page == p {
			p.timed = false
			return p.look()
		}
	case ladderOpen:
		if msg.page == p {
			return p.open(msg)
		}
	}
	return nil
}

func (p *ladder) take(part capture.FlowPart) tea.Cmd {
	p.running, p.waiting, p.more = false, part.Waiting, part.More
	if part.Again {
		if j := p.at.journey; j != nil && p.seek == 0 {
			p.seek = j.Hops[p.at.hop].Serial
		}
		p.all, p.points, p.gone, p.missed, p.at = nil, nil, 0, 0, stop{}
	}
	p.missed += part.Missed
	p.gone += part.Skipped
	for _, j := range part.Journeys {
		p.add(j)
	}
	if p.seek != 0 && !part.More && !part.Waiting { // it is not to be found
		p.seek, p.follow = 0, true
	}
	p.forget()
	p.settle()
	if part.More {
		return p.look()
	}
	if part.Waiting && !p.timed {
		p.timed = true
		return p.app.Tick(lookAgain, func(time.Time) tea.Msg { return ladderTick{p} })
	}
	return nil
}

// add puts a journey in its place. They are told when they are complete, some
// sooner than others.
func (p *ladder) add(j *capture.Journey) {
	i := len(p.all)
	for i > 0 && j.Time.Before(p.all[i-1].Time) {
		i--
	}
	p.all = slices.Insert(p.all, i, j)
	p.points = insertPoints(p.points, j)
	for h := range j.Hops {
		if p.seek != 0 && j.Hops[h].Serial == p.seek {
			p.at, p.seek, p.follow = stop{j, h}, 0, p.late
		}
	}
}

// forget lets the oldest go when there are too many, but not what is looked at.
func (p *ladder) forget() {
	if n := len(p.all) - keepJourneys; n > 0 && (p.follow || p.seek != 0) {
		p.all = slices.Delete(p.all, 0, n)
		p.gone += n
	}
}

// settle puts the cursor onto a row that is there.
func (p *ladder) settle() {
	switch n := len(p.all); {
	case n == 0:
		p.at = stop{}
	case p.follow || p.seek != 0:
		last := p.all[n-1]
		p.at = stop{last, len(last.Hops) - 1}
	case p.at.journey == nil || !slices.Contains(p.all, p.at.journey):
		p.at = stop{p.all[0], 0}
	}
}

// insertPoints adds the points of a journey that are not there yet, where they
// stand on its way; replies go it backwards.
func insertPoints(points []string, j *capture.Journey) []string {
	way := make([]string, len(j.Hops))
	for i := range j.Hops {
		way[i] = j.Hops[i].Point
	}
	if j.Direction == capture.Reply {
		slices.Reverse(way)
	}
	for i, name := range way {
		if slices.Contains(points, name) {
			continue
		}
		at := len(points)
		if i > 0 {
			at = slices.Index(points, way[i-1]) + 1
		} else if next := slices.IndexFunc(way, func(w string) bool { return slices.Contains(points, w) }); next >= 0 {
			at = slices.Index(points, way[next])
		}
		points = slices.Insert(points, at, name)
	}
	return points
}

// move goes through the rows.
func (p *ladder) move(by int) {
	if len(p.all) == 0 {
		return
	}
	i := slices.Index(p.all, p.at.journey)
	h := p.at.hop + by
	for h < 0 && i > 0 {
		i--
		h += len(p.all[i].Hops)
	}
	for h >= len(p.all[i].Hops) && i < len(p.all)-1 {
		h -= len(p.all[i].Hops)
		i++
	}
	last := len(p.all[i].Hops) - 1
	p.at, p.seek = stop{p.all[i], max(0, min(h, last))}, 0
	p.follow = by > 0 && i == len(p.all)-1 && h >= last
}

// leap goes to the beginning of another packet.
func (p *ladder) leap(by int) func() tea.Cmd {
	return func() tea.Cmd {
		if len(p.all) > 0 {
			i := max(0, min(slices.Index(p.all, p.at.journey)+by, len(p.all)-1))
			p.at, p.follow = stop{p.all[i], 0}, false
		}
		return nil
	}
}

func (p *ladder) rows() (n int) {
	for _, j := range p.all {
		n += len(j.Hops)
	}
	return n
}

// fetch asks for the packets of the row, for a page of their own.
func (p *ladder) fetch(encap bool) func() tea.Cmd {
	return func() tea.Cmd {
		at, source := p.at, p.source
		return func() tea.Msg {
			msg := ladderOpen{page: p, encap: encap}
			record := func(h *capture.Hop) *capture.Record {
				if rec, ok := source.Record(h.Serial); ok {
					return rec
				}
				return h.Record
			}
			msg.after = record(&at.journey.Hops[at.hop])
			if at.hop > 0 {
				msg.before = record(&at.journey.Hops[at.hop-1])
			}
			return msg
		}
	}
}

// open shows the packet of the row; beside it that of the row before, if there
// is one.
func (p *ladder) open(msg ladderOpen) tea.Cmd {
	if msg.after == nil {
		return p.app.Toast(kit.Info, "this packet is no longer kept")
	}
	sides := oneSide(msg.after)
	if msg.before != nil {
		sides = sidesOf(msg.before, msg.after)
	}
	if msg.encap {
		return p.app.Push(newEncapPage(p.app, sides, len(sides)-1))
	}
	return p.app.Push(newPacketPage(p.app, sides, len(sides)-1))
}

// Actions of the page.
func (p *ladder) Actions() []kit.Action {
	none := func() string {
		if p.at.journey == nil {
			return "no packet is selected"
		}
		return ""
	}
	carries := func() string {
		if j := p.at.journey; j != nil && j.Hops[p.at.hop].Tunnel == nil && (p.at.hop == 0 || j.Hops[p.at.hop-1].Tunnel == nil) {
			return "no tunnel carries the packet here"
		}
		return none()
	}
	list := []kit.Action{
		{ID: "capture.bytes", Binding: kit.Bind("v", "headers and bytes"), Bar: 10, Disabled: none, Run: p.fetch(false)},
		{ID: "capture.encap", Binding: kit.Bind("e", "packets within the packet"), Bar: 11, Disabled: carries, Run: p.fetch(true)},
		{ID: "ladder.next", Binding: kit.Bind("tab", "next packet"), Bar: 12, Run: p.leap(1)},
		{ID: "ladder.previous", Binding: kit.Bind("shift+tab", "packet before"), Run: p.leap(-1)},
		{ID: "capture.pause", Binding: kit.Bind("p", "pause or follow"), Bar: 14, Run: p.pause},
		{ID: "capture.time", Binding: kit.Bind("T", "time of day or since the first"), Run: func() tea.Cmd {
			p.absolute = !p.absolute
			return nil
		}},
	}
	list = append(list, p.app.copyActions(func() (string, string) {
		if p.at.journey == nil {
			return "", ""
		}
		h := &p.at.journey.Hops[p.at.hop]
		return "the packet's ends", h.Src + " → " + h.Dst
	}, func() string { return journeyText(p.at.journey) })...)
	for _, a := range kit.Moves(p.move, p.rows, func() int { return p.page }) {
		run := a.Run
		a.Run = func() tea.Cmd { return tea.Batch(run(), p.look()) } // there may be more to come
		list = append(list, a)
	}
	return list
}

func (p *ladder) pause() tea.Cmd {
	switch {
	case p.paused:
		p.paused, p.follow = false, true
	case !p.follow:
		p.follow = true
	default:
		p.paused, p.follow = true, false
	}
	p.settle()
	return p.look()
}

// Tell says which packet it is, of how many, and whether more come.
func (p *ladder) Tell() string {
	s := plural(len(p.all), "packet")
	if i := slices.Index(p.all, p.at.journey); i >= 0 {
		s = fmt.Sprintf("packet %d of %d", i+1, len(p.all))
	}
	switch {
	case p.paused:
		s += ", paused"
	case p.follow:
		s += ", following"
	case p.more || len(p.all) >= keepJourneys:
		s += ", G for more"
	}
	if p.gone > 0 {
		s += fmt.Sprintf(", %d older let go", p.gone)
	}
	if p.missed > 0 {
		s += fmt.Sprintf(", %d packets let go unseen", p.missed)
	}
	return s
}
