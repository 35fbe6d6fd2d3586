package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// journey is a line of `capture --journeys -o json`.
type journey struct {
	Direction, Protocol, Info string
	Matched                   bool
	Hops                      []struct {
		Point, Src, Dst string
		Changed         []string
		Rules           []struct{ NS, Chain, Text string }
		Encapsulation   string
	}
}

// journeysOf reads JSON lines; what a file cannot know, or numbers in another
// order, is left out.
func journeysOf(t *testing.T, path string) map[string]map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		var j map[string]any
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		delete(j, "flow")
		key := fmt.Sprint(j["time"], j["info"])
		for i, h := range j["hops"].([]any) {
			hop := h.(map[string]any)
			delete(hop, "rules")
			delete(hop, "comment")
			if i == 0 {
				key += fmt.Sprint(hop["point"], hop["src"], hop["dst"])
			}
		}
		if out[key] != nil {
			t.Errorf("%s: two journeys are called %s", path, key)
		}
		out[key] = j
	}
	return out
}

// TestReadJourneys: a file tells the journeys that its capture told, through a
// tunnel and through NAT.
func TestReadJourneys(t *testing.T) {
	dir := t.TempDir()
	inSandbox(t, `set -e; cd `+dir+`
		vethscope create overlay red --hosts 2 --subnet 10.0.1.0/24 --vni 4097
		vethscope create bridge web --containers 1 --subnet 172.31.0.0/24 --publish 8080:80
		vethscope serve -n web-1 80 & serving=$!
		sleep 0.3
		vethscope capture --all red --journeys -o json --for 3s -w red.pcapng >red.live & one=$!
		vethscope capture --all web --journeys -o json --for 3s -w web.pcapng >web.live & two=$!
		sleep 1
		vethscope ping -n red-a1 10.0.1.3 -c 2
		vethscope get -n outside http://10.10.0.1:8080/
		vethscope ping -n web-1 10.10.0.2 -c 1
		wait $one $two
		kill $serving
		for f in red web; do vethscope read $f.pcapng --journeys -o json >$f.file; vethscope read $f.pcapng --journeys >$f.text; done
		vethscope read red.pcapng --journeys 2>&1 >/dev/null | grep 'packets belong to no flow, as ARP does'
		vethscope read red.pcapng --journeys -f 'icmp and vni 4097' -c 1 >some.text`).must(t)
	for _, name := range []string{"red", "web"} {
		live, file := journeysOf(t, filepath.Join(dir, name+".live")), journeysOf(t, filepath.Join(dir, name+".file"))
		for key, j := range live {
			if got := file[key]; !reflect.DeepEqual(got, j) {
				t.Errorf("%s: live\n%v\nand in the file\n%v", name, j, got)
			}
		}
		for key, j := range file {
			if live[key] == nil {
				t.Errorf("%s: only in the file: %v", name, j)
			}
		}
	}
	for name, want := range map[string][]string{
		"red":  {"put into vxlan 4097: 50 bytes more", "taken out of vxlan 4097", "in vxlan 4097 172."},
		"web":  {"changed dst 10.10.0.1:8080 → 172.31.0.2:80, ttl 64 → 63", "    comment  rewritten: dst 10.10.0.1:8080 -> 172.31.0.2:80", "changed src 172.31.0.2 → 10.10.0.1, ttl 64 → 63"},
		"some": {" 1. flow ", "Echo (ping) request", "in vxlan 4097 172."},
	} {
		text, err := os.ReadFile(filepath.Join(dir, name+".text"))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			if !strings.Contains(string(text), w) {
				t.Errorf("%s: no %q in\n%s", name, w, text)
			}
		}
		if strings.Contains(string(text), "\n 2. ") == (name == "some") {
			t.Errorf("%s: the number of journeys in\n%s", name, text)
		}
	}
}

