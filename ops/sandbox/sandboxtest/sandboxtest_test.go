package sandboxtest

import (
	"os"
	"strings"
	"testing"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox"
)

func TestMain(m *testing.M) { Main(m) }

func TestInSandbox(t *testing.T) {
	if !sandbox.Inside() {
		t.Error("the tests do not run in a sandbox")
	}
	if os.Getuid() != 0 {
		t.Errorf("user %d in the sandbox, want root", os.Getuid())
	}
	if len(names()) != 0 {
		t.Errorf("a bare sandbox has the namespaces %v", names())
	}
}

func TestNSAndRun(t *testing.T) {
	t.Run("made", func(t *testing.T) {
		name := NS(t, "blue")
		if out := Run(t, "", "ip", "netns"); !strings.Contains(out, "blue") {
			t.Errorf("ip netns says %q, want blue in it", out)
		}
		if out := Run(t, name, "ip", "-o", "link"); !strings.Contains(out, "lo:") || strings.Contains(out, "UP") {
			t.Errorf("links of a new namespace: %q, want only lo, down", out)
		}
		if out := Run(t, "host", "ip", "-o", "link", "show", "lo"); !strings.Contains(out, "UP") {
			t.Errorf("lo of the sandbox: %q, want it up", out)
		}
	})
	if _, err := os.Stat(netns.Path("blue")); !os.IsNotExist(err) {
		t.Errorf("the namespace is still named after its test: %v", err)
	}
}

func TestTryTellsWhatTheProgramSaid(t *testing.T) {
	_, err := Try(t, "", "ip", "link", "show", "nosuch")
	if err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("error %v, want ip's own words", err)
	}
}
