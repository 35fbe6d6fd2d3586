package pages

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// progress shows a plan being done or taken back, step by step.
type progress struct {
	app    *App
	title  string
	plans  []*ops.Plan    // those that are being done; nil while taking back
	after  func() tea.Cmd // what shows the result of doing them
	list   stepList
	run    func() (string, error) // what to do, in a tea.Cmd; the text is told at the end
	cancel context.CancelFunc     // nil where it cannot be cancelled
	begun  bool
	over   bool
	text   string
	err    error
	failed []string // what the steps said
	stuck  bool     // a step could not be taken back
}

// overMsg ends a progress page's work. It brings the list of changes, so that the
// result can be taken back, and tried, as soon as it is seen.
type overMsg struct {
	page *progress
	text string
	err  error
	list historyMsg
}

// newProgress takes something back.
func newProgress(app *App, title string, run func() (string, error)) *progress {
	p := &progress{app: app, title: title, run: run}
	p.list.compact = true
	return p
}

// newRun does plans in their order, all or none, and then shows the result.
func newRun(app *App, title string, plans []*ops.Plan, result func() tea.Cmd) *progress {
	ctx, cancel := context.WithCancel(app.Context)
	p := newProgress(app, title, func() (string, error) { return "", app.Backend.Run(ctx, plans) })
	p.plans, p.cancel, p.after = plans, cancel, result
	p.list.set(allSteps(plans))
	return p
}

// shown are the modes of plans whose result is a page.
var shown = []string{modeBridge, modeVeth, modeNone, modeHost, modeContainer, modeOverlay, modeMacvlan, modeIpvlan, modePublish, modeAdd, modeConnect}

// runPlan does a plan, and goes to what it made. What only changed something that
// was there shows on the page where that stands.
func runPlan(app *App, plan *ops.Plan) *progress {
	return newRun(app, capital(plan.Title), []*ops.Plan{plan}, func() tea.Cmd {
		if !slices.Contains(shown, plan.Mode) {
			return tea.Batch(app.Home(), app.Toast(kit.Success, capital(plan.Title)+": done. z takes it back."))
		}
		return app.Replace(newNetwork(app, cmp.Or(plan.On, plan.Name), plan))
	})
}

func (p *progress) Title() string { return p.title }

// Show begins the work when the page comes up first.
func (p *progress) Show(visible bool) tea.Cmd {
	if p.begun || !visible {
		return nil
	}
	p.begun = true
	return func() tea.Msg {
		text, err := p.run()
		return overMsg{p, text, err, p.app.readHistory()}
	}
}

func (p *progress) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ProgressMsg:
		p.progress(ops.Progress(msg))
	case overMsg:
		if msg.page == p {
			return p.end(msg)
		}
	}
	return nil
}

func (p *progress) progress(m ops.Progress) {
	if p.over || m.Plan == nil || m.Index < 0 || m.Index >= len(m.Plan.Steps) {
		return
	}
	first, ok := p.firstOf(m.Plan)
	if !ok {
		return
	}
	i := first + m.Index
	p.list.phase[i] = m.Phase
	p.list.cursor = i
	if m.Err != nil {
		p.stuck = p.stuck || m.Phase == ops.PhaseUndo
		p.failed = append(p.failed, fmt.Sprintf("step %d: %v", i+1, m.Err))
	}
}

// firstOf is where the steps of a plan begin in the list. While something is
// taken back, the list shows one plan after the other.
func (p *progress) firstOf(plan *ops.Plan) (first int, ok bool) {
	for _, have := range p.plans {
		if have == plan {
			return first, true
		}
		first += len(have.Steps)
	}
	if p.plans == nil && (len(p.list.steps) != len(plan.Steps) || plan.Steps[0] != p.list.steps[0]) {
		p.list.set(plan.Steps)
	}
	return 0, p.plans == nil
}

func (p *progress) end(m overMsg) tea.Cmd {
	if p.cancel != nil {
		p.cancel()
	}
	p.over, p.text, p.err = true, m.text, m.err
	if m.list.err == nil {
		p.app.History, p.app.networks = m.list.entries, nil
	}
	reload := func() tea.Msg { return m.list }
	switch {
	case m.err != nil:
		return reload
	case p.plans != nil:
		return tea.Batch(reload, p.after())
	}
	return tea.Batch(reload, p.app.Home(), p.app.Toast(kit.Success, m.text))
}

func (p *progress) count(phases ...ops.Phase) int {
	n := 0
	for _, have := range p.list.phase {
		for _, ph := range phases {
			if have == ph {
				n++
			}
		}
	}
	return n
}

func (p *progress) View(th *kit.Theme, w, h int) string {
	head := []string{"", p.headline(th, w)}
	if p.err != nil {
		head = append(head, "")
		for _, l := range kit.Wrap("✗ "+kit.Safe(p.err.Error()), w-4) {
			head = append(head, "  "+th.Bad.Render(l))
		}
		for _, f := range p.failed {
			for _, l := range kit.Wrap(kit.Safe(f), w-6) {
				head = append(head, "    "+th.Text.Render(l))
			}
		}
	}
	head = append(head, "")
	head = head[:min(len(head), h)]
	return kit.Block(head, w, len(head)) + "\n" + p.list.View(th, w, max(0, h-len(head)))
}

func (p *progress) headline(th *kit.Theme, w int) string {
	all := len(p.list.steps)
	done := p.count(ops.PhaseDone, ops.PhaseUndone)
	state := th.Accent.Render("▸ working")
	switch {
	case p.err != nil:
		state = th.Bad.Render("✗ failed")
		switch {
		case p.stuck:
			state += th.Warn.Render(": not all of it could be taken back")
		case p.plans != nil:
			state += th.Dim.Render(": what had been done was taken back")
		}
		return "  " + kit.Cut(state, w-4)
	case p.over:
		state = th.Good.Render("✓ done")
	}
	bar := ""
	if n := min(40, w-40); all > 0 && n > 0 && !th.Plain {
		full := done * n / all
		bar = th.Accent.Render(repeat("━", full)) + th.Line.Render(repeat("─", n-full)) + " "
	}
	return fmt.Sprintf("  %s  %s%d of %d", state, bar, done, all)
}

func (p *progress) busy() string {
	if !p.over {
		return "it is still running: x cancels it"
	}
	return ""
}

func (p *progress) Actions() []kit.Action {
	own := []kit.Action{
		{ID: "progress.back", Binding: kit.Bind("esc", "back", "esc", "enter"), Bar: 10, Disabled: p.busy, Run: p.app.Pop, Quiet: true},
		{ID: "progress.cancel", Binding: kit.Bind("x", "cancel: take it back"), Bar: 20, Disabled: func() string {
			if p.over || p.cancel == nil {
				return "nothing here can be cancelled"
			}
			return ""
		}, Run: func() tea.Cmd { p.cancel(); return nil }},
	}
	own = append(own, p.list.copyShell(p.app)...)
	return append(own, p.list.moves()...)
}

// Plans are those that are being done, nil while one is taken back.
func (p *progress) Plans() []*ops.Plan { return p.plans }
