package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
	"vethscope/ui/kit"
)

// lsTable is text in aligned columns.
type lsTable struct {
	header []string
	rows   [][]string
}

// safeLine makes text from outside one line that cannot steer the terminal.
func safeLine(s string) string { return kit.Safe(s) }

// columnGap stands between columns.
const columnGap = "  "

// write writes the table without colour. An empty cell is a dash, so that
// columns can be told apart by programs, too.
func (t lsTable) write(w io.Writer) error {
	lines := append([][]string{t.header}, t.rows...)
	widths := make([]int, len(t.header))
	for _, line := range lines {
		for i := range line {
			if line[i] = safeLine(line[i]); line[i] == "" {
				line[i] = "-"
			}
			widths[i] = max(widths[i], kit.Width(line[i]))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		last := len(line) - 1
		for i, cell := range line[:last] {
			b.WriteString(kit.Fit(cell, widths[i]) + columnGap)
		}
		b.WriteString(line[last] + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func namespaceTable(namespaces []inventory.Namespace, f lsFlags) lsTable {
	t := lsTable{header: []string{"NAME", "KIND", "INODE", "NSID", "LINKS", "PROCESSES"}}
	if f.wide() {
		t.header = append(t.header, "PATH", "UNREADABLE")
	}
	for _, n := range namespaces {
		names := strings.Join(append([]string{n.Name}, n.Also...), ", ")
		row := []string{names, n.Kind, strconv.FormatUint(n.Inode, 10), nsidText(n.NSID), linkCount(n), processText(n.Processes, f.wide())}
		if f.wide() {
			row = append(row, n.Path, n.Unreadable)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

func nsidText(id int) string {
	if id < 0 {
		return ""
	}
	return strconv.Itoa(id)
}

// linkCount is a question mark where the links are hidden: lo is everywhere.
func linkCount(n inventory.Namespace) string {
	if len(n.Links) == 0 && n.Unreadable != "" {
		return "?"
	}
	return strconv.Itoa(len(n.Links))
}

// processesShown is how many processes a narrow table names.
const processesShown = 3

func processText(processes []inventory.Process, all bool) string {
	shown := len(processes)
	if !all {
		shown = min(shown, processesShown)
	}
	var parts []string
	for _, p := range processes[:shown] {
		parts = append(parts, fmt.Sprintf("%d/%s", p.PID, p.Command))
	}
	if more := len(processes) - shown; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

func linkTable(namespaces []inventory.Namespace, f lsFlags) lsTable {
	t := lsTable{header: []string{"NAMESPACE", "INDEX", "NAME", "KIND", "STATE", "MASTER", "PEER", "MAC", "ADDRESSES"}}
	if f.wide() {
		t.header = append(t.header, "MTU", "FLAGS", "DETAIL", "ALIAS")
	}
	for _, n := range namespaces {
		for _, l := range n.Links {
			row := []string{n.Name, strconv.Itoa(l.Index), l.Name, l.Kind, l.State, l.Master, peerText(l.Peer), l.MAC, strings.Join(cidrs(l), ", ")}
			if f.wide() {
				row = append(row, strconv.Itoa(l.MTU), strings.Join(l.Flags, ","), detailText(l.Detail), l.Alias)
			}
			t.rows = append(t.rows, row)
		}
	}
	return t
}

func cidrs(l inventory.Link) []string {
	out := make([]string, 0, len(l.Addrs))
	for _, a := range l.Addrs {
		out = append(out, a.CIDR)
	}
	return out
}

// peerText is NS:LINK; what is not known of it is given by number, as ip-link(8)
// does.
func peerText(p *inventory.Peer) string {
	if p == nil {
		return ""
	}
	ns, link := p.NS, p.Link
	if ns == "" {
		ns = fmt.Sprintf("nsid %d", p.NSID)
	}
	if link == "" {
		link = fmt.Sprintf("if%d", p.Index)
	}
	return ns + ":" + link
}

func detailText(d *inventory.Detail) string {
	if d == nil {
		return ""
	}
	var parts []string
	if d.VNI != 0 {
		parts = append(parts, fmt.Sprintf("vni %d", d.VNI))
	}
	if d.Port != 0 {
		parts = append(parts, fmt.Sprintf("port %d", d.Port))
	}
	if d.Local != "" {
		parts = append(parts, "local "+d.Local)
	}
	if d.Mode != "" {
		parts = append(parts, "mode "+d.Mode)
	}
	return strings.Join(parts, " ")
}

func routeTable(namespaces []inventory.Namespace, f lsFlags) lsTable {
	t := lsTable{header: []string{"NAMESPACE", "TABLE", "TYPE", "DESTINATION", "GATEWAY", "LINK", "SOURCE", "PROTOCOL", "METRIC"}}
	if f.wide() {
		t.header = append(t.header, "FAMILY", "SCOPE")
	}
	for _, n := range namespaces {
		for _, r := range n.Routes {
			if r.Table == "local" && !f.all && !f.wide() {
				continue
			}
			gateway, link := legsText(r)
			row := []string{n.Name, r.Table, r.Type, r.Dst, gateway, link, r.Source, r.Protocol, metricText(r.Metric)}
			if f.wide() {
				row = append(row, r.Family, r.Scope)
			}
			t.rows = append(t.rows, row)
		}
	}
	return t
}

// legsText is a route's gateway and link; of a multipath route all of them, in
// the same order, with their weights.
func legsText(r inventory.Route) (gateway, link string) {
	if len(r.NextHops) == 0 {
		return r.Gateway, r.Link
	}
	var gateways, links []string
	for _, h := range r.NextHops {
		g := h.Gateway
		if g == "" {
			g = "direct"
		}
		gateways = append(gateways, fmt.Sprintf("%s weight %d", g, h.Weight))
		links = append(links, h.Link)
	}
	return strings.Join(gateways, ", "), strings.Join(links, ", ")
}

func metricText(metric int) string {
	if metric == 0 {
		return ""
	}
	return strconv.Itoa(metric)
}

func ruleTable(namespaces []inventory.Namespace, f lsFlags) lsTable {
	t := lsTable{header: []string{"NAMESPACE", "ENGINE", "FAMILY", "TABLE", "CHAIN", "HANDLE", "PACKETS", "BYTES", "TEXT"}}
	if f.wide() {
		// The text, of any length, stays last.
		t.header = []string{"NAMESPACE", "ENGINE", "FAMILY", "TABLE", "CHAIN", "HOOK", "PRIORITY", "POSITION", "HANDLE", "PACKETS", "BYTES", "TEXT"}
	}
	for _, n := range namespaces {
		for _, r := range rulesOf(n, f) {
			row := []string{n.Name, r.Engine, r.Family, r.Table, r.Chain}
			if f.wide() {
				priority := ""
				if r.Hook != "" {
					priority = strconv.Itoa(int(r.Priority))
				}
				row = append(row, r.Hook, priority, strconv.Itoa(r.Position))
			}
			packets, bytes := counterText(r.Counter)
			t.rows = append(t.rows, append(row, strconv.FormatUint(r.Handle, 10), packets, bytes, r.Text))
		}
	}
	return t
}

func counterText(c *netfilter.Counter) (packets, bytes string) {
	if c == nil {
		return "", ""
	}
	return strconv.FormatUint(c.Packets, 10), strconv.FormatUint(c.Bytes, 10)
}

// rulesOf are the namespace's rules that were asked for.
func rulesOf(n inventory.Namespace, f lsFlags) []netfilter.Rule {
	if !f.nat {
		return n.Rules
	}
	var out []netfilter.Rule
	for _, r := range n.Rules {
		if r.NAT != nil {
			out = append(out, r)
		}
	}
	return out
}
