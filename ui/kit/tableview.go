package kit

import (
	"fmt"
	"strings"
)

const (
	gutter  = 2 // cells before the first column: cursor and mark
	gap     = 2 // cells between columns
	measure = 1000
)

// View draws the table in exactly h lines of w cells.
func (t *Table[K, T]) View(th *Theme, w, h int) string {
	body := h - 1
	if t.filtering || t.Filter() != "" {
		body--
	}
	t.height = max(1, body)
	t.top, _ = t.InView()
	if th.Plain {
		return Block(t.plainLines(w), w, h)
	}
	t.drawn = drawn[T]{top: t.top, rows: t.drawn.rows[:0], cells: t.drawn.cells[:0]}
	cols, widths := t.layout(w - gutter)
	lines := append(make([]string, 0, h), t.header(th, cols, widths))
	for at := t.top; at < min(t.size(), t.top+body); at++ {
		lines = append(lines, t.line(th, cols, widths, at, w))
	}
	lines = append(lines, t.nothing(th, w)...)
	if body < h-1 {
		for len(lines) < h-1 {
			lines = append(lines, "")
		}
		lines = append(lines[:max(0, h-1)], t.filterLine(th, w))
	}
	return Block(lines, w, h)
}

// InView are the rows that are drawn, if the table gets as many lines as last
// time: from the first up to, and without, end.
func (t *Table[K, T]) InView() (first, end int) {
	first = max(min(t.top, t.cursor), t.cursor-t.height+1, 0)
	first = max(0, min(first, t.size()-t.height))
	return first, min(first+t.height, t.size())
}

func (t *Table[K, T]) nothing(th *Theme, w int) []string {
	var text string
	switch {
	case t.size() > 0:
		return nil
	case len(t.rows) > 0:
		text = fmt.Sprintf("None of the %d rows contains %q. esc clears the filter.", len(t.rows), t.Filter())
	default:
		text = t.Empty
	}
	lines := []string{""}
	for _, l := range Wrap(text, min(w-2*gutter, 70)) {
		lines = append(lines, strings.Repeat(" ", gutter)+th.Dim.Render(l))
	}
	return lines
}

func (t *Table[K, T]) filterLine(th *Theme, w int) string {
	count := fmt.Sprintf("  %d of %d", len(t.view), len(t.rows))
	in := t.filter.View(th, max(4, w-gutter-2-Width(count)), t.filtering)
	return " " + th.Key.Render("/ ") + in + th.Dim.Render(count)
}

func (t *Table[K, T]) header(th *Theme, cols, widths []int) string {
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", gutter))
	for i, c := range cols {
		col := t.Columns[c]
		title, style := strings.ToUpper(col.Title), th.Heading
		if c == t.sortBy {
			style = th.Accent
			title += map[bool]string{false: "↑", true: "↓"}[t.sortDown]
		}
		b.WriteString(style.Render(align(title, widths[i], col.Right)))
		if i < len(cols)-1 {
			b.WriteString(strings.Repeat(" ", gap))
		}
	}
	return b.String()
}

func align(s string, w int, right bool) string {
	if right {
		return FitRight(s, w)
	}
	return Fit(s, w)
}

// drawn are the rows in view, each asked for once a frame: columns are measured
// before they are drawn.
type drawn[T any] struct {
	top   int
	rows  []T
	cells []cell // of each row as many as there are columns
}

type cell struct {
	text  string
	width int
	known bool
}

// inView is a row in view.
func (t *Table[K, T]) inView(at int) T {
	d := &t.drawn
	for n := len(d.rows); n <= at-d.top; n++ {
		d.rows = append(d.rows, t.row(d.top+n))
		d.cells = append(d.cells, make([]cell, len(t.Columns))...)
	}
	return d.rows[at-d.top]
}

// cell is a cell of a row in view.
func (t *Table[K, T]) cell(at, column int) cell {
	row := t.inView(at)
	c := &t.drawn.cells[(at-t.drawn.top)*len(t.Columns)+column]
	if !c.known {
		text := Safe(t.Columns[column].Cell(row))
		*c = cell{text, Width(text), true}
	}
	return *c
}

func (t *Table[K, T]) line(th *Theme, cols, widths []int, at, w int) string {
	row := t.inView(at)
	selected, marked := at == t.cursor, t.marks[t.Key(row)]
	var b strings.Builder
	b.Grow(4 * w)
	write := func(s *Style, before int, text string, after int) {
		if selected {
			s = th.On(s)
		}
		b.WriteString(s.before)
		blank(&b, before)
		b.WriteString(text)
		blank(&b, after)
		b.WriteString(s.after)
	}
	write(th.Accent, 0, sign(selected, "▌"), 0)
	write(th.Changed, 0, sign(marked, "●"), 0)
	used := gutter
	for i, c := range cols {
		col, cell := &t.Columns[c], t.cell(at, c)
		style := th.Text
		if col.Style != nil {
			style = col.Style(th, row)
		}
		if cell.width > widths[i] {
			cut := Cut
			if col.Ends {
				cut = CutMiddle
			}
			cell.text = cut(cell.text, widths[i])
			cell.width = Width(cell.text)
		}
		before, after := 0, widths[i]-cell.width
		if col.Right {
			before, after = after, 0
		}
		if i < len(cols)-1 {
			after += gap
		}
		used += before + cell.width + after
		write(style, before, cell.text, after)
	}
	if used < w {
		write(th.Text, 0, "", w-used)
	}
	return b.String()
}

