package pages

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// form is a page that asks for the settings of a plan. It makes the plan anew
// on every edit and with every snapshot, so that errors show as they come.
type form struct {
	app   *App
	title string
	intro string
	form  *kit.Form
	// plan reads the answers and makes the plan.
	plan func(a *answers, w modes.World) (*ops.Plan, error)

	// adapt changes what was suggested in one field to what stands in others; nil
	// for none.
	adapt func()

	made *ops.Plan // nil while something is wrong
	err  string    // what is wrong, but with no field
	seen *inventory.Snapshot
}

// setting is a field of a form, with the value that it begins with.
type setting struct {
	kit.Field
	value string
}

// text asks for text, name being the setting's as errors call it.
func text(name, label, help, value string) setting {
	return setting{kit.Field{Name: name, Label: label, Help: help}, value}
}

// choice asks for one of several; the first is the value it begins with.
func choice(name, label, help string, of ...string) setting {
	s := setting{kit.Field{Name: name, Label: label, Help: help, Choices: of}, ""}
	if len(of) > 0 {
		s.value = of[0]
	}
	return s
}

// The answers to a question.
const (
	no  = "no"
	yes = "yes"
)

// newForm makes a page of settings.
func newForm(app *App, title, intro string, plan func(*answers, modes.World) (*ops.Plan, error), settings ...setting) *form {
	p := &form{app: app, title: title, intro: intro, plan: plan}
	var fields []kit.Field
	values := map[string]string{}
	for _, s := range settings {
		fields = append(fields, s.Field)
		values[s.Name] = s.value
	}
	p.form = kit.NewForm(fields, values)
	p.check()
	return p
}

// answers are what stands in a form, and what is wrong with it before any plan
// is made: what should be a number but is none.
type answers struct {
	*kit.Form
	errs modes.Errors
}

// number is a field's number; one that is no number is told, and counts as 0.
// An empty field is 0, too.
func (a *answers) number(name string) int {
	value := a.Value(name)
	n, err := strconv.Atoi(value)
	if err != nil && value != "" {
		a.errs = append(a.errs, modes.FieldError{Field: name, Message: fmt.Sprintf("%q is not a number", value)})
	}
	return n
}

// list is what stands between commas or spaces in a field.
func (a *answers) list(name string) []string {
	return strings.FieldsFunc(a.Value(name), func(r rune) bool { return r == ',' || r == ' ' })
}

func (a *answers) yes(name string) bool { return a.Value(name) == yes }

// or is a field's value, "" where it is the word that stands for none.
func (a *answers) or(name, none string) string {
	if v := a.Value(name); v != none {
		return v
	}
	return ""
}

// check makes the plan, or says what is wrong.
func (p *form) check() {
	p.seen = p.app.Snap
	a := &answers{Form: p.form}
	plan, err := p.plan(a, p.app.world())
	p.made, p.err = plan, ""
	var wrong modes.Errors
	if !errors.As(err, &wrong) && err != nil {
		p.err = err.Error()
	}
	errs := map[string]string{}
	for _, e := range slices.Concat(a.errs, wrong) {
		switch {
		case !p.form.Has(e.Field):
			p.err = e.Field + ": " + e.Message
		case errs[e.Field] == "":
			errs[e.Field] = e.Message
		}
	}
	if len(errs) > 0 || p.err != "" {
		p.made = nil
	}
	p.form.SetErrors(errs)
}

func (p *form) Title() string { return p.title }
func (p *form) Typing() bool  { return true }

func (p *form) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case SnapshotMsg, historyMsg:
		p.check()
	case tea.KeyMsg:
		switch p.form.Update(msg) {
		case kit.Edited:
			if p.adapt != nil {
				p.adapt()
			}
			p.check()
		case kit.Cancel:
			return p.app.Pop()
		case kit.Submit:
			return p.submit()
		}
	}
	return nil
}

func (p *form) submit() tea.Cmd {
	p.check()
	if p.made == nil {
		p.form.FocusError()
		return nil
	}
	return p.app.Push(newPreview(p.app, p.made))
}

// Actions are none: every key is text, or one of the hints.
func (p *form) Actions() []kit.Action { return nil }

// Hints are the keys that Update takes for itself.
func (p *form) Hints() []kit.Action {
	return []kit.Action{
		{ID: "form.preview", Binding: kit.Bind("enter", "preview the steps"), Bar: 10},
		{ID: "form.next", Binding: kit.Bind("tab", "next field", "tab", "down"), Bar: 20},
		{ID: "form.previous", Binding: kit.Bind("shift+tab", "previous field", "shift+tab", "up"), Bar: 30},
		{ID: "form.back", Binding: kit.Bind("esc", "back"), Bar: 90},
	}
}

func (p *form) View(th *kit.Theme, w, h int) string {
	fw := min(w-4, 76)
	var lines []string
	if h >= 19 {
		lines = append(lines, "")
		for _, l := range kit.Wrap(p.intro, fw) {
			lines = append(lines, "  "+th.Dim.Render(l))
		}
	}
	lines = append(lines, "")
	tail := p.summary(th, fw)
	for _, l := range p.form.View(th, fw, h-len(lines)-len(tail)) {
		lines = append(lines, "  "+l)
	}
	lines = append(lines, tail...)
	if w >= 120 && p.made != nil && len(p.made.Made.Containers) > 0 && !th.Plain {
		picture := p.app.networkMap(th, p.made.Mode, p.made.Name, p.made.Made, w-fw-10)
		lines = kit.Columns(lines, append([]string{"", th.Dim.Render("what this will be"), ""}, picture...), fw+8)
	}
	return kit.Block(lines, w, h)
}

// summary says what enter will do.
func (p *form) summary(th *kit.Theme, w int) []string {
	switch {
	case p.err != "":
		return append([]string{""}, indented(styled(th.Bad.Render, kit.Wrap("✗ "+kit.Safe(p.err), w)), "  ", 2)...)
	case p.made == nil:
		return []string{"", "  " + th.Warn.Render("Not yet: see what is marked ✗.")}
	}
	return []string{"", "  " + th.Good.Render("✓") + " " + th.Text.Render(plural(len(p.made.Steps), "step")+". Nothing is changed before you have seen "+map[bool]string{true: "it.", false: "them."}[len(p.made.Steps) == 1])}
}
