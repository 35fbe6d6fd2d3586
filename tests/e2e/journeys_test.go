package e2e

import (
	"encoding/json"
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
	for _, args := range []string{"capture --all nosuch", "capture --all -n nosuch", "capture -n host host:lo", "capture --all -n host web",
		"capture host:lo --journeys --rewrites"} {
		if r := vethscope(t, strings.Fields(args)...); r.status != 2 || !oneLine(r.errout) {
			t.Errorf("%s: status %d, %q", args, r.status, r.errout)
		}
	}
}
