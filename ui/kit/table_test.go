package kit

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/muesli/termenv"
)

type row struct {
	id   int
	name string
	size int
}

func rows(n int) []row {
	out := make([]row, n)
	for i := range out {
		out[i] = row{i, fmt.Sprintf("row%d", i), (i * 7) % n}
	}
	return out
}

func table() *Table[int, row] {
	return NewTable(func(r row) int { return r.id },
		Column[row]{Title: "Name", Cell: func(r row) string { return r.name }},
		Column[row]{Title: "Size", Cell: func(r row) string { return fmt.Sprint(r.size) }, Right: true, Priority: 1,
			Compare: func(a, b row) int { return cmp.Compare(a.size, b.size) }},
		Column[row]{Title: "Long", Cell: func(r row) string { return strings.Repeat("x", 40) }, Flex: true, Min: 6, Priority: 2},
		Column[row]{Title: "Extra", Cell: func(r row) string { return "e" }, Wide: true, Priority: 3},
	)
}

// do runs the table's action for a key.
func do(t *testing.T, tb *Table[int, row], keys ...string) {
	t.Helper()
	for _, k := range keys {
		msg := press(k)
		if tb.Typing() {
			tb.Update(msg)
			continue
		}
		a, ok := Find(tb.Actions(), msg)
		if !ok {
			t.Fatalf("no action for %q", k)
		}
		a.Run()
	}
}

func current(t *testing.T, tb *Table[int, row]) int {
	t.Helper()
	r, ok := tb.Selected()
	if !ok {
		return -1
	}
	return r.id
}

func TestSelectionFollowsIdentity(t *testing.T) {
	tb := table()
	tb.SetRows(rows(10))
	do(t, tb, "j", "j", "j")
	if got := current(t, tb); got != 3 {
		t.Fatalf("row %d is selected, not 3", got)
	}
	all := rows(10)
	tb.SetRows(append([]row{{100, "new", 0}, {101, "newer", 0}}, all...)) // two rows before it
	if got := current(t, tb); got != 3 {
		t.Errorf("after rows came before it, %d is selected", got)
	}
	do(t, tb, "s", "s") // by size
	if got := current(t, tb); got != 3 {
		t.Errorf("after sorting, %d is selected", got)
	}
	do(t, tb, "s", "s") // by no column again
	tb.SetRows(append(append([]row{}, all[:3]...), all[4:]...))
	if got := current(t, tb); got == 3 || got < 0 {
		t.Errorf("the selected row is gone, and %d is selected", got)
	}
	tb.SetRows(nil)
	if got := current(t, tb); got != -1 {
		t.Errorf("without rows, %d is selected", got)
	}
	tb.SetRows(all)
	if got := current(t, tb); got < 0 {
		t.Error("nothing is selected although there are rows")
	}
}

func TestSortAndReverse(t *testing.T) {
	tb := table()
	tb.SetRows(rows(5)) // sizes 0 2 4 1 3
	do(t, tb, "s", "s", "g")
	order := func() string {
		var out []string
		for _, i := range tb.view {
			out = append(out, fmt.Sprint(tb.rows[i].size))
		}
		return strings.Join(out, "")
	}
	if got := order(); got != "01234" {
		t.Errorf("by size: %s", got)
	}
	if head := tb.View(theme(termenv.Ascii), 80, 8); !strings.Contains(head, "SIZE↑") {
		t.Errorf("the sorted column is not marked:\n%s", head)
	}
	do(t, tb, "S")
	if got := order(); got != "43210" {
		t.Errorf("reversed: %s", got)
	}
}

func TestFilterLivesAndClears(t *testing.T) {
	tb := table()
	tb.SetRows(rows(30))
	do(t, tb, "/", "w", "2")
	if all, shown := tb.Len(); all != 30 || shown != 11 { // row2, row20 to row29
		t.Errorf("w2: %d of %d", shown, all)
	}
	do(t, tb, "enter", "j")
	if got := current(t, tb); got != 20 {
		t.Errorf("the second of the filtered rows is %d", got)
	}
	tb.SetRows(rows(31))
	if _, shown := tb.Len(); shown != 11 {
		t.Errorf("after new rows: %d", shown)
	}
	if !tb.Leave() || tb.Leave() {
		t.Error("esc clears the filter, once")
	}
	if _, shown := tb.Len(); shown != 31 || current(t, tb) != 20 {
		t.Errorf("cleared: %d rows, %d selected", shown, current(t, tb))
	}
	do(t, tb, "/", "z", "z")
	if text := tb.View(theme(termenv.Ascii), 80, 10); !strings.Contains(text, "None of the 31 rows") {
		t.Errorf("nothing matches:\n%s", text)
	}
	do(t, tb, "esc")
	if _, shown := tb.Len(); shown != 31 || tb.Typing() {
		t.Errorf("esc while typing: %d rows", shown)
	}
}

