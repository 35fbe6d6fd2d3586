package pages

import (
	"context"
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ui/kit"
)

// known is what is there under a network's name, ports published later
// included; ok is false when there is no such network.
func (a *App) known(name string) (ops.Made, bool) {
	m, ok := a.world().Networks[name]
	return m, ok && len(m.Containers) > 0
}

// chosen is the network that probes go to: the one last looked at, or the
// newest.
func (a *App) chosen() (string, ops.Made, bool) {
	if m, ok := a.known(a.network); ok {
		return a.network, m, true
	}
	for _, name := range a.networkNames() {
		if m, ok := a.known(name); ok {
			return name, m, true
		}
	}
	return "", ops.Made{}, false
}

// tcpPort is the first TCP port that a network publishes.
func tcpPort(m ops.Made) (ops.Published, ops.Container, bool) {
	for _, p := range m.Published {
		for _, c := range m.Containers {
			if p.Protocol == "tcp" && p.Container == c.Name {
				return p, c, true
			}
		}
	}
	return ops.Published{}, ops.Container{}, false
}

// requestURL is what a request from outside asks for.
func requestURL(u uplink, p ops.Published) string {
	return fmt.Sprintf("http://%s:%d/", u.addr, p.HostPort)
}

// probeActions are r and i: traffic through a network, while it is watched.
func (a *App) probeActions() []kit.Action {
	why := func() string {
		if _, _, ok := a.chosen(); !ok {
			return "there is no network yet: n builds one"
		}
		if u := a.uplink(); u.addr == "" || u.faddr == "" {
			return "there is no namespace " + outside + " on the other end of an uplink to talk to"
		}
		return ""
	}
	return []kit.Action{
		{ID: "probe.request", Binding: kit.Bind("r", "HTTP request from outside"), Bar: 12, Run: a.request, Disabled: func() string {
			if w := why(); w != "" {
				return w
			}
			if _, m, _ := a.chosen(); len(m.Published) > 0 {
				if _, _, ok := tcpPort(m); ok {
					return ""
				}
			}
			return "no TCP port is published: P publishes one"
		}},
		{ID: "probe.ping", Binding: kit.Bind("i", "ping outwards"), Bar: 13, Run: a.ping, Disabled: why},
	}
}

// request asks for a page through the published port, from outside, and shows
// the packets.
func (a *App) request() tea.Cmd {
	_, m, _ := a.chosen()
	u := a.uplink()
	port, c, _ := tcpPort(m)
	url := requestURL(u, port)
	what := fmt.Sprintf("GET %s from %s", url, u.ns)
	return a.watch(what, c, func(ctx context.Context) (string, error) { return a.Backend.Request(ctx, u.ns, url) })
}

// ping goes from the first container to the machine outside.
func (a *App) ping() tea.Cmd {
	_, m, _ := a.chosen()
	u, c := a.uplink(), m.Containers[0]
	what := fmt.Sprintf("ping %s from %s", u.faddr, c.Name)
	return a.watch(what, c, func(ctx context.Context) (string, error) { return a.Backend.Ping(ctx, c.Name, u.faddr) })
}

// watch captures on both sides of the host, then sends, and goes to the
// packets.
func (a *App) watch(what string, c ops.Container, send func(context.Context) (string, error)) tea.Cmd {
	points := []capture.Point{a.point(a.host().Name, a.uplink().link), a.point(c.Name, c.Link)}
	fresh := a.capture.expect(what, points)
	probe := func() tea.Msg {
		if fresh {
			err := a.Backend.Capture(a.Context, points)
			if err != nil {
				return captureMsg{points, err}
			}
		}
		text, err := send(a.Context)
		return probeMsg{text, err}
	}
	return tea.Batch(a.Goto(TitleCapture), probe)
}
