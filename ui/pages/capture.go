package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// Capture is the page of the packets.
type Capture struct {
	app      *App
	points   []capture.Point
	running  bool
	visible  bool
	start    time.Time // of the first packet
	stats    []capture.Stats
	snaplen  int    // the most that is kept of a packet; 0 for all
	skipped  uint64 // packets that were let go before they were looked at for rewrites
	notice   string
	probe    string // what was sent to be watched
	result   string
	failed   bool
	paused   bool
	stale    bool
	all      bool // packets, not rewrites
	pick     bool // select the first rewrite that comes
	full     int  // detail: 0 by the room there is, 1 only what changed, 2 all
	rewrites rewriteList
	packets  struct {
		kit.Browser[uint64, packet]
		rows packetRows
	}
	display      display
	scan         scan
	talks        *conversations              // nil before it was looked at
	known        map[uint64]*capture.Rewrite // whose side a packet is, by serial
	absolute     bool                        // times of day, not since the first packet
	file         *openFile                   // shown instead of a capture
	left         []*capture.File             // files to be closed
	path         pathLine
	translations *capture.Translations // nil of a file
}

type captureMsg struct {
	points []capture.Point
	err    error
}

func newCapture(app *App) *Capture {
	p := &Capture{app: app, display: newDisplay(), known: map[uint64]*capture.Rewrite{}}
	p.rewrites.Table, p.packets.Table = p.newRewriteTable(), p.newPacketTable()
	p.packets.rows.show(nil)
	p.rewrites.Fixed = true
	for _, l := range []*kit.Browser[uint64, packet]{&p.rewrites.Browser, &p.packets.Browser} {
		l.Follow = true
		l.PaneTitle = paneTitle
		l.Pane = p.pane
	}
	p.packets.Show(&p.packets.rows)
	return p
}

// list is the one of the two that is seen.
func (p *Capture) list() *kit.Browser[uint64, packet] {
	if p.all {
		return &p.packets.Browser
	}
	return &p.rewrites.Browser
}

// source is where the packets are, nil when none were captured.
func (p *Capture) source() Source { return p.packets.rows.source }

// Title is the page's.
func (p *Capture) Title() string { return TitleCapture }

// begin starts a capture at these points; none ends it.
func (p *Capture) begin(points []capture.Point) tea.Cmd {
	p.reset("", points)
	p.all = p.all || len(points) == 1 // at one point nothing is matched
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
	p.leaveFile()
	p.points, p.running = points, len(points) > 0
	p.stats, p.notice, p.probe, p.result, p.skipped = nil, "", probe, "", 0
	if len(points) > 0 {
		p.packets.rows.show(nil)
		p.clear()
	}
}

func (p *Capture) clear() {
	p.start = time.Time{}
	clear(p.known)
	p.rewrites.clear()
	r := &p.packets.rows
	r.keepUp(true)
	r.floor, r.kept = r.end, nil
	p.filterHeld()
	r.keepUp(true)
	p.packets.Measure()
	p.packets.Show(r)
	p.packets.GoLast()
	p.paused = false
}

// Show notes whether the page is seen: otherwise nothing is looked through.
func (p *Capture) Show(visible bool) tea.Cmd {
	p.visible = visible
	return p.scanOn()
}

// Update takes packets, and what became of what was sent.
func (p *Capture) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case CaptureMsg:
		return p.take(msg)
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
	case scanMsg:
		return p.scanned(msg)
	case heldMsg:
		p.hold(msg)
	case fileMsg:
		return p.opened(msg)
	case indexMsg:
		return p.indexedTo(msg)
	case matchMsg:
		return p.matchedTo(msg)
	case recordsMsg:
		p.fetched(msg)
	case savedMsg:
		return p.saved(msg)
	case completedMsg:
		p.completed(msg)
	case tea.KeyMsg:
		if p.path.typing {
			return p.path.typed(msg)
		}
		return p.typed(msg)
	}
	return nil
}

func (p *Capture) take(msg CaptureMsg) tea.Cmd {
	if p.file != nil { // it was on its way when the capture was left
		return nil
	}
	var again tea.Cmd
	if msg.Source != nil && msg.Source != p.source() {
		p.snaplen = msg.Snaplen
		p.packets.rows.show(msg.Source)
		p.translations = msg.Translations
		p.packets.Measure()
		again = p.rescan()
	}
	for _, r := range msg.Rewrites {
		if p.start.IsZero() {
			p.start = r.Time
		}
		p.found(r)
		if p.pick && len(p.rewrites.rows) > 0 {
			p.pick = false
			p.rewrites.show(p.rewrites.next, p.passes)
			p.rewrites.Select(p.rewrites.next)
		}
	}
	if msg.Stats != nil {
		p.stats = msg.Stats
	}
	if msg.Notice != "" {
		p.notice = msg.Notice
	}
	p.skipped = max(p.skipped, msg.Skipped)
	p.forget()
	p.stale = true
	if p.visible {
		p.sync()
	}
	return tea.Batch(again, p.scanOn())
}

