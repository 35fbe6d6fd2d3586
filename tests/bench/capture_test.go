package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/capture"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// watcher is one way to watch the wire.
type watcher struct {
	name    string
	program string // that must be installed; "vethscope" is built; "" for a role
	role    string // of this test binary
	several bool   // a shell starts several
	args    func(dir string) []string
	ready   time.Duration // from opening the socket until it is at work
	// seen reads how many packets it has captured, from what it wrote until the
	// moment when its time was taken, and until it ended.
	seen func(out *output) (int, error)
}

// output is what a watcher has written.
type output struct {
	stdout, stderr *lines
	printed        int // lines, by the time that counts
	dir            string
}

var watchers = []watcher{
	{name: "vethscope", role: "watch", seen: ours},
	{name: "tcpdump -w /dev/null", program: "tcpdump", ready: 300 * time.Millisecond, seen: said(`(\d+) packets? captured`),
		args: func(string) []string { return []string{"-i", "eth0", "-w", "/dev/null"} }},
	{name: "tcpdump -n", program: "tcpdump", ready: 300 * time.Millisecond, seen: said(`(\d+) packets? captured`),
		args: func(string) []string { return []string{"-n", "-i", "eth0"} }},
	{name: "dumpcap", program: "dumpcap", ready: 300 * time.Millisecond, seen: said(`received/dropped on interface .*?: (\d+)/`),
		args: func(dir string) []string { return []string{"-q", "-i", "eth0", "-w", filepath.Join(dir, "dumpcap")} }},
	{name: "tshark -n", program: "tshark", ready: time.Second, seen: counted,
		args: func(string) []string { return []string{"-n", "-l", "-i", "eth0"} }},
}

func said(pattern string) func(*output) (int, error) {
	re := regexp.MustCompile(pattern)
	return func(out *output) (int, error) {
		all, sum := re.FindAllStringSubmatch(out.stderr.all(), -1), 0
		for _, m := range all {
			n, err := strconv.Atoi(m[1])
			if err != nil {
				return 0, err
			}
			sum += n
		}
		if all == nil {
			return 0, fmt.Errorf("no count in %q", out.stderr.all())
		}
		return sum, nil
	}
}

func counted(out *output) (int, error) { return out.printed, nil }

func ours(out *output) (int, error) {
	r, err := out.report()
	return r.Captured, err
}

func (out *output) report() (r watchReport, err error) {
	return r, json.Unmarshal([]byte(out.stdout.last()), &r)
}

// sample is what one watcher has done with what was sent.
type sample struct {
	sent, seen int
	cpu        time.Duration
	part       float64     // of the packets, that cpu was used for; 0 for all
	report     watchReport // of ours
}

// perPacket is in microseconds.
func (s sample) perPacket() float64 {
	return float64(s.cpu.Nanoseconds()) / 1000 / float64(max(s.seen, 1)) / cmp.Or(s.part, 1)
}
func (s sample) captured() float64 { return 100 * float64(s.seen) / float64(max(s.sent, 1)) }

// scene is where a watcher watches.
type scene struct {
	path  string // of the namespace of the links
	links int    // that are watched
	// enter brings the links into the namespace that a process has of its own.
	enter func(t testing.TB, pid int)
	from  string // path of the namespace that is sent from; "" is the same
}

// measureWatcher lets a watcher watch the wire while o is sent.
func measureWatcher(t testing.TB, w watcher, o order) sample {
	t.Helper()
	dir := t.TempDir()
	cmd, err := w.command(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return measureScene(t, w, cmd, scene{path: netns.Path("to"), links: 1, enter: moveWire, from: netns.Path("from")}, dir, o)
}

// measureScene lets cmd watch while o is sent.
func measureScene(t testing.TB, w watcher, cmd *exec.Cmd, at scene, dir string, o order) sample {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, errs := pipes(t, cmd)
	if err := start(at.path, watcherCPU, cmd); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := readLines(out), readLines(errs)
	if w.program == "tcpdump" {
		at.path = fmt.Sprintf("/proc/%d/ns/net", cmd.Process.Pid)
		at.enter(t, cmd.Process.Pid)
		_, _ = io.WriteString(stdin, "go\n")
	}
	for deadline := time.Now().Add(20 * time.Second); sockets(t, at.path) < at.links; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not begin: %s", w.name, stderr.all())
		}
	}
	time.Sleep(w.ready)
	if w.role != "" {
		<-stdout.first
	}
	from, before := cmp.Or(at.from, at.path), 0
	if o.Warm > 0 {
		warm := o
		warm.For = o.Warm
		before = sendBy(t, from, "send", warm).Sent
	}
	began := cpuTree(cmd.Process.Pid)
	report := sendBy(t, from, "send", o)
	time.Sleep(time.Second) // what is on its way
	used := cpuTree(cmd.Process.Pid) - began
	all := &output{stdout: stdout, stderr: stderr, printed: stdout.count(), dir: dir}
	end(cmd, w, stdin)
	<-stdout.done
	<-stderr.done
	_ = cmd.Wait() // tshark's status is that of its signal
	seen, err := w.seen(all)
	if err != nil {
		t.Fatalf("%s: %v: %s", w.name, err, stderr.all())
	}
	s := sample{sent: (before + report.Sent) * at.links, seen: seen, cpu: used, part: float64(report.Sent) / float64(before+report.Sent)}
	if w.role != "" {
		s.report, _ = all.report()
	}
	return s
}

