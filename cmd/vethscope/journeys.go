package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vethscope/capture"
)

// journeyPrinter writes journeys one by one, as text or as one JSON object a
// line. It keeps the first error.
type journeyPrinter struct {
	w     io.Writer
	json  bool
	count int
	err   error
}

func (p *journeyPrinter) print(j *capture.Journey) {
	if p.err != nil {
		return
	}
	p.count++
	if p.json {
		enc := json.NewEncoder(p.w)
		enc.SetEscapeHTML(false)
		p.err = enc.Encode(j)
		return
	}
	_, p.err = io.WriteString(p.w, p.text(j))
}

func (p *journeyPrinter) text(j *capture.Journey) string {
	var b strings.Builder
	if p.count > 1 {
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "%2d. flow %d, %s, %s: %s\n", p.count, j.Flow, j.Protocol, j.Direction, j.Info)
	if j.Quotes != nil {
		fmt.Fprintf(&b, "    about    %s %s → %s\n", j.Quotes.Protocol, j.Quotes.Src, j.Quotes.Dst)
	}
	if j.Repeats != nil {
		fmt.Fprintf(&b, "    again    %s\n", repeatText(j))
	}
	width := 0
	for i := range j.Hops {
		width = max(width, len(j.Hops[i].Point))
	}
	for i := range j.Hops {
		b.WriteString(hopText(j, i, width))
	}
	told := ""
	for i := range j.Hops { // of a file
		if c := j.Hops[i].Comment; c != "" && c != told {
			told = c
			fmt.Fprintf(&b, "    comment  %s\n", c)
		}
	}
	if !j.Matched {
		b.WriteString("    seen here only\n")
	}
	return b.String()
}

// tellOther says how many packets have no journey.
func tellOther(w io.Writer, n uint64) {
	if n > 0 {
		fmt.Fprintf(w, "%d packets belong to no flow, as ARP does, and have no journey\n", n)
	}
}

// repeatText says how a packet repeats an earlier one.
func repeatText(j *capture.Journey) string {
	text := map[string]string{
		capture.Retransmission: "a retransmission: the same was sent",
		capture.Duplicate:      "a duplicate: the same packet was seen",
		capture.Loop:           "routed in a circle: the same packet, with a higher TTL, was seen",
	}[j.Repeats.Kind]
	return fmt.Sprintf("%s %s before", text, j.Time.Sub(j.Repeats.Time).Round(time.Microsecond))
}

// hopText is one line for the sighting, and one for each thing that happened
// before it.
func hopText(j *capture.Journey, i, width int) string {
	h := &j.Hops[i]
	var b strings.Builder
	if i > 0 {
		for _, line := range hopChanges(&j.Hops[i-1], h, j.Direction) {
			fmt.Fprintf(&b, "    %*s  %s\n", 9+width+6, "", line)
		}
	}
	way := "in "
	if h.Outgoing {
		way = "out"
	}
	later := ""
	if i > 0 {
		later = "+" + h.Elapsed.Round(time.Microsecond).String()
	}
	fmt.Fprintf(&b, "    %9s  %-*s %s  %s → %s  ttl %d", later, width, h.Point, way, h.Src, h.Dst, h.TTL)
	if t := h.Tunnel; t != nil {
		fmt.Fprintf(&b, "  in %s %s → %s", tunnelText(t), t.Src, t.Dst)
	}
	b.WriteByte('\n')
	return b.String()
}

func tunnelText(t *capture.Tunnel) string {
	if t.Kind == "vxlan" || t.Kind == "geneve" {
		return fmt.Sprintf("%s %d", t.Kind, t.VNI)
	}
	return t.Kind
}

// hopChanges tells what became of the packet between two hops.
func hopChanges(before, h *capture.Hop, direction string) (out []string) {
	switch h.Encapsulation {
	case capture.Pushed:
		out = append(out, fmt.Sprintf("put into %s: %d bytes more", tunnelText(h.Tunnel), h.Tunnel.Overhead))
	case capture.Popped:
		out = append(out, "taken out of "+tunnelText(before.Tunnel))
	case capture.Retunnel:
		out = append(out, "its tunnel is another one")
	}
	if fields := hopFields(before, h); len(fields) > 0 {
		out = append(out, "changed "+strings.Join(fields, ", "))
	}
	for _, r := range h.Rules {
		what := "by rule"
		if direction == capture.Reply { // replies pass no rule: conntrack remembers what to undo
			what = "undoes"
		}
		out = append(out, fmt.Sprintf("%s %s in %s %s %s, chain %s: %s", what, r.NS, r.Engine, r.Family, r.Table, r.Chain, r.Text))
	}
	return out
}

// hopFields lists what differs: the telling fields with both values, the others
// by name.
func hopFields(before, h *capture.Hop) (out []string) {
	for _, f := range []struct {
		name    string
		was, is any
	}{{"src", before.Src, h.Src}, {"dst", before.Dst, h.Dst}, {"ttl", before.TTL, h.TTL}, {"id", before.ID, h.ID}} {
		if slices.Contains(h.Changed, f.name) {
			out = append(out, fmt.Sprintf("%s %v → %v", f.name, f.was, f.is))
		}
	}
	for _, name := range h.Changed {
		if !slices.Contains([]string{"src", "dst", "ttl", "id", "length"}, name) {
			out = append(out, name)
		}
	}
	return out
}
