package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vethscope/capture"
	"vethscope/ops/inventory"
	"vethscope/ops/sandbox"
	"vethscope/ui"
	"vethscope/ui/kit"
)

// tuiFlags are what the terminal interface can be told.
type tuiFlags struct {
	here, plain, readOnly bool
	keep                  keepFlags
}

func (f *tuiFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.here, "here", false, "open in the sandbox that this shell runs in, not in a fresh one")
	cmd.Flags().BoolVar(&f.plain, "plain", false, "linear text, for screen readers")
	cmd.Flags().BoolVar(&f.readOnly, "read-only", false, "offer nothing that changes anything")
	f.keep.add(cmd, "256 by default")
}

// args hands the flags on to ourselves in a sandbox.
func (f *tuiFlags) args() []string {
	out := []string{sandbox.Exe, "--here"}
	if f.plain {
		out = append(out, "--plain")
	}
	if f.readOnly {
		out = append(out, "--read-only")
	}
	if f.keep.snaplen > 0 {
		out = append(out, fmt.Sprintf("--snaplen=%d", f.keep.snaplen))
	}
	if f.keep.packets > 0 {
		out = append(out, fmt.Sprintf("--keep=%d", f.keep.packets))
	}
	return out
}

func runTUI(cmd *cobra.Command, g *global, f tuiFlags) error {
	if !onTerminal() {
		return usageError{errors.New("the terminal interface needs a terminal: `vethscope --help` lists the commands that do not")}
	}
	if err := f.keep.check(); err != nil {
		return usageError{err}
	}
	switch {
	case g.host && f.here:
		return usageError{errors.New("--host is the machine, --here the sandbox: choose one")}
	case f.here && !sandbox.Inside():
		return refusedError{errors.New("--here: this is no sandbox; leave --here out")}
	case !g.host && !f.here:
		return inSandbox(cmd.Context(), sandbox.Options{Args: f.args()})
	}
	b := &backend{watcher: inventory.NewWatcher(), keep: f.keep}
	return interact(cmd.Context(), b, ui.Options{World: f.world(), Plain: f.plain})
}

func onTerminal() bool {
	_, err := unix.IoctlGetTermios(int(os.Stdin.Fd()), unix.TCGETS)
	return err == nil
}

// world says where the interface acts, and what may be done there.
func (f *tuiFlags) world() ui.World {
	w := ui.World{Sandbox: sandbox.Inside()}
	w.Label, _ = os.Hostname()
	switch {
	case f.readOnly:
		w.ReadOnly = "--read-only"
	case !w.Sandbox && !canChange():
		w.ReadOnly = "changes need CAP_NET_ADMIN: run as root"
	}
	return w
}

// canChange says whether this process may change the machine's networks.
func canChange() bool {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// interact runs the interface until the user leaves it or ctx ends.
func interact(ctx context.Context, b *backend, o ui.Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.ctx = ctx
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithoutSignalHandler()}
	if !o.Plain {
		options = append(options, tea.WithAltScreen())
	}
	out := kit.NewSyncWriter(os.Stdout)
	options = append(options, tea.WithOutput(out))
	o.Backend, o.Context, o.Terminal = b, ctx, out
	b.program = tea.NewProgram(ui.New(o), options...)

	if b.watcher != nil {
		b.start(b.watch)
	}
	_, err := b.program.Run()
	ended := ctx.Err()
	cancel()
	b.running.Wait()
	switch {
	case b.panicked != nil:
		return fmt.Errorf("internal error: %v", b.panicked)
	case ended != nil:
		return ended // a signal: main knows which
	case err != nil:
		return fmt.Errorf("terminal interface: %w", err)
	}
	return nil
}

// start runs f beside the interface; interact waits for it. Were f to panic, the
// terminal would be left in the alternate screen, so the interface ends first.
func (b *backend) start(f func()) {
	b.running.Add(1)
	go func() {
		defer b.running.Done()
		defer func() {
			if r := recover(); r != nil {
				b.once.Do(func() { b.panicked = r })
				b.program.Kill()
			}
		}()
		f()
	}()
}

// watch hands every snapshot to the interface; they come at most 10 a second.
func (b *backend) watch() {
	b.start(func() {
		if err := b.watcher.Run(b.ctx); err != nil {
			b.program.Send(ui.CaptureMsg{Notice: "what exists is no longer watched: " + err.Error()})
		}
	})
	for s := range b.watcher.Snapshots() {
		b.program.Send(ui.SnapshotMsg{Snapshot: s})
	}
}

// frame is the least time between two batches of packets for the interface,
// which draws after each.
const frame = 50 * time.Millisecond

// flood is so many packets in a frame that nobody can follow them with his eyes:
// the frames are longer then.
const flood = 1000

// deliver collects what a follower brings and sends it on, frame by frame.
type deliver struct {
	b       *backend
	f       *follower
	last    time.Time
	msg     ui.CaptureMsg
	packets int // that came since
}

func (d *deliver) take(b batch) {
	d.packets += b.packets
	d.msg.Rewrites = append(d.msg.Rewrites, b.rewrites...)
	for _, n := range b.notices {
		d.msg.Notice = n
	}
	if wait := time.Since(d.last); wait < frame || wait < 2*frame && d.packets > flood {
		return
	}
	d.last = time.Now()
	if d.packets == 0 && len(d.msg.Rewrites) == 0 && d.msg.Notice == "" {
		return
	}
	d.flush()
}

func (d *deliver) flush() {
	d.msg.Source, d.msg.Translations, d.msg.Stats = d.f.store, d.f.told, d.f.stats()
	d.msg.Snaplen, d.msg.Skipped = d.b.keep.following().Snaplen, d.f.skipped.Load()
	d.b.program.Send(d.msg)
	d.msg, d.packets = ui.CaptureMsg{}, 0
}

// capturing is the one capture that runs.
type capturing struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// shownBytes of a packet are enough to look at.
const shownBytes = 256

// following is what the flags make of the interface's captures.
func (f keepFlags) following() following {
	o := following{Options: capture.Options{Snaplen: f.snaplen, Keep: f.packets}, rewrites: true}
	if o.Snaplen == 0 {
		o.Snaplen = shownBytes
	}
	return o
}

// Capture implements ui.Backend.
func (b *backend) Capture(_ context.Context, points []capture.Point) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.capture != nil {
		b.capture.cancel()
		<-b.capture.done
		b.capture = nil
	}
	if len(points) == 0 {
		return nil
	}
	ctx, cancel := context.WithCancel(b.ctx)
	f, err := follow(ctx, points, b.keep.following())
	if err != nil {
		cancel()
		return err
	}
	f.told = &capture.Translations{}
	c := &capturing{cancel: cancel, done: make(chan struct{})}
	b.capture = c
	b.start(func() {
		defer close(c.done)
		defer cancel()
		d := &deliver{b: b, f: f}
		d.flush() // the store is there
		f.run(ctx, d.take)
		d.flush()
	})
	return nil
}

// backend does the interface's work. Its methods may be called concurrently.
type backend struct {
	ctx      context.Context // ends with the interface
	program  *tea.Program
	watcher  *inventory.Watcher // nil when only a file is shown
	keep     keepFlags
	running  sync.WaitGroup
	once     sync.Once
	panicked any // by a goroutine of ours; read after running is done

	mu      sync.Mutex
	capture *capturing
}
