// Package experiments does by hand, with single actions on the command line, what
// the tutorials do, and observes what they show. Each experiment has a sandbox of
// its own; the rows are those of the list of experiments, B1 to B10.
package experiments

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// binary is the program, built as it is shipped.
var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "vethscope-experiments-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "vethscope")
	build := exec.Command("go", "build", "-o", binary, "vethscope/cmd/vethscope")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// prelude are the words that the scripts are written in. Only the witnesses at
// the end, that all is as before, are other programs.
const prelude = `
v() { vethscope "$@" >/run/said 2>&1 || fail "vethscope $*: $(cat /run/said)"; }
fail() { echo "FAIL: $*"; exit 1; }
works() { vethscope "$@" >/run/said 2>&1 || fail "does not work: vethscope $*: $(cat /run/said)"; }
# fails TEXT COMMAND…: it must fail, and say TEXT.
fails() { text=$1; shift; if vethscope "$@" >/run/said 2>&1; then fail "works, but must not: vethscope $*"; fi
	grep -qi -e "$text" /run/said || fail "vethscope $* says, instead of $text: $(cat /run/said)"; }
# shows TEXT COMMAND… and hides TEXT COMMAND…: what it prints must, or must not, hold TEXT.
shows() { text=$1; shift; vethscope "$@" >/run/said 2>&1; grep -q -e "$text" /run/said || fail "vethscope $* does not show $text: $(cat /run/said)"; }
hides() { text=$1; shift; vethscope "$@" >/run/said 2>&1; if grep -q -e "$text" /run/said; then fail "vethscope $* shows $text: $(cat /run/said)"; fi; }
# The first may come to nothing while the kernel still asks for an address that has
# only just come to be.
ping() { vethscope ping -c 1 "$@" >/dev/null 2>&1 || works ping -c 1 "$@"; }
noping() { text=$1; shift; fails "$text" ping -c 1 "$@"; }
state() { ip -o link | sed 's/state [A-Z]*//'; ip -o addr | sed 's/ tentative//'; ip route; ip -6 route | sort; ls /run/netns; nft list ruleset; sysctl net.ipv4.ip_forward; ls /run/vethscope/journal; }
mkdir -p /run/vethscope/journal; : > /run/vethscope/journal/lock
`

// experiment runs a script in a fresh world, takes everything back, and compares.
func experiment(t *testing.T, script string) {
	t.Helper()
	for _, tool := range []string{"ip", "nft", "sysctl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("%s is not installed", tool)
		}
	}
	whole := prelude + "before=$(state)\n" + script + "\nv clean\n" +
		`after=$(state); [ "$before" = "$after" ] || fail "not as before. Before: $before After: $after"` + "\necho done"
	cmd := exec.Command(binary, "sandbox", "--", "sh", "-c", whole)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "done") {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(string(out), "SKIP: ") {
		t.Skip(strings.TrimSpace(string(out)))
	}
}

// inSandbox runs a script in a fresh world and returns what it printed; the
// script must succeed.
func inSandbox(t *testing.T, script string) (out, errout string) {
	t.Helper()
	cmd := exec.Command(binary, "sandbox", "--", "sh", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	return stdout.String(), stderr.String()
}
