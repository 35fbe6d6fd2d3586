package pages

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/lab"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// labsMsg brings the labs that are built in.
type labsMsg struct {
	labs []*lab.Lab
	err  error
}

// labs is the page of the labs: several networks each, ready made.
type labs struct {
	app  *App
	err  string
	seen *inventory.Snapshot
	now  modes.World    // as it was seen
	fits map[string]fit // by lab, for that world
	kit.Browser[string, *lab.Lab]
}

// fit is what a lab would make in the world as it is, or why it does not fit.
type fit struct {
	plans []*ops.Plan
	err   error
}

func newLabs(app *App) *labs {
	p := &labs{app: app, fits: map[string]fit{}}
	type row = *lab.Lab
	p.Table = kit.NewTable(func(l row) string { return l.Name },
		kit.Column[row]{Title: "Lab", Cell: func(l row) string { return l.Name }, Style: strongCell[row]},
		kit.Column[row]{Title: "State", Cell: p.state, Style: p.stateStyle},
		kit.Column[row]{Title: "What it shows", Cell: func(l row) string { return l.Title }, Flex: true, Min: 30},
	)
	p.OpenPane()
	p.PaneTitle = func(l row) string { return l.Title }
	p.Pane = func(th *kit.Theme, l row, w int) []string { return kit.Sections(th, w, p.about(l)) }
	return p
}

// Show reads the labs when the page comes up.
func (p *labs) Show(visible bool) tea.Cmd {
	if !visible {
		return nil
	}
	return func() tea.Msg {
		list, err := lab.List()
		return labsMsg{list, err}
	}
}

func (p *labs) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case labsMsg:
		if msg.err != nil {
			p.err = msg.err.Error()
		}
		p.SetRows(msg.labs)
	case historyMsg:
		p.seen = nil
	}
	return p.Browser.Update(msg)
}

// fit holds a lab against the world, once for each.
func (p *labs) fit(l *lab.Lab) fit {
	if p.seen != p.app.Snap {
		p.seen, p.now = p.app.Snap, p.app.world()
		clear(p.fits)
	}
	f, ok := p.fits[l.Name]
	if !ok {
		f.plans, f.err = l.Plans(p.now)
		p.fits[l.Name] = f
	}
	return f
}

// made are the changes that belong to a lab, the newest first.
func (a *App) madeBy(lab string) []ops.Entry {
	var out []ops.Entry
	for _, e := range a.History {
		if e.Lab == lab {
			out = append(out, e)
		}
	}
	return out
}

func (p *labs) state(l *lab.Lab) string {
	switch {
	case len(p.app.madeBy(l.Name)) > 0:
		return "made"
	case p.fit(l).err != nil:
		return "no room"
	}
	return "ready"
}

func (p *labs) stateStyle(th *kit.Theme, l *lab.Lab) *kit.Style {
	switch p.state(l) {
	case "made":
		return th.Good
	case "ready":
		return th.Text
	}
	return th.Dim
}

func (p *labs) about(l *lab.Lab) []kit.Section {
	if made := p.app.madeBy(l.Name); len(made) > 0 {
		text := ""
		for _, e := range made {
			text += "• " + e.Title + "\n"
		}
		return []kit.Section{{Title: "It is made", Text: text + "d takes it back."}}
	}
	f := p.fit(l)
	if f.err != nil {
		return []kit.Section{{Title: "It does not fit into what is there", Text: f.err.Error()}}
	}
	text, count := "", 0
	for _, plan := range f.plans {
		count += len(plan.Steps)
		for _, o := range objects(plan.Mode, plan.Name, plan.Made, plan.Steps) {
			text += "• " + o + "\n"
		}
	}
	return []kit.Section{{Title: fmt.Sprintf("What it makes, in %s", plural(count, "step")), Text: text}}
}

func (p *labs) Title() string { return "labs" }

func (p *labs) View(th *kit.Theme, w, h int) string {
	p.Empty = "Reading the labs…"
	if p.err != "" {
		p.Empty = p.err
	}
	return p.Browser.View(th, w, h)
}

func (p *labs) Actions() []kit.Action {
	sel, ok := p.Selected()
	return append([]kit.Action{
		{ID: "lab.open", Binding: kit.Bind("enter", "preview its steps"), Danger: true, Bar: 10, Disabled: func() string {
			switch {
			case !ok:
				return "nothing is selected"
			case len(p.app.madeBy(sel.Name)) > 0:
				return sel.Name + " is made: d takes it back"
			case p.fit(sel).err != nil:
				return p.fit(sel).err.Error()
			}
			return ""
		}, Run: func() tea.Cmd { return p.app.Push(previewLab(p.app, sel, p.fit(sel).plans)) }},
		p.Toggle("o"),
		{ID: "lab.show", Binding: kit.Bind("v", "view what was made"), Bar: 20, Disabled: p.unmade(sel, ok), Run: func() tea.Cmd {
			return p.app.Push(newLabResult(p.app, sel.Name, sel.Title))
		}},
		{ID: "lab.delete", Binding: kit.Bind("d", "take it back"), Danger: true, Bar: 50, Disabled: p.unmade(sel, ok), Run: func() tea.Cmd {
			return p.app.askDeleteLab(sel.Name)
		}},
	}, p.Browser.Actions()...)
}

