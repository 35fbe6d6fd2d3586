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

// networkMap draws a network from the outside in.
func networkMap(th *kit.Theme, u uplink, name string, m ops.Made, w int) []string {
	name = kit.Safe(name)
	if th.Plain {
		return plainMap(u, name, m)
	}
	var lines []string
	say := func(tree, text string) { lines = append(lines, th.Dim.Render(tree)+text) }
	if u.link != "" {
		say("", "  "+th.Strong.Render(kit.Safe(u.ns))+"  "+th.Text.Render(u.faddr))
		say("     │", "")
	}
	box := hostBox(th, u, name, m)
	inner := 0
	for _, l := range box {
		inner = max(inner, kit.Width(l))
	}
	inner = min(max(inner, 30), w-6)
	joint := map[bool]string{true: "┴", false: "─"}[u.link != ""]
	say("  ┌──"+joint+"─ ", th.Dim.Render("host "+repeat("─", inner-8)+"┐"))
	for _, l := range box {
		say("  │ ", kit.Fit(l, inner)+th.Dim.Render(" │"))
	}
	say("  └──┬"+repeat("─", inner-1)+"┘", "")
	for i, c := range m.Containers {
		if i == maxDrawn && len(m.Containers) > maxDrawn+1 {
			say("     └── ", th.Dim.Render(fmt.Sprintf("and %d more, up to %s", len(m.Containers)-i, lastContainer(m))))
			break
		}
		tree := "     ├── "
		if i == len(m.Containers)-1 {
			tree = "     └── "
		}
		say(tree, th.Strong.Render(kit.Safe(c.Name))+"  "+th.Text.Render(c.Link+" "+both(c.Addr, c.Addr6))+
			"  "+th.Dim.Render("⇄ "+kit.Safe(c.HostLink)))
	}
	for i, l := range lines {
		lines[i] = kit.Cut(l, w)
	}
	return lines
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
	return append(box, th.Strong.Render(name)+"  "+th.Text.Render(both(m.Gateway, m.Gateway6))+th.Dim.Render("  bridge, their gateway"))
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
