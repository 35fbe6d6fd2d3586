package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// How wide the parts of a ladder are.
const (
	timeWidth  = 12
	beforeRail = 2 + timeWidth + 2 // cursor, time, gap
	leastText  = 34                // beside the lanes, as long as these can be narrower
	leastLane  = 2
	roomyText  = 70 // from here on a row says all
)

// How the points are named over their lanes.
const (
	byName   = iota // NAMESPACE:LINK
	byParts         // the link under its namespace
	byLetter        // by letters, which a legend explains
)

// shape is how a ladder is laid out on a screen.
type shape struct {
	th     *kit.Theme
	points []string
	lane   int // cells of a lane; 0 when there is no room for lanes
	names  int
	room   int // for the text
}

func (p *ladder) shape(th *kit.Theme, w int) shape {
	s := shape{th: th, points: p.points}
	n, left := len(p.points), w-beforeRail-1
	name, part := 0, 0
	for _, pt := range p.points {
		ns, link := splitPoint(pt)
		name, part = max(name, kit.Width(kit.Safe(pt))), max(part, kit.Width(kit.Safe(ns)), kit.Width(kit.Safe(link)))
	}
	switch least := max(leastText, left*2/5); {
	case n == 0:
	case n*(name+2) <= left-least:
		s.lane, s.names = name+2, byName
	case n*(part+2) <= left-leastText:
		s.lane, s.names = part+2, byParts
	default:
		s.lane, s.names = min(5, max(leastLane, (left-leastText)/n)), byLetter
		if n*s.lane > left-leastText/2 {
			s.lane = 0 // too many: the rows name their points
		}
	}
	s.room = max(8, left-n*s.lane-1)
	return s
}

func splitPoint(p string) (ns, link string) {
	if i := strings.LastIndexByte(p, ':'); i >= 0 {
		return p[:i], p[i+1:]
	}
	return "", p
}

func letter(i int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if i < len(letters) {
		return letters[i : i+1]
	}
	return "?"
}

// View draws the points over the rows around the cursor.
func (p *ladder) View(th *kit.Theme, w, h int) string {
	p.page = h
	if th.Plain {
		return p.viewPlain(w, h)
	}
	s := p.shape(th, w)
	head := append([]string{p.state(th, w)}, s.heads(w)...)
	if h -= len(head); len(p.all) == 0 {
		text := "Looking for packets of this flow…"
		if !p.running && !p.waiting {
			text = "No packet of this flow is kept any more."
		}
		return kit.Block(append(head, "", "  "+th.Dim.Render(text)), w, h+len(head))
	}
	lines, cursor, into := p.around(&s, h)
	p.row = max(min(max(p.row, into), h-3), 2) // the packet is seen from its beginning on, if there is room
	if p.follow {
		p.row = h - 1
	}
	top := max(0, min(cursor-p.row, len(lines)-h))
	p.row = cursor - top
	p.page = h / 2 // about so many rows: what changed takes lines, too
	return kit.Block(append(head, lines[top:min(len(lines), top+h)]...), w, h+len(head))
}

// around are the lines of the packet under the cursor, and as many as fit onto
// a screen of those before and behind. The cursor's line is the one numbered
// into of its packet's.
func (p *ladder) around(s *shape, h int) (lines []string, cursor, into int) {
	at := max(0, slices.Index(p.all, p.at.journey))
	lines, cursor = p.draw(s, at)
	into = cursor
	for i := at - 1; i >= 0 && cursor < h; i-- {
		before, _ := p.draw(s, i)
		lines, cursor = append(before, lines...), cursor+len(before)
	}
	for i := at + 1; i < len(p.all) && len(lines)-cursor < h; i++ {
		behind, _ := p.draw(s, i)
		lines = append(lines, behind...)
	}
	return lines, cursor, into
}

// state says whose packets these are, and whether more come.
func (p *ladder) state(th *kit.Theme, w int) string {
	mark := th.Dim.Render("○ stopped")
	switch c := p.app.capture; {
	case p.paused:
		mark = th.Warn.Render("‖ paused")
	case c.file != nil && c.source() == p.source:
		mark = th.Dim.Render("○ file")
	case c.running && c.source() == p.source:
		mark = th.Good.Render("● live")
	}
	text := "  " + mark + "  " + th.Text.Render(kit.Safe(p.about))
	for _, j := range p.all {
		if slices.ContainsFunc(j.Hops, func(h capture.Hop) bool { return h.Tunnel != nil }) {
			text += th.Dim.Render("   ◆ in a tunnel")
			break
		}
	}
	return kit.Cut(text, w-1)
}

// heads are the names of the points, and the legend if they have letters.
func (s *shape) heads(w int) []string {
	if s.lane == 0 {
		return nil
	}
	rows := [2]string{kit.FitRight("TIME", 2+timeWidth) + "  ", strings.Repeat(" ", beforeRail)}
	for i, pt := range s.points {
		ns, link := splitPoint(kit.Safe(pt))
		switch s.names {
		case byName:
			rows[0] += " " + kit.Fit(ns+":"+link, s.lane-1)
		case byParts:
			rows[0], rows[1] = rows[0]+" "+kit.Fit(ns, s.lane-1), rows[1]+" "+kit.Fit(link, s.lane-1)
		default:
			rows[0] += " " + kit.Fit(letter(i), s.lane-1)
		}
	}
	var lines []string
	if s.names == byLetter {
		legend := "  "
		for i, pt := range s.points {
			one := letter(i) + " " + kit.Safe(pt) + "  "
			if kit.Width(legend+one) > w {
				lines = append(lines, s.th.Dim.Render(legend))
				legend = "  "
			}
			legend += one
		}
		lines = append(lines, s.th.Dim.Render(legend))
	}
	lines = append(lines, s.th.Heading.Render(kit.Cut(rows[0], w)))
	if s.names == byParts {
		lines = append(lines, s.th.Heading.Render(kit.Cut(rows[1], w)))
	}
	return lines
}

