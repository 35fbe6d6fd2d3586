package pages

import (
	"fmt"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ui/kit"
)

// uplink is the host's way to the machine outside.
type uplink struct {
	link, addr     string // of the host
	ns, far, faddr string // the namespace outside, its link and its address
}

// outside is the namespace that plays the rest of the world.
const outside = "outside"

// uplink finds the link of the host whose other end is outside; its link is ""
// where there is none.
func (a *App) uplink() uplink {
	host, out := a.host(), a.namespace(outside)
	if host == nil || out == nil {
		return uplink{}
	}
	for i := range host.Links {
		l := &host.Links[i]
		if l.Peer == nil || l.Peer.Inode != out.Inode {
			continue
		}
		u := uplink{link: l.Name, addr: firstAddr(l), ns: out.Name, far: l.Peer.Link}
		for j := range out.Links {
			if out.Links[j].Index == l.Peer.Index {
				u.faddr = firstAddr(&out.Links[j])
			}
		}
		return u
	}
	return uplink{}
}

// host is the namespace that we were started in.
func (a *App) host() *inventory.Namespace {
	if a.Snap == nil {
		return nil
	}
	for i := range a.Snap.Namespaces {
		if a.Snap.Namespaces[i].Kind == inventory.KindHost {
			return &a.Snap.Namespaces[i]
		}
	}
	return nil
}

// firstAddr is a link's first address of global scope, without its prefix.
func firstAddr(l *inventory.Link) string {
	for _, a := range l.Addrs {
		if a.Scope == "global" {
			addr, _, _ := strings.Cut(a.CIDR, "/")
			return addr
		}
	}
	return ""
}

// maxDrawn is how many containers a map shows before it only counts them.
const maxDrawn = 12

// networkMap draws what a plan of a mode made, in lines of at most w cells; there
// are none for what has no shape.
func (a *App) networkMap(th *kit.Theme, mode, name string, m ops.Made, w int) []string {
	if len(m.Containers) == 0 {
		return nil
	}
	u := a.uplink()
	var lines []string
	switch mode {
	case modeBridge:
		lines = bridgeMap(th, u, name, m, w)
	case modeVeth:
		lines = a.vethMap(th, name, m, w)
	case modeNone:
		lines = noneMap(th, m)
	case modeHost:
		lines = a.hostMap(th, name, m)
	case modeContainer:
		lines = sharedMap(th, m)
	case modeOverlay:
		lines = overlayMap(th, u, m, w)
	case modeMacvlan, modeIpvlan:
		lines = lanMap(th, mode, u, m, w)
	}
	for i, l := range lines {
		lines[i] = kit.Cut(l, w)
	}
	return lines
}

// picture is a map from the outside in: what lies beyond the host, what is on it,
// and what hangs below it.
type picture struct {
	above []string // the last line of a neighbour stands over the host
	box   []string
	below []string
}

// draw lays a picture out.
func (p picture) draw(th *kit.Theme, w int) []string {
	var lines []string
	say := func(tree, text string) { lines = append(lines, th.Dim.Render(tree)+text) }
	for _, l := range p.above {
		say("", "  "+l)
	}
	if len(p.above) > 0 {
		say("     │", "")
	}
	inner := 30
	for _, l := range p.box {
		inner = max(inner, kit.Width(l))
	}
	inner = min(inner, w-6)
	joint := map[bool]string{true: "┴", false: "─"}[len(p.above) > 0]
	say("  ┌──"+joint+"─ ", th.Dim.Render("host "+repeat("─", inner-8)+"┐"))
	for _, l := range p.box {
		say("  │ ", kit.Fit(l, inner)+th.Dim.Render(" │"))
	}
	foot := map[bool]string{true: "┬", false: "─"}[len(p.below) > 0]
	say("  └──"+foot+repeat("─", inner-1)+"┘", "")
	for i, l := range p.below {
		say(map[bool]string{false: "     ├── ", true: "     └── "}[i == len(p.below)-1], l)
	}
	return lines
}

// leaves are the containers of a map, each with a remark; those that are too many
// are only counted.
func leaves(th *kit.Theme, m ops.Made, remark func(ops.Container) string) []string {
	var out []string
	for i, c := range m.Containers {
		if i == maxDrawn && len(m.Containers) > maxDrawn+1 {
			return append(out, th.Dim.Render(fmt.Sprintf("and %d more, up to %s", len(m.Containers)-i, lastContainer(m))))
		}
		out = append(out, th.Strong.Render(kit.Safe(c.Name))+"  "+th.Text.Render(words(c.Link, addresses(c)))+
			"  "+th.Dim.Render(kit.Safe(remark(c))))
	}
	return out
}

// addresses are a container's, of both families.
func addresses(c ops.Container) string {
	if c.Addr == "" {
		return c.Addr6
	}
	return both(c.Addr, c.Addr6)
}

// bridgeMap draws a bridge network.
func bridgeMap(th *kit.Theme, u uplink, name string, m ops.Made, w int) []string {
	name = kit.Safe(name)
	if th.Plain {
		return plainMap(u, name, m)
	}
	p := picture{box: hostBox(th, u, name, m), below: leaves(th, m, func(c ops.Container) string { return "⇄ " + c.HostLink })}
	if u.link != "" {
		p.above = []string{th.Strong.Render(kit.Safe(u.ns)) + "  " + th.Text.Render(u.faddr)}
	}
	return p.draw(th, w)
}

func lastContainer(m ops.Made) string {
	return kit.Safe(m.Containers[len(m.Containers)-1].Name)
}

// hostBox is what stands in the host's box.
func hostBox(th *kit.Theme, u uplink, name string, m ops.Made) []string {
	var box []string
	if u.link != "" {
		box = append(box, th.Strong.Render(kit.Safe(u.link))+"  "+th.Text.Render(u.addr))
	}
	for _, p := range m.Published {
		box = append(box, "  "+th.Good.Render(fmt.Sprintf("↓ :%d/%s", p.HostPort, p.Protocol))+
			th.Dim.Render("  DNAT to ")+th.Text.Render(fmt.Sprintf("%s:%d", kit.Safe(p.Container), p.ContainerPort)))
	}
	if m.Network != "" {
		box = append(box, "  "+th.Warn.Render("↑ masquerade")+th.Dim.Render("  what leaves from ")+th.Text.Render(m.Network))
	}
	box = append(box, th.Strong.Render(name)+"  "+th.Text.Render(both(m.Gateway, m.Gateway6))+th.Dim.Render("  bridge, their gateway"))
	if m.DNS != "" {
		box = append(box, "  "+th.Dim.Render("name server: "+m.Containers[0].Name+" is ")+th.Text.Render(addresses(m.Containers[0])))
	}
	return box
}

func plainMap(u uplink, name string, m ops.Made) []string {
	var lines []string
	if u.link != "" {
		lines = append(lines, fmt.Sprintf("The host's link %s %s leads to %s %s.", u.link, u.addr, u.ns, u.faddr))
	}
	lines = append(lines, fmt.Sprintf("Bridge %s on the host, %s, subnet %s.", name, m.Gateway, m.Network))
	for _, c := range m.Containers {
		lines = append(lines, fmt.Sprintf("Container %s has %s %s, plugged into %s.", c.Name, c.Link, both(c.Addr, c.Addr6), c.HostLink))
	}
	for _, p := range m.Published {
		lines = append(lines, fmt.Sprintf("Port %d/%s of the host leads to %s port %d.", p.HostPort, p.Protocol, p.Container, p.ContainerPort))
	}
	return lines
}

func repeat(s string, n int) string { return strings.Repeat(s, max(0, n)) }