// sync shows what is there now; while the screen is paused, what is left of what
// was there then.
func (p *Capture) sync() {
	if !p.stale {
		return
	}
	p.stale = false
	r := &p.packets.rows
	r.keepUp(!p.paused)
	p.begins()
	p.packets.Show(r)
	if !p.paused {
		p.rewrites.show(p.rewrites.next, p.passes)
	}
}

// begins finds out when the first packet was seen.
func (p *Capture) begins() {
	var first [1]capture.Brief
	r := &p.packets.rows
	if p.start.IsZero() && !r.ahead && r.first < r.end && r.source.View(r.first, first[:]) == 1 {
		p.start = first[0].When()
	}
}

// Tell says how many packets there are, and whether more are being shown.
func (p *Capture) Tell() string {
	l, gone := p.list(), uint64(p.rewrites.gone)
	s := l.Tell()
	if p.all {
		gone = p.packets.rows.letGo()
	}
	if p.paused {
		s += fmt.Sprintf(", paused: %d new", p.behind())
	} else if l.Following() {
		s += ", following"
	}
	if gone > 0 {
		s += fmt.Sprintf(", %d older let go", gone)
	}
	return s
}

// behind is how much came while the screen was paused.
func (p *Capture) behind() uint64 {
	r := &p.packets.rows
	if !p.all || r.source == nil {
		return p.rewrites.next - p.rewrites.upTo
	}
	_, end := r.source.Span()
	return end - r.end
}

// View draws what is being captured, the packets and the pane.
func (p *Capture) View(th *kit.Theme, w, h int) string {
	p.sync()
	head := p.head(th, w)
	l, shown, all := p.list(), len(p.rewrites.shown), len(p.rewrites.rows)
	if p.all {
		shown, all = p.packets.rows.Len(), p.packets.rows.all()
	}
	switch {
	case p.file != nil && !p.all:
		l.Empty = "No rewritten packet was found: one shows here that was seen at two points and that NAT changed in between. t shows every packet."
	case p.file != nil:
		l.Empty = "There is no packet in the file."
	case !p.running && len(p.points) == 0:
		l.Empty = "Nothing is being captured. On the links page, space marks links and c captures there. r sends a request through a published port and captures on both sides of the host."
	case p.all:
		l.Empty = "No packet yet."
	default:
		l.Empty = "No rewritten packet yet: a packet shows here once it was seen at two points and NAT changed it in between. t shows every packet."
	}
	if all > 0 && p.display.text() != "" {
		l.Empty = fmt.Sprintf("None of the %d packets passes the filter. esc clears it.", all)
		if p.all && p.scan.next < p.packets.rows.end {
			l.Empty = "Looking for packets that pass the filter…"
		}
	}
	foot := p.display.lines(th, w, shown, all, p.scan.missed)
	if p.path.typing {
		foot = p.path.lines(th, w)
	}
	body := kit.Block(head, w, len(head)) + "\n" + l.View(th, w, h-len(head)-len(foot))
	if len(foot) > 0 {
		body += "\n" + kit.Block(foot, w, len(foot))
	}
	return body
}

// head says where packets are seen, how many, and what was sent.
func (p *Capture) head(th *kit.Theme, w int) []string {
	if p.file != nil {
		return p.fileHead(th, w)
	}
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
	lines := []string{p.headLine(th, w, state+"  "+strings.Join(parts, th.Dim.Render("  ·  ")))}
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
	for _, text := range []string{p.lost(), p.notice} {
		if text != "" {
			lines = append(lines, "  "+th.Warn.Render(kit.Cut("! "+kit.Safe(text), w-3)))
		}
	}
	return lines
}

// headLine tells of the points, and at its end what the packets take.
func (p *Capture) headLine(th *kit.Theme, w int, text string) string {
	end := ""
	if m, ok := p.source().(interface{ Memory() (used, limit int64) }); ok {
		used, limit := m.Memory()
		end = th.Dim.Render(fmt.Sprintf("  memory %d of %d MB", megabytes(used), megabytes(limit)))
	}
	return "  " + kit.Fit(text, w-4-kit.Width(end)) + end
}