// draw draws a packet's way; cursor is the line of the selected row in it.
func (p *ladder) draw(s *shape, i int) (lines []string, cursor int) {
	j, th := p.all[i], s.th
	say := func(style *kit.Style, text string) {
		for _, l := range kit.Wrap(kit.Safe(text), s.room) {
			lines = append(lines, strings.Repeat(" ", beforeRail)+s.rail(-1, -1, false, false)+" "+style.Render(l))
		}
	}
	way, style := "→ ", th.Accent
	if j.Direction == capture.Reply {
		way, style = "← ", th.Good
	}
	head := firstLines(way+j.Protocol+" "+behindPorts(j.Info), s.room)
	say(style.Bold(), head)
	if j.Quotes != nil && !strings.Contains(head, quoteText(j.Quotes)) {
		say(th.Warn, "about "+quoteText(j.Quotes))
	}
	if j.Repeats != nil {
		say(th.Warn, repeatText(j))
	}
	for h := range j.Hops {
		at := p.at.journey == j && p.at.hop == h
		if at {
			cursor = len(lines)
		}
		lines = append(lines, p.hop(s, j, h, at))
		if h == 0 {
			continue
		}
		for _, l := range hopNews(&j.Hops[h-1], &j.Hops[h], j.Direction, s.room >= roomyText) {
			st := th.Dim
			if l.changed {
				st = th.Changed
			}
			say(st, l.text)
		}
	}
	if !j.Matched {
		say(th.Warn, "○ seen at this point only")
	}
	return append(lines, strings.Repeat(" ", beforeRail)+s.rail(-1, -1, false, false)), cursor
}

// firstLines is as much of a text as stands in two lines of w cells.
func firstLines(text string, w int) string {
	lines := kit.Wrap(kit.Safe(text), w)
	if len(lines) > 2 {
		lines = []string{lines[0], kit.Cut(lines[1]+" …", w)}
	}
	return strings.Join(lines, " ")
}

// hop draws the row of a sighting.
func (p *ladder) hop(s *shape, j *capture.Journey, i int, selected bool) string {
	th, h := s.th, &j.Hops[i]
	when, from, to := p.time(h.Time), -1, slices.Index(s.points, h.Point)
	if i > 0 {
		when, from = "+"+h.Elapsed.Round(time.Microsecond).String(), slices.Index(s.points, j.Hops[i-1].Point)
	} else {
		from = to
	}
	mark, on := "  ", func(st *kit.Style) *kit.Style { return st }
	if selected {
		mark, on = "▌ ", th.On
	}
	text := kit.Fit(kit.Safe(s.rowText(j, i)), s.room)
	return on(th.Accent).Render(mark) + on(th.Dim).Render(kit.FitRight(when, timeWidth)+"  ") +
		on(th.Accent).Render(s.rail(from, to, h.Tunnel != nil, i > 0)) + on(th.Text).Render(" "+text)
}

func (p *ladder) time(t time.Time) string {
	if p.absolute {
		return t.Format("15:04:05.0000")[:timeWidth]
	}
	return fmt.Sprintf("%.6f", t.Sub(p.start).Seconds())
}

// rowText is where the packet is seen, where the lanes do not say it, and as
// what: at the beginning, and where there is room.
func (s *shape) rowText(j *capture.Journey, i int) string {
	h := &j.Hops[i]
	var parts []string
	if s.names == byLetter || s.lane == 0 || s.room >= roomyText {
		parts = append(parts, h.Point, map[bool]string{true: "out", false: "in"}[h.Outgoing])
	}
	if i == 0 || s.room >= roomyText || h.Src != j.Hops[i-1].Src || h.Dst != j.Hops[i-1].Dst {
		parts = append(parts, h.Src+" → "+h.Dst)
		if ttl := fmt.Sprint("ttl ", h.TTL); kit.Width(strings.Join(parts, "  ")+ttl)+2 <= s.room {
			parts = append(parts, ttl)
		}
	}
	if t := h.Tunnel; t != nil && (i == 0 || s.room >= roomyText) {
		parts = append(parts, "in "+tunnelText(t))
	}
	if len(parts) == 0 {
		parts = append(parts, map[bool]string{true: "out", false: "in"}[h.Outgoing])
	}
	return strings.Join(parts, "  ")
}

// rail is the lanes' lines, with an arrow from one to another; in a tunnel it is
// a double one.
func (s *shape) rail(from, to int, tunnel, arrow bool) string {
	if s.lane == 0 {
		return ""
	}
	cells := []rune(repeat(" ", s.lane*len(s.points)))
	for i := range s.points {
		cells[i*s.lane+1] = '│'
	}
	if to < 0 {
		return s.th.Line.Render(string(cells))
	}
	shaft, out, back, node := '─', '├', '┤', '●'
	if tunnel {
		shaft, out, back, node = '═', '╞', '╡', '◆'
	}
	if arrow && from >= 0 && from != to {
		a, b := min(from, to), max(from, to)
		for x := a*s.lane + 2; x < b*s.lane+1; x++ {
			cells[x] = shaft
		}
		if from < to {
			cells[from*s.lane+1], cells[to*s.lane] = out, '▶'
		} else {
			cells[from*s.lane+1], cells[to*s.lane+2] = back, '◀'
		}
	}
	cells[to*s.lane+1] = node
	return string(cells)
}
