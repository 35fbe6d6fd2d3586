package steps

import (
	"bytes"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/sandbox/sandboxtest"
)

// served gives the sandbox a link that a name server can listen on, and returns
// the step that starts one.
func served(t *testing.T) *ProcessStart {
	t.Helper()
	sh(t, "ip link add br7 type bridge; ip addr add 172.18.7.1/24 dev br7; ip link set br7 up")
	t.Cleanup(func() { sandboxtest.Try(t, "", "ip", "link", "delete", "br7") })
	return &ProcessStart{Args: []string{"dns", "br7", "--listen", "172.18.7.1/24", "--record", "c1=172.18.7.2"}, Reason: "test"}
}

// servers counts the name servers that run.
func servers(t *testing.T) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range files {
		if data, err := os.ReadFile(f); err == nil && bytes.HasPrefix(data, []byte("vethscope\x00dns\x00br7\x00")) {
			n++
		}
	}
	return n
}

func TestProcess(t *testing.T) {
	s := served(t)
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	intended := reread(t, s).(*ProcessStart)
	if err := intended.Undo(t.Context()); err != nil {
		t.Errorf("undo of nothing: %v", err)
	}
	for what, known := range map[string]func() *ProcessStart{
		"what was known before":     func() *ProcessStart { return intended },
		"what was known after":      func() *ProcessStart { return reread(t, s).(*ProcessStart) },
		"only the process's number": func() *ProcessStart { return &ProcessStart{Token: s.Token, PID: s.PID} },
	} {
		if err := s.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := servers(t); n != 1 {
			t.Fatalf("%d servers, want 1", n)
		}
		if sid, err := unix.Getsid(s.PID); err != nil || sid != s.PID {
			t.Errorf("session %d, %v: not one of its own", sid, err)
		}
		for range 2 {
			if err := known().Undo(t.Context()); err != nil {
				t.Errorf("undo with %s: %v", what, err)
			}
			if n := servers(t); n != 0 {
				t.Errorf("undo with %s: %d servers left", what, n)
			}
		}
	}
}

// TestProcessSparesOthers: a number that now belongs to another process is left
// alone.
func TestProcessSparesOthers(t *testing.T) {
	other := osexec.Command("sleep", "60")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		other.Process.Kill()
		other.Wait()
	}()
	for _, s := range []*ProcessStart{
		{PID: other.Process.Pid, Started: 1, Token: "x"},
		{PID: other.Process.Pid, Token: "x"},
		{Token: "x"},
	} {
		if err := s.Undo(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if err := other.Process.Signal(syscall.Signal(0)); errors.Is(err, os.ErrProcessDone) {
		t.Error("the other process was ended")
	}
}

// TestProcessFails: why a process could not do its work is told in one line.
func TestProcessFails(t *testing.T) {
	s := served(t)
	second := &ProcessStart{Args: s.Args}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		step *ProcessStart
		want string
	}{
		{second, "address already in use"},
		{&ProcessStart{Args: []string{"dns", "nosuch7", "--listen", "172.18.7.1/24"}}, "nosuch7"},
		{&ProcessStart{Args: []string{"dns", "br7"}}, "--listen"},
	} {
		if err := c.step.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := c.step.Do(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: %v, want one line with %q", c.step.Args, err, c.want)
		}
		if err := c.step.Undo(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := servers(t); n != 1 {
		t.Errorf("%d servers, want the first alone", n)
	}
	if err := s.Undo(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestProcessEndsWithItsLink: a name server without a network goes by itself.
func TestProcessEndsWithItsLink(t *testing.T) {
	s := served(t)
	if err := errors.Join(s.Check(t.Context()), s.Do(t.Context())); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, "", "ip", "link", "delete", "br7")
	sandboxtest.Run(t, "", "ip", "link", "add", "br7", "type", "bridge") // another one
	for range 500 {
		if servers(t) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the server is still there 10 s after its link went")
	if err := s.Undo(t.Context()); err != nil {
		t.Error(err)
	}
}
