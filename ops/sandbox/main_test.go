package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox"
)

// The test binary plays, besides the tests, the programs in them: with a first
// argument "role=...".
func TestMain(m *testing.M) {
	sandbox.Init()
	if len(os.Args) > 1 {
		if role, ok := strings.CutPrefix(os.Args[1], "role="); ok {
			// Past the race detector's second of sleep.
			syscall.Exit(play(role, os.Args[2:]))
		}
	}
	goleak.VerifyTestMain(m)
}

func play(role string, args []string) int {
	switch role {
	case "run", "empty":
		return runSandbox(context.Background(), role == "empty", args)
	case "cancel":
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		return runSandbox(ctx, true, args)
	case "inside":
		fmt.Println(sandbox.Inside())
	case "limit": // SYSCTL COMMAND...: nothing more of that sort, then a sandbox
		if err := os.WriteFile(args[0], []byte("0"), 0o644); err != nil {
			return fail(err)
		}
		return runSandbox(context.Background(), false, args[1:])
	case "mask": // as a container engine masks parts of /proc, then a sandbox
		if err := unix.Mount("tmpfs", "/proc/fs", "tmpfs", 0, ""); err != nil {
			return fail(err)
		}
		return runSandbox(context.Background(), false, args)
	case "ping": // NAMESPACE ADDRESS
		o := probe.PingOptions{Count: 1, Timeout: 10 * time.Second}
		res, err := probe.Ping(context.Background(), netns.Path(args[0]), netip.MustParseAddr(args[1]), o)
		fmt.Println(res.Received, err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

func runSandbox(ctx context.Context, empty bool, args []string) int {
	status, err := sandbox.Run(ctx, sandbox.Options{
		Args: args, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Empty: empty,
	})
	var refused *sandbox.RefusedError
	switch {
	case errors.As(err, &refused):
		fmt.Fprintf(os.Stderr, "%v\n%s", err, refused.Help)
		return 3
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Println("ended by its context with", status)
	case err != nil:
		return fail(err)
	}
	return status
}

// users are those whom the tests run sandboxes as: whoever we are and, if that
// is root, nobody.
func users(t *testing.T, f func(t *testing.T, u *syscall.Credential)) {
	need(t)
	name := "user"
	if os.Geteuid() == 0 {
		name = "root"
		t.Run("nobody", func(t *testing.T) {
			f(t, &syscall.Credential{Uid: 65534, Gid: 65534, NoSetGroups: false})
		})
	}
	t.Run(name, func(t *testing.T) { f(t, nil) })
}

// need skips the test where there can be no sandbox, unless CI=true.
func need(t *testing.T) {
	t.Helper()
	out, err := program(t, nil, "run", "true").CombinedOutput()
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no sandbox here: %s", out)
	}
	t.Skipf("no sandbox here: %s", out)
}

// program is the test binary in a role, in a session of its own.
func program(t *testing.T, u *syscall.Credential, role string, args ...string) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, sandbox.Exe, append([]string{"role=" + role}, args...)...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u, Setsid: true}
	return cmd
}

// outcome runs a program to its end.
func outcome(cmd *exec.Cmd) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		return -1, "", err.Error()
	}
	return waitStatus(cmd), out.String(), errs.String()
}

func waitStatus(cmd *exec.Cmd) int {
	ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// start starts a program and waits until it says "ready".
func start(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "ready\n" {
		t.Fatalf("the command says %q, %v, want ready; %s", line, err, errs.String())
	}
}
