package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// keep is how many packets, and how many rewrites, stay on the page. Those
// that are let go are counted.
const keep = 20000

// packet is a row of the capture page: a rewrite, or a packet at one point.
type packet struct {
	serial  int
	rewrite *capture.Rewrite // nil for a packet
	record  *capture.Record  // nil for a rewrite
}

// packetList is one of the two lists of the page.
type packetList struct {
	kit.Browser[int, packet]
	rows []packet
	next int
	gone int // let go of
	// shown are the rows that pass the display filter, of those up to a serial.
	shown []packet
	upTo  int
	again bool // what passes has changed
}

func (l *packetList) add(p packet) {
	l.next++
	p.serial = l.next
	if len(l.rows) >= keep {
		drop := keep / 10
		l.gone += drop
		l.rows = slices.Clone(l.rows[drop:]) // what a paused table shows stays as it is
	}
	l.rows = append(l.rows, p)
}

// Capture is the page of the packets.
type Capture struct {
	app      *App
	points   []capture.Point
	running  bool
	start    time.Time // of the first packet
	stats    []capture.Stats
	notice   string
	probe    string // what was sent to be watched
	result   string
	failed   bool
	paused   bool
	stale    bool
	all      bool // packets, not rewrites
	pick     bool // select the first rewrite that comes
	full     int  // detail: 0 by the room there is, 1 only what changed, 2 all
	rewrites packetList
	packets  packetList
	display  display
	known    map[*capture.Record]*capture.Rewrite // whose side a packet is
	absolute bool                                 // times of day, not since the first packet
}

type captureMsg struct {
	points []capture.Point
	err    error
}

func newCapture(app *App) *Capture {
	p := &Capture{app: app, display: newDisplay(), known: map[*capture.Record]*capture.Rewrite{}}
	serial := func(r packet) int { return r.serial }
	p.rewrites.Table = kit.NewTable(serial,
		kit.Column[packet]{Title: "Time", Cell: p.time, Right: true, Style: dimCell[packet]},
		kit.Column[packet]{Title: "Flow", Cell: func(r packet) string { return fmt.Sprint(r.rewrite.Flow) }, Right: true},
		kit.Column[packet]{Title: "Way", Cell: way, Style: wayStyle},
		kit.Column[packet]{Title: "Proto", Cell: func(r packet) string { return r.rewrite.Protocol }, Style: dimCell[packet], Priority: 3},
		kit.Column[packet]{Title: "Rewritten", Cell: func(r packet) string { return rewritten(r.rewrite) }, Style: strongCell[packet], Min: 20},
		kit.Column[packet]{Title: "Between", Cell: func(r packet) string { return r.rewrite.Before.Point + " → " + r.rewrite.After.Point }, Style: dimCell[packet], Priority: 4},
		kit.Column[packet]{Title: "By", Cell: func(r packet) string { return ruleName(r.rewrite.Rule) }, Style: dimCell[packet], Priority: 5, Max: 36},
		kit.Column[packet]{Title: "Packet", Cell: func(r packet) string { return behindPorts(r.rewrite.Info) }, Flex: true, Min: 8, Priority: 2},
		kit.Column[packet]{Title: "Took", Cell: func(r packet) string { return r.rewrite.Elapsed.Round(time.Microsecond).String() }, Right: true, Wide: true, Priority: 6},
	)
	p.packets.Table = kit.NewTable(serial,
		kit.Column[packet]{Title: "Time", Cell: p.time, Right: true, Style: dimCell[packet]},
		kit.Column[packet]{Title: "Point", Cell: func(r packet) string { return r.record.Point.String() }, Max: 24},
		kit.Column[packet]{Title: "Way", Cell: func(r packet) string { return map[bool]string{true: "out", false: "in"}[r.record.Outgoing] }, Style: dimCell[packet], Priority: 2},
		kit.Column[packet]{Title: "Proto", Cell: func(r packet) string { return r.record.Summary.Protocol }, Style: strongCell[packet]},
		kit.Column[packet]{Title: "Source", Cell: func(r packet) string { return endpoint(r.record, false) }, Max: 46, Priority: 1},
		kit.Column[packet]{Title: "Destination", Cell: func(r packet) string { return endpoint(r.record, true) }, Max: 46, Priority: 1},
		kit.Column[packet]{Title: "Length", Cell: func(r packet) string { return fmt.Sprint(r.record.Length) }, Right: true, Style: dimCell[packet], Priority: 3},
		kit.Column[packet]{Title: "Packet", Cell: func(r packet) string { return r.record.Summary.Info }, Flex: true, Min: 12},
	)
	for _, l := range p.lists() {
		l.Follow = true
		l.PaneTitle = paneTitle
		l.Pane = p.pane
	}
	return p
}

