package pages

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// sighting is one packet at one point, and what was done to it since the one
// before.
type sighting struct {
	point   string
	time    time.Time
	text    string // its ends
	info    string // of the packet, at its first sighting
	changed string
	rule    string
}

// journey is one packet at all the points that it was seen at, in order of time.
type journey struct {
	way  string
	seen []sighting
}

// journeys are the packets of a flow. Rewrites that share a packet are parts of
// the same journey.
func journeys(rows []packet, flow int) []*journey {
	var out []*journey
	ends := map[*capture.Record]*journey{}
	for _, row := range rows {
		r := row.rewrite
		if r == nil || r.Flow != flow {
			continue
		}
		j := ends[r.BeforeRecord]
		if j == nil || r.BeforeRecord == nil {
			j = &journey{way: r.Direction, seen: []sighting{{point: r.Before.Point, time: r.Time,
				text: r.Before.Src + " → " + r.Before.Dst, info: behindPorts(r.Info)}}}
			out = append(out, j)
		}
		j.seen = append(j.seen, sighting{point: r.After.Point, time: r.Time.Add(r.Elapsed),
			text: r.After.Src + " → " + r.After.Dst, changed: differences(r), rule: ruleName(r.Rule)})
		if r.AfterRecord != nil {
			ends[r.AfterRecord] = j
		}
	}
	slices.SortStableFunc(out, func(a, b *journey) int { return a.seen[0].time.Compare(b.seen[0].time) })
	return out
}

// differences says everything that differs, the ends of the packet first.
func differences(r *capture.Rewrite) string {
	var out []string
	for _, p := range seenPairs(r) {
		if !p.Changed {
			continue
		}
		if strings.Contains(p.Label, "MAC") || strings.Contains(p.Label, "checksum") {
			out = append(out, p.Label)
			continue
		}
		out = append(out, p.Label+" "+p.Before+" → "+p.After)
	}
	return strings.Join(out, ", ")
}

// ladder shows the packets of a flow as they go from point to point: one column
// a point, one row a sighting.
type ladder struct {
	app              *App
	flow             int
	journeys         []*journey
	points           []string
	top, lines, page int
}

func newLadder(app *App, rows []packet, flow int) *ladder {
	p := &ladder{app: app, flow: flow, journeys: journeys(rows, flow)}
	// As the flow's original direction goes; points that only replies passed
	// come behind.
	byWay := slices.Clone(p.journeys)
	slices.SortStableFunc(byWay, func(a, b *journey) int {
		return cmp.Compare(b2i(a.way == capture.Reply), b2i(b.way == capture.Reply))
	})
	for _, j := range byWay {
		for _, s := range j.seen {
			if !slices.Contains(p.points, s.point) {
				p.points = append(p.points, s.point)
			}
		}
	}
	return p
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (p *ladder) Title() string          { return fmt.Sprintf("journeys of flow %d", p.flow) }
func (p *ladder) Update(tea.Msg) tea.Cmd { return nil }
func (p *ladder) Tell() string           { return plural(len(p.journeys), "packet") }

func (p *ladder) Actions() []kit.Action {
	return kit.Moves(func(by int) { p.top += by }, func() int { return p.lines }, func() int { return p.page })
}

// timeWidth is the width of the column of the times.
const timeWidth = 12

// View draws the points over the part of the rows that is in view.
func (p *ladder) View(th *kit.Theme, w, h int) string {
	if th.Plain {
		lines := p.plain(w)
		p.lines, p.page = len(lines), h
		var part []string
		part, p.top = kit.Scroll(lines, p.top, h)
		return kit.Block(part, w, h)
	}
	lane := max(4, min(24, w*2/5/max(1, len(p.points))))
	head := kit.FitRight("TIME", timeWidth) + "  "
	for _, pt := range p.points {
		head += kit.Fit(kit.CutMiddle(kit.Safe(pt), lane-2), lane)
	}
	var lines []string
	for _, j := range p.journeys {
		lines = append(lines, p.rows(th, j, lane, w)...)
	}
	p.lines, p.page = len(lines), h-1
	part, top := kit.Scroll(lines, p.top, h-1)
	p.top = top
	return kit.Block(append([]string{th.Heading.Render(kit.Cut(head, w))}, part...), w, h)
}

// rows draws one packet's way.
func (p *ladder) rows(th *kit.Theme, j *journey, lane, w int) []string {
	var lines []string
	room := max(8, w-timeWidth-2-lane*len(p.points)-1)
	for i, s := range j.seen {
		at := slices.Index(p.points, s.point)
		when, from := fmt.Sprintf("%.6f", s.time.Sub(p.journeys[0].seen[0].time).Seconds()), at
		if i > 0 {
			when = "+" + s.time.Sub(j.seen[i-1].time).Round(time.Microsecond).String()
			from = slices.Index(p.points, j.seen[i-1].point)
		}
		lines = append(lines, th.Dim.Render(kit.FitRight(when, timeWidth))+"  "+th.Accent.Render(p.rail(lane, from, at))+
			th.Text.Render(kit.Cut(kit.Safe(s.text), room)))
		say := func(style func(...string) string, text string) {
			for _, l := range kit.Wrap(kit.Safe(text), room) {
				lines = append(lines, repeat(" ", timeWidth+2)+th.Line.Render(p.rail(lane, -1, -1))+style(l))
			}
		}
		if i == 0 {
			say(th.Dim.Render, s.info)
			continue
		}
		if s.changed == "" {
			continue
		}
		say(th.Changed.Render, "≠ "+s.changed)
		if s.rule != "-" {
			way := "by "
			if j.way == capture.Reply {
				way = "changed back for "
			}
			say(th.Dim.Render, way+s.rule)
		}
	}
	return append(lines, repeat(" ", timeWidth+2)+th.Line.Render(p.rail(lane, -1, -1)))
}

// rail is the columns' lines, with an arrow from one to another.
func (p *ladder) rail(lane, from, to int) string {
	cells := []rune(repeat(" ", lane*len(p.points)))
	for i := range p.points {
		cells[i*lane+1] = '│'
	}
	a, b := min(from, to), max(from, to)
	for x := a*lane + 2; a >= 0 && x < b*lane+1; x++ {
		cells[x] = '─'
	}
	switch {
	case from < 0 || to < 0:
	case from < to:
		cells[from*lane+1], cells[to*lane] = '├', '▶'
	case from > to:
		cells[from*lane+1], cells[to*lane+2] = '┤', '◀'
	}
	if to >= 0 {
		cells[to*lane+1] = '●'
	}
	return string(cells)
}

// plain tells the journeys in sentences.
func (p *ladder) plain(w int) []string {
	var lines []string
	for n, j := range p.journeys {
		lines = append(lines, kit.Wrap(kit.Safe(fmt.Sprintf("Packet %d, %s: %s.", n+1, j.way, j.seen[0].info)), w)...)
		for i, s := range j.seen {
			text := "At " + s.point + ": " + s.text
			if i > 0 {
				text += ", " + s.time.Sub(j.seen[i-1].time).Round(time.Microsecond).String() + " later"
				if s.changed != "" {
					text += ", changed " + s.changed
				}
				if s.changed != "" && s.rule != "-" {
					text += ", by " + s.rule
				}
			}
			lines = append(lines, kit.Wrap(kit.Safe(text)+".", w)...)
		}
	}
	return lines
}
