package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// hostState is what the machine itself looks like.
func hostState(t *testing.T) string {
	t.Helper()
	tool(t, "ip")
	out, err := exec.Command("sh", "-c", "ip -o link | sed 's/ *qlen.*//'; ip -o route; ls /run/netns 2>/dev/null; cat /proc/sys/net/ipv4/ip_forward").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestHostUntouched: whatever happens in a sandbox, the machine stays as it is.
func TestHostUntouched(t *testing.T) {
	before := hostState(t)
	inSandbox(t, "vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --publish 8080:80").must(t)
	vethscope(t, "demo", "nat").must(t)
	if diff := cmp.Diff(before, hostState(t)); diff != "" {
		t.Errorf("the machine changed (-before +after):\n%s", diff)
	}
}

func TestSandboxStatus(t *testing.T) {
	for script, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -TERM $$": 143, "no-such-command": 127} {
		if r := inSandbox(t, script); r.status != want {
			t.Errorf("%s: status %d, want %d\n%s", script, r.status, want, r.errout)
		}
	}
}

// TestByNameInside: whatever its file is called, and wherever it lies, the program
// is on the PATH inside.
func TestByNameInside(t *testing.T) {
	other := filepath.Join(t.TempDir(), "vethscope-linux-amd64")
	if err := os.Link(binary, other); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(other, "sandbox", "--", "sh", "-c", "vethscope create none n && vethscope exec n -- vethscope ls links && vethscope sandbox -- vethscope ls namespaces")
	cmd.Env = append(os.Environ(), "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
	if r := command(t, cmd).must(t); !strings.Contains(r.out, "loopback") || !strings.Contains(r.out, "outside") {
		t.Errorf("said\n%s", r.out)
	}
}

// TestChangesNeedHost: outside of a sandbox nothing is changed unasked.
func TestChangesNeedHost(t *testing.T) {
	before := hostState(t)
	for _, args := range []string{
		"create bridge web --subnet 172.31.250.0/24", "publish web 8080:80", "delete web", "undo", "clean",
	} {
		r := vethscope(t, strings.Fields(args)...)
		if r.status != 3 || !oneLine(r.errout) || !strings.Contains(r.errout, "--host") {
			t.Errorf("%s: status %d, %q; want 3 and one line that names --host", args, r.status, r.errout)
		}
	}
	if diff := cmp.Diff(before, hostState(t)); diff != "" {
		t.Errorf("the machine changed:\n%s", diff)
	}
}

// TestReadingNeedsNothing: outside, reading shows the machine as far as the
// privilege goes.
func TestReadingNeedsNothing(t *testing.T) {
	for _, kind := range []string{"namespaces", "links", "routes", "rules"} {
		r := vethscope(t, "ls", kind, "-o", "json").must(t)
		var list []map[string]any
		if err := json.Unmarshal([]byte(r.out), &list); err != nil {
			t.Errorf("ls %s: %v", kind, err)
		}
		if kind == "links" && !strings.Contains(r.out, `"lo"`) {
			t.Errorf("ls links does not show lo:\n%s", r.out)
		}
	}
}

// TestBadInput: one line on standard error, status 2, and no change.
func TestBadInput(t *testing.T) {
	lines := []string{
		"create bridge web --containers 2 --subnet 172.18.0.1/24",
		"create bridge web --containers 2 --subnet 10.10.0.0/16",
		"create bridge web --containers 0 --subnet 172.18.0.0/24",
		"create bridge web --containers 2 --subnet 172.18.0.0/30",
		"create bridge web --containers x --subnet 172.18.0.0/24",
		"create bridge web --subnet 172.18.0.0/24 --publish 0:80",
		"create bridge web --subnet 172.18.0.0/24 --publish 65536:80",
		"create bridge web --subnet 172.18.0.0/24 --publish 8080:80 --publish 8080:81",
		"create bridge up0 --subnet 172.18.0.0/24",
		"create bridge a-very-long-name --subnet 172.18.0.0/24",
		"create bridge --subnet 172.18.0.0/24",
		"create bridge web --subnet 172.18.0.0/24 --no-such-flag",
		"create bridge web --subnet 172.18.0.0/24 -o xml",
		"create bridgee web", "create", "creat bridge web", "ls linkz", "ls", "delete", "delete nothing", "publish nothing 8080:80",
		"ping nonsense", "get -n nowhere http://10.10.0.1/", "capture nowhere:lo", "capture host:nothing", "capture", "demo nothing",
		"sandbox --no-such-flag", "undo x", "help nosuch", "help create bridgee", "create host h --port 0", "apply /", "apply nosuch.yaml",
	}
	var script strings.Builder
	script.WriteString("before=$(ip -o link; ip netns; nft list ruleset)\n")
	for _, l := range lines {
		script.WriteString("echo '# " + l + "' >&2; vethscope " + l + " >/dev/null; echo \"$?\"\n")
	}
	script.WriteString("[ \"$before\" = \"$(ip -o link; ip netns; nft list ruleset)\" ] || echo changed\n")
	tool(t, "ip", "nft")
	r := inSandbox(t, script.String()).must(t)
	statuses := strings.Fields(r.out)
	said := strings.Split(r.errout, "# ")[1:]
	if len(statuses) != len(lines) || len(said) != len(lines) {
		t.Fatalf("statuses %v, want %d:\n%s", statuses, len(lines), r.errout)
	}
	for i, l := range lines {
		words, message, _ := strings.Cut(said[i], "\n")
		if words != l || statuses[i] != "2" || strings.TrimSpace(message) == "" || !oneLine(message) {
			t.Errorf("%s: status %s, said %q; want 2 and one line", l, statuses[i], message)
		}
	}
}

// TestNearest: a slip is answered with what was meant.
func TestNearest(t *testing.T) {
	for args, want := range map[string]string{"creat": "create", "create bridg web": "bridge", "ls linkz": "links", "demo na": "nat"} {
		if r := vethscope(t, strings.Fields(args)...); r.status != 2 || !strings.Contains(r.errout, want) {
			t.Errorf("%s: %q does not name %q", args, r.errout, want)
		}
	}
}

// TestLifeOfANetwork: what we make, other programs see, and it works.
func TestLifeOfANetwork(t *testing.T) {
	tool(t, "ip", "nft")
	r := inSandbox(t, `set -e
		vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --ipv6 fd18::/64 --publish 8080:80 --publish 8081:80@2
		echo == ; ip -n web-2 -br addr show eth0; ip -br link show master web; nft list ruleset
		echo == ; vethscope ls rules -o json
		echo == ; vethscope serve -n web-1 80 & vethscope serve -n web-2 80 & sleep 0.5
		for url in http://10.10.0.1:8080/ http://10.10.0.1:8081/ 'http://[fd10:10::1]:8080/'; do vethscope get -n outside $url; done
		vethscope get http://10.10.0.1:8080/
		vethscope ping -c 1 -n web-1 10.10.0.2
		vethscope ping -c 1 -n web-1 fd10:10::2
		vethscope ping -c 1 -n web-1 172.18.0.3
		vethscope publish web 8082:80@2
		vethscope get -n outside http://10.10.0.1:8082/
		vethscope undo
		if vethscope get -n outside http://10.10.0.1:8082/ 2>/dev/null; then echo "8082 is still published"; exit 1; fi
		vethscope delete web
		kill %1 %2 2>/dev/null || true
		echo == ; ip netns; ip -br link; nft list ruleset; sysctl net.ipv4.ip_forward; ls /run/vethscope/journal`).must(t)
	parts := strings.Split(r.out, "==\n")
	if len(parts) != 5 {
		t.Fatalf("%d parts:\n%s", len(parts), r.out)
	}
	for _, want := range []string{"172.18.0.3/24", "fd18::3/64", "v-web-1", "v-web-2", "dnat ip to 172.18.0.2:80", "dnat ip6 to [fd18::3]:80", "masquerade"} {
		if !strings.Contains(parts[1], want) {
			t.Errorf("ip and nft do not see %q:\n%s", want, parts[1])
		}
	}
	var rules []struct {
		NAT string
	}
	if err := json.Unmarshal([]byte(parts[2]), &rules); err != nil || len(rules) != 13 {
		t.Errorf("ls rules: %d rules, %v; want 13\n%s", len(rules), err, parts[2])
	}
	if n := strings.Count(parts[3], "10.10.0.2"); n < 3 {
		t.Errorf("the containers did not see the client's own address:\n%s", parts[3])
	}
	for _, gone := range []string{"web", "vethscope", "masquerade", "ip_forward = 1", ".jsonl"} {
		if strings.Contains(parts[4], gone) {
			t.Errorf("after delete there is still %q:\n%s", gone, parts[4])
		}
	}
}

func TestDryRunAndScript(t *testing.T) {
	tool(t, "ip", "nft")
	r := inSandbox(t, `set -e
		create='vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --publish 8080:80'
		before=$(ip -o link; ip netns; nft list ruleset)
		$create --dry-run; $create --dry-run -o json >/dev/null
		$create -o sh > /run/web.sh
		[ "$before" = "$(ip -o link; ip netns; nft list ruleset)" ]
		sh -e /run/web.sh
		vethscope serve -n web-1 80 & sleep 0.5
		vethscope get -n outside http://10.10.0.1:8080/`).must(t)
	for _, want := range []string{"ip netns add web-1", "nothing was changed", "web-1"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
}

// rewrite is one line of `demo -o json`.
type rewrite struct {
	Time      time.Time
	Flow      int
	Direction string
	Protocol  string
	Before    map[string]any
	After     map[string]any
	Changed   []string
	Rule      *struct {
		Engine, Table, Chain, Text string
		Handle                     int
	}
}

// TestDemoNAT: without any other program, in under 5 seconds, as a user who has
// nothing.
func TestDemoNAT(t *testing.T) {
	cmd := exec.Command(binary, "demo", "nat", "-o", "json")
	if os.Geteuid() == 0 {
		tool(t, "setpriv")
		setpriv, _ := exec.LookPath("setpriv")
		cmd = exec.Command(setpriv, "--reuid=65534", "--regid=65534", "--clear-groups", binary, "demo", "nat", "-o", "json")
	}
	cmd.Env = []string{"PATH=/nonexistent"}
	cmd.Dir = "/"
	r := command(t, cmd).must(t)
	if r.took > 5*time.Second {
		t.Errorf("took %v", r.took)
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(r.out), "\n") {
		var w rewrite
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if w.Rule == nil || w.Rule.Handle == 0 || w.Rule.Engine != "nft" {
			t.Errorf("no rule named: %s", line)
			continue
		}
		kind := "?"
		for _, k := range []string{"dnat", "masquerade"} {
			if strings.Contains(w.Rule.Text, k) {
				kind = k
			}
		}
		for _, c := range w.Changed {
			seen[strings.Join([]string{w.Protocol, w.Direction, kind, c}, " ")] = true
		}
		if w.Before["point"] == w.After["point"] || len(w.Changed) == 0 {
			t.Errorf("not a rewrite: %s", line)
		}
	}
	for _, want := range []string{
		"tcp original dnat dst", "tcp original dnat ttl", "tcp reply dnat src",
		"icmp original masquerade src", "icmp original masquerade ttl", "icmp reply masquerade dst",
	} {
		if !seen[want] {
			t.Errorf("%q was not shown; seen: %v", want, seen)
		}
	}
}

// TestCaptureFile: Wireshark reads what we write, with a name for every point.
func TestCaptureFile(t *testing.T) {
	tool(t, "tshark")
	dir := t.TempDir()
	file := filepath.Join(dir, "nat.pcapng")
	inSandbox(t, `set -e
		vethscope create bridge web --containers 1 --subnet 172.18.0.0/24 --publish 8080:80
		vethscope serve -n web-1 80 & sleep 0.3
		vethscope capture host:up0 web-1:eth0 --for 1500ms -w `+file+` & sleep 0.7
		vethscope get -n outside http://10.10.0.1:8080/
		wait %2`).must(t)
	out, err := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.interface_name", "-e", "ip.dst", "-e", "tcp.dstport", "-Y", "http.request").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"host:up0\t10.10.0.1\t8080", "web-1:eth0\t172.18.0.2\t80"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("tshark does not see %q:\n%s", want, out)
		}
	}
}

