package kit

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// Level is how much a Toast matters.
type Level int

// The levels of a toast.
const (
	Info Level = iota
	Success
	Failure
)

// How long a toast stays: a failure has to be read.
const (
	toastShort = 5 * time.Second
	toastLong  = 15 * time.Second
)

// Tick makes a command that brings a message after a time, as tea.Tick does.
type Tick func(time.Duration, func(time.Time) tea.Msg) tea.Cmd

// Toast is one line that tells what happened, and goes away by itself or with
// the next one.
type Toast struct {
	Tick Tick

	level  Level
	text   string
	serial int
}

// ToastEnd says that a toast has been shown long enough.
type ToastEnd struct{ serial int }

// Show replaces the line; the command ends it.
func (t *Toast) Show(level Level, text string) tea.Cmd {
	t.level, t.text = level, Safe(text)
	t.serial++
	stay, end := toastShort, ToastEnd{t.serial}
	if level == Failure {
		stay = toastLong
	}
	return t.Tick(stay, func(time.Time) tea.Msg { return end })
}

// End takes the toast away, if it is still the one that the message is about.
func (t *Toast) End(m ToastEnd) {
	if m.serial == t.serial {
		t.text = ""
	}
}

// View draws the toast in one line of at most w cells, "" when there is none.
func (t *Toast) View(th *Theme, w int) string {
	if t.text == "" {
		return ""
	}
	sign, style := "·", th.Accent
	switch t.level {
	case Success:
		sign, style = "✓", th.Good
	case Failure:
		sign, style = "✗", th.Bad
	}
	if th.Plain {
		sign = map[Level]string{Info: "note:", Success: "done:", Failure: "failed:"}[t.level]
	}
	return " " + style.Render(sign) + " " + style.Render(Cut(t.text, w-4-Width(sign)))
}
