package kit

import (
	"strings"
)

// A Fact is one labelled value of a Section. Both are made safe when drawn.
type Fact struct {
	Label string
	Value string
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
		label = max(label, Width(Safe(f.Label))+2)
	}
	label = min(label, maxLabel, w/2)
	for _, f := range s.Facts {
		for i, l := range Wrap(Safe(f.Value), w-label) {
			name := ""
			if i == 0 {
				name = Safe(f.Label)
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

// maxHalf bounds the columns of a comparison: eyes go to and fro between them.
const maxHalf = 40

// Compare draws pairs side by side in lines of at most w cells. What changed is
// marked with "≠" and set in bold; only leaves out the fields that did not.
// Where there is room, the second half of the headings stands beside the first.
func Compare(th *Theme, w int, before, after string, pairs []Pair, only bool) []string {
	if th.Plain {
		return tell(w, pairs, only)
	}
	if only || w < 130 {
		return compare(th, w, before, after, pairs, only)
	}
	at := len(pairs)
	for i, p := range pairs {
		if p.Heading != "" && i > 0 && abs(2*i-len(pairs)) < abs(2*at-len(pairs)) {
			at = i
		}
	}
	half := w/2 - 2
	left := compare(th, half, before, after, pairs[:at], false)
	return Columns(left, compare(th, half, before, after, pairs[at:], false), half+4)
}

// tell is a comparison in words.
func tell(w int, pairs []Pair, only bool) []string {
	var lines []string
	for _, p := range pairs {
		switch {
		case p.Heading != "":
			lines = append(lines, Safe(p.Heading)+".")
		case p.Changed:
			lines = append(lines, Wrap(Safe(p.Label+" changed from "+p.Before+" to "+p.After)+".", w)...)
		case !only:
			lines = append(lines, Wrap(Safe(p.Label+" "+p.Before)+".", w)...)
		}
	}
	return lines
}

func abs(n int) int { return max(n, -n) }

func compare(th *Theme, w int, before, after string, pairs []Pair, only bool) []string {
	c := comparison{th: th, label: 6}
	for _, p := range pairs {
		c.label = max(c.label, Width(Safe(p.Label)))
		if only {
			c.indent = max(c.indent, Width(p.Heading)+2)
		}
	}
	c.label, c.indent = min(c.label, maxLabel), min(c.indent, maxLabel)
	c.half = min(max(8, (w-c.indent-c.label-6)/2), maxHalf)
	title := strings.Repeat(" ", c.indent+c.label+3) + Fit("before  "+Safe(before), c.half) + "   " + Cut("after  "+Safe(after), c.half)
	lines := []string{th.Dim.Render(Cut(title, w))}
	heading := ""
	for _, p := range pairs {
		switch {
		case p.Heading != "":
			if heading = p.Heading; !only {
				lines = append(lines, th.Accent.Render(Cut(Safe(heading), w)))
				heading = ""
			}
		case p.Changed || !only:
			lines = append(lines, th.Accent.Render(Fit(Safe(heading), c.indent))+c.line(p))
			heading = ""
		}
	}
	return lines
}

// comparison is how wide the columns of Compare are.
type comparison struct {
	th                  *Theme
	indent, label, half int
}

func (c comparison) line(p Pair) string {
	th := c.th
	name, value, sep, mark := th.Dim, th.Dim, "   ", "  "
	if p.Changed {
		name, value, sep, mark = th.Changed, th.Changed, " → ", "≠ "
	}
	return name.Render(mark+Fit(Safe(p.Label), c.label)+" ") +
		value.Render(Fit(Safe(p.Before), c.half)) + th.Dim.Render(sep) +
		value.Render(Cut(Safe(p.After), c.half))
}
