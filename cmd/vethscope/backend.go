package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox"
	"vethscope/ui"
)

// executor tells the interface of every step.
func (b *backend) executor() *ops.Executor {
	return &ops.Executor{Journal: journal(), Observe: func(p ops.Progress) { b.program.Send(ui.ProgressMsg(p)) }}
}

// change runs f so that interact waits for it: a change is finished or taken
// back before the program ends. The interface's contexts end with it.
func (b *backend) change(f func() error) error {
	b.running.Add(1)
	defer b.running.Done()
	return f()
}

// Run implements ui.Backend.
func (b *backend) Run(ctx context.Context, plans []*ops.Plan) error {
	return b.change(func() error { return runLab(ctx, b.executor(), plans) })
}

// Undo implements ui.Backend.
func (b *backend) Undo(ctx context.Context, id string) (title string, err error) {
	err = b.change(func() error {
		undone, err := b.executor().Undo(ctx, id)
		title = titles(undone)
		return err
	})
	return title, err
}

// Delete implements ui.Backend.
func (b *backend) Delete(ctx context.Context, name string) error {
	return b.change(func() error {
		_, err := b.executor().Delete(ctx, name)
		return err
	})
}

// DeleteLab implements ui.Backend.
func (b *backend) DeleteLab(ctx context.Context, name string) error {
	return b.change(func() error {
		_, err := deleteLab(ctx, b.executor(), name)
		return err
	})
}

func titles(entries []ops.Entry) string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.Title
	}
	return strings.Join(out, ", ")
}

// History implements ui.Backend.
func (b *backend) History(context.Context) ([]ops.Entry, error) {
	entries, err := journal().Entries()
	slices.Reverse(entries)
	return entries, err
}

// Prove implements ui.Backend.
func (b *backend) Prove(ctx context.Context, run *ui.ProofRun) error {
	_, err := probe.Prove(ctx, run.Proofs, func(i int, o probe.Outcome) {
		b.program.Send(ui.ProofMsg{Run: run, Index: i, OK: o.OK, Text: printable(o.Detail)})
	})
	return err
}

// Shell implements ui.Backend. The terminal itself is handed over, and not what
// the interface writes to, so that the shell finds it to be one.
func (b *backend) Shell(ns string) tea.ExecCommand {
	shell := cmp.Or(os.Getenv("SHELL"), "/bin/sh")
	c := exec.CommandContext(b.ctx, sandbox.Exe, "exec", ns, "--", shell)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return terminalCommand{c, fmt.Sprintf("A shell in namespace %s. exit leads back to vethscope.", printable(ns))}
}

// terminalCommand is a program that has the terminal to itself while it runs.
type terminalCommand struct {
	*exec.Cmd
	says string // at the beginning
}

// Run waits until the program has ended.
func (c terminalCommand) Run() error {
	fmt.Fprintln(os.Stdout, c.says)
	return c.Cmd.Run()
}

// The terminal is set already.
func (terminalCommand) SetStdin(io.Reader)  {}
func (terminalCommand) SetStdout(io.Writer) {}
func (terminalCommand) SetStderr(io.Writer) {}

// PollRules implements ui.Backend.
func (b *backend) PollRules(on bool) { b.watcher.SetRulePolling(on) }

// Request implements ui.Backend. Where the URL leads through a published port to
// a container that does not serve, a server answers there for this one request.
func (b *backend) Request(ctx context.Context, fromNS, rawURL string) (string, error) {
	server, err := b.serveFor(ctx, rawURL)
	if err != nil {
		return "", err
	}
	if server != nil {
		defer server.Close()
	}
	res, err := probe.Get(ctx, netns.Path(fromNS), rawURL, probe.GetOptions{})
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(printable(res.Body), "\n")
	return fmt.Sprintf("status %d in %s: %s", res.Status, res.Elapsed.Round(time.Microsecond), first), nil
}

// serveFor starts a server behind the published port that the URL names; nil
// when there is none, or someone serves there already.
func (b *backend) serveFor(ctx context.Context, rawURL string) (*probe.Server, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, err
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		port = 80
	}
	entries, err := journal().Entries()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		for _, p := range e.Made.Published {
			if uint64(p.HostPort) != port || p.Protocol != "tcp" {
				continue
			}
			s, err := probe.Serve(ctx, netns.Path(p.Container), fmt.Sprintf(":%d", p.ContainerPort), probe.ServeOptions{Name: p.Container})
			if errors.Is(err, unix.EADDRINUSE) {
				return nil, nil
			}
			return s, err
		}
	}
	return nil, nil
}

// Ping implements ui.Backend.
func (b *backend) Ping(ctx context.Context, fromNS, dst string) (string, error) {
	addr, err := netip.ParseAddr(dst)
	if err != nil {
		return "", fmt.Errorf("ping: %q is not an IP address", dst)
	}
	res, err := probe.Ping(ctx, netns.Path(fromNS), addr, probe.PingOptions{Count: 1})
	if err != nil {
		return "", err
	}
	if len(res.Replies) == 0 {
		return "", fmt.Errorf("ping %s: no answer", dst)
	}
	r := res.Replies[0]
	if r.Problem != "" {
		return "", fmt.Errorf("ping %s: %s", dst, r.Problem)
	}
	return fmt.Sprintf("%s answered in %s", r.From, r.RTT.Round(time.Microsecond)), nil
}