// end asks a watcher to end.
func end(cmd *exec.Cmd, w watcher, stdin io.Closer) {
	switch {
	case w.role != "":
		_ = stdin.Close()
	case w.program == "tshark": // it would go on for a minute with what it has not shown yet
		killTree(cmd.Process.Pid)
	case w.several: // each is asked by itself; the shell only waits
		for _, child := range children(cmd.Process.Pid) {
			_ = unix.Kill(child, unix.SIGTERM)
		}
	default:
		_ = cmd.Process.Signal(unix.SIGINT)
	}
}

func (w watcher) command(t testing.TB, dir string) (*exec.Cmd, error) {
	switch {
	case w.role != "":
		return role(w.role, watchOrder{Points: []capture.Point{{NS: "to", Link: "eth0"}}})
	case w.program == "vethscope":
		return exec.Command(program, w.args(dir)...), nil
	}
	tool := sandboxtest.Tool(t, w.program)
	if w.program != "tcpdump" {
		return exec.Command(tool, w.args(dir)...), nil
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { null.Close() })
	cmd := exec.Command("sh", append([]string{"-c", `read go; exec "$@"`, "sh", tool}, w.args(dir)...)...)
	cmd.Stdout = null
	cmd.SysProcAttr = ordinary()
	return cmd, nil
}

// ordinary makes a process an ordinary user with what tcpdump needs, in a network
// namespace where that counts: as root it wants to become somebody else, and there
// is nobody else in a sandbox.
func ordinary() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_NET_RAW, unix.CAP_NET_ADMIN},
	}
}

// TestWatchersSeeWhatIsSent proves that what is measured does what it claims.
func TestWatchersSeeWhatIsSent(t *testing.T) {
	for _, w := range watchers {
		t.Run(w.name, func(t *testing.T) {
			if w.program != "" && w.program != "vethscope" {
				sandboxtest.Tool(t, w.program)
			}
			wire(t)
			s := measureWatcher(t, w, order{Link: "eth0", Rate: 2000, For: 300 * time.Millisecond})
			// On a machine that is too busy packets may be dropped, but not in silence.
			if s.sent == 0 || s.seen+s.report.Dropped+s.report.Overrun != s.sent || s.cpu <= 0 {
				t.Errorf("%d of %d packets, %v of a processor; %+v", s.seen, s.sent, s.cpu, s.report)
			}
		})
	}
}

// rates are packets a second; 0 is the most that the machine sends.
var rates = []int{100_000, 400_000, 0}

// BenchmarkCapture watches one wire with every tool, in rounds with the tools
// shuffled, and tells the median of what each took for a packet, what part of
// what was sent it saw, and the median of how many times more it took than we.
// Ours decodes, keeps 100,000 packets and draws a screen.
func BenchmarkCapture(b *testing.B) { compare(b, watchers) }

// BenchmarkSave does the same for packets that are written to a file, by the
// program itself. What counts as captured is what stands in the file.
func BenchmarkSave(b *testing.B) {
	build(b)
	compare(b, savers)
}

func compare(b *testing.B, watchers []watcher) {
	for _, rate := range rates {
		b.Run(rateName(rate), func(b *testing.B) {
			all := map[string][]sample{}
			for range rounds() {
				for _, i := range rand.Perm(len(watchers)) {
					w := watchers[i]
					if w.program != "" && !installed(w.program) {
						continue
					}
					b.Run("", func(b *testing.B) {
						wire(b)
						all[w.name] = append(all[w.name], measureWatcher(b, w, order{Link: "eth0", Rate: rate, For: period(), Warm: warmUp(rate)}))
					})
				}
			}
			report(b, watchers, all)
		})
	}
}

func rateName(rate int) string {
	if rate == 0 {
		return "max"
	}
	return fmt.Sprint(rate/1000, "k")
}

// rounds is how often everything is measured, period for how long each time.
func rounds() int {
	if n, err := strconv.Atoi(os.Getenv("VETHSCOPE_BENCH_ROUNDS")); err == nil {
		return n
	}
	return 5
}

func period() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("VETHSCOPE_BENCH_PERIOD")); err == nil {
		return d
	}
	return 3 * time.Second
}

// warmUp is how long it takes until a store of 100,000 packets is full: from there
// on a capture costs what it costs for as long as it runs.
func warmUp(rate int) time.Duration {
	return 1200 * time.Millisecond * 100_000 / time.Duration(max(rate, 100_000))
}

func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil || program == "vethscope"
}

// report prints a table. The ratios are taken round by round; the first of the
// tools is ours.
func report(b *testing.B, watchers []watcher, all map[string][]sample) {
	own := all[watchers[0].name]
	for i, w := range watchers {
		samples := all[w.name]
		if len(samples) == 0 {
			b.Logf("%-22s is not installed", w.name)
			continue
		}
		var cost, got, ratios []float64
		for i, s := range samples {
			cost, got = append(cost, s.perPacket()), append(got, s.captured())
			ratios = append(ratios, s.perPacket()/own[i].perPacket())
		}
		fmt.Printf("%-14s %-22s %8.3f us a packet  %6.2f %% captured  %7.2f x vethscope\n",
			strings.TrimPrefix(b.Name(), "Benchmark"), w.name, middle(cost), middle(got), middle(ratios))
		if i == 0 {
			b.ReportMetric(middle(cost), "us/packet")
			b.ReportMetric(middle(got), "%captured")
		}
	}
}

func middle(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
