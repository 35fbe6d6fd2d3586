package bench

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/creack/pty"

	"vethscope/capture"
	"vethscope/ops/sandbox/sandboxtest"
)

// filePackets are in the file that is opened.
const filePackets = 1_000_000

// makeFile writes a file of n packets, 5 us apart.
func makeFile(t testing.TB, n int) string {
	t.Helper()
	at := capture.Point{NS: "to", Link: "eth0"}
	path := filepath.Join(t.TempDir(), "packets.pcapng")
	w, err := capture.CreateFile(path, []capture.Point{at}, capture.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all, began := packets(), time.Now()
	for i := range n {
		data := all[i%len(all)]
		rec := capture.Record{Point: at, Time: began.Add(time.Duration(i) * 5 * time.Microsecond), Length: len(data), Data: data}
		if err := w.Write(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// opened is how long it took from the start of a process until it showed the
// first packets, and until it knew all.
type opened struct{ first, all time.Duration }

// firstPacket is in the first line that is shown of the file.
const firstPacket = "10.1.0.1"

var escape = regexp.MustCompile(`\x1b\[[0-9;?]*[a-zA-Z]`)

// openInInterface opens a file in the terminal interface, in a terminal of its
// own, and looks at what is drawn.
func openInInterface(t testing.TB, path string, n int) (o opened) {
	t.Helper()
	cmd := exec.Command(program, "open", path)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	began := time.Now()
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 45, Cols: 160})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	known := fmt.Appendf(nil, "%d packets", n)
	var screen []byte
	for buf := make([]byte, 64<<10); o.all == 0; {
		if time.Since(began) > time.Minute {
			t.Fatalf("the file is not shown:\n%s", screen)
		}
		m, err := f.Read(buf)
		if err != nil {
			t.Fatalf("%v:\n%s", err, screen)
		}
		now := time.Since(began)
		answer(f, buf[:m])
		screen = append(screen, escape.ReplaceAll(buf[:m], nil)...)
		if o.first == 0 && bytes.Contains(screen, []byte(firstPacket)) {
			o.first = now
		}
		if o.first > 0 && bytes.Contains(screen, known) {
			o.all = now
		}
	}
	return o
}

// answer tells what a program asks of its terminal: the background, and where
// the cursor stands.
func answer(to io.Writer, asked []byte) {
	for question, reply := range map[string]string{"\x1b]11;?": "\x1b]11;rgb:0000/0000/0000\x1b\\", "\x1b[6n": "\x1b[1;1R"} {
		if bytes.Contains(asked, []byte(question)) {
			_, _ = io.WriteString(to, reply)
		}
	}
}

// openOnOutput runs a program that prints all of a file's packets.
func openOnOutput(t testing.TB, name string, args ...string) (o opened) {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(out, first); err != nil {
		t.Fatal(err)
	}
	o.first = time.Since(began)
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	o.all = time.Since(began)
	return o
}

var openers = []struct {
	name string
	open func(t testing.TB, path string, n int) opened
}{
	{"vethscope open", openInInterface},
	{"vethscope read --about", func(t testing.TB, path string, _ int) opened {
		return openOnOutput(t, program, "read", path, "--about")
	}},
	{"vethscope read -c 60", func(t testing.TB, path string, _ int) opened {
		return openOnOutput(t, program, "read", path, "-c", "60")
	}},
	{"tshark -r", func(t testing.TB, path string, _ int) opened {
		return openOnOutput(t, sandboxtest.Tool(t, "tshark"), "-n", "-r", path)
	}},
}

// TestOpenersShowTheFile proves that what is measured does what it claims.
func TestOpenersShowTheFile(t *testing.T) {
	build(t)
	path := makeFile(t, 1000)
	for _, o := range openers {
		t.Run(o.name, func(t *testing.T) {
			if d := o.open(t, path, 1000); d.first <= 0 || d.all < d.first {
				t.Errorf("first %v, all %v", d.first, d.all)
			}
		})
	}
}

// BenchmarkOpenFile opens a file of a million packets with every program, in
// rounds and shuffled, and tells the medians of the time from the start of the
// process until the first packets are shown, and until all are known, and the
// median of how many times longer that is than with our interface.
func BenchmarkOpenFile(b *testing.B) {
	build(b)
	path := makeFile(b, filePackets)
	all := make([][]opened, len(openers))
	for range rounds() {
		for _, i := range rand.Perm(len(openers)) {
			all[i] = append(all[i], openers[i].open(b, path, filePackets))
		}
	}
	for i, o := range openers {
		var first, whole, ratios []float64
		for n, d := range all[i] {
			first, whole = append(first, ms(d.first)), append(whole, ms(d.all))
			ratios = append(ratios, float64(d.all)/float64(all[0][n].all))
		}
		fmt.Printf("OpenFile       %-22s %8.1f ms to the first packets  %9.1f ms to all  %7.1f x vethscope open\n", o.name, middle(first), middle(whole), middle(ratios))
	}
}
