package pages

import (
	"fmt"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// roomy is the width from which on the pane shows all fields by itself.
const roomy = 110

func paneTitle(r packet) string {
	w := r.rewrite
	switch {
	case r.record != nil:
		return "packet at " + r.record.Point.String()
	case w == nil:
		return "packet"
	}
	took := w.Elapsed.Round(time.Microsecond).String() + " in between"
	switch {
	case w.Rule == nil:
		return took
	case w.Direction == capture.Reply:
		return "changed back, for " + ruleName(w.Rule) + ", " + took
	}
	return "rewritten by " + ruleName(w.Rule) + ", " + took
}

func (p *Capture) toggleFields() tea.Cmd {
	if p.full == 1 {
		p.full = 2
	} else {
		p.full = 1
	}
	return nil
}

// pane draws a packet: the layers before and after it was rewritten side by
// side, under the rule that did it.
func (p *Capture) pane(th *kit.Theme, r packet, w int) []string {
	if r.record != nil {
		return kit.Sections(th, w, sections(r.record.Layers()))
	}
	if r.rewrite == nil {
		return []string{th.Dim.Render("not here (any more)")}
	}
	if p.full == 0 {
		p.full = 1
		if w >= roomy {
			p.full = 2
		}
	}
	lines := ruleLines(th, r.rewrite, w)
	pairs := seenPairs(r.rewrite)
	if r.rewrite.BeforeRecord != nil && r.rewrite.AfterRecord != nil {
		pairs = layerPairs(r.rewrite.BeforeRecord.Layers(), r.rewrite.AfterRecord.Layers())
	}
	return append(lines, kit.Compare(th, w, r.rewrite.Before.Point, r.rewrite.After.Point, pairs, p.full == 1)...)
}

func ruleLines(th *kit.Theme, r *capture.Rewrite, w int) []string {
	if r.Rule == nil {
		text := "no rule could be named for this rewrite"
		if r.BeforeRecord != nil && r.BeforeRecord.Comment != "" { // a file's
			text = r.BeforeRecord.Comment
		}
		var lines []string
		for _, l := range kit.Wrap(kit.Safe(text), w) {
			lines = append(lines, th.Dim.Render(l))
		}
		return lines
	}
	where := fmt.Sprintf("%s: %s %s: ", r.Rule.NS, r.Rule.Engine, r.Rule.Family)
	var lines []string
	for i, l := range kit.Wrap(kit.Safe(where+brief(r.Rule.Text)), w) {
		if i == 0 && strings.HasPrefix(l, where) {
			lines = append(lines, th.Dim.Render(where)+th.Strong.Render(l[len(where):]))
			continue
		}
		lines = append(lines, th.Strong.Render(l))
	}
	return lines
}

func sections(layers []capture.Layer) []kit.Section {
	var out []kit.Section
	for _, l := range layers {
		s := kit.Section{Title: l.Name}
		for _, f := range l.Fields {
			s.Facts = append(s.Facts, kit.Fact{Label: f.Name, Value: f.Value})
		}
		out = append(out, s)
	}
	return out
}

// seenPairs compares what is known of a rewrite whose packets are not kept.
func seenPairs(r *capture.Rewrite) []kit.Pair {
	var out []kit.Pair
	add := func(label, before, after string) {
		if before != "" || after != "" {
			out = append(out, kit.Pair{Label: label, Before: before, After: after, Changed: before != after})
		}
	}
	add("source", r.Before.Src, r.After.Src)
	add("destination", r.Before.Dst, r.After.Dst)
	add("TTL", fmt.Sprint(r.Before.TTL), fmt.Sprint(r.After.TTL))
	add("source MAC", r.Before.SrcMAC, r.After.SrcMAC)
	add("dest. MAC", r.Before.DstMAC, r.After.DstMAC)
	add("IP checksum", r.Before.IPChecksum, r.After.IPChecksum)
	add("checksum", r.Before.Checksum, r.After.Checksum)
	return out
}
