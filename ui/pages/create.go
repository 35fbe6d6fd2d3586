package pages

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/assets"
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
	// plan reads the fields and makes the plan.
	plan func(f *kit.Form, w modes.World) (*ops.Plan, error)

	made *ops.Plan // nil while something is wrong
	err  string    // what is wrong, but with no field
	seen *inventory.Snapshot
}

// NewBridge asks for a bridge network.
func NewBridge(app *App) kit.Page {
	d := modes.DefaultBridge(app.world())
	p := &form{app: app, title: "Create a bridge network", intro: assets.Mode("bridge"), plan: bridgePlan}
	p.form = kit.NewForm([]kit.Field{
		{Name: "name", Label: "Name", Help: "of the bridge; the containers are NAME-1, NAME-2, …"},
		{Name: "containers", Label: "Containers", Help: "how many namespaces play containers"},
		{Name: "subnet", Label: "Subnet", Help: "the bridge takes the first address, the containers those that follow"},
		{Name: "ipv6", Label: "IPv6 subnet", Help: "optional, such as fd00:8::/64"},
		{Name: "publish", Label: "Publish", Help: "HOST:CONTAINER, with commas between; 8081:80@2 for the second, 53:53/udp"},
	}, map[string]string{
		"name": d.Name, "containers": strconv.Itoa(d.Containers), "subnet": d.Subnet, "ipv6": d.IPv6,
		"publish": strings.Join(d.Publish, ", "),
	})
	p.check()
	return p
}

func bridgePlan(f *kit.Form, w modes.World) (*ops.Plan, error) {
	b := modes.Bridge{Name: f.Value("name"), Subnet: f.Value("subnet"), IPv6: f.Value("ipv6")}
	for _, port := range strings.Split(f.Value("publish"), ",") {
		if port = strings.TrimSpace(port); port != "" {
			b.Publish = append(b.Publish, port)
		}
	}
	n, err := strconv.Atoi(f.Value("containers"))
	b.Containers = n
	plan, planErr := b.Plan(w)
	if err == nil {
		return plan, planErr
	}
	errs := modes.Errors{{Field: "containers", Message: fmt.Sprintf("%q is not a number", f.Value("containers"))}}
	var more modes.Errors
	if errors.As(planErr, &more) {
		for _, e := range more {
			if e.Field != "containers" {
				errs = append(errs, e)
			}
		}
	}
	return nil, errs
}

// NewPublish asks for a port to publish on one of the networks, at first the
// one last looked at.
func NewPublish(app *App) kit.Page {
	names := app.networkNames()
	network, _, _ := app.chosen()
	p := &form{app: app, title: "Publish a port", intro: assets.Mode("publish")}
	p.plan = func(f *kit.Form, w modes.World) (*ops.Plan, error) {
		return modes.Publish{Network: f.Value("network"), Port: f.Value("publish")}.Plan(w)
	}
	p.form = kit.NewForm([]kit.Field{
		{Name: "network", Label: "Network", Help: "←/→ choose among the networks made here", Choices: names},
		{Name: "publish", Label: "Port", Help: "HOST:CONTAINER; 8081:80@2 for the second container, 53:53/udp for UDP"},
	}, map[string]string{"network": network, "publish": freePort(app.world())})
	p.check()
	return p
}

// freePort is the first from 8081 on that is not published yet.
func freePort(w modes.World) string {
	for n := uint16(8081); n < 9000; n++ {
		if w.Published[modes.Port{Protocol: "tcp", Number: n}] == "" {
			return fmt.Sprintf("%d:80", n)
		}
	}
	return ""
}

// networkNames are the networks that were made here, the newest first.
func (a *App) networkNames() []string {
	var out []string
	for _, e := range a.History {
		if e.Made.Bridge != "" && e.State == ops.StateDone {
			out = append(out, e.Name)
		}
	}
	return out
}

// check makes the plan, or says what is wrong.
func (p *form) check() {
	p.seen = p.app.Snap
	plan, err := p.plan(p.form, p.app.world())
	p.made, p.err = plan, ""
	errs := map[string]string{}
	var fields modes.Errors
	switch {
	case errors.As(err, &fields):
		for _, e := range fields {
			if errs[e.Field] == "" {
				errs[e.Field] = e.Message
			}
		}
	case err != nil:
		p.err = err.Error()
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
	if w >= 120 && p.made != nil && p.made.Made.Bridge != "" && !th.Plain {
		picture := networkMap(th, p.app.uplink(), p.made.Name, p.made.Made, w-fw-10)
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
	return []string{"", "  " + th.Good.Render("✓") + " " + th.Text.Render(plural(len(p.made.Steps), "step")+". Nothing is changed before you have seen them.")}
}