func (p *Capture) lists() []*packetList { return []*packetList{&p.rewrites, &p.packets} }

func (p *Capture) list() *packetList {
	if p.all {
		return &p.packets
	}
	return &p.rewrites
}

func (p *Capture) time(r packet) string {
	t := time.Time{}
	if r.rewrite != nil {
		t = r.rewrite.Time
	} else {
		t = r.record.Time
	}
	if p.absolute {
		return t.Format("15:04:05.000000")
	}
	return fmt.Sprintf("%.6f", t.Sub(p.start).Seconds())
}

func way(r packet) string {
	if r.rewrite.Direction == capture.Reply {
		return "← reply"
	}
	return "→ original"
}

func wayStyle(th *kit.Theme, r packet) lipgloss.Style {
	if r.rewrite.Direction == capture.Reply {
		return th.Good
	}
	return th.Accent
}

// rewritten says which ends of a packet were rewritten, and how.
func rewritten(r *capture.Rewrite) string {
	var out []string
	if r.Before.Src != r.After.Src {
		out = append(out, "src "+r.Before.Src+" → "+r.After.Src)
	}
	if r.Before.Dst != r.After.Dst {
		out = append(out, "dst "+r.Before.Dst+" → "+r.After.Dst)
	}
	if len(out) == 0 {
		return strings.Join(r.Changed, " ")
	}
	return strings.Join(out, ", ")
}

// behindPorts is the part of a TCP packet's line that does not repeat its
// ports: "[SYN, ACK] Seq=…".
func behindPorts(info string) string {
	if at := strings.Index(info, "["); at > 0 {
		return info[at:]
	}
	return info
}

func ruleName(r *capture.RuleRef) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%s/%s handle %d", r.Table, r.Chain, r.Handle)
}

func endpoint(r *capture.Record, dst bool) string {
	a, mac := r.Summary.Src, r.Summary.SrcMAC
	if dst {
		a, mac = r.Summary.Dst, r.Summary.DstMAC
	}
	switch {
	case !a.Addr().IsValid():
		return mac
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}

// Title is the page's.
func (p *Capture) Title() string { return TitleCapture }

// begin starts a capture at these points; none ends it.
func (p *Capture) begin(points []capture.Point) tea.Cmd {
	p.reset("", points)
	return func() tea.Msg { return captureMsg{points, p.app.Backend.Capture(p.app.Context, points)} }
}

// expect makes the page ready for what is about to be sent, and says whether a
// new capture is needed for it.
func (p *Capture) expect(what string, points []capture.Point) (fresh bool) {
	fresh = !p.running || !slices.Equal(p.points, points)
	if fresh {
		p.reset(what, points)
	}
	p.probe, p.result, p.failed = what, "", false
	p.all, p.paused, p.pick, p.stale = false, false, true, true
	p.rewrites.OpenPane()
	return fresh
}

func (p *Capture) reset(probe string, points []capture.Point) {
	p.points, p.running = points, len(points) > 0
	p.stats, p.notice, p.probe, p.result = nil, "", probe, ""
	if len(points) > 0 {
		p.clear()
	}
}

func (p *Capture) clear() {
	p.start = time.Time{}
	clear(p.known)
	for _, l := range p.lists() {
		l.rows, l.gone, l.shown, l.upTo = nil, 0, nil, 0
		l.SetRows(nil)
		l.GoLast()
	}
}

// Update takes packets, and what became of what was sent.
func (p *Capture) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case CaptureMsg:
		p.take(msg)
	case captureMsg:
		if msg.err != nil {
			p.running = false
			p.notice = msg.err.Error()
			return p.app.Toast(kit.Failure, "capture: "+msg.err.Error())
		}
	case probeMsg:
		p.result, p.failed = msg.text, msg.err != nil
		if msg.err != nil {
			p.result = msg.err.Error()
		}
	case tea.KeyMsg:
		p.typed(msg)
	}
	return nil
}

