package pages

import (
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ui/kit"
)

// known is what is there under a network's name, ports published later
// included; ok is false when there is no such network.
func (a *App) known(name string) (ops.Made, bool) {
	if a.networks == nil {
		a.networks = a.world().Networks
	}
	m, ok := a.networks[name]
	return m, ok && len(m.Containers) > 0
}

// chosen is the bridge network that probes go to: the one last looked at, or the
// newest.
func (a *App) chosen() (string, ops.Made, bool) {
	if e := a.entry(a.network); e != nil && e.Mode == modeBridge {
		if m, ok := a.known(a.network); ok {
			return a.network, m, true
		}
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
	return a.watchAt(what, points, false, send)
}

// watchAt captures at points, then sends, and goes to the packets: to all of them,
// or to those that were rewritten.
func (a *App) watchAt(what string, points []capture.Point, all bool, send func(context.Context) (string, error)) tea.Cmd {
	fresh := a.capture.expect(what, points)
	a.capture.all = all
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

// across is the first ping of a network that must get through and does not stay
// in one container: who sends it, and where to.
func (a *App) across(m ops.Made) (from ops.Container, dst string, ok bool) {
	for _, p := range m.Proofs {
		if p.Kind != "ping" || !p.Want || p.Target == "127.0.0.1" {
			continue
		}
		i := slices.IndexFunc(m.Containers, func(c ops.Container) bool { return c.Name == p.From })
		if i < 0 || ok && onHost(m, p.Target) == m.Containers[i].Host {
			continue
		}
		from, dst, ok = m.Containers[i], p.Target, true
		if onHost(m, dst) != from.Host {
			break // from host to host is what an overlay is for
		}
	}
	return from, dst, ok
}

// onHost is the host of an overlay that an address is on, "" for none.
func onHost(m ops.Made, addr string) string {
	for _, c := range m.Containers {
		if c.Addr == addr || c.Addr6 == addr {
			return c.Host
		}
	}
	return ""
}

// wayOf are the points that a ping from a container to dst comes by: its own link,
// those of the hosts of an overlay that it crosses, the parent, and the other's.
func (a *App) wayOf(m ops.Made, from ops.Container, dst string) []capture.Point {
	points := []capture.Point{a.point(from.Name, from.Link)}
	host := func(name string) {
		for _, h := range m.Hosts {
			if h.Name == name {
				points = append(points, a.point(h.Name, h.Link))
			}
		}
	}
	host(from.Host)
	for _, c := range m.Containers {
		if c.Addr == dst || c.Addr6 == dst {
			host(c.Host)
			return append(points, a.point(c.Name, c.Link))
		}
	}
	for _, machine := range m.Machines {
		if machine.Addr == dst {
			return append(points, a.point(machine.Name, machine.Link))
		}
	}
	return points
}

// acrossAction pings through a network that rewrites nothing, and shows all packets.
func (a *App) acrossAction(made func() ops.Made) kit.Action {
	return kit.Action{ID: "probe.across", Binding: kit.Bind("i", "ping across, and watch"), Bar: 13,
		Disabled: func() string {
			if _, _, ok := a.across(made()); !ok {
				return "there is nobody to ping"
			}
			return ""
		}, Run: func() tea.Cmd {
			m := made()
			c, dst, _ := a.across(m)
			what := fmt.Sprintf("ping %s from %s", dst, c.Name)
			return a.watchAt(what, a.wayOf(m, c, dst), true, func(ctx context.Context) (string, error) { return a.Backend.Ping(ctx, c.Name, dst) })
		}}
}
