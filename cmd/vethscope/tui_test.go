package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
)

// idle is a model that does nothing.
type idle struct{}

func (idle) Init() tea.Cmd                         { return nil }
func (m idle) Update(tea.Msg) (tea.Model, tea.Cmd) { return m, nil }
func (idle) View() string                          { return "idle" }

// TestPanicBesideInterface: a panic in a goroutine of ours ends the interface,
// which puts the terminal in order, and is told afterwards.
func TestPanicBesideInterface(t *testing.T) {
	var out bytes.Buffer
	in, w := io.Pipe()
	defer w.Close()
	b := &backend{ctx: t.Context()}
	b.program = tea.NewProgram(idle{}, tea.WithInput(in), tea.WithOutput(&out), tea.WithAltScreen(), tea.WithoutSignalHandler())
	b.start(func() { panic("injected") })
	if _, err := b.program.Run(); err == nil {
		t.Error("the interface ended without an error")
	}
	b.running.Wait()
	if b.panicked != "injected" {
		t.Errorf("panicked is %v", b.panicked)
	}
	if raw := out.String(); strings.Contains(raw, "\x1b[?1049h") && !strings.Contains(raw, "\x1b[?1049l") {
		t.Errorf("left in the alternate screen: %q", raw)
	}
}
