package pages

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// preview shows every step of plans before anything is done.
type preview struct {
	app   *App
	title string // what is to be done
	plans []*ops.Plan
	back  string           // what takes it back
	run   func() *progress // does it
	list  stepList
}

// newPreview shows one plan.
func newPreview(app *App, plan *ops.Plan) *preview {
	p := &preview{app: app, title: plan.Title, plans: []*ops.Plan{plan}, back: "z", run: func() *progress { return runPlan(app, plan) }}
	p.list.set(plan.Steps)
	return p
}

func (p *preview) Title() string              { return words("preview", p.title) }
func (p *preview) Update(msg tea.Msg) tea.Cmd { return nil }

func (p *preview) Tell() string {
	return fmt.Sprintf("step %d of %d", min(p.list.cursor+1, len(p.list.steps)), len(p.list.steps))
}

func (p *preview) View(th *kit.Theme, w, h int) string {
	head := append([]string{""}, p.headline(th, w)...)
	for _, plan := range p.plans {
		for _, n := range plan.Notes {
			head = append(head, indented(styled(th.Warn.Render, kit.Wrap("! "+kit.Safe(n), w-4)), "  ", 4)...)
		}
	}
	head = append(head, "")
	return kit.Block(head, w, len(head)) + "\n" + p.list.View(th, w, max(0, h-len(head)))
}

// headline says how much is to be done.
func (p *preview) headline(th *kit.Theme, w int) []string {
	count := plural(len(p.list.steps), "step")
	what, calm := fmt.Sprintf("%s to %s in the %s.", count, kit.Safe(p.title), p.app.World.Name()), "Nothing is done yet."
	lines := []string{what + " " + calm}
	if kit.Width(lines[0]) > w-4 {
		lines = append(kit.Wrap(what, w-4), calm)
	}
	for i, l := range lines {
		if rest, ok := strings.CutPrefix(l, count); ok && i == 0 {
			lines[i] = th.Strong.Render(count) + th.Dim.Render(rest)
		} else {
			lines[i] = th.Dim.Render(l)
		}
	}
	return indented(lines, "  ", 2)
}

func (p *preview) Actions() []kit.Action {
	own := []kit.Action{{ID: "plan.run", Binding: kit.Bind("enter", "do it (asks)"), Danger: true, Bar: 10, Run: p.ask}}
	own = append(own, p.list.copyShell(p.app)...)
	return append(own, p.list.moves()...)
}

func (p *preview) ask() tea.Cmd {
	var list []string
	for _, plan := range p.plans {
		list = append(list, objects(plan.Mode, plan.Name, plan.Made, plan.Steps)...)
	}
	p.app.Ask(&kit.Confirm{
		Ask:     capital(p.title) + "?",
		Objects: list,
		Note:    fmt.Sprintf("%s in the %s. %s takes it back.", plural(len(p.list.steps), "step"), p.app.World.Name(), p.back),
		Yes:     func() tea.Cmd { return p.app.Swap(p.run()) },
	})
	return nil
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}
