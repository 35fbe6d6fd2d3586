// Package e2e runs the built program as its users do: on the command line, in
// sandboxes of its own, and in a terminal.
package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary is the program, built as it is shipped.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vethscope-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	// Others must be able to run it: some tests do so as another user.
	if err := os.Chmod(dir, 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	binary = filepath.Join(dir, "vethscope")
	build := exec.Command("go", "build", "-o", binary, "vethscope/cmd/vethscope")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// result is what a command did.
type result struct {
	status      int
	out, errout string
	took        time.Duration
}

// vethscope runs the program, outside of any sandbox of ours.
func vethscope(t *testing.T, args ...string) result {
	t.Helper()
	return command(t, exec.Command(binary, args...))
}

func command(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	began := time.Now()
	err := cmd.Run()
	r := result{out: out.String(), errout: errout.String(), took: time.Since(began)}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.status = exit.ExitCode()
	} else if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	return r
}

// inSandbox runs a shell script in a fresh sandbox, with `vethscope` on its PATH.
func inSandbox(t *testing.T, script string) result {
	t.Helper()
	return command(t, exec.Command(binary, "sandbox", "--", "sh", "-c", script))
}

// must fails the test unless r is a success.
func (r result) must(t *testing.T) result {
	t.Helper()
	if r.status != 0 {
		t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.errout)
	}
	return r
}

// tool fails, or for a person without it skips, where a program is missing.
func tool(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
}

func oneLine(s string) bool { return strings.Count(strings.TrimSpace(s), "\n") == 0 }
