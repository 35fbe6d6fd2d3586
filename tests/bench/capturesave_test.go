package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vethscope/capture"
	"vethscope/ops/sandbox/sandboxtest"
)

// savers are the ways to write what passes the wire to a file.
var savers = []watcher{
	{name: "vethscope -w", program: "vethscope", ready: 300 * time.Millisecond, seen: inFile,
		args: func(dir string) []string { return []string{"capture", "to:eth0", "-w", filepath.Join(dir, "file")} }},
	{name: "tcpdump -w", program: "tcpdump", ready: 300 * time.Millisecond, seen: inFile,
		args: func(dir string) []string { return []string{"-i", "eth0", "-w", filepath.Join(dir, "file")} }},
	{name: "dumpcap -w", program: "dumpcap", ready: 300 * time.Millisecond, seen: inFile,
		args: func(dir string) []string { return []string{"-q", "-i", "eth0", "-w", filepath.Join(dir, "file")} }},
}

// inFile counts the packets in the file.
func inFile(out *output) (int, error) {
	f, err := capture.OpenFile(filepath.Join(out.dir, "file"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	n := f.Index(-1)
	if d := f.Damage(); d != nil {
		return n, d
	}
	return n, nil
}

// TestSaversSaveWhatIsSent proves that what is measured does what it claims.
func TestSaversSaveWhatIsSent(t *testing.T) {
	build(t)
	for _, w := range savers {
		t.Run(w.name, func(t *testing.T) {
			if w.program != "vethscope" {
				sandboxtest.Tool(t, w.program)
			}
			wire(t)
			s := measureWatcher(t, w, order{Link: "eth0", Rate: 2000, For: 300 * time.Millisecond})
			if s.sent == 0 || s.seen != s.sent || s.cpu <= 0 {
				t.Errorf("%d of %d packets are in the file, %v of a processor", s.seen, s.sent, s.cpu)
			}
		})
	}
}

// program is vethscope as it is shipped, once build has built it.
var program string

func build(t testing.TB) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "vethscope")
	cmd := exec.Command(sandboxtest.Tool(t, "go"), "build", "-o", program, "vethscope/cmd/vethscope")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
