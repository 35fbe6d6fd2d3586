// Package crash walks through every step of a plan and lets it go wrong there:
// the step fails, or the process is killed before, between journal and kernel,
// or after. Whatever happens, nothing stays behind.
package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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
)

// killEnv makes the test binary run the plan and kill itself at "INDEX PHASE".
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

func plan(ctx context.Context) (*ops.Plan, error) {
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return nil, err
	}
	b := modes.Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", IPv6: "fd18::/64",
		Publish: []string{"8080:80", "53:53/udp@2"}}
	return b.Plan(modes.WorldOf(snap, nil))
}

func runAndDie(at string) {
	p, err := plan(context.Background())
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

// state is all that a plan may touch, in other programs' words.
func state(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, args := range [][]string{
		{"ip", "-j", "-d", "link"}, {"ip", "-j", "addr"}, {"ip", "-j", "route", "show", "table", "all"},
		{"ip", "-j", "-6", "route", "show", "table", "all"}, {"ip", "netns"}, {"nft", "-a", "list", "ruleset"},
	} {
		sandboxtest.Tool(t, args[0])
		out[strings.Join(args, " ")] = sandboxtest.Run(t, "", args[0], args[1:]...)
	}
	out["sysctls"] = sysctls(t)
	out["/run"] = tree(t, "/run")
	out["processes"] = processes(t)
	return out
}

// processes are those of ours that plans start.
func processes(t *testing.T) string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatal(lines, err)
	}
	var b strings.Builder
	for _, file := range lines {
		data, err := os.ReadFile(file)
		if err == nil && bytes.HasPrefix(data, []byte("vethscope\x00")) {
			fmt.Fprintln(&b, string(bytes.ReplaceAll(data, []byte{0}, []byte(" "))))
		}
	}
	return b.String()
}

func sysctls(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "nf_conntrack_count") {
			return err
		}
		if data, err := os.ReadFile(path); err == nil { // some are write-only
			fmt.Fprintf(&b, "%s=%s\n", path, bytes.TrimSpace(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tree lists the files under dir, but for what names no state: the lock.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		fmt.Fprintln(&b, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Fatalf("not as before (-before +after):\n%s", diff)
	}
}

func mustPlan(t *testing.T) *ops.Plan {
	t.Helper()
	p, err := plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
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

func TestFailureAtEveryStep(t *testing.T) {
	before := state(t)
	for i, s := range mustPlan(t).Steps {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%02d_%s_after=%v", i, s.Kind(), after), func(t *testing.T) {
				p := mustPlan(t)
				p.Steps[i] = failing{p.Steps[i], after}
				if err := executor().Run(t.Context(), p); !errors.Is(err, errInjected) {
					t.Fatalf("Run: %v, want the injected failure", err)
				}
				unchanged(t, before)
			})
		}
	}
}

func TestKillAtEveryStep(t *testing.T) {
	before := state(t)
	for i, s := range mustPlan(t).Steps {
		// Before the journal knows; between journal and kernel; after both.
		for _, phase := range []ops.Phase{ops.PhaseCheck, ops.PhaseDo, ops.PhaseDone} {
			t.Run(fmt.Sprintf("%02d_%s_%s", i, s.Kind(), phase), func(t *testing.T) {
				cmd := exec.Command("/proc/self/exe")
				cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s", killEnv, i, phase))
				out, err := cmd.CombinedOutput()
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
					t.Fatalf("child was not killed: %v\n%s", err, out)
				}
				if _, err := executor().Clean(t.Context()); err != nil {
					t.Fatalf("Clean: %v", err)
				}
				unchanged(t, before)
			})
		}
	}
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
	if err := executor().Run(t.Context(), mustPlan(t)); err != nil {
		t.Fatal(err)
	}
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

// TestScript: the plan as a shell script makes the same network.
func TestScript(t *testing.T) {
	before := state(t)
	p := mustPlan(t)
	if err := executor().Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ours := comparable(t)
	if _, err := executor().Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(t.TempDir(), "web.sh")
	if err := os.WriteFile(script, []byte(p.Script()), 0o700); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, "", "sh", "-e", script)
	if diff := cmp.Diff(ours, comparable(t)); diff != "" {
		t.Errorf("the script makes another network (-ours +script):\n%s", diff)
	}
	sandboxtest.Run(t, "", "sh", "-ec", `for c in web-1 web-2; do ip netns delete $c; done
		ip link delete v-web-1 2>/dev/null || true; ip link delete v-web-2 2>/dev/null || true
		ip link delete web; nft delete table inet vethscope-web
		sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv4.ip_forward=0`)
	unchanged(t, before)
}

// comparable is a snapshot without what differs between any two networks:
// inodes, indices, random MACs, handles, and the addresses made of MACs.
func comparable(t *testing.T) []inventory.Namespace {
	t.Helper()
	snap, err := inventory.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(snap.Namespaces)
	if err != nil {
		t.Fatal(err)
	}
	var out []inventory.Namespace
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		ns := &out[i]
		ns.Inode, ns.NSID, ns.Processes = 0, 0, nil
		for j := range ns.Links {
			l := &ns.Links[j]
			l.Index, l.MAC = 0, ""
			l.Addrs = keep(l.Addrs, func(a inventory.Addr) bool { return a.Scope != "link" })
			for k := range l.Addrs {
				l.Addrs[k].Flags = nil // tentative comes and goes
			}
			l.Flags, l.State = nil, "" // so does the carrier
			if l.Peer != nil {
				l.Peer.Index, l.Peer.NSID, l.Peer.Inode = 0, 0, 0
			}
		}
		ns.Routes = keep(ns.Routes, func(r inventory.Route) bool { return !strings.HasPrefix(r.Dst, "fe80") })
		for j := range ns.Chains {
			ns.Chains[j].Handle = 0
		}
		for j := range ns.Rules {
			ns.Rules[j].Handle = 0
		}
	}
	return out
}

func keep[T any](list []T, f func(T) bool) []T {
	var out []T
	for _, v := range list {
		if f(v) {
			out = append(out, v)
		}
	}
	return out
}
