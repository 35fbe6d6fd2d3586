// Package pages holds the pages of the terminal interface, one file each, and
// what they share: the snapshot, the list of changes and the way to the
// backend. Everything here belongs to the goroutine of the event loop; what may
// block runs in a tea.Cmd and comes back as a message.
package pages

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ui/kit"
)

// Backend does for the interface what is not drawing. Its methods may block;
// they are called in tea.Cmds only, from any goroutine.
type Backend interface {
	// Run executes plans in their order, all of them or none: what was done before
	// a failure is taken back. The progress arrives as ProgressMsg.
	Run(ctx context.Context, plans []*ops.Plan) error
	// Undo takes back the change with this ID, "" being the last one, and says
	// what it was.
	Undo(ctx context.Context, id string) (title string, err error)
	// Delete takes back the change that made name and those that build on it.
	Delete(ctx context.Context, name string) error
	// DeleteLab takes back all that belongs to a lab.
	DeleteLab(ctx context.Context, name string) error
	// History is every change that has not been taken back, the newest first.
	History(ctx context.Context) ([]ops.Entry, error)
	// Capture starts a new capture at these points and ends the one before.
	// It returns when packets are being seen; no points means none are.
	Capture(ctx context.Context, points []capture.Point) error
	// Request makes one HTTP GET from a namespace; the result is one line.
	Request(ctx context.Context, fromNS, url string) (string, error)
	// Ping sends one echo request from a namespace; the result is one line.
	Ping(ctx context.Context, fromNS, dst string) (string, error)
	// Prove tries every proof of a run, several at once, and ends with ctx. What
	// comes of each arrives as ProofMsg.
	Prove(ctx context.Context, run *ProofRun) error
	// Shell is a shell in a namespace, which takes the terminal while it runs.
	Shell(ns string) tea.ExecCommand
	// PollRules says whether the rules' counters are being looked at.
	PollRules(on bool)
}

// SnapshotMsg brings what exists now.
type SnapshotMsg struct{ *inventory.Snapshot }

// CaptureMsg tells that there are more packets, at most some twenty times a
// second.
type CaptureMsg struct {
	Source   Source // where the packets are; nil leaves it as it was
	Snaplen  int    // the most that Source keeps of a packet
	Rewrites []*capture.Rewrite
	// Translations are what NAT made of the flows of a new Source; nil for a
	// file's, where they are concluded.
	Translations *capture.Translations
	Stats        []capture.Stats // all points; nil leaves them as they were
	Skipped      uint64          // packets that were let go before rewrites were looked for among them
	Notice       string          // what the user should know, "" for nothing
}

// ProgressMsg brings a moment in the execution of a plan.
type ProgressMsg ops.Progress

// World is where the program acts.
type World struct {
	Sandbox  bool
	Label    string // the machine's name, for the host
	ReadOnly string // why nothing can be changed, "" if it can
	File     string // the path of the file that is looked at, instead of any world
}

// Name is the world as the user is told.
func (w World) Name() string {
	if w.File != "" {
		return "file " + kit.Safe(filepath.Base(w.File))
	}
	if w.Sandbox {
		return "sandbox"
	}
	return "HOST " + kit.Safe(w.Label)
}

// Host is what the root model does for its pages.
type Host interface {
	Push(kit.Page) tea.Cmd    // opens a page over the current one
	Swap(kit.Page) tea.Cmd    // puts a page in place of the one on top
	Replace(kit.Page) tea.Cmd // puts a page in place of all over the tab
	Pop() tea.Cmd             // closes the page on top
	Home() tea.Cmd            // closes all pages over the tab
	Goto(title string) tea.Cmd
	Ask(kit.Dialog)
	Toast(kit.Level, string) tea.Cmd
	Copy(what, text string) tea.Cmd
}

// App is what the pages share.
type App struct {
	Host
	Backend Backend
	World   World
	Context context.Context // ends when the program does
	Tick    kit.Tick
	Now     func() time.Time

	Snap    *inventory.Snapshot // nil until the first has come
	History []ops.Entry         // newest first
	capture *Capture
	network string // the network last looked at: probes go there
	// networks are those of world, nil when there is news: every frame asks.
	networks map[string]ops.Made
}

