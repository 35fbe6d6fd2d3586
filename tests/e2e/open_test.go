package e2e

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOpenFile: a file is looked at without any privilege, and what was
// rewritten in it.
func TestOpenFile(t *testing.T) {
	dir := natFiles(t)
	s := open(t, 110, 30, "open", filepath.Join(dir, "nat.pcapng"))
	s.waitFor("■ file nat.pcapng", "host:up0", "web-1:eth0", "1 of ")
	s.keys("t", "enter")
	s.waitFor("10.10.0.1:8080 → 172.18.0.2:80", "rewritten: dst 10.10.0.1:8080 -> 172.18.0.2:80")
	s.keys("A")
	s.waitFor("About nat.pcapng", "Interface web-1:eth0", "vethscope capture at host:up0 web-1:eth0")
	s.keys("esc")
	s.waitGone("About nat.pcapng")
	s.keys("q")
	if got := s.status(); got != 0 {
		t.Errorf("status %d", got)
	}
	broken := filepath.Join(dir, "broken.pcap")
	if err := os.WriteFile(broken, []byte("no such thing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		status int
	}{{[]string{"open"}, 2}, {[]string{"open", filepath.Join(dir, "nat.pcapng")}, 2}} { // no terminal here
		if r := vethscope(t, c.args...); r.status != c.status || !oneLine(r.errout) {
			t.Errorf("%v: status %d, %q", c.args, r.status, r.errout)
		}
	}
	for path, status := range map[string]int{broken: 1, "/nonexistent.pcap": 2} {
		if got := open(t, 110, 30, "open", path).status(); got != status {
			t.Errorf("open %s: status %d, want %d", path, got, status)
		}
	}
}
