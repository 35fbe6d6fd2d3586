package ui

import (
	"fmt"
	"strings"

	"vethscope/ui/kit"
)

// The smallest screen that everything fits onto.
const (
	minWidth  = 60
	minHeight = 15
)

// What header and footer take.
const (
	headerLines = 2
	footerLines = 2
)

func (m *Model) tooSmall() bool { return m.w < minWidth || m.h < minHeight }

// View draws the screen in exactly as many lines and cells as it has.
func (m *Model) View() string {
	switch {
	case m.w <= 0 || m.h <= 0:
		return ""
	case m.tooSmall():
		return m.small()
	case m.opts.Plain:
		return m.plain()
	}
	body := m.page().View(m.theme, m.w, m.h-headerLines-footerLines)
	screen := m.header() + "\n" + body + "\n" + m.footer()
	return m.dialogs.View(m.theme, screen, m.w, m.h)
}

func (m *Model) small() string {
	text := fmt.Sprintf("vethscope needs %d columns and %d rows; this terminal has %d and %d. "+
		"Make it larger, or its letters smaller. q quits.", minWidth, minHeight, m.w, m.h)
	return kit.Block(kit.Wrap(text, m.w), m.w, m.h)
}

// plain is the screen as linear text: what is new comes first.
func (m *Model) plain() string {
	place := fmt.Sprintf("vethscope, %s. Page %d of %d: %s.", m.worldText(), m.tab+1, len(m.tabs), m.page().Title())
	head := []string{kit.Cut(place, m.w)}
	if t := m.toast.View(m.theme, m.w); t != "" {
		head = append(head, strings.TrimSpace(t))
	}
	if m.dialogs.Len() > 0 {
		return kit.Block(head, m.w, len(head)) + "\n" + m.dialogs.View(m.theme, "", m.w, m.h-len(head))
	}
	h := m.h - len(head) - 1
	body := m.page().View(m.theme, m.w, h)
	keys := "Keys:" + kit.Footer(m.theme, m.shown(), m.w-6)
	return kit.Block(head, m.w, len(head)) + "\n" + body + "\n" + kit.Fit(keys, m.w)
}

// header is the line of the pages and a rule, heavy under the current one.
func (m *Model) header() string {
	th := m.theme
	names, width, full := m.tabNames()
	left, right := " ", ""
	if brand := "vethscope"; full && width+len(brand)+4 <= m.w {
		left += th.Accent.Bold().Render(brand) + "  "
	}
	if len(m.stack) > 0 {
		right = th.Accent.Render("› " + kit.Safe(m.page().Title()))
	}
	tabs, rule := left, th.Line.Render(repeat("─", kit.Width(left)))
	for i, name := range names {
		text, line := th.Dim, th.Line.Render(repeat("─", kit.Width(name)+2))
		if i == m.tab {
			text = th.Strong
			line = th.Accent.Render(repeat("━", kit.Width(name))) + th.Line.Render("──")
		}
		tabs += text.Render(name) + "  "
		rule += line
	}
	rule += th.Line.Render(repeat("─", m.w-kit.Width(rule)))
	return kit.Fit(tabs+right, m.w) + "\n" + kit.Fit(rule, m.w)
}

func repeat(s string, n int) string { return strings.Repeat(s, max(0, n)) }

// tabNames are the tabs as wide as there is room for, with the title of what
// is open over them behind, their width, and whether none was shortened.
func (m *Model) tabNames() (names []string, width int, full bool) {
	names, width = make([]string, len(m.tabs)), 1
	for i, p := range m.tabs {
		names[i] = fmt.Sprintf("%d %s", i+1, p.Title())
		width += kit.Width(names[i]) + 2
	}
	behind := 0
	if len(m.stack) > 0 {
		behind = kit.Width(m.page().Title()) + 2
	}
	if width+behind <= m.w {
		return names, width + behind, true
	}
	width = 1 + behind
	for i := range names {
		if i != m.tab {
			names[i] = fmt.Sprint(i + 1)
		}
		width += kit.Width(names[i]) + 2
	}
	return names, width, false
}

// footer is the line of keys and the status.
func (m *Model) footer() string {
	return kit.Fit(kit.Footer(m.theme, m.shown(), m.w), m.w) + "\n" + m.status()
}

// worldText says where we are, in words.
func (m *Model) worldText() string {
	s := m.opts.World.Name()
	if m.opts.World.ReadOnly != "" && m.opts.World.File == "" {
		s += ", read-only"
	}
	return s
}

// status always says which world this is; then what has just happened, or how
// much there is.
func (m *Model) status() string {
	badge := m.theme.Safe
	if !m.opts.World.Sandbox && m.opts.World.File == "" {
		badge = m.theme.Real
	}
	left := badge.Render(" "+m.opts.World.Name()+" ") + " "
	if m.theme.Mono {
		left = "[" + m.opts.World.Name() + "] "
	}
	if m.opts.World.ReadOnly != "" && m.opts.World.File == "" {
		left += m.theme.Warn.Render("read-only") + " "
	}
	if toast := m.toast.View(m.theme, m.w-kit.Width(left)); toast != "" {
		return kit.Fit(left+toast, m.w)
	}
	left += " " + m.theme.Dim.Render(m.counts())
	right := ""
	if t, ok := m.page().(kit.Teller); ok {
		right = m.theme.Dim.Render(t.Tell()) + " "
	}
	if n := m.warningCount(); n > 0 {
		right = m.theme.Warn.Render(fmt.Sprintf("! %d not read", n)) + "   " + right
	}
	room := m.w - kit.Width(right)
	return kit.Fit(left, max(0, room)) + kit.Cut(right, m.w)
}

func (m *Model) warningCount() int {
	if m.app.Snap == nil {
		return 0
	}
	return len(m.app.Snap.Warnings)
}

// counts say how much there is.
func (m *Model) counts() string {
	switch {
	case m.opts.World.File != "":
		return ""
	case m.app.Snap == nil:
		return "reading…"
	}
	links, rules := 0, 0
	for i := range m.app.Snap.Namespaces {
		links += len(m.app.Snap.Namespaces[i].Links)
		rules += len(m.app.Snap.Namespaces[i].Rules)
	}
	return fmt.Sprintf("%d namespaces · %d links · %d rules", len(m.app.Snap.Namespaces), links, rules)
}
