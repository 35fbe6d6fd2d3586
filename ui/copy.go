package ui

import (
	"io"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"vethscope/ui/kit"
)

// copiedMsg says that text was handed to the terminal.
type copiedMsg struct {
	what string
	err  error
}

// Copy hands text to the terminal's clipboard with OSC 52, see "Operating
// System Commands" in xterm's ctlseqs.
func (m *Model) Copy(what, text string) tea.Cmd {
	out := m.opts.Terminal
	if out == nil {
		return m.Toast(kit.Failure, "copy "+what+": there is no terminal to copy with")
	}
	text = strings.TrimRight(text, "\n")
	return func() tea.Msg {
		_, err := io.WriteString(out, ansi.SetSystemClipboard(text))
		return copiedMsg{what, err}
	}
}

func (m *Model) copied(msg copiedMsg) tea.Cmd {
	if msg.err != nil {
		return m.Toast(kit.Failure, "copy "+msg.what+": "+msg.err.Error())
	}
	return m.Toast(kit.Success, "copied "+msg.what)
}