// The titles of the pages.
const (
	TitleNamespaces = "Namespaces"
	TitleLinks      = "Links"
	TitleRoutes     = "Routes"
	TitleRules      = "NAT rules"
	TitleCapture    = "Capture"
	TitleChanges    = "Changes"
)

// All are the pages in the order of their number keys.
func (a *App) All() []kit.Page {
	a.capture = newCapture(a)
	if a.World.File != "" {
		return []kit.Page{a.capture}
	}
	return []kit.Page{
		newNamespaces(a), newLinks(a, nil), newRoutes(a), newRules(a), a.capture, newChanges(a),
	}
}

// OpenFile shows a capture file.
func (a *App) OpenFile(path string, file *capture.File) tea.Cmd { return a.capture.Open(path, file) }

// Samples are the pages that open over others, empty, for the table of keys.
func (a *App) Samples() []kit.Page {
	return []kit.Page{
		&form{app: a, title: "form"},
		newPreview(a, &ops.Plan{}),
		&progress{app: a, title: "progress"},
		&network{app: a, mode: modeBridge},
		newProofs(a, "", func() []ops.Proof { return nil }),
		newLabs(a),
		newLabResult(a, "", ""),
		samplePacketPage(a),
		newEncapPage(a, oneSide(&capture.Record{}), 0),
		newConversations(a, a.capture),
		newStreamPage(a, a.capture, nil, nil),
		&ladder{app: a, title: "journeys"},
	}
}

type historyMsg struct {
	entries []ops.Entry
	err     error
}

// probeMsg brings what became of a request or a ping.
type probeMsg struct {
	text string
	err  error
}

// LoadHistory asks for the list of changes.
func (a *App) LoadHistory() tea.Cmd {
	return func() tea.Msg { return a.readHistory() }
}

// readHistory is for commands: it asks the backend.
func (a *App) readHistory() historyMsg {
	entries, err := a.Backend.History(a.Context)
	return historyMsg{entries, err}
}

// Update takes the messages that all pages share.
func (a *App) Update(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case SnapshotMsg:
		a.Snap, a.networks = msg.Snapshot, nil
	case shellEnd:
		if msg.err != nil {
			return a.Toast(kit.Info, "the shell ended: "+msg.err.Error())
		}
	case historyMsg:
		if msg.err != nil {
			return a.Toast(kit.Failure, "read the list of changes: "+msg.err.Error())
		}
		a.History, a.networks = msg.entries, nil
	}
	return nil
}

// world is what a plan has to fit into.
func (a *App) world() modes.World {
	snap := a.Snap
	if snap == nil {
		snap = &inventory.Snapshot{}
	}
	oldest := slices.Clone(a.History) // first, as in the journal: what builds on a network comes after it
	slices.Reverse(oldest)
	return modes.WorldOf(snap, oldest)
}

// waiting says why there is nothing to see, before the first snapshot and after.
func (a *App) waiting(none string) string {
	if a.Snap == nil {
		return "Reading what is there…"
	}
	return none
}

// namespace finds a namespace by name.
func (a *App) namespace(name string) *inventory.Namespace {
	if a.Snap == nil {
		return nil
	}
	for i := range a.Snap.Namespaces {
		if ns := &a.Snap.Namespaces[i]; ns.Name == name {
			return ns
		}
	}
	return nil
}

// point is where packets of a link are seen.
func (a *App) point(ns, link string) capture.Point {
	p := capture.Point{NS: ns, Link: link}
	if n := a.namespace(ns); n != nil {
		p.Path = n.Path
	}
	return p
}

// ago says how long ago t was, roughly, seen from the snapshot's time.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return plural(int(d.Minutes()), "minute") + " ago"
	case d < 48*time.Hour:
		return plural(int(d.Hours()), "hour") + " ago"
	}
	return t.Format("2006-01-02 15:04")
}
