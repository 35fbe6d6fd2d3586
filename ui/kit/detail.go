package kit

import (
	"strings"
)

// A Fact is one labelled value of a Section.
type Fact struct {
	Label string
	Value string // made safe when drawn
}

// A Section is a heading with facts, or with text, under it.
type Section struct {
	Title string
	Facts []Fact
	Text  string
}

// maxLabel bounds the column of the labels.
const maxLabel = 16

// Sections draws sections in lines of at most w cells, in two columns where
// there is room for them.
func Sections(th *Theme, w int, sections []Section) []string {
	if th.Plain || w < 110 || len(sections) < 2 {
		return stack(th, w, sections)
	}
	half := w/2 - 2
	total := 0
	for _, s := range sections {
		total += len(section(th, half, s)) + 1
	}
	split, left := 1, len(section(th, half, sections[0]))+1
	for split < len(sections)-1 {
		n := len(section(th, half, sections[split])) + 1
		if left+n > (total+1)/2 {
			break
		}
		left += n
		split++
	}
	return Columns(stack(th, half, sections[:split]), stack(th, half, sections[split:]), half+4)
}

func stack(th *Theme, w int, sections []Section) []string {
	var lines []string
	for i, s := range sections {
		if i > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, section(th, w, s)...)
	}
	return lines
}

func section(th *Theme, w int, s Section) []string {
	var lines []string
	if s.Title != "" {
		lines = append(lines, th.Accent.Render(Cut(Safe(s.Title), w)))
	}
	label := 0
	for _, f := range s.Facts {
		label = max(label, Width(f.Label)+2)
	}
	label = min(label, maxLabel, w/2)
	for _, f := range s.Facts {
		for i, l := range Wrap(Safe(f.Value), w-label) {
			name := ""
			if i == 0 {
				name = f.Label
			}
			if th.Plain {
				name += ":"
			}
			lines = append(lines, th.Dim.Render(Fit(name, label))+th.Text.Render(Cut(l, w-label)))
		}
	}
	if s.Text != "" {
		for _, p := range strings.Split(s.Text, "\n") {
			for _, l := range Wrap(Safe(p), w) {
				lines = append(lines, th.Text.Render(Cut(l, w)))
			}
		}
	}
	return lines
}

// A Pair is one line of a comparison: a field as it was before and after, or a
// heading over the fields that follow.
type Pair struct {
	Heading       string
	Label         string
	Before, After string
	Changed       bool
}

// Compare draws pairs side by side in lines of at most w cells. What changed is
// marked with "≠" and set in bold; only leaves out the fields that did not.
func Compare(th *Theme, w int, before, after string, pairs []Pair, only bool) []string {
	label := 6
	for _, p := range pairs {
		label = max(label, Width(p.Label))
	}
	label = min(label, maxLabel)
	half := max(8, (w-label-3-3)/2)
	mark := "≠ "
	if th.Plain {
		mark = "* "
	}
	title := strings.Repeat(" ", label+3) + Fit("before  "+before, half) + "   " + Cut("after  "+after, half)
	lines := []string{th.Dim.Render(title)}
	heading := ""
	for _, p := range pairs {
		switch {
		case p.Heading != "":
			heading = p.Heading
			if !only {
				lines = append(lines, th.Accent.Render(Safe(heading)))
			}
		case only && !p.Changed:
		default:
			if only && heading != "" {
				lines = append(lines, th.Accent.Render(Safe(heading)))
				heading = ""
			}
			lines = append(lines, pair(th, p, mark, label, half))
		}
	}
	return lines
}

func pair(th *Theme, p Pair, mark string, label, half int) string {
	name, value, sep := th.Dim, th.Dim, "   "
	if p.Changed {
		name, value, sep = th.Changed, th.Changed, " → "
	} else {
		mark = "  "
	}
	return name.Render(mark+Fit(p.Label, label)+" ") +
		value.Render(Fit(Safe(p.Before), half)) + th.Dim.Render(sep) +
		value.Render(Cut(Safe(p.After), half))
}
