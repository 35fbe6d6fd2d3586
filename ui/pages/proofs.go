package pages

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// ProofMsg brings what came of one proof.
type ProofMsg struct {
	Run   *ProofRun
	Index int // in Run.Proofs
	OK    bool
	Text  string // what was heard, or why nothing was, in one line
}

// ProofRun is a list of proofs being tried. It does not change.
type ProofRun struct {
	Proofs []ops.Proof
}

// proofs is the page of what can be tried on a network: each with what must come
// of it, and why.
type proofs struct {
	app    *App
	name   string
	of     func() []ops.Proof // those that there are now
	run    *ProofRun
	cancel context.CancelFunc
	result []*ProofMsg // nil where nothing is known yet
	over   bool
	err    error

	top, lines, page int
}

// provedMsg ends a run.
type provedMsg struct {
	run *ProofRun
	err error
}

// proofsOf are those of what made a network, and of what was built on it since.
func (a *App) proofsOf(name string) []ops.Proof {
	var out []ops.Proof
	for _, e := range slices.Backward(a.History) {
		if e.State == ops.StateDone && (e.Name == name || e.On == name) {
			out = append(out, e.Made.Proofs...)
		}
	}
	return out
}

func newProofs(app *App, name string, of func() []ops.Proof) *proofs {
	p := &proofs{app: app, name: name, of: of}
	p.reset()
	return p
}

func (p *proofs) reset() {
	p.run = &ProofRun{Proofs: p.of()}
	p.result = make([]*ProofMsg, len(p.run.Proofs))
	p.over, p.err, p.top = false, nil, 0
}

func (p *proofs) Title() string {
	if p.name == "" {
		return "proofs"
	}
	return "proofs of " + p.name
}

// Show begins when the page comes up, and ends what still runs when it goes.
func (p *proofs) Show(visible bool) tea.Cmd {
	if !visible {
		if p.cancel != nil {
			p.cancel()
		}
		return nil
	}
	if p.over {
		return nil
	}
	return p.start()
}

func (p *proofs) start() tea.Cmd {
	p.reset()
	ctx, cancel := context.WithCancel(p.app.Context)
	p.cancel = cancel
	run := p.run
	return func() tea.Msg {
		err := p.app.Backend.Prove(ctx, run)
		cancel()
		return provedMsg{run, err}
	}
}

func (p *proofs) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case ProofMsg:
		if msg.Run == p.run && msg.Index >= 0 && msg.Index < len(p.result) {
			p.result[msg.Index] = &msg
		}
	case provedMsg:
		if msg.run == p.run {
			p.over, p.err = true, msg.err
		}
	}
	return nil
}

// count says how many are known, and how many of them did not come out as wanted.
func (p *proofs) count() (known, wrong int) {
	for _, r := range p.result {
		if r != nil {
			known++
			if !r.OK {
				wrong++
			}
		}
	}
	return known, wrong
}

func (p *proofs) Tell() string {
	known, _ := p.count()
	return fmt.Sprintf("%d of %d tried", known, len(p.result))
}

func (p *proofs) View(th *kit.Theme, w, h int) string {
	head := append([]string{"", p.headline(th, w)}, "")
	if p.err != nil {
		head = append(head, indented(styled(th.Bad.Render, kit.Wrap("✗ "+kit.Safe(p.err.Error()), w-4)), "  ", 4)...)
		head = append(head, "")
	}
	head = head[:min(len(head), h)]
	body := p.body(th, w)
	p.lines, p.page = len(body), max(0, h-len(head))
	body, p.top = kit.ScrollTold(th, body, p.top, p.page)
	return kit.Block(head, w, len(head)) + "\n" + kit.Block(body, w, p.page)
}

func (p *proofs) headline(th *kit.Theme, w int) string {
	known, wrong := p.count()
	all := len(p.result)
	switch {
	case p.err != nil:
		return "  " + th.Bad.Render("✗ could not be tried to the end")
	case !p.over:
		bar := ""
		if n := min(40, w-40); all > 0 && n > 0 && !th.Plain {
			full := known * n / all
			bar = th.Accent.Render(repeat("━", full)) + th.Line.Render(repeat("─", n-full)) + " "
		}
		return fmt.Sprintf("  %s  %s%d of %d", th.Accent.Render("▸ trying"), bar, known, all)
	case wrong > 0:
		return "  " + th.Bad.Render(fmt.Sprintf("✗ %d of %d did not come out as they should", wrong, all))
	}
	return "  " + th.Good.Render("✓") + " " + th.Strong.Render(fmt.Sprintf("All %d came out as they should.", all)) +
		th.Dim.Render(" t tries again.")
}

