package inventory

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// envUnprivileged makes the test binary watch, and print every snapshot as JSON,
// until its standard input ends.
const envUnprivileged = "VETHSCOPE_TEST_UNPRIVILEGED"

func unprivileged() {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	w := NewWatcher()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	out := json.NewEncoder(os.Stdout)
	for s := range w.Snapshots() {
		out.Encode(s)
	}
	if err := <-ended; err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startUnprivileged runs the test binary in a user namespace of its own, without
// any privilege over the sandbox's network namespaces.
func startUnprivileged(t *testing.T) *bufio.Reader {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envUnprivileged+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the unprivileged watcher: %v", err)
		}
	})
	return bufio.NewReader(stdout)
}

// Without privilege the own namespace is shown and live, the others are named,
// and what is missing is said.
func TestUnprivileged(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	ip(t, "", "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", blue)
	out := startUnprivileged(t)
	snap := nextSnapshot(t, out)

	n := snap.Namespace(blue)
	if n == nil || !strings.Contains(n.Unreadable, "operation not permitted") || len(n.Links) != 0 {
		t.Errorf("blue is %+v, want it unreadable, with the reason", n)
	}
	if p := snap.Host().Link("out0").Peer; p == nil || p.NS != blue || p.Link != "" {
		t.Errorf("out0 has the peer %+v, want one in blue without a name", p)
	}
	if !strings.Contains(snap.Host().Unreadable, "rules") {
		t.Errorf("the own namespace is unreadable for %q, want its rules named", snap.Host().Unreadable)
	}
	for _, want := range []string{"own network namespace only", "namespace " + blue, "namespace " + netns.Host} {
		if !strings.Contains(strings.Join(snap.Warnings, "\n"), want) {
			t.Errorf("warnings %q, want one with %q", snap.Warnings, want)
		}
	}

	ip(t, "", "link", "set", "out0", "name", "out1")
	for snap.Host().Link("out1") == nil {
		snap = nextSnapshot(t, out)
	}
}

// nextSnapshot waits for one; go test's own timeout is the deadline.
func nextSnapshot(t *testing.T, from *bufio.Reader) *Snapshot {
	t.Helper()
	line, err := from.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	snap := &Snapshot{}
	if err := json.Unmarshal(line, snap); err != nil {
		t.Fatal(err)
	}
	return snap
}
