package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestSlowReaderOfACapture: who cannot keep up misses packets, and is told how
// many.
func TestSlowReaderOfACapture(t *testing.T) {
	tool(t, "bash")
	r := inSandbox(t, `set -e; cd `+t.TempDir()+`; ip link set lo up
		{ vethscope capture host:lo --keep 200 --snaplen 60 -f 'udp dst port 9' --for 4s; } 2>told | { sleep 3; cat; } >shown &
		sleep 1
		bash -c 'for i in {1..20000}; do echo x >/dev/udp/127.0.0.1/9; done' 2>/dev/null || true
		wait $!
		grep -c ' udp ' shown; cat told`).must(t)
	m := regexp.MustCompile(`(?s)^(\d+)\nhost:lo: (\d+) packets, 0 dropped by the kernel, 0 overrun\n(\d+) packets skipped: `).FindStringSubmatch(r.out)
	if m == nil {
		t.Fatalf("told %q", r.out)
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1])
	}
	if shown, seen, skipped := n[0], n[1], n[2]; shown+skipped != seen || shown == 0 || skipped == 0 {
		t.Errorf("%d shown and %d skipped of %d", shown, skipped, seen)
	}
	for _, args := range []string{"--keep -1", "--keep 1000001", "--snaplen -1", "--snaplen 262145"} {
		r := vethscope(t, append([]string{"capture", "host:lo"}, strings.Fields(args)...)...)
		if r.status != 2 || !oneLine(r.errout) {
			t.Errorf("%s: status %d, %q", args, r.status, r.errout)
		}
	}
}
