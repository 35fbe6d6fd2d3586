package kit

import (
	"cmp"
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// An Action is something that the user can do. The list of them is the one
// source for key dispatch, the footer, the help, the palette, the README's key
// table and --read-only.
type Action struct {
	ID      string
	Binding key.Binding
	// Danger marks what changes the system: --read-only leaves it out.
	Danger bool
	// Bar is the place in the footer, 1 being the first; 0 is not shown there.
	Bar int
	// Quiet keeps an action out of the menu and the palette: moving about.
	Quiet bool
	// Section is the heading that menus and help list the action under; the
	// first ones of a list need none.
	Section string
	// Disabled says why the action cannot run now, "" if it can. May be nil.
	Disabled func() string
	Run      func() tea.Cmd
}

// Bind makes a binding. Keys are as Bubble Tea names them, shown is how people
// write them, and does says what comes of it.
func Bind(shown, does string, keys ...string) key.Binding {
	if len(keys) == 0 {
		keys = []string{shown}
	}
	return key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, does))
}

// Chord makes a binding of two keys, the first of which opens a menu: it is told,
// and found by the palette, but no single key runs it.
func Chord(first, second, does string) key.Binding {
	return key.NewBinding(key.WithHelp(first+" "+second, does))
}

// Chorded says that the action belongs to the menu of another one's key.
func (a Action) Chorded() bool { return len(a.Binding.Keys()) == 0 }

// Why says why the action cannot run now, "" if it can.
func (a Action) Why() string {
	if a.Disabled == nil {
		return ""
	}
	return a.Disabled()
}

// Find is the action that a key stands for; the first one wins.
func Find(actions []Action, msg tea.KeyMsg) (Action, bool) {
	for _, a := range actions {
		if key.Matches(msg, a.Binding) {
			return a, true
		}
	}
	return Action{}, false
}

// Allowed leaves out what changes the system, if readOnly.
func Allowed(actions []Action, readOnly bool) []Action {
	if !readOnly {
		return actions
	}
	out := make([]Action, 0, len(actions))
	for _, a := range actions {
		if !a.Danger {
			out = append(out, a)
		}
	}
	return out
}

// Footer is the line of keys that matter now, most important first, and always
// the last one of the list.
func Footer(th *Theme, actions []Action, w int) string {
	var bar []Action
	for _, a := range actions {
		if a.Bar > 0 && a.Why() == "" {
			bar = append(bar, a)
		}
	}
	slices.SortStableFunc(bar, func(a, b Action) int { return cmp.Compare(a.Bar, b.Bar) })
	if len(bar) == 0 {
		return ""
	}
	hint := func(a Action) string {
		h := a.Binding.Help()
		return th.Key.Render(h.Key) + " " + th.Dim.Render(h.Desc)
	}
	const gap = "   "
	last := hint(bar[len(bar)-1])
	room := w - Width(last) - 2
	var parts []string
	for _, a := range bar[:len(bar)-1] {
		s := hint(a)
		if n := Width(s) + len(gap); n <= room {
			parts = append(parts, s)
			room -= n
		}
	}
	return " " + strings.Join(append(parts, last), gap)
}

// A Group is the actions of one place, for the help.
type Group struct {
	Title   string
	Actions []Action
}

// Markdown is the key table of the groups.
func Markdown(groups []Group) string {
	var b strings.Builder
	b.WriteString("| where | key | does |\n|---|---|---|\n")
	for _, g := range groups {
		for _, a := range g.Actions {
			h := a.Binding.Help()
			keys := strings.ReplaceAll(h.Key, "|", "\\|")
			b.WriteString("| " + g.Title + " | `" + strings.Join(strings.Fields(keys), "` `") + "` | " + h.Desc + " |\n")
		}
	}
	return b.String()
}