const blanks = "                                                                "

func blank(b *strings.Builder, n int) {
	for ; n > 0; n -= len(blanks) {
		b.WriteString(blanks[:min(n, len(blanks))])
	}
}

func sign(on bool, s string) string {
	if on {
		return s
	}
	return " "
}

// plainLines says the selected row first, then each row, as sentences that are
// wrapped and not cut: a screen reader reads from left to right.
func (t *Table[K, T]) plainLines(w int) []string {
	if t.size() == 0 {
		return Wrap(t.Empty, w)
	}
	var lines []string
	if t.filtering || t.Filter() != "" {
		lines = append(lines, "Filter: "+t.Filter())
	}
	lines = append(lines, Wrap(fmt.Sprintf("Selected, %s: %s.", t.Tell(), t.sentence(t.cursor)), w)...)
	for at := t.top; at < min(t.size(), t.top+t.height); at++ {
		lines = append(lines, Wrap(fmt.Sprintf("%d: %s.", at+1, t.sentence(at)), w)...)
	}
	return lines
}

func (t *Table[K, T]) sentence(at int) string {
	row := t.row(at)
	var parts []string
	if t.marks[t.Key(row)] {
		parts = append(parts, "marked")
	}
	for _, c := range t.Columns {
		if cell := Safe(c.Cell(row)); cell != "" && (!c.Wide || t.wide) {
			parts = append(parts, strings.ToLower(c.Title)+" "+cell)
		}
	}
	return strings.Join(parts, ", ")
}

// layout chooses the columns that fit into w cells, and their widths.
func (t *Table[K, T]) layout(w int) (cols, widths []int) {
	for i, c := range t.Columns {
		if !c.Wide || t.wide {
			cols = append(cols, i)
			widths = append(widths, t.natural(i))
		}
	}
	for {
		need := total(widths)
		if need <= w {
			return cols, widths
		}
		if t.narrow(cols, widths, need-w) {
			return cols, widths
		}
		drop := -1
		for i, c := range cols {
			if p := t.Columns[c].Priority; p > 0 && (drop < 0 || p >= t.Columns[cols[drop]].Priority) {
				drop = i
			}
		}
		if drop < 0 {
			t.squeeze(cols, widths, need-w)
			return cols, widths // Block cuts what is still left over
		}
		cols = append(cols[:drop], cols[drop+1:]...)
		widths = append(widths[:drop], widths[drop+1:]...)
		for i, c := range cols {
			widths[i] = t.natural(c)
		}
	}
}

func total(widths []int) int {
	n := gap * max(0, len(widths)-1)
	for _, w := range widths {
		n += w
	}
	return n
}

// natural is the width that a column would like: of its widest cell among the
// first rows and those in view, so that scrolling seldom moves the columns. Of
// Rows it is the widest that was in view.
func (t *Table[K, T]) natural(c int) int {
	col := t.Columns[c]
	n := max(col.Min, Width(col.Title))
	if c == t.sortBy {
		n = max(n, Width(col.Title)+1)
	}
	look := func(from int) {
		for at := max(from, t.top); at < min(t.top+t.height, t.size()); at++ {
			n = max(n, t.cell(at, c).width)
		}
	}
	switch {
	case t.far != nil:
		n = max(n, t.first[c])
		look(0)
		t.first[c] = n
	default:
		n = max(n, t.first[c])
		for ; t.past[c] < min(measure, t.size()); t.past[c]++ {
			n = max(n, Width(Safe(col.Cell(t.row(t.past[c])))))
		}
		t.first[c] = n
		look(measure)
	}
	if col.Max > 0 {
		n = min(n, max(col.Max, Width(col.Title)))
	}
	return n
}

// squeeze makes the flexible columns narrower than they should be.
func (t *Table[K, T]) squeeze(cols, widths []int, over int) {
	for i, c := range cols {
		if t.Columns[c].Flex {
			n := max(0, min(over, widths[i]-Width(t.Columns[c].Title)))
			widths[i] -= n
			over -= n
		}
	}
}

// narrow takes over cells away from the flexible columns, from the widest
// first, and says whether there were enough to take.
func (t *Table[K, T]) narrow(cols, widths []int, over int) bool {
	room := 0
	for i, c := range cols {
		if col := t.Columns[c]; col.Flex {
			room += max(0, widths[i]-max(col.Min, Width(col.Title)))
		}
	}
	if room < over {
		return false
	}
	for ; over > 0; over-- {
		widest := -1
		for i, c := range cols {
			col := t.Columns[c]
			if col.Flex && widths[i] > max(col.Min, Width(col.Title)) && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		widths[widest]--
	}
	return true
}
