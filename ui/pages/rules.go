package pages

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
	"vethscope/ui/kit"
)

// ruleKey is a rule's identity: handles are unique within a table.
type ruleKey struct {
	inode                uint64
	family, table, chain string
	handle               uint64
}

type ruleRow struct {
	ns *inventory.Namespace
	*netfilter.Rule
	grown bool // its counter has just moved
}

// rules is the page of the NAT rules.
type rules struct {
	app    *App
	seen   *inventory.Snapshot
	all    bool // those that are not for NAT, too
	counts map[ruleKey]uint64
	grown  map[ruleKey]bool // those whose counter has just moved
	moves  int              // numbers the moments at which some did
	kit.Browser[ruleKey, ruleRow]
}

func keyOf(r ruleRow) ruleKey {
	return ruleKey{r.ns.Inode, r.Family, r.Table, r.Chain, r.Handle}
}

func newRules(app *App) *rules {
	p := &rules{app: app, counts: map[ruleKey]uint64{}, grown: map[ruleKey]bool{}}
	p.Table = kit.NewTable(keyOf,
		kit.Column[ruleRow]{Title: "NS", Cell: func(r ruleRow) string { return r.ns.Name }, Min: 4, Max: 16, Style: dimCell[ruleRow], Priority: 2},
		kit.Column[ruleRow]{Title: "Engine", Cell: func(r ruleRow) string { return r.Engine }, Style: dimCell[ruleRow], Priority: 4},
		kit.Column[ruleRow]{Title: "Table/chain", Cell: func(r ruleRow) string { return r.Family + " " + r.Table + "/" + r.Chain }, Max: 34, Priority: 3, Style: dimCell[ruleRow]},
		kit.Column[ruleRow]{Title: "Hook", Cell: hook, Priority: 1, Min: 11},
		kit.Column[ruleRow]{Title: "Pkts", Cell: packets, Right: true, Style: packetStyle,
			Compare: func(a, b ruleRow) int { return cmp.Compare(counter(a).Packets, counter(b).Packets) }},
		kit.Column[ruleRow]{Title: "Bytes", Cell: bytes, Right: true, Style: dimCell[ruleRow], Priority: 5,
			Compare: func(a, b ruleRow) int { return cmp.Compare(counter(a).Bytes, counter(b).Bytes) }},
		kit.Column[ruleRow]{Title: "Rule", Cell: func(r ruleRow) string { return brief(r.Text) }, Style: strongCell[ruleRow], Flex: true, Min: 56, Ends: true},
		kit.Column[ruleRow]{Title: "Handle", Cell: func(r ruleRow) string { return fmt.Sprint(r.Handle) }, Right: true, Wide: true, Priority: 6},
	)
	p.PaneTitle = func(r ruleRow) string {
		return fmt.Sprintf("%s: %s %s/%s, rule %d", r.ns.Name, r.Family, r.Table, r.Chain, r.Position)
	}
	p.Pane = func(th *kit.Theme, r ruleRow, w int) []string { return kit.Sections(th, w, p.about(r)) }
	return p
}

var (
	counters = regexp.MustCompile(`counter (packets \d+ bytes \d+ )?`)
	comments = regexp.MustCompile(` comment "[^"]*"`)
)

// brief is a rule's text without what stands elsewhere: counters and comment.
func brief(text string) string {
	return strings.TrimSpace(comments.ReplaceAllString(counters.ReplaceAllString(text, ""), ""))
}

func hook(r ruleRow) string {
	if r.Hook == "" {
		return "(jumped to)"
	}
	return r.Hook
}

func counter(r ruleRow) netfilter.Counter {
	if r.Counter == nil {
		return netfilter.Counter{}
	}
	return *r.Counter
}

// packets is a rule's counter; "↑" says that it has just moved.
func packets(r ruleRow) string {
	switch {
	case r.Counter == nil:
		return "-"
	case r.grown:
		return fmt.Sprintf("↑%d", r.Counter.Packets)
	}
	return fmt.Sprint(r.Counter.Packets)
}

func bytes(r ruleRow) string {
	if r.Counter == nil {
		return "-"
	}
	return fmt.Sprint(r.Counter.Bytes)
}

func packetStyle(th *kit.Theme, r ruleRow) *kit.Style {
	switch {
	case r.grown:
		return th.Changed
	case counter(r).Packets == 0:
		return th.Dim
	}
	return th.Text
}

func (p *rules) about(r ruleRow) []kit.Section {
	var facts []kit.Fact
	if r.NAT != nil {
		facts = append(facts, kit.Fact{Label: "rewrites", Value: natText(r.NAT)})
	}
	facts = append(facts,
		kit.Fact{Label: "hook", Value: hookText(r)},
		kit.Fact{Label: "chain", Value: fmt.Sprintf("%s %s/%s in %s", r.Family, r.Table, r.Chain, r.ns.Name)},
		kit.Fact{Label: "handle", Value: fmt.Sprintf("%d, rule %d of its chain", r.Handle, r.Position)},
		kit.Fact{Label: "engine", Value: r.Engine})
	if r.Counter != nil {
		facts = append(facts, kit.Fact{Label: "counter", Value: fmt.Sprintf("%d packets, %d bytes", r.Counter.Packets, r.Counter.Bytes)})
	}
	if r.Comment != "" {
		facts = append(facts, kit.Fact{Label: "comment", Value: r.Comment})
	}
	for _, u := range r.Unknown {
		facts = append(facts, kit.Fact{Label: "not decoded", Value: u})
	}
	if e := p.app.ownerOfTable(r.Table); e != nil {
		facts = append(facts, kit.Fact{Label: "made by", Value: e.Title})
	}
	return []kit.Section{{Title: "The rule", Text: r.Text}, {Title: "Where and what", Facts: facts}}
}

