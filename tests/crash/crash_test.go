// Package crash walks through every step of a plan and lets it go wrong there:
// the step fails, or the process is killed before, between journal and kernel,
// or after. Whatever happens, nothing stays behind.
package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/sandbox/sandboxtest"
	"vethscope/ops/steps"
	"vethscope/ops/sweep"
)

// killEnv makes the test binary run a plan and kill itself: "MODE INDEX PHASE".
const killEnv = "VETHSCOPE_TEST_KILL_AT"

func TestMain(m *testing.M) {
	if at := os.Getenv(killEnv); at != "" {
		runAndDie(at)
	}
	sandboxtest.Main(m)
}

func executor() *ops.Executor {
	return &ops.Executor{Journal: ops.NewJournal(ops.JournalDir, steps.Decode)}
}

func bridge() modes.Bridge {
	return modes.Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", IPv6: "fd18::/64", Publish: []string{"8080:80", "53:53/udp@2"}}
}

func runAndDie(at string) {
	name, at, _ := strings.Cut(at, " ")
	s, err := subjectOf(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	p, err := plan(context.Background(), s.settings)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	x := executor()
	x.Observe = func(pr ops.Progress) {
		if fmt.Sprint(pr.Index, " ", pr.Phase) == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until the signal is here
		}
	}
	fmt.Fprintln(os.Stderr, "not killed:", x.Run(context.Background(), p))
	os.Exit(1)
}

func unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Fatalf("not as before (-before +after):\n%s", diff)
	}
}

// failing makes step i of a plan fail: before it touches the kernel, or after.
type failing struct {
	ops.Step
	after bool
}

var errInjected = errors.New("injected")

func (f failing) Do(ctx context.Context) error {
	if f.after {
		return errors.Join(f.Step.Do(ctx), errInjected)
	}
	return errInjected
}

func (f failing) MarshalJSON() ([]byte, error) { return json.Marshal(f.Step) }

// takingTurns has every step go wrong: the first of each kind in each of the ways,
// and those that follow in one, by turns.
func takingTurns(ways int) func(i, way int, s ops.Step) bool {
	first := map[string]int{}
	return func(i, way int, s ops.Step) bool {
		if at, ok := first[s.Kind()]; ok && at != i {
			return way == i%ways
		}
		first[s.Kind()] = i
		return true
	}
}

func TestFailureAtEveryStep(t *testing.T) {
	forEach(t, func(t *testing.T, s subject, before map[string]string) {
		turns := takingTurns(2)
		for i, step := range mustPlan(t, s.settings).Steps {
			for n, after := range []bool{false, true} {
				if !turns(i, n, step) {
					continue
				}
				t.Run(fmt.Sprintf("%02d_%s_after=%v", i, step.Kind(), after), func(t *testing.T) {
					p := mustPlan(t, s.settings)
					p.Steps[i] = failing{p.Steps[i], after}
					if err := executor().Run(t.Context(), p); !errors.Is(err, errInjected) {
						t.Fatalf("Run: %v, want the injected failure", err)
					}
					unchanged(t, before)
				})
			}
		}
	})
}

func TestKillAtEveryStep(t *testing.T) {
	// Before the journal knows; between journal and kernel; after both.
	phases := []ops.Phase{ops.PhaseCheck, ops.PhaseDo, ops.PhaseDone}
	forEach(t, func(t *testing.T, s subject, before map[string]string) {
		turns := takingTurns(len(phases))
		p := mustPlan(t, s.settings)
		for i, step := range p.Steps {
			for n, phase := range phases {
				if !turns(i, n, step) {
					continue
				}
				t.Run(fmt.Sprintf("%02d_%s_%s", i, step.Kind(), phase), func(t *testing.T) {
					killed(t, fmt.Sprintf("%s %d %s", s.name, i, phase))
					if _, err := executor().Delete(t.Context(), p.Name); err != nil {
						t.Fatalf("Delete: %v", err)
					}
					unchanged(t, before)
				})
			}
		}
	})
}

// killed runs a plan in a process that kills itself there.
func killed(t *testing.T, at string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killEnv+"="+at)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("child was not killed: %v\n%s", err, out)
	}
}

// TestWhole: every mode, made whole, taken back by name, and again.
func TestWhole(t *testing.T) {
	forEach(t, func(t *testing.T, s subject, before map[string]string) {
		for range 2 {
			p := run(t, s.settings)
			if _, err := executor().Delete(t.Context(), p.Name); err != nil {
				t.Fatal(err)
			}
			unchanged(t, before)
		}
	})
}

// TestJournalLost: what we made bears our marks, and is found by them.
func TestJournalLost(t *testing.T) {
	before := state(t)
	for _, s := range subjects() {
		if s.name == "host" { // it makes nothing
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if s.name == "ipvlan" {
				needIpvlan(t, s)
			}
			for _, on := range s.on {
				run(t, on)
			}
			run(t, s.settings)
			if err := os.RemoveAll(ops.JournalDir); err != nil {
				t.Fatal(err)
			}
			if _, err := sweep.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			restoreForwarding(t)
			unchanged(t, before)
		})
	}
}

// restoreForwarding switches off what only the journal knew to be off before.
func restoreForwarding(t *testing.T) {
	t.Helper()
	sandboxtest.Run(t, "", "sh", "-ec", "sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv4.ip_forward=0")
}

