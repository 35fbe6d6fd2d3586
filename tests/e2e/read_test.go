package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// natFiles are captures of one request through a published port, at both ends.
func natFiles(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	inSandbox(t, `set -e; cd `+dir+`
		vethscope create bridge web --containers 1 --subnet 172.18.0.0/24 --publish 8080:80
		vethscope serve -n web-1 80 & sleep 0.3
		vethscope capture host:up0 web-1:eth0 --for 3s -w nat.pcapng >live.txt & one=$!
		vethscope capture host:up0 --for 3s -w nat.pcap >/dev/null & two=$!
		vethscope capture host:up0 web-1:eth0 --for 3s --rewrites -w long.pcapng --rotate-size 20KB --rotate-count 2 >/dev/null & three=$!
		sleep 1
		for i in 1 2 3 4 5 6 7 8 9 10; do vethscope get -n outside http://10.10.0.1:8080/ >/dev/null; done
		wait $one $two $three`).must(t)
	return dir
}

// TestReadFile: a file tells what its capture told, and explains itself.
func TestReadFile(t *testing.T) {
	tool(t, "tshark")
	dir := natFiles(t)
	file := filepath.Join(dir, "nat.pcapng")
	r := vethscope(t, "read", file, "--rewrites", "-o", "json").must(t)
	seen := map[string]int{}
	lines := bufio.NewScanner(strings.NewReader(r.out))
	for lines.Scan() {
		var w rewrite
		if err := json.Unmarshal(lines.Bytes(), &w); err != nil {
			t.Fatalf("%v in %s", err, lines.Text())
		}
		for _, c := range w.Changed {
			seen[w.Direction+" "+c]++
		}
	}
	if seen["original dst"] < 10 || seen["reply src"] < 10 {
		t.Errorf("rewrites in the file: %v", seen)
	}
	if r := vethscope(t, "read", file).must(t); !strings.Contains(r.out, "comment  rewritten: dst 10.10.0.1:8080 -> 172.18.0.2:80") ||
		!strings.Contains(r.out, "by rule nft ") {
		t.Errorf("the comments are not shown:\n%s", r.out)
	}
	if r := vethscope(t, "read", file, "-c", "3").must(t); len(strings.Split(strings.TrimSpace(r.out), "\n")) < 3 {
		t.Errorf("-c 3 shows\n%s", r.out)
	}
	if r := vethscope(t, "read", file, "-f", "rewritten and tcp[tcpflags] & tcp-syn != 0").must(t); strings.Count(r.out, "[SYN") != 20 || strings.Contains(r.out, "GET /") {
		t.Errorf("-f shows\n%s", r.out)
	}
	if r := vethscope(t, "read", file, "-f", "udp and tcp").must(t); r.out != "" {
		t.Errorf("-f shows what cannot be\n%s", r.out)
	}
	about := vethscope(t, "read", file, "--about").must(t).out
	for _, want := range []string{"interface host:up0", "interface web-1:eth0", "== rules ==", "dnat ip to 172.18.0.2:80", "== links ==", "v-web-1"} {
		if !strings.Contains(about, want) {
			t.Errorf("the file does not tell of %q:\n%s", want, about)
		}
	}
	out, err := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.comment", "-Y", "tcp.flags.syn==1").Output()
	if err != nil || !strings.Contains(string(out), "rewritten: dst 10.10.0.1:8080 -> 172.18.0.2:80") || !strings.Contains(string(out), "undoing rule") {
		t.Errorf("tshark sees the comments %q, %v", out, err)
	}
}

// TestReadOtherFiles: classic pcap, rotated files, damaged ones, and none.
func TestReadOtherFiles(t *testing.T) {
	tool(t, "tshark")
	dir := natFiles(t)
	classic := filepath.Join(dir, "nat.pcap")
	if head, err := os.ReadFile(classic); err != nil || !bytes.HasPrefix(head, []byte{0x4d, 0x3c, 0xb2, 0xa1}) {
		t.Errorf("nat.pcap is no pcap file: %v", err)
	}
	if r := vethscope(t, "read", classic).must(t); !strings.Contains(r.out, "GET / HTTP/1.1") || !strings.Contains(r.out, "file:0") {
		t.Errorf("read nat.pcap:\n%s", r.out)
	}
	parts, err := filepath.Glob(filepath.Join(dir, "long_*.pcapng"))
	if err != nil || len(parts) != 2 {
		t.Errorf("rotated files %v, %v; want 2", parts, err)
	}
	for _, p := range parts {
		if r := vethscope(t, "read", p, "-o", "json").must(t); !strings.Contains(r.out, `"protocol":"tcp"`) {
			t.Errorf("read %s:\n%s", p, r.out)
		}
		if out, err := exec.Command("tshark", "-r", p).CombinedOutput(); err != nil {
			t.Errorf("tshark -r %s: %v\n%s", p, err, out)
		}
	}
	whole, err := os.ReadFile(filepath.Join(dir, "nat.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.pcapng")
	if err := os.WriteFile(cut, whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	r := vethscope(t, "read", cut)
	if r.status != 1 || !oneLine(r.errout) || !strings.Contains(r.errout, "damaged at byte ") || !strings.Contains(r.out, "GET / HTTP/1.1") {
		t.Errorf("cut file: status %d, %q", r.status, r.errout)
	}
	text := filepath.Join(dir, "live.txt")
	for args, want := range map[string]int{"read /nonexistent": 2, "read": 2, "read " + text: 1, "read " + classic + " -o xml": 2, "read " + classic + " -f tcpp": 2} {
		if r := vethscope(t, strings.Fields(args)...); r.status != want || !oneLine(r.errout) {
			t.Errorf("%s: status %d, %q; want %d and one line", args, r.status, r.errout, want)
		}
	}
}

// TestCaptureFileFlags: what cannot be is refused before anything is done.
func TestCaptureFileFlags(t *testing.T) {
	for _, args := range []string{
		"--format pcap", "-w x --format snoop", "-w x --rotate-count 2", "-w x --rotate-size 10MX", "-w x --rotate-size -5", "-w x --rotate-size 1MB --rotate-count -1",
	} {
		r := vethscope(t, append([]string{"capture", "host:lo"}, strings.Fields(args)...)...)
		if r.status != 2 || !oneLine(r.errout) {
			t.Errorf("capture %s: status %d, %q; want 2 and one line", args, r.status, r.errout)
		}
	}
}
