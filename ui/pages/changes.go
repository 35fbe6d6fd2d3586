package pages

import (
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// changes is the page of what was made here and is still there.
type changes struct {
	app *App
	kit.Browser[string, *ops.Entry]
}

func newChanges(app *App) *changes {
	p := &changes{app: app}
	type entry = *ops.Entry
	p.Table = kit.NewTable(func(e entry) string { return e.ID },
		kit.Column[entry]{Title: "Name", Cell: func(e entry) string { return e.Name }, Style: strongCell[entry], Max: 24},
		kit.Column[entry]{Title: "Mode", Cell: func(e entry) string { return e.Mode }, Style: dimCell[entry]},
		kit.Column[entry]{Title: "State", Cell: func(e entry) string { return string(e.State) }, Style: entryStyle},
		kit.Column[entry]{Title: "Steps", Cell: func(e entry) string { return fmt.Sprint(len(e.Steps)) }, Right: true, Priority: 2},
		kit.Column[entry]{Title: "What", Cell: func(e entry) string { return e.Title }, Flex: true, Min: 20},
		kit.Column[entry]{Title: "When", Cell: p.when, Style: dimCell[entry], Priority: 1,
			Compare: func(a, b entry) int { return a.Time.Compare(b.Time) }},
		kit.Column[entry]{Title: "ID", Cell: func(e entry) string { return e.ID }, Wide: true, Priority: 3},
	)
	p.PaneTitle = func(e entry) string { return e.Title }
	p.Pane = func(th *kit.Theme, e entry, w int) []string {
		made := ""
		for _, o := range objectsOf(*e) {
			made += "• " + o + "\n"
		}
		return kit.Sections(th, w, []kit.Section{{Title: "What there is of it", Text: made}, {Title: "Shell", Text: shellOf(e.Steps)}})
	}
	return p
}

func (p *changes) when(e *ops.Entry) string {
	if p.app.Snap == nil {
		return e.Time.Format(time.TimeOnly)
	}
	return ago(p.app.Snap.Time, e.Time)
}

func entryStyle(th *kit.Theme, e *ops.Entry) *kit.Style {
	if e.State == ops.StateDone {
		return th.Good
	}
	return th.Warn
}

func (p *changes) Title() string { return TitleChanges }

// Show reads the list anew: another program may have changed it.
func (p *changes) Show(visible bool) tea.Cmd {
	if !visible {
		return nil
	}
	return p.app.LoadHistory()
}

func (p *changes) Update(msg tea.Msg) tea.Cmd {
	if _, ok := msg.(historyMsg); ok {
		rows := make([]*ops.Entry, len(p.app.History))
		for i := range p.app.History {
			rows[i] = &p.app.History[i]
		}
		p.SetRows(rows)
	}
	return p.Browser.Update(msg)
}

func (p *changes) View(th *kit.Theme, w, h int) string {
	p.Empty = "Nothing has been changed. n builds a bridge network; here is then what it is made of, and d or z takes it back."
	return p.Browser.View(th, w, h)
}

func (p *changes) Actions() []kit.Action {
	sel, ok := p.Selected()
	none := func() string {
		if !ok {
			return "nothing is selected"
		}
		return ""
	}
	own := []kit.Action{
		{ID: "open", Binding: kit.Bind("enter", "open"), Bar: 10, Disabled: none, Run: func() tea.Cmd {
			return p.app.Push(showEntry(p.app, *sel))
		}},
		p.Toggle("o"),
		{ID: "delete", Binding: kit.Bind("d", "take this back"), Danger: true, Bar: 50, Disabled: none, Run: func() tea.Cmd {
			if sel.On != "" {
				return p.app.askUndo(*sel)
			}
			return p.app.askDelete(sel)
		}},
		{ID: "copy.value", Binding: kit.Bind("y", "copy the name"), Disabled: none, Run: func() tea.Cmd {
			return p.app.Copy("the name", sel.Name)
		}},
		{ID: "copy.script", Binding: kit.Bind("Y", "copy its shell lines"), Bar: 40, Disabled: none, Run: func() tea.Cmd {
			return p.app.Copy("the shell lines", shellOf(sel.Steps))
		}},
	}
	return append(own, p.Browser.Actions()...)
}
