package pages

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// stepList shows the steps of a plan: how far each is, its shell line, and why
// it is there.
type stepList struct {
	steps   []ops.Step
	phase   []ops.Phase // "" is not begun
	cursor  int
	top     int
	page    int
	compact bool // without the reasons
}

func (l *stepList) set(steps []ops.Step) {
	l.steps = steps
	l.phase = make([]ops.Phase, len(steps))
}

// shell is the shell lines of all steps.
func (l *stepList) shell() string { return shellOf(l.steps) }

func shellOf(steps []ops.Step) string {
	var b strings.Builder
	for _, s := range steps {
		b.WriteString(s.Shell() + "\n")
	}
	return b.String()
}

func (l *stepList) move(by int) { l.cursor = max(0, min(l.cursor+by, len(l.steps)-1)) }

// moves are the keys that go through the steps.
func (l *stepList) moves() []kit.Action {
	return kit.Moves(l.move, func() int { return len(l.steps) }, func() int { return l.page })
}

// copyShell are y and Y.
func (l *stepList) copyShell(app *App) []kit.Action {
	none := func() string {
		if len(l.steps) == 0 {
			return "there are no steps yet"
		}
		return ""
	}
	return []kit.Action{
		{ID: "copy.line", Binding: kit.Bind("y", "copy this shell line"), Disabled: none, Run: func() tea.Cmd {
			return app.Copy("the shell line", l.steps[l.cursor].Shell())
		}},
		{ID: "copy.script", Binding: kit.Bind("Y", "copy all shell lines"), Bar: 30, Disabled: none, Run: func() tea.Cmd {
			return app.Copy("the shell lines of "+plural(len(l.steps), "step"), l.shell())
		}},
	}
}

// View draws the steps around the cursor in exactly h lines of w cells.
func (l *stepList) View(th *kit.Theme, w, h int) string {
	var lines []string
	from, to := 0, 0
	for i := range l.steps {
		if i == l.cursor {
			from = len(lines)
		}
		lines = append(lines, l.step(th, i, w)...)
		if i == l.cursor {
			to = len(lines)
		}
	}
	l.page = max(1, h*len(l.steps)/max(1, len(lines)))
	l.top = min(l.top, from)
	l.top = max(l.top, to-h)
	lines, l.top = kit.Scroll(lines, l.top, h)
	return kit.Block(lines, w, h)
}

func (l *stepList) step(th *kit.Theme, i, w int) []string {
	mark := " "
	if i == l.cursor {
		mark = th.Accent.Render("▌")
	}
	if th.Plain && i == l.cursor {
		mark = ">"
	}
	digits := len(fmt.Sprint(len(l.steps)))
	lead := mark + phaseSign(th, l.phase[i]) + " " + th.Dim.Render(kit.FitRight(fmt.Sprint(i+1), digits)) + "  "
	indent := kit.Width(lead)
	room := w - indent - 1
	shell := kit.Wrap(kit.Safe(l.steps[i].Shell()), room)
	if l.compact {
		return []string{lead + th.Text.Render(kit.Cut(kit.Safe(l.steps[i].Shell()), room))}
	}
	style, why := th.Strong, kit.Safe(l.steps[i].Why())
	if i > 0 && l.steps[i-1].Why() == l.steps[i].Why() {
		why = "" // it was said just above
	}
	if w >= 130 {
		half := room * 11 / 20
		left := styled(style.Render, kit.Wrap(kit.Safe(l.steps[i].Shell()), half-2))
		right := styled(th.Dim.Render, kit.Wrap(why, room-half))
		return indented(kit.Columns(left, right, half), lead, indent)
	}
	lines := styled(style.Render, shell)
	if why != "" {
		lines = append(lines, styled(th.Dim.Render, kit.Wrap(why, room))...)
	}
	return indented(lines, lead, indent)
}

func styled(render func(string) string, lines []string) []string {
	for i, l := range lines {
		lines[i] = render(l)
	}
	return lines
}

func indented(lines []string, lead string, indent int) []string {
	for i, l := range lines {
		if i == 0 {
			lines[i] = lead + l
		} else {
			lines[i] = strings.Repeat(" ", indent) + l
		}
	}
	return lines
}

// phaseSign shows a phase in one cell.
func phaseSign(th *kit.Theme, p ops.Phase) string {
	if th.Plain {
		if p == "" {
			return "waiting"
		}
		return string(p)
	}
	switch p {
	case ops.PhaseCheck, ops.PhaseDo:
		return th.Accent.Render("▸")
	case ops.PhaseDone:
		return th.Good.Render("✓")
	case ops.PhaseFailed:
		return th.Bad.Render("✗")
	case ops.PhaseUndo:
		return th.Warn.Render("◂")
	case ops.PhaseUndone:
		return th.Dim.Render("↶")
	}
	return th.Dim.Render("·")
}