// TestUnprivilegedHost: an ordinary user sees his own machine, and what he may
// not do is said in one line.
func TestUnprivilegedHost(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("already an ordinary user: TestReadingNeedsNothing is the same")
	}
	tool(t, "setpriv")
	nobody := func(args ...string) result {
		t.Helper()
		setpriv, _ := exec.LookPath("setpriv")
		cmd := exec.Command(setpriv, append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", binary}, args...)...)
		cmd.Dir = "/"
		return command(t, cmd)
	}
	for _, kind := range []string{"links", "routes"} {
		if r := nobody("ls", kind, "-o", "wide").must(t); !strings.Contains(r.out, "lo ") {
			t.Errorf("ls %s:\n%s%s", kind, r.out, r.errout)
		}
	}
	if r := nobody("capture", "host:lo"); r.status != 3 || !oneLine(r.errout) {
		t.Errorf("capture: status %d, %q; want 3 and one line", r.status, r.errout)
	}
	for _, line := range []string{"create bridge web --subnet 172.31.250.0/24", "sysctl set net.ipv4.ip_forward=1", "apply bridge", "clean", "undo"} {
		r := nobody(append(strings.Fields(line), "--host")...)
		if r.status != 3 || r.out != "" || !oneLine(r.errout) || !strings.Contains(r.errout, "CAP_NET_ADMIN") || !strings.Contains(r.errout, "vethscope sandbox") {
			t.Errorf("%s --host: status %d, %q, %q; want 3 and one line that says what to do", line, r.status, r.out, r.errout)
		}
	}
}
