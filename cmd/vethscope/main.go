// Command vethscope shows, builds and watches Linux networks in a terminal.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unsafe"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox"
)

func init() { netns.Pin() }

func main() {
	// We execute ourselves as /proc/self/exe; lists of processes should not
	// call us "exe".
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(unsafe.StringData("vethscope\x00"))), 0, 0, 0)
	sandbox.Init()
	os.Exit(run(os.Args[1:]))
}

// run is the whole program: its result is the exit status.
func run(args []string) int {
	ctx, signalled := withSignals()
	root := newRootCmd()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if sig := signalled(); sig != 0 && (err == nil || errors.Is(err, context.Canceled)) {
		return 128 + int(sig)
	}
	return status(err)
}

// withSignals is a context that SIGINT and SIGTERM end, so that commands can
// unwind. signalled stops that and tells which signal came, 0 for none.
func withSignals() (ctx context.Context, signalled func() syscall.Signal) {
	ctx, cancel := context.WithCancel(context.Background())
	came := make(chan os.Signal, 1)
	signal.Notify(came, syscall.SIGINT, syscall.SIGTERM)
	var got syscall.Signal
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s, ok := <-came; ok {
			got = s.(syscall.Signal)
			cancel()
		}
	}()
	return ctx, func() syscall.Signal {
		signal.Stop(came)
		close(came)
		<-done
		cancel()
		return got
	}
}

// global holds the flags that every command has.
type global struct {
	host bool // act on the real machine
}

func newRootCmd() *cobra.Command {
	g := &global{}
	var tui tuiFlags
	root := &cobra.Command{
		Use:   "vethscope",
		Short: "See, build and watch Linux networks",
		Long: "vethscope shows the namespaces, links, routes and NAT rules of a Linux host, builds\n" +
			"container networks step by step, and shows packets before and after they were rewritten.\n\n" +
			"Without a command it opens its terminal interface in a fresh sandbox: no root is needed,\n" +
			"and the host is not touched.",
		Args:          noCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return runTUI(cmd, g, tui) },
	}
	root.PersistentFlags().BoolVar(&g.host, "host", false, "act on this machine itself instead of a sandbox")
	tui.add(root)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("look", "Look:", newLsCmd(), newCaptureCmd(), newReadCmd(), newOpenCmd(), newDemoCmd(g))
	group("networks", "Networks:", newCreateCmd(g), newAddCmd(g), newConnectCmd(g), newDisconnectCmd(g), newPublishCmd(g),
		newProveCmd(), newApplyCmd(g), newExportCmd(), newDeleteCmd(g), newUndoCmd(g), newCleanCmd(g))
	group("inside", "Act inside:", newSandboxCmd(g), newExecCmd(), newPingCmd(), newGetCmd(), newServeCmd())
	group("single", "Single actions, each with its undo and its shell line:", newNetnsCmd(g), newLinkCmd(g), newAddrCmd(g), newRouteCmd(g),
		newNeighCmd(g), newFDBCmd(g), newSysctlCmd(g), newMasqueradeCmd(g), newForwardAcceptCmd(g))
	root.AddCommand(newDNSCmd())
	root.SetHelpCommand(newHelpCmd())
	return root
}

// newHelpCmd is `help COMMAND`, for `COMMAND --help`; unlike cobra's own, it does
// not let a slip pass.
func newHelpCmd() *cobra.Command {
	return &cobra.Command{
		Use:    "help [COMMAND...]",
		Short:  "Tell about a command",
		Hidden: true, // COMMAND --help does the same
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil {
				return usageError{err}
			}
			if err := noCommand(about, rest); err != nil && about.HasSubCommands() {
				return err
			}
			return about.Help()
		},
	}
}

// noCommand refuses words that are no command, with the nearest that is.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	msg := fmt.Sprintf("unknown command %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		msg += ": did you mean " + strings.Join(near, " or ") + "?"
	} else {
		msg += fmt.Sprintf(": `%s --help` lists them", cmd.CommandPath())
	}
	return usageError{errors.New(msg)}
}
