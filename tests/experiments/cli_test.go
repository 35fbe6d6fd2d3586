package experiments

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestBadInput: one line on standard error, status 2, and no change.
func TestBadInput(t *testing.T) {
	lines := []string{
		"netns", "netns add", "netns add a b", "netns add host", "netns add outside", "netns delete nope", "netns rename c1 outside", "netns frobnicate c1",
		"link", "link add", "link add x", "link add x type", "link add x type wire", "link add x kind bridge", "link add sixteen-bytes-xx type bridge",
		"link add x type bridge mtu y", "link add x type bridge mtu 1 mtu 2", "link add x type veth", "link add x type veth peer y netns nope",
		"link add x type vxlan dev up0", "link add x type macvlan dev up0 mode l2",
		"link delete nope", "link delete lo", "link move br0", "link move br0 nope", "link rename br0 up0", "link up nope", "link down -n nope lo", "link mtu br0 x", "link mtu br0 1",
		"link mac br0 01:00:00:00:00:00", "link promisc br0 maybe", "link master up0 up0", "link release br0",
		"addr add", "addr add 10.0.0.1/24", "addr add 10.0.0.1/24 on br0", "addr add 10.0.0.300/24 dev br0", "addr delete 10.0.0.1/24 dev br0",
		"route add", "route add default", "route add 10.0.0.1/8 dev br0", "route add default via x", "route add 10.0.0.0/8 type hole", "route add 10.0.0.0/8 dev br0 metric x",
		"route delete nonsense", "neigh add 10.0.0.9 lladdr x dev br0", "neigh add 10.0.0.9 dev br0", "fdb add 02:00:00:00:00:01 dev br0", "fdb delete x dev br0",
		"sysctl set", "sysctl set net.ipv4.ip_forward", "sysctl set kernel.hostname=x",
		"sysctl set net.ipv4.nosuch=1", "sysctl set net.ipv4.ip_forward=abc", "sysctl set net.ipv4.conf=1", "sysctl set -n outside net.ipv4.conf.nope.rp_filter=1", "masquerade", "masquerade 10.0.0.1/24", "masquerade 10.123.0.0/24",
		"forward-accept nope", "forward-accept br0", "publish 10.0.0.9 0:80", "link up br0 -o xml", "link up br0 --no-such-flag",
	}
	script := "state() { ip -o link; ip -o addr; ip route; ip netns; nft list ruleset; ls /run/vethscope/journal; }\nvethscope link add br0 type bridge >/dev/null\nbefore=$(state)\n"
	for _, l := range lines {
		script += "echo '# " + l + "' >&2; vethscope " + l + " >/dev/null; echo \"$?\"\n"
	}
	script += "[ \"$before\" = \"$(state)\" ] || echo changed\n"
	out, errout := inSandbox(t, script)
	statuses, said := strings.Fields(out), strings.Split(errout, "# ")[1:]
	if len(statuses) != len(lines) || len(said) != len(lines) {
		t.Fatalf("statuses %v, want %d:\n%s", statuses, len(lines), errout)
	}
	for i, l := range lines {
		words, message, _ := strings.Cut(said[i], "\n")
		message = strings.TrimSpace(message)
		if words != l || statuses[i] != "2" || message == "" || strings.Contains(message, "\n") {
			t.Errorf("%s: status %s, said %q; want 2 and one line", l, statuses[i], message)
		}
		if key, _, ok := strings.Cut(l[strings.LastIndex(l, " ")+1:], "="); ok && strings.Count(message, key) < 2 { // the command, and what is wrong with it
			t.Errorf("%s: %q does not name the parameter", l, message)
		}
	}
}