func TestOnlyVisibleRowsAreDrawn(t *testing.T) {
	drawn := map[int]bool{}
	tb := NewTable(func(r row) int { return r.id }, Column[row]{Title: "Name", Cell: func(r row) string { drawn[r.id] = true; return r.name }})
	tb.SetRows(rows(50000))
	tb.View(theme(termenv.Ascii), 80, 24)
	clear(drawn)
	do(t, tb, "G")
	text := tb.View(theme(termenv.Ascii), 80, 24)
	if len(drawn) > 30 || !strings.Contains(text, "row49999") {
		t.Errorf("%d rows were looked at to draw 23:\n%s", len(drawn), text)
	}
}

func TestMarks(t *testing.T) {
	tb := table()
	tb.SetRows(rows(5))
	if got := tb.Marked(); len(got) != 1 || got[0].id != 0 {
		t.Errorf("without marks, the selected row counts: %v", got)
	}
	do(t, tb, " ", " ", "j", " ")
	var ids []int
	for _, r := range tb.Marked() {
		ids = append(ids, r.id)
	}
	if fmt.Sprint(ids) != "[0 1 3]" {
		t.Errorf("marked: %v", ids)
	}
	tb.SetRows(rows(2))
	if got := tb.Marked(); len(got) != 2 {
		t.Errorf("a row that is gone is still marked: %v", got)
	}
	if !tb.Leave() || len(tb.marks) != 0 {
		t.Error("esc clears the marks")
	}
}

func TestFollow(t *testing.T) {
	tb := table()
	tb.Follow = true
	tb.SetRows(rows(3))
	do(t, tb, "G")
	tb.SetRows(rows(9))
	if got := current(t, tb); got != 8 || !tb.Following() {
		t.Errorf("following: %d", got)
	}
	do(t, tb, "k")
	tb.SetRows(rows(20))
	if got := current(t, tb); got != 7 || tb.Following() {
		t.Errorf("after moving up: %d", got)
	}
}

func TestColumnsGiveWayByPriority(t *testing.T) {
	tb := table()
	tb.SetRows(rows(3))
	for w, want := range map[int]string{80: "NAME SIZE LONG", 30: "NAME SIZE LONG", 18: "NAME SIZE", 7: "NAME"} {
		head, _, _ := strings.Cut(tb.View(theme(termenv.Ascii), w, 5), "\n")
		if got := strings.Join(strings.Fields(head), " "); got != want {
			t.Errorf("%d cells: %q, not %q", w, got, want)
		}
	}
	do(t, tb, "w")
	if head := tb.View(theme(termenv.Ascii), 80, 5); !strings.Contains(head, "EXTRA") {
		t.Errorf("w shows all columns:\n%s", head)
	}
}

func TestTableFitsAnySize(t *testing.T) {
	for _, p := range []termenv.Profile{termenv.Ascii, termenv.TrueColor} {
		tb := table()
		tb.SetRows([]row{{1, "漢字\x1b[2J\u202e", 1}, {2, strings.Repeat("e\u0301", 50), 2}})
		for w := 1; w < 90; w += 3 {
			for h := 1; h < 9; h++ {
				lines := strings.Split(tb.View(theme(p), w, h), "\n")
				if len(lines) != h {
					t.Fatalf("%dx%d: %d lines", w, h, len(lines))
				}
				for _, l := range lines {
					if n := Width(l); n != w {
						t.Fatalf("%dx%d: %d cells in %q", w, h, n, l)
					}
				}
			}
		}
	}
}

func BenchmarkView10000Rows(b *testing.B) {
	tb := table()
	tb.SetRows(rows(10000))
	th := theme(termenv.TrueColor)
	for b.Loop() {
		tb.View(th, 160, 45)
	}
}

// TestFixedRowsAreDrawnAlike holds a table that does not measure again what stays
// the same to one that does.
func TestFixedRowsAreDrawnAlike(t *testing.T) {
	random, th := rand.New(rand.NewPCG(3, 4)), theme(termenv.Ascii)
	columns := []Column[int]{
		{Title: "A", Cell: func(n int) string { return strings.Repeat("a", n*7919%23) }, Flex: true, Min: 4},
		{Title: "B", Cell: func(n int) string { return strings.Repeat("b", n*104729%41) }, Priority: 1, Max: 30},
	}
	key := func(n int) int { return n }
	fixed, other := NewTable(key, columns...), NewTable(key, columns...)
	fixed.Fixed = true
	var rows []int
	next := 1
	for range 400 {
		for range random.IntN(8) {
			rows = append(rows, next)
			next++
		}
		switch random.IntN(8) {
		case 0:
			rows = rows[min(random.IntN(20), len(rows)):]
		case 1:
			fixed.cycleSort()
			other.cycleSort()
		case 2:
			text := strings.Repeat("b", random.IntN(20))
			fixed.SetFilter(text)
			other.SetFilter(text)
		case 3:
			fixed.SetFilter("")
			other.SetFilter("")
		}
		fixed.SetRows(rows)
		other.SetRows(rows)
		if got, want := fixed.View(th, 60, 12), other.View(th, 60, 12); got != want {
			t.Fatalf("%d rows are drawn as\n%s\nnot\n%s", len(rows), got, want)
		}
	}
}