// TestUndo: a whole network, and two that share ip_forward, in both orders.
func TestUndo(t *testing.T) {
	before := state(t)
	x := executor()
	for _, order := range [][]string{{"web", "db"}, {"db", "web"}} {
		for _, b := range []modes.Bridge{
			{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", IPv6: "fd18::/64", Publish: []string{"8080:80"}},
			{Name: "db", Containers: 1, Subnet: "172.19.0.0/24", IPv6: "fd19::/64", Publish: []string{"5432:5432"}},
		} {
			snap, err := inventory.Collect(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			p, err := b.Plan(modes.WorldOf(snap, nil))
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		for i, name := range order {
			if _, err := x.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			forward, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
			if want := []string{"1", "0"}[i]; err != nil || strings.TrimSpace(string(forward)) != want {
				t.Errorf("order %v: after %s ip_forward is %s, %v; want %s", order, name, forward, err, want)
			}
		}
		unchanged(t, before)
	}
}

// TestForeign: what someone else deleted or made meanwhile does not stop the
// undo, and is not touched.
func TestForeign(t *testing.T) {
	sandboxtest.Tool(t, "ip")
	before := state(t)
	run(t, bridge())
	sandboxtest.Run(t, "", "ip", "netns", "delete", "web-1") // takes its veth with it
	sandboxtest.Run(t, "", "ip", "link", "delete", "web")
	sandboxtest.Run(t, "", "ip", "link", "add", "web", "type", "bridge") // someone else's now
	if _, err := executor().Delete(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	if out := sandboxtest.Run(t, "", "ip", "-o", "link", "show", "web"); !strings.Contains(out, "web") {
		t.Errorf("the foreign bridge was deleted: %s", out)
	}
	sandboxtest.Run(t, "", "ip", "link", "delete", "web")
	unchanged(t, before)
}

// TestTakenMeanwhile: someone else takes a name between the check and the act. The
// plan fails, and what is theirs stays as it is.
func TestTakenMeanwhile(t *testing.T) {
	for _, c := range []struct{ kind, take, look, give string }{
		{"netns.add", "ip netns add web-2; ip -n web-2 link add web-2 type bridge", "ip -n web-2 -o link show web-2", "ip netns delete web-2"},
		{"bridge.add", "ip link add web type bridge", "ip -o link show web", "ip link delete web"},
		{"veth.add", "ip link add v-web-2 type bridge", "ip -o link show v-web-2", "ip link delete v-web-2"},
		{"nft.table", "nft add table inet vethscope-web '{ flags dormant; }'", "nft list table inet vethscope-web", "nft delete table inet vethscope-web"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			before := state(t)
			p := mustPlan(t, bridge())
			last := 0
			for i, s := range p.Steps {
				if s.Kind() == c.kind {
					last = i
				}
			}
			x := executor()
			x.Observe = func(pr ops.Progress) {
				if pr.Index == last && pr.Phase == ops.PhaseDo {
					sandboxtest.Run(t, "", "sh", "-ec", c.take)
				}
			}
			var failed *ops.StepError
			if err := x.Run(t.Context(), p); !errors.As(err, &failed) || failed.Step != p.Steps[last] {
				t.Errorf("Run: %v, want the failure of step %d", err, last)
			}
			sandboxtest.Run(t, "", "sh", "-ec", c.look)
			sandboxtest.Run(t, "", "sh", "-ec", c.give)
			unchanged(t, before)
		})
	}
}

// TestForeignOverlay: the same for what is inside a host of an overlay.
func TestForeignOverlay(t *testing.T) {
	before := state(t)
	s, err := subjectOf("overlay")
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.settings)
	sandboxtest.Run(t, "", "ip", "-n", "red-a", "link", "delete", "vx-red") // and its entries
	sandboxtest.Run(t, "", "ip", "netns", "delete", "red-b1")
	sandboxtest.Run(t, "", "ip", "netns", "delete", "red-b")
	sandboxtest.Run(t, "", "ip", "netns", "add", "red-b") // someone else's now
	sandboxtest.Run(t, "", "ip", "-n", "red-b", "link", "add", "vx-red", "type", "bridge")
	if _, err := executor().Delete(t.Context(), "red"); err != nil {
		t.Fatal(err)
	}
	if out := sandboxtest.Run(t, "red-b", "ip", "-o", "link", "show", "vx-red"); !strings.Contains(out, "vx-red") {
		t.Errorf("the foreign link was deleted: %s", out)
	}
	sandboxtest.Run(t, "", "ip", "netns", "delete", "red-b")
	unchanged(t, before)
}

// TestScript: every mode's plan as a shell script makes the same network.
func TestScript(t *testing.T) {
	forEach(t, func(t *testing.T, s subject, before map[string]string) {
		p := run(t, s.settings)
		ours := comparable(t)
		if _, err := executor().Delete(t.Context(), p.Name); err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(t.TempDir(), "plan.sh")
		if err := os.WriteFile(script, []byte(p.Script()), 0o700); err != nil {
			t.Fatal(err)
		}
		sandboxtest.Run(t, "", "sh", "-e", script)
		if diff := cmp.Diff(ours, comparable(t)); diff != "" {
			t.Errorf("the script makes another network (-ours +script):\n%s", diff)
		}
		// Nothing but the marks tells whose it is.
		if _, err := sweep.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		restoreForwarding(t)
	})
}
