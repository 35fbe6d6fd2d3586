package pages

import (
	"fmt"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// sides are what stands left and right of a line in a box, where a cable leads in
// or out.
type sides struct{ left, right string }

// box frames lines, the title in its upper edge, inner cells wide inside. open
// says of single lines, by number, what their sides are.
func box(th *kit.Theme, title string, lines []string, inner int, open map[int]sides) []string {
	title = kit.Cut(kit.Safe(title), inner-2)
	out := []string{th.Dim.Render("┌─ ") + th.Strong.Render(title) + th.Dim.Render(" "+repeat("─", inner-1-kit.Width(title))+"┐")}
	for i, l := range lines {
		s, ok := open[i]
		if !ok {
			s = sides{"│", "│"}
		}
		out = append(out, th.Dim.Render(s.left+" ")+kit.Fit(l, inner)+th.Dim.Render(" "+s.right))
	}
	return append(out, th.Dim.Render("└"+repeat("─", inner+2)+"┘"))
}

// widest is the width of the widest line, at least min.
func widest(lines []string, least int) int {
	for _, l := range lines {
		least = max(least, kit.Width(l))
	}
	return least
}

// at is a link with its address, for a map.
func at(th *kit.Theme, link, addr string) string {
	return th.Text.Render(words(kit.Safe(link), addr))
}

// vethMap draws the two ends of a cable.
func (a *App) vethMap(th *kit.Theme, name string, m ops.Made, w int) []string {
	ends := slices.Clone(m.Containers)
	if len(ends) == 1 { // the other end is the host's
		ends = append([]ops.Container{{Name: hostEnd, Link: "v-" + name, Addr: m.Gateway}}, ends...)
	}
	if th.Plain {
		return []string{fmt.Sprintf("A cable from %s %s in %s to %s %s in %s.", ends[0].Link, addresses(ends[0]), kit.Safe(ends[0].Name),
			ends[1].Link, addresses(ends[1]), kit.Safe(ends[1].Name))}
	}
	const gap = 3
	var boxes [2][]string
	for i, e := range ends[:2] {
		text := []string{at(th, e.Link, addresses(e))}
		open := map[int]sides{0: {[]string{"│", "┤"}[i], []string{"├", "│"}[i]}}
		boxes[i] = box(th, e.Name, text, min(widest(text, 20), (w-gap-8)/2), open)
	}
	cable := []string{"", th.Dim.Render(repeat("─", gap)), ""}
	return kit.Columns(kit.Columns(boxes[0], cable, kit.Width(boxes[0][0])), boxes[1], kit.Width(boxes[0][0])+gap)
}

func noneMap(th *kit.Theme, m ops.Made) []string {
	c := m.Containers[0]
	if th.Plain {
		return []string{fmt.Sprintf("Namespace %s has lo 127.0.0.1 and nothing else.", kit.Safe(c.Name))}
	}
	text := []string{at(th, "lo", "127.0.0.1"), th.Dim.Render("no other link, no route, no rule")}
	return box(th, c.Name, text, widest(text, 0), nil)
}

// hostMap shows that the container has what the host has.
func (a *App) hostMap(th *kit.Theme, name string, m ops.Made) []string {
	var text []string
	if h := a.host(); h != nil {
		for i := range h.Links {
			if l := &h.Links[i]; firstAddr(l) != "" {
				text = append(text, at(th, l.Name, firstAddr(l)))
			}
		}
	}
	if th.Plain {
		return []string{fmt.Sprintf("Container %s uses the host's own links, addresses, routes and ports.", kit.Safe(name))}
	}
	text = append([]string{th.Strong.Render(kit.Safe(name)) + th.Dim.Render("  lives right here: these are its links, too")}, text...)
	return box(th, hostEnd, text, widest(text, 0), nil)
}

// sharedMap draws two names of one namespace.
func sharedMap(th *kit.Theme, m ops.Made) []string {
	c := m.Containers[0]
	if th.Plain {
		return []string{fmt.Sprintf("Containers %s and %s share one namespace with %s %s.", kit.Safe(c.Shares), kit.Safe(c.Name), c.Link, addresses(c))}
	}
	names := []string{kit.Safe(c.Shares), kit.Safe(c.Name)}
	n := widest(names, 0)
	text := []string{at(th, c.Link, addresses(c)), th.Dim.Render("one MAC, one address, one set of ports")}
	if c.Link != "lo" {
		text = append([]string{at(th, "lo", "127.0.0.1")}, text...)
	}
	right := box(th, "one namespace", text, widest(text, 0), nil)
	left := make([]string, len(right))
	left[1] = th.Strong.Render(kit.Fit(names[0], n)) + th.Dim.Render(" ─┐")
	left[2] = repeat(" ", n) + th.Dim.Render("  ├─▸ ")
	left[3] = th.Strong.Render(kit.Fit(names[1], n)) + th.Dim.Render(" ─┘")
	return kit.Columns(left, right, n+6)
}

// lanMap draws containers on a LAN, or behind its host.
func lanMap(th *kit.Theme, mode string, u uplink, m ops.Made, w int) []string {
	if th.Plain {
		return plainLAN(mode, m)
	}
	p := picture{below: leaves(th, m, func(ops.Container) string { return words(mode, m.Submode) })}
	routed := mode == modeIpvlan && m.Submode != "l2"
	for _, machine := range neighbours(u, m) {
		text := "  a machine on the LAN " + onLAN(routed, m)
		if routed {
			text = "  router: " + map[bool]string{true: "knows the way to ", false: "has no route to "}[m.Router] + strings.Join(m.Networks, ", ")
		}
		p.above = append(p.above, th.Strong.Render(kit.Safe(machine.Name))+"  "+th.Text.Render(machine.Addr)+th.Dim.Render(text))
	}
	p.box = []string{th.Strong.Render(kit.Safe(m.Parent)) + "  " + th.Text.Render(m.ParentAddr) + th.Dim.Render("  the parent")}
	switch {
	case m.Shim != "":
		p.box = append(p.box, th.Strong.Render(kit.Safe(m.Shim))+"  "+th.Text.Render(m.ShimAddr)+th.Dim.Render("  the shim, by which the host reaches them"))
	case routed:
		p.box = append(p.box, th.Dim.Render("  routes between them and the LAN"))
	default:
		p.box = append(p.box, th.Warn.Render("  ✗")+th.Dim.Render(" the host and its containers do not hear each other"))
	}
	p.box = append(p.box, th.Dim.Render("  "+lanMAC(mode, m.Submode)))
	return p.draw(th, w)
}

func onLAN(routed bool, m ops.Made) string {
	if routed {
		return ""
	}
	return m.Network
}

// lanMAC says whose MAC the LAN sees.
func lanMAC(mode, submode string) string {
	if mode == modeMacvlan && submode != "passthru" {
		return "the LAN sees a MAC of each container"
	}
	return "the LAN sees the parent's MAC alone"
}

// neighbours are the machines on the LAN of a parent: those that were made with
// it, or the one outside.
func neighbours(u uplink, m ops.Made) []ops.Machine {
	if len(m.Machines) == 0 && u.link != "" && u.link == m.Parent {
		return []ops.Machine{{Name: u.ns, Link: u.far, Addr: u.faddr}}
	}
	return m.Machines
}

func plainLAN(mode string, m ops.Made) []string {
	lines := []string{fmt.Sprintf("The parent is %s %s of the host, %s.", m.Parent, m.ParentAddr, words(mode, m.Submode))}
	for _, machine := range m.Machines {
		lines = append(lines, fmt.Sprintf("Machine %s %s is on its LAN.", kit.Safe(machine.Name), machine.Addr))
	}
	for _, c := range m.Containers {
		lines = append(lines, fmt.Sprintf("Container %s has %s %s.", kit.Safe(c.Name), c.Link, addresses(c)))
	}
	if m.Shim != "" {
		lines = append(lines, fmt.Sprintf("The host reaches them through the shim %s %s.", m.Shim, m.ShimAddr))
	}
	return lines
}