func (p *Capture) take(msg CaptureMsg) {
	for _, r := range msg.Records {
		if p.start.IsZero() {
			p.start = r.Time
		}
		p.packets.add(packet{record: r})
	}
	for _, r := range msg.Rewrites {
		if p.start.IsZero() {
			p.start = r.Time
		}
		p.rewrites.add(packet{rewrite: r})
		p.know(r)
		if p.pick {
			p.pick = false
			p.show(&p.rewrites)
			p.rewrites.Select(p.rewrites.next)
		}
	}
	if msg.Stats != nil {
		p.stats = msg.Stats
	}
	if msg.Notice != "" {
		p.notice = msg.Notice
	}
	p.forget()
	p.stale = true
}

func (p *Capture) sync() {
	if !p.stale || p.paused {
		return
	}
	p.stale = false
	for _, l := range p.lists() {
		p.show(l)
	}
}

// Tell says how many packets there are, and whether more are being shown.
func (p *Capture) Tell() string {
	l := p.list()
	s := l.Tell()
	if p.paused && len(l.rows) > 0 {
		s += fmt.Sprintf(", paused: %d new", max(0, l.next-l.upTo))
	} else if l.Following() {
		s += ", following"
	}
	if l.gone > 0 {
		s += fmt.Sprintf(", %d older let go", l.gone)
	}
	return s
}

// View draws what is being captured, the packets and the pane.
func (p *Capture) View(th *kit.Theme, w, h int) string {
	p.sync()
	head := p.head(th, w)
	l := p.list()
	switch {
	case !p.running && len(p.points) == 0:
		l.Empty = "Nothing is being captured. On the links page, space marks links and c captures there. r sends a request through a published port and captures on both sides of the host."
	case p.all:
		l.Empty = "No packet yet."
	default:
		l.Empty = "No rewritten packet yet: a packet shows here once it was seen at two points and NAT changed it in between. t shows every packet."
	}
	if len(l.rows) > 0 && p.display.text() != "" {
		l.Empty = fmt.Sprintf("None of the %d packets passes the filter. esc clears it.", len(l.rows))
	}
	foot := p.display.lines(th, w, len(l.shown), len(l.rows))
	body := kit.Block(head, w, len(head)) + "\n" + l.View(th, w, h-len(head)-len(foot))
	if len(foot) > 0 {
		body += "\n" + kit.Block(foot, w, len(foot))
	}
	return body
}

// head says where packets are seen, how many, and what was sent.
func (p *Capture) head(th *kit.Theme, w int) []string {
	if len(p.points) == 0 {
		return []string{"  " + th.Dim.Render("○ not capturing")}
	}
	state := th.Good.Render("● capturing")
	switch {
	case !p.running:
		state = th.Dim.Render("○ stopped")
	case p.paused:
		state = th.Warn.Render("‖ paused")
	}
	var parts []string
	for _, pt := range p.points {
		parts = append(parts, p.pointText(th, pt))
	}
	lines := []string{"  " + kit.Cut(state+"  "+strings.Join(parts, th.Dim.Render("  ·  ")), w-3)}
	if p.probe != "" {
		result := th.Dim.Render("…")
		switch {
		case p.failed:
			result = th.Bad.Render("✗ " + kit.Safe(p.result))
		case p.result != "":
			result = th.Good.Render("✓ ") + th.Text.Render(kit.Safe(p.result))
		}
		lines = append(lines, "  "+kit.Cut(th.Dim.Render(kit.Safe(p.probe)+"  ")+result, w-3))
	}
	if p.notice != "" {
		lines = append(lines, "  "+th.Warn.Render(kit.Cut("! "+kit.Safe(p.notice), w-3)))
	}
	return lines
}