// actions are all single actions that can be planned in the world that they need.
var actions = []string{
	"netns add c9", "netns delete c1", "netns rename c1 c9",
	"link add x type bridge", "link add x type veth peer eth9 netns c1", "link add -n c1 x type veth peer eth9", "link add x type macvlan dev up0",
	"link add x type vxlan id 42 dev up0 local 10.10.0.1",
	"link delete v1", "link move v1 c2", "link move -n c1 eth0 host", "link rename v1 v9", "link up v1", "link down br0", "link mtu br0 1400",
	"link mac br0 02:00:00:00:00:01", "link promisc up0 on", "link master v1 br1", "link release v2",
	"addr add 10.0.0.1/24 dev br0", "addr delete 10.5.0.1/24 dev br1", "route add 10.9.0.0/16 dev br1", "route add 10.9.0.0/16 type blackhole table 7 metric 3",
	"route delete 10.5.0.0/24 dev br1", "neigh add 10.5.0.9 lladdr 02:00:00:00:00:09 dev br1", "neigh delete 10.5.0.8 dev br1",
	"fdb add 02:00:00:00:00:09 dev v2", "fdb delete 02:00:00:00:00:08 dev v2",
	"sysctl set net.ipv4.ip_forward=1", "masquerade 10.5.0.0/24", "forward-accept br1", "publish 10.5.0.2 8080:80",
}

// theWorld is what actions act on.
const theWorld = `
	nft add table ip filter; nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
	for c in c1 c2; do v netns add $c; done
	v link add br0 type bridge; v link add br1 type bridge; v link up br0; v link up br1; v addr add 10.5.0.1/24 dev br1
	v link add v1 type veth peer eth0 netns c1; v link add v2 type veth peer eth0 netns c2; v link master v2 br1
	v neigh add 10.5.0.8 lladdr 02:00:00:00:00:08 dev br1; v fdb add 02:00:00:00:00:08 dev v2
	sleep 2.2 # until addresses are no longer tentative
`

// TestEveryAction: shown it changes nothing, done it changes something, and undo
// takes exactly that back.
func TestEveryAction(t *testing.T) {
	script := theWorld + `
		whole() { state | sed 's/qdisc noop/qdisc noqueue/'; for c in "" c1 c2; do n=${c:+-n $c}; ip $n -d -o link | sed -E 's/[a-z_]+_timer +[0-9.]+//g; s/state [A-Z]+|NO-CARRIER,|,LOWER_UP//g; s/ +/ /g; s/qdisc noop/qdisc noqueue/'; ip $n -o addr | sed 's/ tentative//'
			ip $n route show table all | sed 's/ linkdown//' | sort; ip $n neigh show nud permanent; bridge $n fdb | grep -E 'static|dst' | sort; done 2>/dev/null; }
		# A link that was up once keeps its queueing discipline: noqueue for noop.
		settled=$(whole)`
	for _, a := range actions {
		script += `
		works ` + a + ` --dry-run; works ` + a + ` -o sh; works ` + a + ` --dry-run -o json
		[ "$settled" = "$(whole)" ] || fail "shown, it changed something: ` + a + `"
		v ` + a + `
		[ "$settled" != "$(whole)" ] || fail "it changed nothing: ` + a + `"
		v undo
		for i in 1 2 3 4 5; do now=$(whole); [ "$settled" = "$now" ] && break; sleep 0.5; done
		[ "$settled" = "$now" ] || { echo "$settled" > /run/a; echo "$now" > /run/b; fail "not as before: ` + a + ` $(diff /run/a /run/b)"; }`
	}
	experiment(t, script+"\nnft delete table ip filter")
}

// TestActionsAsJSON: what is printed for programs is JSON.
func TestActionsAsJSON(t *testing.T) {
	out, _ := inSandbox(t, "vethscope link add br0 type bridge --dry-run -o json")
	var plan struct {
		Title, Name string
		Steps       []struct{ Kind, Why, Shell string }
	}
	if err := json.Unmarshal([]byte(out), &plan); err != nil || plan.Name != "br0" || len(plan.Steps) != 1 || plan.Steps[0].Kind != "bridge.add" {
		t.Errorf("%v: %+v\n%s", err, plan, out)
	}
}

// TestActionsNeedHost: outside of a sandbox nothing is changed unasked.
func TestActionsNeedHost(t *testing.T) {
	for _, a := range []string{"netns add vs-test", "link add vs-test type bridge", "sysctl set net.ipv4.ip_forward=1", "clean"} {
		out, err := exec.Command(binary, strings.Fields(a)...).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 3 || !strings.Contains(string(out), "--host") {
			t.Errorf("%s: %v, %s; want status 3 and --host", a, err, out)
		}
	}
}
