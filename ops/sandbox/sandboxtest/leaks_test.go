package sandboxtest

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// envLeak makes TestLeaker, in a process of its own, leave something behind.
const envLeak = "SANDBOXTEST_LEAK"

var leaked *os.File // kept from the garbage collector, which would close it

func TestLeaker(t *testing.T) {
	leaks := map[string]func() error{
		"nothing":   func() error { return nil },
		"goroutine": func() error { go func() { select {} }(); return nil },
		"file descriptor": func() (err error) {
			leaked, err = os.Open("/dev/null")
			return err
		},
		"named namespace": func() error { _, err := netns.Create("leaked"); return err },
		"thread in a foreign namespace": func() error {
			done := make(chan error)
			go func() {
				runtime.LockOSThread()
				err := unix.Unshare(unix.CLONE_NEWNET)
				runtime.UnlockOSThread() // what must never be done
				done <- err
			}()
			return <-done
		},
	}
	if what := os.Getenv(envLeak); what != "" {
		if err := leaks[what](); err != nil {
			t.Fatal(err)
		}
		return
	}
	for what := range leaks {
		out, err := again(envLeak+"="+what, "-test.run=^TestLeaker$")
		if what == "nothing" {
			if err != nil {
				t.Errorf("without a leak: %v: %s", err, out)
			}
		} else if err == nil || !strings.Contains(out, "left over") || !strings.Contains(out, what) {
			t.Errorf("%s: %v, want a failure that names it: %s", what, err, out)
		}
		if what == "named namespace" {
			if err := netns.Delete("leaked"); err != nil {
				t.Error(err)
			}
		}
	}
}

// again runs this test binary once more, in this sandbox.
func again(env string, args ...string) (string, error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestWithoutSandbox(t *testing.T) {
	const limit = "/proc/sys/user/max_user_namespaces"
	old, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile(limit, old, 0o644)
	if err := os.WriteFile(limit, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(envInside, "")
	out, err := again("CI=", "-test.run=^TestInSandbox$")
	if err != nil || !strings.Contains(out, "SKIP") || !strings.Contains(out, "user.max_user_namespaces") {
		t.Errorf("for a person: %v, %q, want it skipped with the reason", err, out)
	}
	if out, err := again("CI=true", "-test.run=^TestInSandbox$"); err == nil {
		t.Errorf("with CI=true it went well: %q", out)
	}
}
