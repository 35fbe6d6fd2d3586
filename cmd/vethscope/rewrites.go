package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vethscope/capture"
)

// rewritePrinter writes rewritten packets one by one, as text or as one JSON
// object a line. It keeps the first error.
type rewritePrinter struct {
	w     io.Writer
	json  bool
	line  []byte // the last, for its room
	count int
	told  map[string]bool // flow and direction whose rule was shown
	err   error
}

func newRewritePrinter(w io.Writer, output string) *rewritePrinter {
	return &rewritePrinter{w: w, json: output == "json", told: map[string]bool{}}
}

func (p *rewritePrinter) print(r *capture.Rewrite) {
	if p.err != nil {
		return
	}
	if p.json {
		p.line = append(r.AppendJSON(p.line[:0]), '\n')
		_, p.err = p.w.Write(p.line)
		return
	}
	p.count++
	_, p.err = io.WriteString(p.w, p.text(r))
}

func (p *rewritePrinter) text(r *capture.Rewrite) string {
	var b strings.Builder
	if p.count > 1 {
		b.WriteByte('\n')
	}
	width := max(len(r.Before.Point), len(r.After.Point))
	fmt.Fprintf(&b, "%2d. flow %d, %s, %s: %s\n", p.count, r.Flow, r.Protocol, r.Direction, r.Info)
	for _, side := range []struct {
		name string
		s    capture.Seen
	}{{"before", r.Before}, {"after", r.After}} {
		fmt.Fprintf(&b, "    %-7s  %-*s  %s → %s  ttl %d\n", side.name, width, side.s.Point, side.s.Src, side.s.Dst, side.s.TTL)
	}
	fmt.Fprintf(&b, "    changed  %s  (%s later)\n", changes(r), r.Elapsed.Round(time.Microsecond))
	key := fmt.Sprint(r.Flow, r.Direction)
	if r.Rule != nil && !p.told[key] {
		p.told[key] = true
		b.WriteString(ruleText(r))
	} else if r.Rule == nil && r.BeforeRecord != nil && r.BeforeRecord.Comment != "" && !p.told[key] {
		p.told[key] = true // a file's
		fmt.Fprintf(&b, "    comment  %s\n", r.BeforeRecord.Comment)
	}
	return b.String()
}

// ruleText names the rule that rewrote the packet. Replies pass no rule: conntrack
// remembers what to undo.
func ruleText(r *capture.Rewrite) string {
	where := fmt.Sprintf("%s %s %s, chain %s, handle %d", r.Rule.Engine, r.Rule.Family, r.Rule.Table, r.Rule.Chain, r.Rule.Handle)
	if r.Direction == capture.Reply {
		return fmt.Sprintf("    undoes   what %s did, as conntrack remembers it\n", where)
	}
	return fmt.Sprintf("    by rule  %s:\n             %s\n", where, r.Rule.Text)
}

// changes lists what differs: the telling fields with both values, the others
// by name.
func changes(r *capture.Rewrite) string {
	var out []string
	for _, c := range r.Changed {
		switch c {
		case "src":
			out = append(out, fmt.Sprintf("src %s → %s", r.Before.Src, r.After.Src))
		case "dst":
			out = append(out, fmt.Sprintf("dst %s → %s", r.Before.Dst, r.After.Dst))
		case "ttl":
			out = append(out, fmt.Sprintf("ttl %d → %d", r.Before.TTL, r.After.TTL))
		case "id":
			out = append(out, fmt.Sprintf("id %d → %d", r.Before.ID, r.After.ID))
		}
	}
	names := slices.DeleteFunc(slices.Clone(r.Changed), func(c string) bool {
		return slices.Contains([]string{"src", "dst", "ttl", "id"}, c)
	})
	return strings.Join(append(out, names...), ", ")
}
