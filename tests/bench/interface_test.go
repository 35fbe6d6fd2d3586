package bench

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// screen is the interface on a terminal of its own.
type screen struct {
	t    testing.TB
	cmd  *exec.Cmd
	pty  *os.File
	mu   sync.Mutex // guards emu
	emu  *vt.Emulator
	done sync.WaitGroup
}

// show starts the interface in a namespace.
func show(t testing.TB, ns string, args ...string) *screen {
	t.Helper()
	const w, h = 140, 50
	s := &screen{t: t, cmd: exec.Command(program, args...), emu: vt.NewEmulator(w, h)}
	s.cmd.Env = append(os.Environ(), "TERM=xterm-256color")
	if err := netns.Do(netns.Path(ns), func() (err error) {
		s.pty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: h, Cols: w})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	s.done.Go(func() { _, _ = io.Copy(s.pty, s.emu) }) // answers to its questions
	s.done.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := s.pty.Read(buf)
			s.mu.Lock()
			_, _ = s.emu.Write(buf[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	})
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		_ = s.pty.Close()
		_ = s.emu.InputPipe().(io.Closer).Close()
		s.done.Wait()
	})
	return s
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ansi.Strip(s.emu.Render())
}

// wait returns how long it took until ok.
func (s *screen) wait(what string, ok func(text string) bool) time.Duration {
	s.t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		text := s.text()
		if ok(text) {
			return time.Since(began)
		}
		if time.Since(began) > 20*time.Second {
			s.t.Fatalf("waited in vain for %s:\n%s", what, text)
		}
	}
}

func (s *screen) waitFor(word string) time.Duration {
	s.t.Helper()
	return s.wait(word, func(text string) bool { return strings.Contains(text, word) })
}

func (s *screen) key(keys ...string) {
	for _, k := range keys {
		if _, err := io.WriteString(s.pty, k); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// watched is what the interface did with what was sent.
type watched struct {
	sample
	slowest time.Duration // from a key to the screen, meanwhile
	text    string
}

var pointCount = regexp.MustCompile(`host:eth0 (\d+)`)

// watchInterface lets the interface show packets while o is sent.
func watchInterface(t testing.TB, o order) (out watched) {
	t.Helper()
	s := show(t, "to", "--here")
	s.waitFor(" namespaces ·")
	s.key("2", "/", "e", "t", "h", "0")
	s.waitFor("1 of ")
	s.key("\r", "c")
	s.waitFor("● capturing")
	s.waitFor("memory ") // that of the store: it is open
	began := cpuTime(s.cmd.Process.Pid)
	keys := make(chan struct{})
	go func() {
		defer close(keys)
		for range 5 {
			time.Sleep(o.For / 10)
			_, _ = io.WriteString(s.pty, "?")
			out.slowest = max(out.slowest, s.waitFor("Help: Capture"))
			_, _ = io.WriteString(s.pty, "q")
			out.slowest = max(out.slowest, s.wait("the end of help", func(text string) bool { return !strings.Contains(text, "Help: Capture") }))
		}
	}()
	sent := send(t, "from", o)
	<-keys
	time.Sleep(time.Second) // what is on its way
	out.sent, out.cpu = sent.Sent, cpuTime(s.cmd.Process.Pid)-began
	text := s.text()
	out.text = text
	m := pointCount.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no count on the screen:\n%s", text)
	}
	out.seen, _ = strconv.Atoi(m[1])
	return out
}

// TestInterfaceSeesWhatIsSent proves that what is measured does what it claims.
func TestInterfaceSeesWhatIsSent(t *testing.T) {
	build(t)
	wire(t)
	r := watchInterface(t, order{Link: "eth0", Rate: 5000, For: 2 * time.Second})
	if r.sent == 0 || r.seen != r.sent || r.cpu <= 0 || r.slowest <= 0 {
		t.Errorf("%d of %d packets were seen, %v of a processor; keys within %v", r.seen, r.sent, r.cpu, r.slowest)
		t.Log(r.text)
	}
}

// BenchmarkInterface measures the interface itself, as it shows packets, beside
// `tcpdump -n`, and how long a key took at most to have its effect on the screen.
func BenchmarkInterface(b *testing.B) {
	build(b)
	o := order{Link: "eth0", For: period()}
	for _, o.Rate = range rates {
		b.Run(rateName(o.Rate), func(b *testing.B) {
			var cost, got, keys, ratios []float64
			for range rounds() {
				b.Run("", func(b *testing.B) {
					wire(b)
					r := watchInterface(b, o)
					cost, got = append(cost, r.perPacket()), append(got, r.captured())
					keys = append(keys, ms(r.slowest))
				})
				if installed("tcpdump") {
					b.Run("", func(b *testing.B) {
						wire(b)
						ratios = append(ratios, measureWatcher(b, watchers[2], o).perPacket()/cost[len(cost)-1])
					})
				}
			}
			fmt.Printf("%-14s interface %8.3f us a packet  %6.2f %% captured  keys within %.0f ms", strings.TrimPrefix(b.Name(), "Benchmark"),
				middle(cost), middle(got), middle(keys))
			if len(ratios) > 0 {
				fmt.Printf("  %s takes %.2f x of that", watchers[2].name, middle(ratios))
			}
			fmt.Println()
		})
	}
}

// longFile is a pcap file of n packets of the wire.
func longFile(t testing.TB, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "long.pcap")
	b := []byte{0x4d, 0x3c, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0}
	le := binary.LittleEndian
	kinds := packets()
	for i := range n {
		p := kinds[i%len(kinds)]
		b = le.AppendUint32(le.AppendUint32(b, uint32(1_700_000_000+i/100_000)), uint32(i%100_000*10_000))
		b = append(le.AppendUint32(le.AppendUint32(b, uint32(len(p))), uint32(len(p))), p...)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// BenchmarkOpenFile measures from the start of the program until packets of a
// file of a million are on the screen, and until all of them are known, beside
// the time that tshark takes to go through them.
func BenchmarkOpenFile(b *testing.B) {
	build(b)
	sandboxtest.NS(b, "to")
	path := longFile(b, 1_000_000)
	var first, all, ratios []float64
	for range rounds() {
		b.Run("", func(b *testing.B) {
			began := time.Now()
			s := show(b, "to", "open", path)
			s.waitFor("Len=22")
			first = append(first, ms(time.Since(began)))
			s.waitFor("1000000 packets")
			all = append(all, ms(time.Since(began)))
			_ = unix.Kill(s.cmd.Process.Pid, unix.SIGTERM)
		})
		if installed("tshark") {
			began := time.Now()
			if err := exec.Command("tshark", "-n", "-r", path).Run(); err != nil {
				b.Fatal(err)
			}
			ratios = append(ratios, ms(time.Since(began))/all[len(all)-1])
		}
	}
	fmt.Printf("OpenFile       first packets after %.0f ms, all 1,000,000 after %.0f ms", middle(first), middle(all))
	if len(ratios) > 0 {
		fmt.Printf("  tshark takes %.0f x of that", middle(ratios))
	}
	fmt.Println()
}
