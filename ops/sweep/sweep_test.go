package sweep

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/sandbox/sandboxtest"
	"vethscope/ops/steps"
)

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// foreign makes what must stay: it looks like ours, but bears no mark.
const foreign = `
	ip netns add web-9; ip netns add theirs
	ip -n theirs link set lo alias vethscope
	ip link add br9 type bridge; ip link set br9 alias 'not vethscope:br9'; ip addr add 10.9.0.1/24 dev br9; ip link set br9 up
	ip link add v-web-9 type veth peer name eth0 netns theirs; ip link set v-web-9 master br9; ip link set v-web-9 up
	ip route add 10.99.0.0/16 dev br9 proto static; ip route add 10.98.0.0/16 via 10.9.0.2 proto 117
	nft add table inet vethscope; nft add table ip not-vethscope-web
	nft add table ip filter; nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
	nft add rule ip filter FORWARD iifname br9 accept comment '"vethscope rules"'
	nft add rule ip filter FORWARD iifname br9 counter drop
	ip netns exec theirs nft add table inet kept`

const goneForeign = `
	nft delete table inet vethscope; nft delete table ip not-vethscope-web; nft delete table ip filter
	ip link delete v-web-9; ip link delete br9; ip netns delete web-9; ip netns delete theirs`

// state is all that a sweep may touch, in other programs' words.
func state(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	for _, ns := range []string{"", "theirs"} {
		for _, c := range []string{"ip -j -d link | sed 's/\"[a-z_]*_timer\": *[0-9.]*//g'", "ip -j addr", "ip route show table all", "ip -6 route show table all | sort",
			"nft -a list ruleset", "bridge link", "ls /run/netns"} {
			out.WriteString("# " + ns + " " + c + "\n" + sandboxtest.Run(t, ns, "sh", "-c", c))
		}
	}
	return out.String()
}

// build makes a bridge network, a rule in another's table, a route on the host
// and one in another's namespace.
func build(t *testing.T) {
	t.Helper()
	x := &ops.Executor{Journal: ops.NewJournal(ops.JournalDir, steps.Decode)}
	snap, err := inventory.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := modes.Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", IPv6: "fd18::/64", Publish: []string{"8080:80"}}.Plan(modes.WorldOf(snap, nil))
	if err != nil {
		t.Fatal(err)
	}
	more := &ops.Plan{Title: "more", Name: "more", Steps: []ops.Step{
		&steps.ForwardAccept{Family: "ip", Table: "filter", Chain: "FORWARD", Link: "web", Comment: steps.MarkPrefix + "web"},
		&steps.RouteAdd{Dst: prefix("10.77.0.0/16"), Link: "web"},
		&steps.RouteAdd{Dst: prefix("10.78.0.0/16"), Type: "blackhole", Table: 100},
		&steps.RouteAdd{Dst: prefix("fd77::/64"), Link: "web"},
		&steps.NetnsAttach{Name: "twin", With: "web-1"},
	}}
	for _, plan := range []*ops.Plan{p, more} {
		if err := x.Run(t.Context(), plan); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSweepWithoutJournal: all of ours goes, all of theirs stays.
func TestSweepWithoutJournal(t *testing.T) {
	for _, tool := range []string{"ip", "nft", "bridge"} {
		sandboxtest.Tool(t, tool)
	}
	sandboxtest.Run(t, "", "sh", "-ec", foreign)
	t.Cleanup(func() { sandboxtest.Run(t, "", "sh", "-ec", goneForeign) })
	time.Sleep(100 * time.Millisecond)
	before := state(t)
	build(t)
	if err := os.RemoveAll(ops.JournalDir); err != nil {
		t.Fatal(err)
	}
	removed, err := Sweep(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"namespace web-1", "namespace web-2", "namespace twin", "link web", "link v-web-1", "nft table vethscope-web",
		`rule "vethscope:web" of table ip filter`, "route 10.77.0.0/16", "route 10.78.0.0/16", "route fd77::/64"} {
		if !strings.Contains(strings.Join(removed, "\n")+"\n", want) {
			t.Errorf("%q is not told among %q", want, removed)
		}
	}
	// ip_forward is the one thing without a mark; nobody can tell who set it.
	sandboxtest.Run(t, "", "sysctl", "-qw", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Errorf("not as before (-before +after):\n%s", diff)
	}
	if again, err := Sweep(t.Context()); err != nil || len(again) > 0 {
		t.Errorf("a second sweep removed %q, %v", again, err)
	}
}

// TestSweepEndsProcesses: a background process that no journal knows is ended; one
// that only looks alike is not.
func TestSweepEndsProcesses(t *testing.T) {
	start := func(env string) *exec.Cmd {
		cmd := exec.Command(sandboxtest.Tool(t, "sleep"), "60")
		cmd.Env = []string{env}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	ours, theirs := start("VETHSCOPE_PROCESS=lost"), start("VETHSCOPE=kept")
	removed, err := Sweep(t.Context())
	if err != nil || len(removed) != 1 || !strings.Contains(removed[0], "process") {
		t.Errorf("removed %q, %v; want one process", removed, err)
	}
	if err := ours.Wait(); err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("ours ended with %v", err)
	}
	if err := theirs.Process.Kill(); err != nil {
		t.Errorf("theirs: %v", err)
	}
	_ = theirs.Wait()
}
