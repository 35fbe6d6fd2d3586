package pages

import (
	"fmt"

	"vethscope/ops"
	"vethscope/ui/kit"
)

// How a map shows an overlay's hosts.
const (
	hostInner = 22 // cells inside a host's box, at least
	hostGap   = 5  // between two boxes: the tunnel
)

// overlayMap draws the hosts side by side, as many as fit, the tunnel between
// them and the network that carries it.
func overlayMap(th *kit.Theme, u uplink, m ops.Made, w int) []string {
	if th.Plain {
		return plainOverlay(m)
	}
	inner, most := hostInner, 0
	for _, h := range m.Hosts {
		most = max(most, len(containersOn(th, m, h)))
		inner = widest(append(containersOn(th, m, h), underlayLine(th, h)), inner)
	}
	inner = min(inner, (w-hostGap)/2-4)
	across := max(1, (w+hostGap)/(inner+4+hostGap))
	var lines []string
	for first := 0; first < len(m.Hosts); first += across {
		row := m.Hosts[first:min(len(m.Hosts), first+across)]
		lines = append(lines, hostRow(th, m, row, inner, most)...)
	}
	return append(lines, overlayLegend(th, u, m)...)
}

func underlayLine(th *kit.Theme, h ops.SimHost) string { return at(th, h.Link, h.Addr) }

// containersOn are the lines of a host's containers.
func containersOn(th *kit.Theme, m ops.Made, h ops.SimHost) []string {
	var out []string
	for _, c := range m.Containers {
		if c.Host != h.Name {
			continue
		}
		out = append(out, th.Strong.Render(kit.Safe(c.Name))+"  "+th.Text.Render(words(c.Link, addresses(c))))
		for _, l := range c.Legs {
			out = append(out, repeat(" ", kit.Width(kit.Safe(c.Name))+2)+th.Text.Render(words(l.Link, l.Addr)))
		}
	}
	return out
}

// hostRow draws hosts beside each other. Two lines lead from each to the next:
// from VXLAN to VXLAN, and under it from link to link.
func hostRow(th *kit.Theme, m ops.Made, row []ops.SimHost, inner, most int) []string {
	var out []string
	for n, h := range row {
		text := containersOn(th, m, h)
		for len(text) < most {
			text = append(text, "")
		}
		tunnel, wire := len(text)+1, len(text)+2
		text = append(text, th.Dim.Render("bridge ")+th.Text.Render(kit.Safe(h.Bridge)), th.Accent.Render(kit.Safe(h.VXLAN)), underlayLine(th, h))
		open := map[int]sides{tunnel: {"╡", "╞"}, wire: {"┤", "├"}}
		if n == 0 {
			open[tunnel], open[wire] = sides{"│", "╞"}, sides{"│", "├"}
		}
		if n == len(row)-1 {
			open[tunnel], open[wire] = sides{open[tunnel].left, "│"}, sides{open[wire].left, "│"}
		}
		if n > 0 {
			gaps := make([]string, tunnel+1, tunnel+3) // the box's upper edge is a line, too
			gaps = append(gaps, th.Accent.Render(repeat("═", hostGap)), th.Dim.Render(repeat("─", hostGap)))
			out = kit.Columns(out, gaps, n*(inner+4+hostGap)-hostGap)
		}
		out = kit.Columns(out, box(th, h.Name, text, inner, open), n*(inner+4+hostGap))
	}
	return out
}

func overlayLegend(th *kit.Theme, u uplink, m ops.Made) []string {
	lines := []string{
		th.Accent.Render("═════") + th.Dim.Render(fmt.Sprintf(" the tunnel: VXLAN %d in UDP port %d, MTU %d inside", m.VNI, m.VXLANPort, m.MTU)),
		th.Dim.Render("───── the underlay " + m.Underlay + "; who is where: " + learningText(m.Learning)),
	}
	if len(m.Containers[0].Legs) > 0 {
		lines = append(lines, th.Dim.Render(fmt.Sprintf("%s    the second leg, MTU %d, by which each reaches %s", m.Containers[0].Legs[0].Link, m.Containers[0].Legs[0].MTU, where(u))))
	}
	return lines
}

func where(u uplink) string {
	if u.ns == "" {
		return "the outside world"
	}
	return kit.Safe(u.ns)
}

func learningText(learning string) string {
	if learning == "multicast" {
		return "asked by multicast"
	}
	return "fixed entries"
}

func plainOverlay(m ops.Made) []string {
	lines := []string{fmt.Sprintf("VXLAN %d in UDP port %d, MTU %d inside, joins %d hosts over the underlay %s.",
		m.VNI, m.VXLANPort, m.MTU, len(m.Hosts), m.Underlay)}
	for _, h := range m.Hosts {
		lines = append(lines, fmt.Sprintf("Host %s has %s %s, bridge %s and %s.", kit.Safe(h.Name), h.Link, h.Addr, h.Bridge, h.VXLAN))
	}
	for _, c := range m.Containers {
		lines = append(lines, fmt.Sprintf("Container %s on %s has %s %s.", kit.Safe(c.Name), kit.Safe(c.Host), c.Link, addresses(c)))
	}
	return lines
}
