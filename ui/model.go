// Package ui is the terminal interface: the one tea.Model, which owns the
// header, the footer, the dialogs and the pages in between.
package ui

import (
	"context"
	"io"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"vethscope/capture"
	"vethscope/ui/kit"
	"vethscope/ui/pages"
)

// What the program and its interface say to each other; see the package pages.
type (
	Backend     = pages.Backend
	World       = pages.World
	SnapshotMsg = pages.SnapshotMsg
	CaptureMsg  = pages.CaptureMsg
	ProgressMsg = pages.ProgressMsg
	ProofMsg    = pages.ProofMsg
	ProofRun    = pages.ProofRun
)

// Options are what the interface starts with.
type Options struct {
	World   World
	Backend Backend
	Plain   bool            // linear text, for screen readers
	File    *capture.File   // a capture file to look at, named by World.File; nil for none
	Context context.Context // given to the backend; nil for context.Background
	// Terminal takes what is copied, as OSC 52; nil where there is none. It
	// is written to from any goroutine.
	Terminal io.Writer
	Renderer *lipgloss.Renderer // nil for the default one
	Now      func() time.Time   // nil for time.Now
	Tick     kit.Tick           // nil for tea.Tick
}

// Model is the program's only tea.Model.
type Model struct {
	opts    Options
	app     *pages.App
	theme   *kit.Theme
	w, h    int
	tabs    []kit.Page
	tab     int
	stack   []kit.Page // over the tab; the last one is seen
	dialogs kit.Stack
	toast   kit.Toast
}

// New makes the model. Nothing is read before its Init.
func New(o Options) *Model {
	if o.Context == nil {
		o.Context = context.Background()
	}
	if o.Renderer == nil {
		o.Renderer = lipgloss.DefaultRenderer()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Tick == nil {
		o.Tick = tea.Tick
	}
	m := &Model{toast: kit.Toast{Tick: o.Tick}, opts: o, theme: kit.NewTheme(o.Renderer, o.Plain), dialogs: kit.Stack{Now: o.Now}}
	m.app = &pages.App{Host: m, Backend: o.Backend, World: o.World, Context: o.Context, Tick: o.Tick, Now: o.Now}
	m.tabs = m.app.All()
	return m
}

// Init reads the list of changes, or the file.
func (m *Model) Init() tea.Cmd {
	begin := m.app.LoadHistory()
	if m.opts.File != nil {
		begin = m.app.OpenFile(m.opts.World.File, m.opts.File)
	}
	return tea.Batch(tea.SetWindowTitle("vethscope · "+m.opts.World.Name()), begin, m.show(m.page(), true))
}

// page is the page that is seen.
func (m *Model) page() kit.Page {
	if n := len(m.stack); n > 0 {
		return m.stack[n-1]
	}
	return m.tabs[m.tab]
}

func (m *Model) show(p kit.Page, visible bool) tea.Cmd {
	if s, ok := p.(kit.Shower); ok {
		return s.Show(visible)
	}
	return nil
}

// Update takes a message, and reads what the page is about to draw.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	cmd := m.update(msg)
	if f, ok := m.page().(kit.Fetcher); ok {
		cmd = tea.Batch(cmd, f.Fetch())
	}
	return m, cmd
}

// update takes a message: keys go to the dialog on top, or else to the page
// and its actions; everything else goes to all pages.
func (m *Model) update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.w, m.h = msg.Width, msg.Height
		return nil
	case tea.KeyMsg:
		return m.key(msg)
	case kit.ToastEnd:
		m.toast.End(msg)
		return nil
	case copiedMsg:
		return m.copied(msg)
	}
	cmds := []tea.Cmd{m.app.Update(msg)}
	for _, p := range m.tabs {
		cmds = append(cmds, p.Update(msg))
	}
	for _, p := range m.stack {
		cmds = append(cmds, p.Update(msg))
	}
	return tea.Batch(cmds...)
}

func (m *Model) key(msg tea.KeyMsg) tea.Cmd {
	if msg.String() == "ctrl+c" {
		return tea.Quit
	}
	if m.tooSmall() { // nobody sees what another key would do
		if msg.String() == "q" {
			return tea.Quit
		}
		return nil
	}
	if m.dialogs.Len() > 0 {
		return m.dialogs.Update(msg)
	}
	p := m.page()
	if t, ok := p.(kit.Typist); ok && t.Typing() {
		return p.Update(msg)
	}
	a, ok := kit.Find(m.actions(), msg)
	if !ok {
		return p.Update(msg)
	}
	if a.Danger && m.opts.World.ReadOnly != "" {
		return m.Toast(kit.Failure, "read-only: "+m.opts.World.ReadOnly)
	}
	if why := a.Why(); why != "" {
		return m.Toast(kit.Info, why)
	}
	return a.Run()
}

// Push opens a page over the one that is seen.
func (m *Model) Push(p kit.Page) tea.Cmd {
	old := m.page()
	m.stack = append(m.stack, p)
	return tea.Batch(m.show(old, false), m.show(p, true))
}

// Swap puts a page in place of the one on top; below stays what led to it, to go
// back to should it fail.
func (m *Model) Swap(p kit.Page) tea.Cmd {
	old := m.page()
	m.stack = append(m.stack[:max(0, len(m.stack)-1)], p)
	return tea.Batch(m.show(old, false), m.show(p, true))
}

// Replace puts a page in place of the one on top, and of the form that led to
// it: there is no way back into what is done.
func (m *Model) Replace(p kit.Page) tea.Cmd {
	old := m.page()
	m.stack = []kit.Page{p}
	return tea.Batch(m.show(old, false), m.show(p, true))
}

// Pop closes the page on top.
func (m *Model) Pop() tea.Cmd {
	if len(m.stack) == 0 {
		return nil
	}
	old := m.page()
	m.stack = m.stack[:len(m.stack)-1]
	return tea.Batch(m.show(old, false), m.show(m.page(), true))
}

// Home closes all pages over the tab.
func (m *Model) Home() tea.Cmd { return m.goTab(m.tab) }

// Goto shows the tab with this title, and closes what is over it.
func (m *Model) Goto(title string) tea.Cmd {
	for i, p := range m.tabs {
		if p.Title() == title {
			return m.goTab(i)
		}
	}
	return nil
}

func (m *Model) goTab(i int) tea.Cmd {
	old := m.page()
	m.stack, m.tab = nil, i
	if m.page() == old {
		return nil
	}
	return tea.Batch(m.show(old, false), m.show(m.page(), true))
}

// Ask opens a dialog.
func (m *Model) Ask(d kit.Dialog) { m.dialogs.Open(d) }

// Toast tells something in one line.
func (m *Model) Toast(l kit.Level, text string) tea.Cmd { return m.toast.Show(l, text) }

// back leaves one level: a pane, a filter, a page.
func (m *Model) back() tea.Cmd {
	if l, ok := m.page().(kit.Leaver); ok && l.Leave() {
		return nil
	}
	return m.Pop()
}
