package kit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// A Column says how a Table shows one property of its rows.
type Column[T any] struct {
	Title string
	Cell  func(T) string // made safe by the table
	// Compare orders rows by this column; nil compares the cells as text.
	Compare func(a, b T) int
	Style   func(*Theme, T) *Style // nil is the plain style
	Min     int                    // cells; at least the title's width
	Max     int                    // cells, 0 for no limit
	Flex    bool                   // gives way where there is no room
	Right   bool                   // aligned to the right
	Ends    bool                   // cut in the middle: the end matters, too
	// Priority: columns with larger numbers are left out first where the
	// screen is narrow; those with 0 never are.
	Priority int
	Wide     bool // only shown in the wide form
}

// Rows are rows that are too many to be handed to a table: it asks for those
// that it draws, and for no others.
type Rows[K comparable, T any] interface {
	Len() int
	At(i int) T // of 0 up to Len
	// Find is where the row with this key is, or the one that took its place;
	// ok is false when it is gone.
	Find(k K) (i int, ok bool)
}

// A Table shows rows of T, known by a key K that stays the same while the row
// changes: the selection follows the key, never the row number. Only the rows
// in view are drawn.
type Table[K comparable, T any] struct {
	Columns []Column[T]
	Key     func(T) K
	Empty   string // told when there are no rows at all
	// Follow keeps the last row selected as rows are added, from when it is
	// selected until another is.
	Follow bool
	// Fixed says that a row with the same key says the same for ever, and that
	// rows come at the end and go at the beginning; Measure tells of all else.
	Fixed bool

	far    Rows[K, T] // the rows, when they are too many for the next two
	rows   []T
	view   []int // indices into rows, filtered and sorted
	cursor int   // index into view
	tail   bool  // following the last row
	key    K     // of the selected row
	has    bool  // key is set
	top    int   // first row drawn
	height int   // rows drawn last time
	drawn  drawn[T]
	first  []int // widths of the columns over the first rows
	past   []int // how many of the first rows these are about
	began  K     // the first of them
	same   bool  // began is set, and they can only become more
	marks  map[K]bool

	sortBy   int // column, -1 for the order of the rows
	sortDown bool
	wide     bool

	filter    Input
	filtering bool
}

// NewTable makes a table without rows.
func NewTable[K comparable, T any](key func(T) K, columns ...Column[T]) *Table[K, T] {
	return &Table[K, T]{
		Columns: columns, Key: key, sortBy: -1, height: 1,
		first: make([]int, len(columns)), past: make([]int, len(columns)), marks: map[K]bool{}, filter: NewInput(""),
	}
}

// SetRows replaces the rows. The selection stays on its row, or on the row that
// took its place if it is gone.
func (t *Table[K, T]) SetRows(rows []T) {
	t.rows = rows
	if len(t.marks) > 0 {
		t.dropMarks()
	}
	t.arrange()
}

// Show lets the table show rows in their own order, and again when they have
// changed. What SetRows says of the selection holds here, too.
func (t *Table[K, T]) Show(rows Rows[K, T]) {
	t.far = rows
	for k := range t.marks {
		if _, ok := rows.Find(k); !ok {
			delete(t.marks, k)
		}
	}
	t.restore()
}

// Measure forgets how wide the columns were.
func (t *Table[K, T]) Measure() {
	clear(t.first)
	clear(t.past)
}

// size is the number of rows that pass the filter.
func (t *Table[K, T]) size() int {
	if t.far != nil {
		return t.far.Len()
	}
	return len(t.view)
}

// row is one of them.
func (t *Table[K, T]) row(at int) T {
	if t.far != nil {
		return t.far.At(at)
	}
	return t.rows[t.view[at]]
}

// find is where the row with this key is.
func (t *Table[K, T]) find(k K) (at int, ok bool) {
	if t.far != nil {
		return t.far.Find(k)
	}
	for at, i := range t.view {
		if t.Key(t.rows[i]) == k {
			return at, true
		}
	}
	return t.cursor, false
}

func (t *Table[K, T]) dropMarks() {
	there := make(map[K]bool, len(t.marks))
	for _, r := range t.rows {
		if k := t.Key(r); t.marks[k] {
			there[k] = true
		}
	}
	t.marks = there
}

// arrange filters and sorts, and puts the cursor back onto its row.
func (t *Table[K, T]) arrange() {
	t.view = t.view[:0]
	terms := strings.Fields(strings.ToLower(t.filter.Value()))
	for i, r := range t.rows {
		if t.matches(r, terms) {
			t.view = append(t.view, i)
		}
	}
	if t.sortBy >= 0 {
		compare := t.compare(t.Columns[t.sortBy])
		slices.SortStableFunc(t.view, func(a, b int) int {
			if t.sortDown {
				a, b = b, a
			}
			return compare(t.rows[a], t.rows[b])
		})
	}
	t.measureAnew(len(terms) == 0 && t.sortBy < 0)
	t.restore()
}

// measureAnew forgets the widths, if the rows that they are about may be others
// now; all says that all rows are shown, in their own order.
func (t *Table[K, T]) measureAnew(all bool) {
	same := t.Fixed && all && len(t.view) > 0
	began := t.began
	if same {
		t.began = t.Key(t.row(0))
	}
	if !same || !t.same || t.began != began {
		t.Measure()
	}
	t.same = same
}

func (t *Table[K, T]) matches(r T, terms []string) bool {
	if len(terms) == 0 {
		return true
	}
	var b strings.Builder
	for _, c := range t.Columns {
		b.WriteString(c.Cell(r))
		b.WriteByte(' ')
	}
	text := strings.ToLower(b.String())
	for _, term := range terms {
		if !strings.Contains(text, term) {
			return false
		}
	}
	return true
}

