package kit

import (
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// A Dialog lies over a page and takes all keys but ctrl+c until it is done.
type Dialog interface {
	Title() string
	// Grace is how long keys are ignored after the dialog opened, so that
	// what was typed for the page does not answer the dialog.
	Grace() time.Duration
	Update(tea.KeyMsg) (done bool, cmd tea.Cmd)
	// View draws the dialog in lines of at most w cells and at most h of them.
	View(th *Theme, w, h int) []string
	// Hint tells its keys.
	Hint() string
}

// Stack holds the open dialogs; the last one is on top. Now is its clock.
type Stack struct {
	Now  func() time.Time
	open []opened
}

type opened struct {
	Dialog
	at time.Time
}

// Open puts a dialog on top.
func (s *Stack) Open(d Dialog) { s.open = append(s.open, opened{d, s.Now()}) }

// Len is the number of open dialogs.
func (s *Stack) Len() int { return len(s.open) }

// Clear closes all dialogs.
func (s *Stack) Clear() { s.open = nil }

// Update gives a key to the dialog on top, and closes it when it is done. What
// the dialog opened meanwhile stays.
func (s *Stack) Update(msg tea.KeyMsg) tea.Cmd {
	top := s.open[len(s.open)-1]
	if s.Now().Sub(top.at) < top.Grace() {
		return nil
	}
	below := len(s.open) - 1
	done, cmd := top.Update(msg)
	if done {
		s.open = append(s.open[:below], s.open[below+1:]...)
	}
	return cmd
}

// View draws the dialog on top over a screen of exactly h lines of w cells.
func (s *Stack) View(th *Theme, screen string, w, h int) string {
	if len(s.open) == 0 {
		return screen
	}
	d := s.open[len(s.open)-1]
	inner := max(10, min(w-8, 84))
	lines := d.View(th, inner, h-6)
	if th.Plain {
		lines = append(append([]string{"Dialog: " + d.Title()}, lines...), d.Hint())
		return Block(lines, w, h)
	}
	box := frame(th, d.Title(), d.Hint(), lines, inner)
	return overlay(th, screen, box, inner+4, w, h)
}

func frame(th *Theme, title, hint string, lines []string, inner int) []string {
	title = Cut(title, inner-4)
	hint = Cut(hint, inner-4)
	line := th.Accent
	top := line.Render("╭─ ") + th.Strong.Render(title) + line.Render(" "+strings.Repeat("─", max(0, inner-1-Width(title)))+"╮")
	bottom := line.Render("╰" + strings.Repeat("─", inner+2) + "╯")
	if hint != "" {
		bottom = line.Render("╰"+strings.Repeat("─", max(0, inner-1-Width(hint)))+" ") + th.Dim.Render(hint) + line.Render(" ─╯")
	}
	out := []string{top}
	for _, l := range lines {
		out = append(out, line.Render("│ ")+Fit(l, inner)+line.Render(" │"))
	}
	return append(out, bottom)
}

// overlay puts a box of bw cells into the middle of a dimmed screen.
func overlay(th *Theme, screen string, box []string, bw, w, h int) string {
	lines := strings.Split(screen, "\n")
	x, y := max(0, (w-bw)/2), max(0, (h-len(box))/2)
	for i, l := range lines {
		l = ansi.Strip(l)
		if j := i - y; j >= 0 && j < len(box) {
			left := Fit(ansi.Truncate(l, x, ""), x)
			right := dropLeft(l, x+bw)
			lines[i] = th.Line.Render(left) + box[j] + th.Line.Render(right)
			continue
		}
		lines[i] = th.Line.Render(l)
	}
	return strings.Join(lines, "\n")
}

// confirmGrace is how long a Confirm ignores keys.
const confirmGrace = 400 * time.Millisecond

// Confirm asks before something is done. It names what is touched, and its
// default is No.
type Confirm struct {
	Ask     string   // "Delete network web?"
	Objects []string // the exact objects
	Note    string   // "" for none
	Yes     func() tea.Cmd

	yes bool
	top int
}

// Title is the question.
func (c *Confirm) Title() string { return Safe(c.Ask) }

// Grace is 400 ms.
func (c *Confirm) Grace() time.Duration { return confirmGrace }

// Hint tells the keys.
func (c *Confirm) Hint() string { return "y yes · n no · ←/→ enter" }

// Update answers the question.
func (c *Confirm) Update(msg tea.KeyMsg) (bool, tea.Cmd) {
	switch msg.String() {
	case "y", "Y":
		return true, c.Yes()
	case "n", "N", "esc", "q":
		return true, nil
	case "left", "right", "tab", "shift+tab", "h", "l":
		c.yes = !c.yes
	case "down", "j":
		c.top++
	case "up", "k":
		c.top--
	case "enter":
		if c.yes {
			return true, c.Yes()
		}
		return true, nil
	}
	return false, nil
}

// View draws the objects and the two answers.
func (c *Confirm) View(th *Theme, w, h int) []string {
	var body []string
	for _, o := range c.Objects {
		for i, l := range Wrap(Safe(o), w-4) {
			body = append(body, map[bool]string{true: "  • ", false: "    "}[i == 0]+l)
		}
	}
	if c.Note != "" {
		body = append(body, "")
		for _, l := range Wrap(Safe(c.Note), w-2) {
			body = append(body, th.Dim.Render(l))
		}
	}
	room := max(1, h-4)
	var part []string
	part, c.top = Scroll(body, c.top, room)
	lines := append([]string{""}, part...)
	if rest := len(body) - c.top - len(part); rest > 0 {
		lines[len(lines)-1] = th.Dim.Render("    ↓ more: j/k")
	}
	button := func(name string, on bool) string {
		if on {
			return th.Key.Render("[ " + name + " ]")
		}
		return th.Dim.Render("  " + name + "  ")
	}
	if th.Plain {
		return append(lines, "", "Answer: "+map[bool]string{true: "yes", false: "no"}[c.yes]+".")
	}
	answers := button("No", !c.yes) + "  " + button("Yes", c.yes)
	return append(lines, "", strings.Repeat(" ", max(0, (w-Width(answers))/2))+answers, "")
}

// A Reader shows text that may be longer than the screen.
type Reader struct {
	Name  string
	Lines func(th *Theme, w int) []string

	top, page, all int
}

// Title is the text's name.
func (r *Reader) Title() string { return r.Name }

// Grace is none: reading does no harm.
func (r *Reader) Grace() time.Duration { return 0 }

// Hint tells the keys, and where in the text we are.
func (r *Reader) Hint() string {
	if r.all > r.page {
		return "j/k scroll · esc close"
	}
	return "esc close"
}

// Update scrolls, or closes.
func (r *Reader) Update(msg tea.KeyMsg) (bool, tea.Cmd) {
	switch msg.String() {
	case "esc", "q", "?", "enter":
		return true, nil
	}
	if a, ok := Find(Moves(func(by int) { r.top += by }, func() int { return r.all }, func() int { return r.page }), msg); ok {
		return false, a.Run()
	}
	return false, nil
}

// View draws the part of the text that is in view.
func (r *Reader) View(th *Theme, w, h int) []string {
	lines := r.Lines(th, w)
	r.all, r.page = len(lines), h
	lines, r.top = Scroll(lines, r.top, h)
	return lines
}
