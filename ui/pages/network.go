package pages

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// network shows what a plan made: a map, what can be tried, and the steps.
type network struct {
	app  *App
	name string
	mode string
	made ops.Made // as planned, until the list of changes is read
	list stepList
	note string

	top, lines, page int
}

// newNetwork shows the network that plan made, or added to.
func newNetwork(app *App, name string, plan *ops.Plan) *network {
	p := &network{app: app, name: name, mode: plan.Mode, made: plan.Made, note: capital(plan.Title) + ": done. z takes it back."}
	p.list.set(plan.Steps)
	for i := range p.list.phase {
		p.list.phase[i] = ops.PhaseDone
	}
	if e := app.entry(name); e != nil {
		p.mode = e.Mode // plan added to it
	}
	app.network = name
	return p
}

// showEntry shows a change from the list.
func showEntry(app *App, e ops.Entry) *network {
	name := e.Name
	if e.On != "" {
		name = e.On
	}
	p := newNetwork(app, name, &ops.Plan{Title: e.Title, Mode: e.Mode, Made: e.Made, Steps: e.Steps})
	p.note = capital(e.Title) + "."
	if e.State == ops.StatePartial {
		p.note += " It was interrupted: d takes back what there is of it."
	}
	return p
}

func (p *network) Title() string              { return words("network", p.name) }
func (p *network) Update(msg tea.Msg) tea.Cmd { return nil }

func (p *network) now() ops.Made {
	if m, ok := p.app.known(p.name); ok {
		return m
	}
	return p.made
}

func (p *network) body(th *kit.Theme, w int) []string {
	m, u := p.now(), p.app.uplink()
	lines := []string{"", "  " + th.Good.Render("✓") + " " + th.Strong.Render(kit.Cut(kit.Safe(p.note), w-4)), ""}
	picture := p.app.networkMap(th, p.mode, p.name, m, min(w-2, 90))
	for _, l := range picture {
		lines = append(lines, "  "+l)
	}
	if len(picture) > 0 {
		lines = append(lines, "")
	}
	return append(lines, p.offers(th, u, m, w)...)
}

// offers say what can be tried now.
func (p *network) offers(th *kit.Theme, u uplink, m ops.Made, w int) []string {
	var lines []string
	say := func(key, text string) {
		lines = append(lines, "  "+kit.Cut(th.Key.Render(key)+"  "+th.Text.Render(text), w-4))
	}
	if n := len(p.app.proofsOf(p.name)); n > 0 {
		say("t", fmt.Sprintf("try what it can and what it cannot: %s, all at once", plural(n, "proof")))
	}
	if p.mode != modeBridge {
		if c, dst, ok := p.app.across(m); ok {
			say("i", fmt.Sprintf("ping %s from %s, and watch the packets on their way", dst, kit.Safe(c.Name)))
		}
		return lines
	}
	if port, c, ok := tcpPort(m); ok && u.addr != "" {
		say("r", fmt.Sprintf("GET %s from %s: watch DNAT lead it to %s:%d", requestURL(u, port), u.ns, kit.Safe(c.Name), port.ContainerPort))
	}
	if u.faddr != "" {
		say("i", fmt.Sprintf("ping %s from %s: watch it being masqueraded", u.faddr, kit.Safe(m.Containers[0].Name)))
	}
	say("P", "publish another port")
	return lines
}

func (p *network) View(th *kit.Theme, w, h int) string {
	lines := p.body(th, w)
	var steps []string
	if len(p.list.steps) > 0 {
		steps = append(steps, "", "  "+th.Dim.Render(fmt.Sprintf("The %s. Y copies their shell lines.", plural(len(p.list.steps), "step"))))
	}
	p.list.compact, p.list.cursor = true, -1
	if w >= 130 && !th.Plain {
		left := w * 11 / 20
		lines = p.body(th, left)
		for i := range p.list.steps {
			steps = append(steps, p.list.step(th, i, w-left-2)...)
		}
		lines = kit.Columns(lines, steps, left)
	} else {
		lines = append(lines, steps...)
		for i := range p.list.steps {
			lines = append(lines, p.list.step(th, i, w)...)
		}
	}
	p.lines, p.page = len(lines), h
	lines, p.top = kit.ScrollTold(th, lines, p.top, h)
	return kit.Block(lines, w, h)
}

func (p *network) noSteps() string {
	if len(p.list.steps) == 0 {
		return "there were no steps"
	}
	return ""
}

func (p *network) Actions() []kit.Action {
	own := []kit.Action{p.app.proveAction(p.name)}
	if p.mode == modeBridge || p.mode == "" {
		own = append(own, p.app.probeActions()...)
	} else {
		own = append(own, p.app.acrossAction(p.now))
	}
	own = append(own, p.app.deleteAction(func() *ops.Entry { return p.app.entry(p.name) }, p.name+" is gone"))
	own = append(own, kit.Action{ID: "copy.script", Binding: kit.Bind("Y", "copy the shell lines"), Bar: 30, Disabled: p.noSteps, Run: func() tea.Cmd {
		return p.app.Copy("the shell lines", p.list.shell())
	}})
	return append(own, kit.Moves(func(by int) { p.top = max(0, p.top+by) },
		func() int { return p.lines }, func() int { return p.page })...)
}
