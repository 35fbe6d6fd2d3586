package e2e

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestTUIBridge is a learner's first session: build a bridge network from the
// menu, send a request through its published port, and look at what DNAT did.
func TestTUIBridge(t *testing.T) {
	for _, size := range []struct{ w, h int }{{80, 24}, {160, 45}} {
		s := open(t, size.w, size.h)
		s.waitFor("sandbox", "outside", "10.10.0.2")
		s.keys("n")
		s.waitFor("bridge", "overlay", "macvlan")
		s.keys("b")
		s.waitFor("Create a bridge network", "172.18.0.0/24", "steps. Nothing is changed")
		s.keys("enter")
		s.waitFor("ip netns add web-1", "Nothing is done yet")
		s.keys("enter")
		s.waitFor("Create bridge network web?", "[ No ]")
		time.Sleep(500 * time.Millisecond) // the dialog ignores keys at first
		s.keys("y")
		s.waitFor("done", "web-1", "DNAT to web-1:80")
		s.keys("r")
		s.waitFor("dst 10.10.0.1:8080 → 172.18.0.2:80", "rewritten by", "before", "after", "status 200")
		s.keys("2")
		s.waitFor("v-web-1", "web-1:eth0")
		s.keys("4")
		s.waitFor("masquerade", "dnat ip to 172.18.0.2:80")
		s.keys("esc", "q")
		if got := s.status(); got != 0 {
			t.Errorf("q: exit status %d", got)
		}
		s.tidy()
	}
}

// TestTUIInlineErrors: what is wrong is said under the field, and nothing can be
// started until it is right.
func TestTUIInlineErrors(t *testing.T) {
	s := open(t, 80, 24)
	s.waitFor("outside")
	s.keys("n")
	s.waitFor("bridge")
	s.keys("b")
	s.waitFor("172.18.0.0/24")
	s.keys("tab", "tab", "ctrl+u")
	s.keys(strings.Split("10.10.0.0/16", "")...)
	s.waitFor("overlaps 10.10.0.0/24, which up0 uses")
	s.keys("enter")
	s.waitFor("overlaps")
	s.keys("ctrl+c")
	if got := s.status(); got != 0 && got != 130 {
		t.Errorf("ctrl+c: exit status %d", got)
	}
	s.tidy()
}

// TestTUISeesOthers: a link that someone else adds is on the screen at once, and
// a network made in the interface is seen by other programs.
func TestTUISeesOthers(t *testing.T) {
	tool(t, "ip", "nft", "nsenter")
	s := open(t, 100, 30, "sandbox", "--", binary, "--here")
	s.waitFor("outside", "10.10.0.2")
	s.keys("2")
	s.waitFor("up0")
	enter := func(args ...string) string {
		t.Helper()
		pid := innermost(t, s.cmd.Process.Pid)
		out, err := exec.Command("nsenter", append([]string{"-t", pid, "-U", "-n", "-m", "--preserve-credentials"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	began := time.Now()
	enter("ip", "link", "add", "seen0", "type", "bridge")
	s.waitFor("seen0")
	t.Logf("on the screen %v after nsenter was started", time.Since(began).Round(time.Millisecond))
	enter("ip", "link", "delete", "seen0")
	s.waitGone("seen0")
	s.keys("n")
	s.waitFor("bridge")
	s.keys("b")
	s.waitFor("steps. Nothing is changed")
	s.keys("enter")
	s.waitFor("Nothing is done yet")
	s.keys("enter")
	s.waitFor("[ No ]")
	time.Sleep(500 * time.Millisecond)
	s.keys("y")
	s.waitFor("done. z takes it back") // not the preview's "Nothing is done yet"
	if out := enter("nft", "list", "ruleset"); !strings.Contains(out, "dnat ip to 172.18.0.2:80") {
		t.Errorf("nft does not see the network:\n%s", out)
	}
	if out := enter("ip", "-br", "link", "show", "master", "web"); !strings.Contains(out, "v-web-2") {
		t.Errorf("ip does not see the network:\n%s", out)
	}
	s.keys("z")
	s.waitFor("[ No ]")
	time.Sleep(500 * time.Millisecond)
	s.keys("y")
	s.waitFor("2 namespaces")
	if out := enter("sh", "-c", "nft list ruleset; ip -br link; ls /run/netns"); strings.Contains(out, "web") {
		t.Errorf("undo left something:\n%s", out)
	}
}

// innermost is the last descendant of a process, in the sandbox.
func innermost(t *testing.T, pid int) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `p=$1; while c=$(pgrep -P $p | tail -1); [ -n "$c" ]; do p=$c; done; echo $p`, "sh", itoa(pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestTUISignals: SIGTERM, as from a closing session, leaves a clean terminal.
func TestTUISignals(t *testing.T) {
	s := open(t, 80, 24)
	s.waitFor("outside")
	s.cmd.Process.Signal(syscall.SIGTERM)
	if got := s.status(); got != 143 {
		t.Errorf("SIGTERM: exit status %d, want 143", got)
	}
	s.tidy()
}

func TestTUITooSmall(t *testing.T) {
	s := open(t, 50, 12)
	s.waitFor("60", "15")
	s.keys("q")
	if got := s.status(); got != 0 {
		t.Errorf("exit status %d", got)
	}
}

func TestTUINeedsTerminal(t *testing.T) {
	r := vethscope(t)
	if r.status != 2 || !oneLine(r.errout) || !strings.Contains(r.errout, "terminal") {
		t.Errorf("status %d, %q", r.status, r.errout)
	}
}