func megabytes(n int64) int64 { return (n + 1<<19) >> 20 }

func (p *Capture) pointText(th *kit.Theme, pt capture.Point) string {
	s := th.Text.Render(kit.Safe(pt.String()))
	for _, st := range p.stats {
		if st.Point.String() != pt.String() {
			continue
		}
		s += th.Dim.Render(fmt.Sprintf(" %d", st.Packets))
		if st.Ended != "" {
			s += " " + th.Warn.Render("ended: "+kit.Safe(st.Ended))
		}
	}
	return s
}

// lost says which packets were lost, and where; "" when none were.
func (p *Capture) lost() string {
	var out []string
	for _, st := range p.stats {
		var counts []string
		for _, c := range []struct {
			n    uint64
			what string
		}{{st.Dropped, "dropped by the kernel"}, {st.Overrun, "overrun"}, {st.Skipped, "skipped"}} {
			if c.n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", c.n, c.what))
			}
		}
		if len(counts) > 0 {
			out = append(out, st.Point.String()+" "+strings.Join(counts, ", "))
		}
	}
	if p.skipped > 0 {
		out = append(out, fmt.Sprintf("%d not looked at for rewrites", p.skipped))
	}
	return strings.Join(out, "  ·  ")
}

// Actions of the page.
func (p *Capture) Actions() []kit.Action {
	l := p.list()
	nothing := func() string {
		switch {
		case p.file != nil:
			return "this is a file, not a capture"
		case len(p.points) == 0:
			return "nothing has been captured yet: c on the links page does"
		}
		return ""
	}
	noFile := func() string {
		if p.file == nil {
			return "no file is open: o opens one"
		}
		return ""
	}
	own := []kit.Action{
		l.Toggle("enter"),
		{ID: "capture.pause", Binding: kit.Bind("p", "pause or follow"), Bar: 14, Disabled: nothing, Run: p.pause},
		{ID: "capture.all", Binding: kit.Bind("t", "all packets or rewrites"), Bar: 15, Run: func() tea.Cmd {
			p.all = !p.all
			return p.scanOn()
		}},
		{ID: "capture.fields", Binding: kit.Bind("x", "all fields or changed ones"), Bar: 16, Run: p.toggleFields},
		{ID: "capture.stop", Binding: kit.Bind("c", "stop or start again"), Bar: 17, Disabled: nothing, Run: p.toggle},
		{ID: "capture.clear", Binding: kit.Bind("C", "clear the list"), Disabled: nothing, Run: func() tea.Cmd {
			p.clear()
			return nil
		}},
		{ID: "capture.filter", Binding: kit.Bind("/", "filter packets"), Bar: 60, Run: func() tea.Cmd {
			p.display.typing = true
			return nil
		}},
		{ID: "capture.time", Binding: kit.Bind("T", "time of day or since the first"), Run: func() tea.Cmd {
			p.absolute = !p.absolute
			p.packets.Measure()
			p.rewrites.Measure()
			return nil
		}},
		{ID: "capture.open", Binding: kit.Bind("o", "open a capture file"), Run: func() tea.Cmd {
			p.askPath("open", "", func(path string) tea.Cmd { return p.Open(path, nil) })
			return nil
		}},
		{ID: "capture.save", Binding: kit.Bind("W", "write packets to a file"), Disabled: func() string {
			if p.packets.rows.Len() == 0 {
				return "there is no packet to write"
			}
			return ""
		}, Run: p.save},
		{ID: "capture.about", Binding: kit.Bind("A", "about the file"), Disabled: noFile, Run: p.about},
		{ID: "capture.marked", Binding: kit.Bind("m", "next marked packet"), Run: p.nextMarked},
	}
	own = append(own, p.openActions()...)
	if p.app.World.File == "" {
		own = append(own, p.app.probeActions()...)
	}
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
		p.paused, p.stale, p.packets.rows.kept = false, true, nil
		p.filterHeld()
		p.sync()
		l.GoLast()
		return p.scanOn()
	case !l.Following() && p.running:
		l.GoLast()
	default:
		p.sync()
		p.paused = true
		return p.holdAround()
	}
	return nil
}

func (p *Capture) toggle() tea.Cmd {
	if !p.running {
		return p.begin(p.points)
	}
	return p.stop()
}

// stop ends the capture, if one runs.
func (p *Capture) stop() tea.Cmd {
	if !p.running {
		return nil
	}
	p.running = false
	return func() tea.Msg { return captureMsg{nil, p.app.Backend.Capture(p.app.Context, nil)} }
}
