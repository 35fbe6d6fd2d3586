package pages

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ui/kit"
)

// pathLine is the line in which a file's name is typed.
type pathLine struct {
	in     kit.Input
	typing bool
	names  []string // that the text can be completed to
	ask    string   // "open", "write to"
	use    func(path string) tea.Cmd
}

// completedMsg brings what a path can be completed to.
type completedMsg struct {
	text, longer string
	names        []string
}

// askPath begins to ask for a path.
func (p *Capture) askPath(ask, path string, use func(string) tea.Cmd) {
	p.path = pathLine{in: kit.NewInput(path), typing: true, ask: ask, use: use}
}

// typed gives a key to the line.
func (l *pathLine) typed(msg tea.KeyMsg) tea.Cmd {
	switch msg.String() {
	case "esc":
		l.typing = false
	case "enter":
		if path := strings.TrimSpace(l.in.Value()); path != "" {
			l.typing = false
			return l.use(path)
		}
	case "tab":
		text := l.in.Value()
		return func() tea.Msg { return complete(text) }
	default:
		if l.in.Update(msg) {
			l.names = nil
		}
	}
	return nil
}

// hints are the keys meanwhile.
func (l *pathLine) hints() []kit.Action {
	return []kit.Action{
		{ID: "path.use", Binding: kit.Bind("enter", l.ask+" this file"), Bar: 10},
		{ID: "path.complete", Binding: kit.Bind("tab", "complete the name"), Bar: 20},
		{ID: "path.leave", Binding: kit.Bind("esc", "leave it"), Bar: 30},
	}
}

// lines are the field, and under it the names that it can be completed to.
func (l *pathLine) lines(th *kit.Theme, w int) []string {
	ask := " " + strings.ToUpper(l.ask[:1]) + l.ask[1:] + " "
	lines := []string{th.Key.Render(ask) + l.in.View(th, max(8, w-2-kit.Width(ask)), true)}
	hint := "a pcap or pcapng file; tab completes its name"
	if len(l.names) > 0 {
		hint = strings.Join(l.names, "  ")
	}
	return append(lines, " "+th.Dim.Render(kit.Cut(kit.Safe(hint), w-3)))
}

// complete finds the names that begin as text does. It is for commands.
func complete(text string) completedMsg {
	msg := completedMsg{text: text, longer: text}
	dir, base := filepath.Split(text)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		msg.names = []string{err.Error()}
		return msg
	}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasPrefix(name, base) || strings.HasPrefix(name, ".") && base == "" {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		msg.names = append(msg.names, name)
	}
	slices.Sort(msg.names)
	if len(msg.names) > 0 {
		msg.longer = dir + prefix(msg.names)
	}
	return msg
}

// prefix is what all names begin with.
func prefix(names []string) string {
	out := names[0]
	for _, n := range names[1:] {
		for !strings.HasPrefix(n, out) {
			out = out[:len(out)-1]
		}
	}
	return strings.ToValidUTF8(out, "")
}

// completed takes a longer path, if no other text was typed meanwhile.
func (p *Capture) completed(msg completedMsg) {
	if p.path.typing && p.path.in.Value() == msg.text {
		p.path.in.Set(msg.longer)
		if p.path.names = msg.names; len(msg.names) == 1 {
			p.path.names = nil
		}
	}
}
