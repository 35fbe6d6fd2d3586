package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// wrapped is one line of `demo vxlan -o json`.
type wrapped struct {
	Time     time.Time
	Point    string
	Packet   string
	Length   int
	Overhead int
	VNI      int
	Outer    frame
	Inner    frame
	Path     []struct {
		Point  string
		Length int
		Tunnel string
	}
}

// frame is one packet of `capture -o json`.
type frame struct {
	Protocol, Src, Dst, Info string
	SrcMAC                   string `json:"src_mac"`
	DstMAC                   string `json:"dst_mac"`
	Length, TTL              int
	Inner                    *frame
}

// asNobody is the program with nothing but itself, as a user who has nothing.
func asNobody(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(binary, args...)
	if os.Geteuid() == 0 {
		tool(t, "setpriv")
		setpriv, _ := exec.LookPath("setpriv")
		cmd = exec.Command(setpriv, append([]string{"--reuid=65534", "--regid=65534", "--clear-groups", binary}, args...)...)
	}
	cmd.Env = []string{"PATH=/nonexistent"}
	cmd.Dir = "/"
	return cmd
}

// TestDemoVXLAN: a ping through a tunnel, outside and inside, in under 5
// seconds.
func TestDemoVXLAN(t *testing.T) {
	r := command(t, asNobody(t, "demo", "vxlan", "-o", "json")).must(t)
	if r.took > 5*time.Second {
		t.Errorf("took %v", r.took)
	}
	seen := map[string]int{}
	for _, line := range strings.Split(strings.TrimSpace(r.out), "\n") {
		var w wrapped
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		seen[w.Packet]++
		from, to := "10.0.1.2", "10.0.1.3"
		if w.Packet == "reply" {
			from, to = to, from
		}
		if w.Inner.Protocol != "icmp" || w.Inner.Src != from || w.Inner.Dst != to || !strings.Contains(w.Inner.Info, "Echo (ping) "+w.Packet) {
			t.Errorf("inside: %s", line)
		}
		if w.Outer.Protocol != "udp" || !strings.HasSuffix(w.Outer.Dst, ":4789") || strings.HasPrefix(w.Outer.Src, "10.0.1.") || w.VNI != 4097 {
			t.Errorf("outside: %s", line)
		}
		if w.Outer.SrcMAC == w.Inner.SrcMAC || w.Inner.SrcMAC == "" || w.Outer.DstMAC == "" {
			t.Errorf("addresses of Ethernet: %s", line)
		}
		if w.Overhead != 50 || w.Length != w.Inner.Length+50 || w.Outer.Length != w.Length {
			t.Errorf("lengths: %s", line)
		}
		if len(w.Path) != 4 || w.Path[0].Tunnel != "" || w.Path[1].Tunnel != "vxlan" || w.Path[2].Tunnel != "vxlan" || w.Path[3].Length != w.Inner.Length {
			t.Errorf("path: %s", line)
		}
		if w.Length == 1514 {
			seen["as long as the underlay's MTU lets it"]++
		}
	}
	if seen["request"] != 2 || seen["reply"] != 2 || seen["as long as the underlay's MTU lets it"] != 2 {
		t.Errorf("seen: %v; want two requests and their replies, one of each as long as can be", seen)
	}
}

func TestDemoVXLANExplains(t *testing.T) {
	r := command(t, asNobody(t, "demo", "vxlan")).must(t)
	for _, want := range []string{"outer  Ethernet", "UDP       ", " → 4789", "VNI 4097", "inner  Ethernet", "Echo (ping) request", "Echo (ping) reply",
		"1500 - 50 = 1450", "checksum"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if r.errout != "" {
		t.Errorf("said %q", r.errout)
	}
}

// TestDemosLeaveNothing: what a demonstration made in a sandbox is gone when it
// ends.
func TestDemosLeaveNothing(t *testing.T) {
	tool(t, "ip")
	r := inSandbox(t, `before=$(ip netns; ip -o link | cut -d@ -f1); vethscope demo vxlan --here >/dev/null || exit 1
		[ "$before" = "$(ip netns; ip -o link | cut -d@ -f1)" ] || { ip netns; ip -o link; exit 1; }`)
	r.must(t)
}

func TestDemoVXLANRefuses(t *testing.T) {
	for args, want := range map[string]int{"demo vxlan --here": 3, "demo vxlan --host": 2, "demo vxlan -o xml": 2, "demo vxlan x": 2} {
		if r := vethscope(t, strings.Fields(args)...); r.status != want || !oneLine(r.errout) {
			t.Errorf("%s: status %d, %q; want %d and one line", args, r.status, r.errout, want)
		}
	}
}