// body lists the proofs under their reasons, each of which is told once.
func (p *proofs) body(th *kit.Theme, w int) []string {
	var lines []string
	var reasons []string
	for _, pr := range p.run.Proofs {
		if !slices.Contains(reasons, pr.Why) {
			reasons = append(reasons, pr.Why)
		}
	}
	l := p.widths(w)
	for _, why := range reasons {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		for _, s := range kit.Wrap(kit.Safe(why), w-4) {
			lines = append(lines, "  "+th.Dim.Render(s))
		}
		for i, pr := range p.run.Proofs {
			if pr.Why == why {
				lines = append(lines, p.line(th, i, l, w))
			}
		}
	}
	return lines
}

// proofWidths are the columns of a proof: who, and what it tries.
type proofWidths struct{ from, what int }

func (p *proofs) widths(w int) proofWidths {
	var l proofWidths
	for _, pr := range p.run.Proofs {
		l.from = max(l.from, kit.Width(kit.Safe(pr.From)))
		l.what = max(l.what, kit.Width(proofText(pr)))
	}
	l.from = min(l.from, w/4)
	l.what = min(l.what, w/2)
	return l
}

// proofText says what is tried, and that it must not get through.
func proofText(p ops.Proof) string {
	s := kit.Safe(p.Kind + " " + p.Target)
	if p.Kind == "listen" {
		s = kit.Safe("listen on " + p.Target)
	}
	if !p.Want {
		s += ": must fail"
	}
	return s
}

func (p *proofs) line(th *kit.Theme, i int, l proofWidths, w int) string {
	pr, r := p.run.Proofs[i], p.result[i]
	sign, result := th.Dim.Render("·"), ""
	style := th.Dim
	switch {
	case r == nil && !p.over:
		sign = th.Accent.Render("▸")
	case r == nil:
	case r.OK:
		sign, result = th.Good.Render("✓"), r.Text
	default:
		sign, result, style = th.Bad.Render("✗"), r.Text, th.Bad
	}
	if th.Plain {
		sign = proofWord(r)
	}
	head := "  " + sign + " " + th.Strong.Render(kit.Fit(kit.Safe(pr.From), l.from)) + "  " +
		th.Text.Render(kit.Fit(proofText(pr), l.what)) + "  "
	result = strings.TrimPrefix(kit.Safe(result), kit.Safe(pr.Kind+" "+pr.Target+": ")) // it stands before
	return kit.Cut(head+style.Render(kit.CutMiddle(result, w-1-kit.Width(head))), w-1)
}

// proofWord says for a screen reader what came of a proof.
func proofWord(r *ProofMsg) string {
	switch {
	case r == nil:
		return "waiting:"
	case r.OK:
		return "as wanted:"
	}
	return "wrong:"
}

func (p *proofs) Actions() []kit.Action {
	own := []kit.Action{{ID: "prove", Binding: kit.Bind("t", "try again"), Bar: 10, Run: p.start, Disabled: func() string {
		if !p.over {
			return "they are still being tried"
		}
		return ""
	}}}
	return append(own, kit.Moves(func(by int) { p.top = max(0, p.top+by) },
		func() int { return p.lines }, func() int { return p.page })...)
}

// tryText is what the key t does on the page of a result.
const tryText = "try what it can and cannot"

// proveAction tries what can be tried on a network.
func (a *App) proveAction(name string) kit.Action {
	return kit.Action{ID: "prove", Binding: kit.Bind("t", tryText), Bar: 11,
		Disabled: func() string {
			if len(a.proofsOf(name)) == 0 {
				return "there is nothing to try on " + name
			}
			return ""
		}, Run: func() tea.Cmd { return a.Push(newProofs(a, name, func() []ops.Proof { return a.proofsOf(name) })) }}
}