// TestJourneysInTrouble: what is lost on its way is seen to end, what is sent
// again is told apart, and a refusal belongs to what it refuses.
func TestJourneysInTrouble(t *testing.T) {
	tool(t, "nft")
	tool(t, "bash")
	out := inSandbox(t, `set -e
		vethscope create bridge web --containers 1 --subnet 172.31.0.0/24 --publish 8080:80 >/dev/null
		nft add table inet trouble
		nft 'add chain inet trouble f { type filter hook forward priority 0; }'
		nft add rule inet trouble f tcp dport 80 drop
		nft add rule inet trouble f udp dport 7000 reject
		vethscope capture --all web --journeys --for 5s -f 'tcp or icmp or udp' 2>/dev/null & one=$!
		sleep 1
		timeout 2 vethscope get -n outside http://10.10.0.1:8080/ >/dev/null 2>&1 || true
		vethscope exec web-1 -- bash -c 'echo question >/dev/udp/10.10.0.2/7000'
		wait $one`).must(t).out
	one := func(begin string) string {
		i := strings.Index(out, begin)
		if i < 0 {
			t.Fatalf("no %q in\n%s", begin, out)
		}
		text, _, _ := strings.Cut(out[i:], "\n\n")
		return text
	}
	if first := one("flow 1, tcp, original"); strings.Contains(first, "again") || !strings.Contains(first, "seen here only") || !strings.Contains(first, "host:up0 ") {
		t.Errorf("the first attempt:\n%s", first)
	}
	if n := strings.Count(out, "a retransmission: the same was sent 1."); n != 1 {
		t.Errorf("%d retransmissions after a second:\n%s", n, out)
	}
	refused, refusal := one("flow 2, udp, original"), one("flow 2, icmp, reply")
	if !strings.Contains(refused, "host:web ") || strings.Contains(refused, "host:up0 ") {
		t.Errorf("what is refused:\n%s", refused)
	}
	if !strings.Contains(refusal, "about    udp 172.31.0.2:") || !strings.Contains(refusal, "web-1:eth0 ") {
		t.Errorf("the refusal:\n%s", refusal)
	}
}

// TestCaptureJourneys: one request through a published port, with every point
// on its way, all of which `--all NETWORK` finds.
func TestCaptureJourneys(t *testing.T) {
	out := inSandbox(t, `set -e
		vethscope create bridge web --containers 1 --subnet 172.18.0.0/24 --publish 8080:80 >/dev/null
		vethscope serve -n web-1 80 >/dev/null & serving=$!
		sleep 0.3
		vethscope capture --all web --journeys -f 'tcp' -o json --for 2s 2>/dev/null & one=$!
		vethscope capture --all -n web-1 -f 'tcp' --journeys --for 2s >text 2>/dev/null & two=$!
		sleep 1
		vethscope get -n outside http://10.10.0.1:8080/ >/dev/null
		wait $one $two
		echo; cat text; rm text
		kill $serving`).must(t).out
	lines, text, _ := strings.Cut(out, "\n\n")
	requests := 0
	for _, line := range strings.Split(strings.TrimSpace(lines), "\n") {
		var j journey
		if err := json.Unmarshal([]byte(line), &j); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		var points []string
		for _, h := range j.Hops {
			points = append(points, h.Point)
		}
		way := strings.Join(points, " ")
		if j.Info != "GET / HTTP/1.1" {
			continue
		}
		requests++
		if way != "host:up0 host:web host:v-web-1 web-1:eth0" || !j.Matched || j.Direction != "original" {
			t.Errorf("the request went %s", way)
		}
		if h := j.Hops[1]; h.Dst != "172.18.0.2:80" || len(h.Rules) != 1 || !strings.Contains(h.Rules[0].Text, "dnat") || len(j.Hops[2].Rules) != 0 {
			t.Errorf("what became of the request: %+v", j.Hops)
		}
	}
	if requests != 1 {
		t.Errorf("%d requests in\n%s", requests, out)
	}
	if !strings.Contains(text, "web-1:eth0 in ") || !strings.Contains(text, "seen here only") {
		t.Errorf("the namespace's own journeys:\n%s", text)
	}
}

func TestCaptureAllRefusals(t *testing.T) {
	for _, args := range []string{"read x.pcapng --journeys --rewrites", "capture --all nosuch", "capture --all -n nosuch", "capture -n host host:lo", "capture --all -n host web",
		"capture host:lo --journeys --rewrites"} {
		if r := vethscope(t, strings.Fields(args)...); r.status != 2 || !oneLine(r.errout) {
			t.Errorf("%s: status %d, %q", args, r.status, r.errout)
		}
	}
}

// A lab's name stands for all of its networks.
func TestCaptureAllOfALab(t *testing.T) {
	r := vethscope(t, "sandbox", "--", "sh", "-ec", `
		vethscope apply two-networks >/dev/null
		vethscope ls networks
		vethscope ls networks -n front-2 -o json
		vethscope capture --all two-networks --for 300ms >/dev/null
		vethscope delete -f two-networks >/dev/null
		vethscope ls networks`)
	if r.status != 0 {
		t.Fatalf("status %d: %s", r.status, r.errout)
	}
	for _, want := range []string{"front-1:eth0: ", "back-1:eth0: ", "host:front: ", "host:back: ", "host:up0: "} {
		if !strings.Contains(r.errout, want) {
			t.Errorf("no point %s in\n%s", want, r.errout)
		}
	}
	for _, want := range []string{"front  bridge", "back   bridge", `"name": "front"`} {
		if !strings.Contains(r.out, want) {
			t.Errorf("no %q in\n%s", want, r.out)
		}
	}
	if strings.Count(r.out, `"name": "back"`) > 0 || !strings.HasSuffix(r.out, "LAB\n") {
		t.Errorf("networks that should not be listed:\n%s", r.out)
	}
}