func (t *Table[K, T]) compare(c Column[T]) func(a, b T) int {
	if c.Compare != nil {
		return c.Compare
	}
	return func(a, b T) int { return cmp.Compare(c.Cell(a), c.Cell(b)) }
}

func (t *Table[K, T]) restore() {
	at := t.cursor
	switch {
	case t.tail:
		at = t.size() - 1
	case t.has:
		at, _ = t.find(t.key)
	}
	t.moveTo(at)
}

func (t *Table[K, T]) moveTo(at int) {
	t.cursor = max(0, min(at, t.size()-1))
	t.has = t.size() > 0
	if t.has {
		t.key = t.Key(t.row(t.cursor))
	}
}

// Select puts the cursor onto the row with this key, if it is in view.
func (t *Table[K, T]) Select(k K) {
	if at, ok := t.find(k); ok {
		t.tail = false
		t.moveTo(at)
	}
}

// Selected is the row under the cursor.
func (t *Table[K, T]) Selected() (row T, ok bool) {
	if !t.has || t.cursor >= t.size() {
		return row, false
	}
	return t.row(t.cursor), true
}

// Marked are the marked rows in their order, or the selected one if none is
// marked.
func (t *Table[K, T]) Marked() []T {
	var out []T
	for _, r := range t.rows {
		if t.marks[t.Key(r)] {
			out = append(out, r)
		}
	}
	if t.far != nil {
		var at []int
		for k := range t.marks {
			if i, ok := t.far.Find(k); ok {
				at = append(at, i)
			}
		}
		slices.Sort(at)
		for _, i := range at {
			out = append(out, t.far.At(i))
		}
	}
	if r, ok := t.Selected(); ok && len(out) == 0 {
		out = append(out, r)
	}
	return out
}

// Marks are the keys of the marked rows, in no order.
func (t *Table[K, T]) Marks() []K { return slices.Collect(maps.Keys(t.marks)) }

// Len is the number of rows, and of those that the filter lets through.
func (t *Table[K, T]) Len() (all, shown int) {
	if t.far != nil {
		return t.far.Len(), t.far.Len()
	}
	return len(t.rows), len(t.view)
}

// Typing says that the filter is being typed.
func (t *Table[K, T]) Typing() bool { return t.filtering }

// Hints are the keys while the filter is being typed.
func (t *Table[K, T]) Hints() []Action {
	return []Action{
		{ID: "filter.keep", Binding: Bind("enter", "keep the filter"), Bar: 10},
		{ID: "filter.move", Binding: Bind("↑/↓", "move", "up", "down"), Bar: 20},
		{ID: "filter.clear", Binding: Bind("esc", "clear the filter"), Bar: 30},
	}
}

// Filter is the text that rows must contain.
func (t *Table[K, T]) Filter() string { return t.filter.Value() }

// SetFilter replaces it.
func (t *Table[K, T]) SetFilter(text string) {
	t.filter.Set(text)
	t.arrange()
}

// Leave clears the filter or the marks, and says whether there was one.
func (t *Table[K, T]) Leave() bool {
	switch {
	case t.Filter() != "":
		t.SetFilter("")
	case len(t.marks) > 0:
		t.marks = map[K]bool{}
	default:
		return false
	}
	return true
}

// Update takes a key while the filter is being typed.
func (t *Table[K, T]) Update(msg tea.KeyMsg) {
	switch msg.String() {
	case "esc":
		t.filtering = false
		t.SetFilter("")
	case "enter":
		t.filtering = false
	case "up":
		t.move(-1)
	case "down":
		t.move(1)
	default:
		if t.filter.Update(msg) {
			t.arrange()
		}
	}
}

func (t *Table[K, T]) move(by int) {
	at := t.cursor + by
	t.tail = t.Follow && at >= t.size()-1
	t.moveTo(at)
}

// GoLast selects the last row, and follows it if the table does so.
func (t *Table[K, T]) GoLast() { t.move(t.size()) }

// GoFirst selects the first row.
func (t *Table[K, T]) GoFirst() { t.move(-t.size()) }

// Following says whether the selection moves with new rows.
func (t *Table[K, T]) Following() bool { return t.tail }

func (t *Table[K, T]) mark() {
	r, ok := t.Selected()
	if !ok {
		return
	}
	k := t.Key(r)
	if t.marks[k] = !t.marks[k]; !t.marks[k] {
		delete(t.marks, k)
	}
	t.move(1)
}

// cycleSort goes through the columns that are on the screen, then back to the
// order of the rows.
func (t *Table[K, T]) cycleSort() {
	for t.sortBy++; t.sortBy < len(t.Columns); t.sortBy++ {
		if !t.Columns[t.sortBy].Wide || t.wide {
			t.arrange()
			return
		}
	}
	t.sortBy, t.sortDown = -1, false
	t.arrange()
}

// SortBy sorts by the column with this title.
func (t *Table[K, T]) SortBy(title string, down bool) {
	t.sortBy = slices.IndexFunc(t.Columns, func(c Column[T]) bool { return c.Title == title })
	t.sortDown = down
	t.arrange()
}

// Tell says how many rows there are and how they are arranged.
func (t *Table[K, T]) Tell() string {
	all, shown := t.Len()
	if all == 0 {
		return "none"
	}
	s := fmt.Sprintf("%d of %d", min(t.cursor+1, shown), shown)
	if shown != all {
		s += fmt.Sprintf(" (all: %d)", all)
	}
	if n := len(t.marks); n > 0 {
		s += fmt.Sprintf(", %d marked", n)
	}
	return s
}