func (p *labs) unmade(l *lab.Lab, ok bool) func() string {
	return func() string { return unless(ok && len(p.app.madeBy(l.Name)) > 0, "nothing of it is there") }
}

// previewLab shows the steps of all networks of a lab.
func previewLab(app *App, l *lab.Lab, plans []*ops.Plan) *preview {
	p := &preview{app: app, title: "make lab " + l.Name, plans: plans, back: "d, on its page,"}
	p.run = func() *progress {
		return newRun(app, capital(p.title), plans, func() tea.Cmd { return app.Replace(newLabResult(app, l.Name, l.Title)) })
	}
	p.list.set(allSteps(plans))
	return p
}

// askDeleteLab asks, and takes back all that belongs to a lab.
func (a *App) askDeleteLab(name string) tea.Cmd {
	var list []string
	for _, e := range a.madeBy(name) {
		list = append(list, objectsOf(e)...)
	}
	a.Ask(&kit.Confirm{
		Ask:     "Delete lab " + name + " from the " + a.World.Name() + "?",
		Objects: list,
		Note:    "Every step is taken back in reverse order, with what was built on it since.",
		Yes: func() tea.Cmd {
			return a.Push(newProgress(a, "Delete lab "+name, func() (string, error) {
				return "lab " + name + " is deleted", a.Backend.DeleteLab(a.Context, name)
			}))
		},
	})
	return nil
}

// labResult shows what a lab made: a map of each network, and what can be tried.
type labResult struct {
	app         *App
	name, title string

	top, lines, page int
}

func newLabResult(app *App, name, title string) *labResult {
	return &labResult{app: app, name: name, title: title}
}

func (p *labResult) Title() string              { return words("lab", p.name) }
func (p *labResult) Update(msg tea.Msg) tea.Cmd { return nil }

// proofs are those of all the lab's networks.
func (p *labResult) proofs() []ops.Proof {
	var out []ops.Proof
	for _, e := range p.app.madeBy(p.name) {
		out = append(e.Made.Proofs, out...)
	}
	return out
}

func (p *labResult) View(th *kit.Theme, w, h int) string {
	head := "  " + th.Good.Render("✓") + " " + th.Strong.Render(kit.Cut(kit.Safe(p.title), w-4))
	lines := []string{"", head, ""}
	if n := len(p.proofs()); n > 0 {
		lines = append(lines, "  "+th.Key.Render("t")+"  "+th.Text.Render("try what it can and what it cannot: "+plural(n, "proof")+", all at once"), "")
	}
	made := p.app.madeBy(p.name)
	for i := range made {
		e := made[len(made)-1-i]
		if e.On != "" {
			continue // it is on the map of what it was added to
		}
		lines = append(lines, "  "+th.Dim.Render(kit.Cut(kit.Safe(capital(e.Title)), w-4)))
		m := e.Made
		if known, ok := p.app.known(e.Name); ok {
			m = known
		}
		for _, l := range p.app.networkMap(th, e.Mode, e.Name, m, min(w-4, 90)) {
			lines = append(lines, "  "+l)
		}
		lines = append(lines, "")
	}
	p.lines, p.page = len(lines), h
	lines, p.top = kit.ScrollTold(th, lines, p.top, h)
	return kit.Block(lines, w, h)
}

func (p *labResult) Actions() []kit.Action {
	own := []kit.Action{
		{ID: "prove", Binding: kit.Bind("t", tryText), Bar: 10, Disabled: func() string {
			return unless(len(p.proofs()) > 0, "there is nothing to try on it")
		}, Run: func() tea.Cmd { return p.app.Push(newProofs(p.app, "lab "+p.name, p.proofs)) }},
		{ID: "lab.delete", Binding: kit.Bind("d", "take it back"), Danger: true, Bar: 50, Disabled: func() string {
			return unless(len(p.app.madeBy(p.name)) > 0, "nothing of it is there")
		}, Run: func() tea.Cmd { return p.app.askDeleteLab(p.name) }},
		{ID: "copy.script", Binding: kit.Bind("Y", "copy the shell lines"), Bar: 30, Run: func() tea.Cmd {
			text := ""
			for _, e := range p.app.madeBy(p.name) {
				text = shellOf(e.Steps) + text
			}
			return p.app.Copy("the shell lines", text)
		}},
	}
	return append(own, kit.Moves(func(by int) { p.top = max(0, p.top+by) },
		func() int { return p.lines }, func() int { return p.page })...)
}

// allSteps are the steps of plans in their order.
func allSteps(plans []*ops.Plan) []ops.Step {
	var out []ops.Step
	for _, p := range plans {
		out = append(out, p.Steps...)
	}
	return out
}
