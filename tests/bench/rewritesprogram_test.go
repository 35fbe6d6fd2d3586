package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/capture"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// witnessMain sees what comes out of the router, until standard input ends, and
// reports the source of each datagram by its number: what the program under test
// says is held against it.
func witnessMain(string) error {
	point := afterNAT
	point.Path = netns.Path(point.NS)
	s, err := capture.Open(context.Background(), []capture.Point{point}, capture.Options{Snaplen: 128})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	var w witness
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Seen = map[int]netip.AddrPort{}
		for serial := uint64(0); s.Store().Wait(context.Background(), serial); serial++ {
			if rec, ok := s.Store().Record(serial + 1); !ok {
				w.Lost++
			} else if n, now, ok := readPayload(rec.Data); ok {
				w.Seen[n] = now.src
				w.Packets++
			}
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Stop()
	<-done
	w.Lost += int(s.Stats()[0].Dropped + s.Stats()[0].Overrun)
	s.Close()
	return json.NewEncoder(os.Stdout).Encode(w)
}

// witness is what witnessMain reports.
type witness struct {
	Seen    map[int]netip.AddrPort
	Packets int
	Lost    int
}

// startWitness starts one; the caller asks it to report.
func startWitness(t testing.TB) (report func() witness) {
	t.Helper()
	cmd, err := role("witness", nil)
	if err != nil {
		t.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(stdout)
	if _, err := out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return func() (w witness) {
		_ = stdin.Close()
		if err := json.NewDecoder(out).Decode(&w); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		return w
	}
}

// buildProgram makes the program as it is delivered.
func buildProgram(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vethscope")
	build := exec.Command(sandboxtest.Tool(t, "go"), "build", "-o", path, "vethscope/cmd/vethscope")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// runProgram lets `vethscope capture --rewrites` tell of the load.
func runProgram(t testing.TB, path string, o flowOrder) (r *truth, unnamed int) {
	t.Helper()
	o.MAC = natLoad(t)
	report := startWitness(t)
	out := memory(t)
	defer out.Close()
	before := sockets(t, netns.Path(afterNAT.NS))
	cmd := exec.Command(path, "capture", beforeNAT.String(), afterNAT.String(), "--rewrites", "-o", "json")
	cmd.Stdout = out
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stderr := readLines(errs)
	for deadline := time.Now().Add(20 * time.Second); sockets(t, netns.Path(afterNAT.NS)) == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the program does not begin: %s", stderr.all())
		}
	}
	time.Sleep(100 * time.Millisecond)
	began := cpuTime(cmd.Process.Pid)
	sent := sendFlows(t, o)
	time.Sleep(500 * time.Millisecond)
	used := cpuTime(cmd.Process.Pid) - began
	_ = cmd.Process.Signal(unix.SIGINT)
	<-stderr.done
	if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 130 { // ended by the signal, in good order
		t.Errorf("%v: %s", cmd.ProcessState, stderr.all())
	}
	w := report()
	r = &truth{sent: sent.Sent, arrived: w.Packets, told: make([]uint8, o.Flows)}
	unnamed = r.read(t, out, w)
	r.lost += w.Lost + saidLost(stderr.all())
	r.events = strings.Count(stderr.all(), "conntrack events")
	t.Logf("%v of CPU in %v; %s", used, sent.Elapsed, stderr.all())
	return r, unnamed
}

var lostWords = regexp.MustCompile(`(\d+) (?:dropped by the kernel|overrun|packets skipped)`)

// saidLost adds up what the program says that it lost.
func saidLost(stderr string) (n int) {
	for _, m := range lostWords.FindAllStringSubmatch(stderr, -1) {
		for _, text := range m[1:] {
			k, _ := strconv.Atoi(text)
			n += k
		}
	}
	return n
}

// memory is a file that no disk slows down.
func memory(t testing.TB) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("rewrites", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fd), "rewrites")
}

// read checks what the program wrote, and counts what has no rule.
func (r *truth) read(t testing.TB, in *os.File, w witness) (unnamed int) {
	t.Helper()
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bufio.NewReader(in))
	for d.More() {
		var c capture.Rewrite
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		if c.Rule == nil {
			unnamed++
		}
		src, err := netip.ParseAddrPort(c.Before.Src)
		if err != nil {
			t.Fatal(err)
		}
		a := src.Addr().As4()
		n := int(src.Port()-20000)<<16 | int(a[2])<<8 | int(a[3])
		seen, ok := w.Seen[n]
		before := datagramOf(n)
		after := datagram{seen, netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 18, 0, 2}), before.dst.Port())}
		switch {
		case n >= len(r.told) || c.Before.Src != before.src.String() || c.Before.Dst != before.dst.String():
			r.fail("not of the load", &c)
		case !ok:
			r.lost++ // nobody can tell
		case c.After.Src != after.src.String() || c.After.Dst != after.dst.String():
			r.fail("other addresses", &c)
		case int(r.told[n]) == copies(n):
			r.fail("told too often", &c)
		default:
			r.told[n]++
			r.right++
		}
	}
	return unnamed
}

// TestProgramTellsNewFlowsRight: all that the program itself tells of 10,000 new
// flows a second, and by which rules.
func TestProgramTellsNewFlowsRight(t *testing.T) {
	r, unnamed := runProgram(t, buildProgram(t), flowOrder{Link: "eth0", Rate: 10_000, Flows: 30_000})
	t.Log(r)
	r.expect(t)
	if unnamed > 0 && r.events == 0 {
		t.Errorf("%d have no rule", unnamed)
	}
}

// BenchmarkNewFlows prints what part of new flows is told right, and by the
// program itself.
func BenchmarkNewFlows(b *testing.B) {
	path := buildProgram(b)
	for _, rate := range []int{10_000, 50_000} {
		o := flowOrder{Link: "eth0", Rate: rate, Flows: 5 * rate}
		b.Run("engine/"+rateName(rate), func(b *testing.B) {
			for range rounds() {
				b.Run("", func(b *testing.B) { fmt.Println(b.Name(), engine(b, o)) })
			}
		})
		b.Run("program/"+rateName(rate), func(b *testing.B) {
			for range rounds() {
				b.Run("", func(b *testing.B) {
					r, unnamed := runProgram(b, path, o)
					fmt.Println(b.Name(), r, unnamed, "without a rule")
				})
			}
		})
	}
}