func (p *Capture) pointText(th *kit.Theme, pt capture.Point) string {
	s := th.Text.Render(kit.Safe(pt.String()))
	for _, st := range p.stats {
		if st.Point.String() != pt.String() {
			continue
		}
		s += th.Dim.Render(fmt.Sprintf(" %d", st.Packets))
		if lost := st.Dropped + st.Skipped; lost > 0 {
			s += " " + th.Warn.Render(fmt.Sprintf("%d dropped", lost))
		}
		if st.Ended != "" {
			s += " " + th.Warn.Render("ended: "+kit.Safe(st.Ended))
		}
	}
	return s
}

// Actions of the page.
func (p *Capture) Actions() []kit.Action {
	l := p.list()
	nothing := func() string {
		if len(p.points) == 0 {
			return "nothing has been captured yet: c on the links page does"
		}
		return ""
	}
	own := []kit.Action{
		l.Toggle("enter"),
		{ID: "capture.pause", Binding: kit.Bind("p", "pause or follow"), Bar: 14, Disabled: nothing, Run: p.pause},
		{ID: "capture.all", Binding: kit.Bind("t", "all packets or rewrites"), Bar: 15, Run: func() tea.Cmd {
			p.all = !p.all
			return nil
		}},
		{ID: "capture.fields", Binding: kit.Bind("x", "all fields or changed ones"), Bar: 16, Run: p.toggleFields},
		{ID: "capture.stop", Binding: kit.Bind("c", "stop or start again"), Bar: 17, Disabled: nothing, Run: p.toggle},
		{ID: "capture.clear", Binding: kit.Bind("C", "clear the list"), Run: func() tea.Cmd {
			p.clear()
			return nil
		}},
		{ID: "capture.filter", Binding: kit.Bind("/", "filter packets"), Bar: 60, Run: func() tea.Cmd {
			p.display.typing = true
			return nil
		}},
		{ID: "capture.time", Binding: kit.Bind("T", "time of day or since the first"), Run: func() tea.Cmd {
			p.absolute = !p.absolute
			p.refilter() // the column may need another width
			return nil
		}},
		{ID: "capture.marked", Binding: kit.Bind("m", "next marked packet"), Run: p.nextMarked},
	}
	own = append(own, p.openActions()...)
	own = append(own, p.app.probeActions()...)
	own = append(own, p.app.copyActions(func() (string, string) {
		r, ok := l.Selected()
		if !ok {
			return "", ""
		}
		return "what was rewritten", value(r)
	}, func() string {
		r, _ := l.Selected()
		return rowText(r)
	})...)
	return append(own, slices.DeleteFunc(l.Actions(), func(a kit.Action) bool { return a.ID == "table.filter" })...)
}

func (p *Capture) pause() tea.Cmd {
	switch l := p.list(); {
	case p.paused:
		p.paused = false
		p.sync()
		l.GoLast()
	case !l.Following() && p.running:
		l.GoLast()
	default:
		p.paused = true
	}
	return nil
}

func (p *Capture) toggle() tea.Cmd {
	if !p.running {
		return p.begin(p.points)
	}
	p.running = false
	return func() tea.Msg { return captureMsg{nil, p.app.Backend.Capture(p.app.Context, nil)} }
}

func value(r packet) string {
	if r.rewrite != nil {
		return rewritten(r.rewrite)
	}
	return endpoint(r.record, true)
}

func rowText(r packet) string {
	switch {
	case r.rewrite != nil:
		w := r.rewrite
		return words(w.Protocol, w.Direction, w.Before.Point, w.Before.Src, "→", w.Before.Dst, "⇒",
			w.After.Point, w.After.Src, "→", w.After.Dst, w.Info)
	case r.record != nil:
		return words(r.record.Point.String(), endpoint(r.record, false), "→", endpoint(r.record, true), r.record.Summary.Info)
	}
	return ""
}
