package kit

import (
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// tall is the height from which on the pane is open unless it is closed.
const tall = 30

// A Browser is a table with a pane under it that tells more about the selected
// row. The pane opens with enter, and by itself where there is room.
type Browser[K comparable, T any] struct {
	*Table[K, T]
	PaneTitle func(T) string
	// Pane draws the pane's lines, each at most w cells wide.
	Pane func(th *Theme, row T, w int) []string

	open, shut bool // asked for; asked away
	inPane     bool // keys go to the pane
	offset     int
	of         K // the row that the offset belongs to
	lines      int
	paneH      int
	lastH      int
}

// Update gives a key to the filter, if that is being typed.
func (b *Browser[K, T]) Update(msg tea.Msg) tea.Cmd {
	if k, ok := msg.(tea.KeyMsg); ok && b.Typing() {
		b.Table.Update(k)
	}
	return nil
}

// PaneOpen says whether the pane is, or would be, on the screen.
func (b *Browser[K, T]) PaneOpen() bool {
	return b.Pane != nil && !b.shut && (b.open || b.lastH >= tall)
}

// OpenPane opens the pane.
func (b *Browser[K, T]) OpenPane() { b.open, b.shut = true, false }

// Leave takes the focus out of the pane, closes it, or clears the filter; it
// says whether there was something to leave.
func (b *Browser[K, T]) Leave() bool {
	switch {
	case b.inPane:
		b.inPane = false
	case b.open:
		b.open = false
	default:
		return b.Table.Leave()
	}
	return true
}

// Actions are the table's, and those of the pane.
func (b *Browser[K, T]) Actions() []Action {
	list := b.Table.Actions()
	if b.inPane {
		for i, a := range Moves(b.scroll, func() int { return b.lines }, func() int { return b.paneH }) {
			list[i] = a // the same keys move in the pane
		}
	}
	if b.Pane == nil {
		return list
	}
	return append(list, Action{
		ID: "pane.focus", Binding: Bind("tab", "other pane", "tab", "shift+tab"), Quiet: true,
		Disabled: func() string {
			if !b.PaneOpen() {
				return "there is one pane: enter opens the details"
			}
			return ""
		},
		Run: func() tea.Cmd { b.inPane = !b.inPane; return nil },
	})
}

// Toggle is the action that opens and closes the pane.
func (b *Browser[K, T]) Toggle(shown string, keys ...string) Action {
	return Action{ID: "pane.toggle", Binding: Bind(shown, "details", keys...), Bar: 10, Run: func() tea.Cmd {
		if b.PaneOpen() {
			b.open, b.shut, b.inPane = false, true, false
		} else {
			b.OpenPane()
		}
		return nil
	}}
}

func (b *Browser[K, T]) scroll(by int) { b.offset += by }

// View draws the table and, if open, the pane in exactly h lines of w cells.
func (b *Browser[K, T]) View(th *Theme, w, h int) string {
	b.lastH = h
	row, ok := b.Selected()
	if !ok || !b.PaneOpen() || h < 8 {
		b.inPane = false
		return b.Table.View(th, w, h)
	}
	if k := b.Key(row); k != b.of {
		b.of, b.offset = k, 0
	}
	all := b.Pane(th, row, w-4)
	b.lines = len(all)
	top := b.split(h, len(all))
	b.paneH = h - top - 1
	var part []string
	part, b.offset = Scroll(all, b.offset, b.paneH)
	for i, l := range part {
		part[i] = "  " + l
	}
	rule := b.rule(th, row, w, len(all))
	return b.Table.View(th, w, top) + "\n" + rule + "\n" + Block(part, w, b.paneH)
}

// split is the height of the table: it keeps two fifths as far as it has rows
// for them, and gets what the pane leaves.
func (b *Browser[K, T]) split(h, lines int) int {
	_, shown := b.Len()
	need := shown + 3 // header, a free line, and the filter's
	keep := h * 2 / 5
	if h >= tall {
		keep = h / 2
	}
	return min(max(min(need, keep), h-lines-1), h-4)
}

func (b *Browser[K, T]) rule(th *Theme, row T, w, lines int) string {
	title := Safe(b.PaneTitle(row))
	if th.Plain {
		return Fit("Details: "+title, w)
	}
	style, end := th.Dim, ""
	if lines > b.paneH {
		end = map[bool]string{true: " j/k scroll ", false: " tab: more "}[b.inPane]
	}
	if b.inPane {
		style = th.Accent.Bold()
		title = "▸ " + title
	}
	title = Cut(title, w-6-Width(end))
	n := w - 4 - Width(title) - Width(end) - 2
	return th.Line.Render("──") + " " + style.Render(title) + " " +
		th.Line.Render(strings.Repeat("─", max(0, n))) + th.Dim.Render(end) + th.Line.Render("──")
}
