package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// -f EXPR -d prints what tcpdump prints, and captures nothing.
func TestFilterDump(t *testing.T) {
	tool(t, "tcpdump")
	const expr = "tcp dst port 80 and not src host 10.0.0.1"
	for _, flag := range []string{"-d", "-ddd"} {
		ours := vethscope(t, "capture", "-f", "tcp port 80", flag).must(t)
		theirs, err := exec.Command("tcpdump", "-y", "EN10MB", flag, "tcp port 80").Output()
		if err != nil {
			t.Fatal(err)
		}
		if ours.out != string(theirs) || ours.errout != "" {
			t.Errorf("%s:\n%s%s\ntcpdump:\n%s", flag, ours.out, ours.errout, theirs)
		}
	}
	if r := vethscope(t, "capture", "-f", expr, "-d", "host:nosuch").must(t); !strings.Contains(r.out, "ret      #262144") {
		t.Errorf("%s", r.out)
	}
}

// A filter that cannot be compiled ends with 2 and names the column.
func TestBadFilter(t *testing.T) {
	for _, args := range [][]string{
		{"-f", "tcp por 80", "host:lo"}, {"-f", "tcp por 80", "-d"}, {"-f", "tcp por 80", "nosuch:link"},
	} {
		r := vethscope(t, append([]string{"capture"}, args...)...)
		if r.status != 2 || !oneLine(r.errout) || !strings.Contains(r.errout, `column 5, "por"`) || r.out != "" {
			t.Errorf("%v: exit %d, %q", args, r.status, r.errout)
		}
	}
	if r := vethscope(t, "capture", "-f", "tcp", "-dd"); r.status != 2 || !oneLine(r.errout) {
		t.Errorf("-dd: exit %d, %q", r.status, r.errout)
	}
}

// The kernel drops what the filter refuses.
func TestCaptureFilter(t *testing.T) {
	r := inSandbox(t, `vethscope capture host:up0 -f 'icmp[icmptype] = icmp-echo' --for 3s -o json &
		sleep 1; vethscope ping 10.10.0.2 >/dev/null 2>&1; wait`).must(t)
	requests, all := strings.Count(r.out, "Echo (ping) request"), strings.Count(r.out, "\n")
	if requests == 0 || requests != all {
		t.Errorf("%d requests among %d packets:\n%s%s", requests, all, r.out, r.errout)
	}
}