// natText says what a rule rewrites, for someone who learns.
func natText(n *netfilter.NAT) string {
	to := n.Addr
	if n.Port != "" {
		to += ":" + n.Port
	}
	switch n.Kind {
	case "dnat":
		return "the destination, to " + to
	case "snat":
		return "the source, to " + to
	case "masquerade":
		return "the source, to the address of the link it leaves by"
	case "redirect":
		return "the destination, to this machine " + to
	}
	return words(n.Kind, to)
}

func hookText(r ruleRow) string {
	if r.Hook == "" {
		return "none: only jumped to from another chain"
	}
	return fmt.Sprintf("%s, priority %d", r.Hook, r.Priority)
}

func (p *rules) Title() string { return TitleRules }

// Show has the counters re-read while they are being looked at.
func (p *rules) Show(visible bool) tea.Cmd {
	return func() tea.Msg {
		p.app.Backend.PollRules(visible)
		return nil
	}
}

// fadeMsg says that counters have been marked as moved for long enough.
type fadeMsg struct{ moves int }

// fade is how long a counter that moved is marked.
const fade = 3 * time.Second

// Update counts what moved since the snapshot before.
func (p *rules) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case SnapshotMsg:
		before := p.moves
		p.sync()
		if now := p.moves; now != before {
			return p.app.Tick(fade, func(time.Time) tea.Msg { return fadeMsg{now} })
		}
	case fadeMsg:
		if msg.moves == p.moves {
			clear(p.grown)
			p.seen = nil
		}
	}
	return p.Browser.Update(msg)
}

// forNAT says whether a rule rewrites, or stands in or under a NAT chain.
func forNAT(ns *inventory.Namespace, r *netfilter.Rule) bool {
	if r.NAT != nil || r.Table == "nat" {
		return true
	}
	return slices.ContainsFunc(ns.Chains, func(c netfilter.Chain) bool {
		return c.Type == "nat" && c.Family == r.Family && c.Table == r.Table && c.Name == r.Chain
	})
}

func (p *rules) sync() {
	if p.seen == p.app.Snap {
		return
	}
	p.seen = p.app.Snap
	var rows []ruleRow
	counts := make(map[ruleKey]uint64, len(p.counts))
	for i := range p.seen.Namespaces {
		ns := &p.seen.Namespaces[i]
		for j := range ns.Rules {
			if !p.all && !forNAT(ns, &ns.Rules[j]) {
				continue
			}
			r := ruleRow{ns: ns, Rule: &ns.Rules[j]}
			now := counter(r).Packets
			if before, known := p.counts[keyOf(r)]; known && now > before {
				p.grown[keyOf(r)] = true
				p.moves++
			}
			r.grown = p.grown[keyOf(r)]
			counts[keyOf(r)] = now
			rows = append(rows, r)
		}
	}
	p.counts = counts
	p.SetRows(rows)
}

func (p *rules) View(th *kit.Theme, w, h int) string {
	p.sync()
	none := "No rule rewrites addresses here. n builds a bridge network, which needs two kinds of them; t shows all other rules."
	if p.all {
		none = "There are no rules. n builds a bridge network, which makes some."
	}
	p.Empty = p.app.waiting(none)
	return p.Browser.View(th, w, h)
}

func (p *rules) Tell() string {
	s := p.Browser.Tell()
	if p.all {
		return s + " (all rules)"
	}
	return s + " (NAT only)"
}

func (p *rules) Actions() []kit.Action {
	p.sync()
	sel, ok := p.Selected()
	owner := func() *ops.Entry {
		if !ok {
			return nil
		}
		return p.app.ownerOfTable(sel.Table)
	}
	own := []kit.Action{
		p.Toggle("enter"),
		{ID: "rules.all", Binding: kit.Bind("t", "all rules or NAT only"), Bar: 30, Run: func() tea.Cmd {
			p.all = !p.all
			p.seen = nil
			return nil
		}},
		p.app.deleteAction(owner, "select a rule made here"),
	}
	own = append(own, p.app.change("add a rule", "Add a rule", "", p.app.ruleBlocks())...)
	own = append(own, p.app.copyActions(func() (string, string) {
		if !ok {
			return "", ""
		}
		return "the rule", sel.Text
	}, func() string {
		return words(sel.ns.Name, sel.Family, sel.Table, sel.Chain, fmt.Sprint("handle ", sel.Handle), sel.Text)
	})...)
	return append(own, p.Browser.Actions()...)
}
