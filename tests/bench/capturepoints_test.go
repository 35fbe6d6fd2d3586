package bench

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"vethscope/capture"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// chain is pairs of links, joined by bridges. Every packet that is sent at its
// beginning passes the eight points between the ends. (At the first link it is not
// seen: the sender goes past the queue, and past who looks there.)
var (
	chain       = strings.Fields("s0 a0 b0 b1 c0 c1 d0 d1 e0 e1")
	chainPoints = chain[1:9]
)

// makeChain makes them in a namespace, silent but for us.
func makeChain(t testing.TB, path string) {
	t.Helper()
	ip := sandboxtest.Tool(t, "ip")
	if err := netns.Do(path, func() error {
		var lines []string
		for i := 0; i < len(chain); i += 2 {
			lines = append(lines, "link add "+chain[i]+" type veth peer name "+chain[i+1])
		}
		for i := 1; i < len(chain)-1; i += 2 {
			lines = append(lines, fmt.Sprintf("link add br%d type bridge mcast_snooping 0", i),
				fmt.Sprintf("link set %s master br%d", chain[i], i), fmt.Sprintf("link set %s master br%d", chain[i+1], i))
		}
		cmd := exec.Command(ip, "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(lines, "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		// Bridges shall only pass on what they get.
		_ = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0o644)
		all, err := os.ReadDir("/proc/thread-self/net/dev_snmp6")
		for _, link := range all {
			_ = os.WriteFile("/proc/sys/net/ipv6/conf/"+link.Name()+"/disable_ipv6", []byte("1"), 0o644)
			if out, err := exec.Command(ip, "link", "set", link.Name(), "up").CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// chainWatchers see one flow at eight points.
var chainWatchers = []watcher{
	{name: "vethscope", role: "watch", seen: ours},
	{name: "8 x tcpdump -n", program: "tcpdump", several: true, ready: time.Second, seen: said(`(\d+) packets? captured`)},
}

// measureChain is measureWatcher with eight points.
func measureChain(t testing.TB, w watcher, o order) sample {
	t.Helper()
	path := netns.Path(sandboxtest.NS(t, "chain"))
	at := scene{path: path, links: len(chainPoints), enter: func(t testing.TB, pid int) {
		makeChain(t, fmt.Sprintf("/proc/%d/ns/net", pid))
	}}
	if w.role == "" {
		script := `read go; for link do ` + sandboxtest.Tool(t, w.program) + ` -n -i $link >/dev/null & done; wait; wait`
		cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, chainPoints...)...)
		cmd.SysProcAttr = ordinary()
		return measureScene(t, w, cmd, at, "", o)
	}
	makeChain(t, path)
	var points []capture.Point
	for _, link := range chainPoints {
		points = append(points, capture.Point{NS: "chain", Link: link})
	}
	cmd, err := role(w.role, watchOrder{Points: points})
	if err != nil {
		t.Fatal(err)
	}
	return measureScene(t, w, cmd, at, "", o)
}

// TestChainIsSeen: eight points see every packet, in one order of time.
func TestChainIsSeen(t *testing.T) {
	for _, w := range chainWatchers {
		t.Run(w.name, func(t *testing.T) {
			if w.program != "" {
				sandboxtest.Tool(t, w.program)
			}
			s := measureChain(t, w, order{Link: chain[0], Rate: 2000, For: 300 * time.Millisecond})
			if s.sent == 0 || s.seen+s.report.Dropped+s.report.Overrun != s.sent || s.report.Inversions != 0 {
				t.Errorf("%d of %d packets; %+v", s.seen, s.sent, s.report)
			}
		})
	}
}

// BenchmarkEightPoints watches one flow at eight points: with one session that
// keeps and shows the packets, and with eight tcpdumps.
func BenchmarkEightPoints(b *testing.B) {
	all := map[string][]sample{}
	for range rounds() {
		for _, i := range rand.Perm(len(chainWatchers)) {
			w := chainWatchers[i]
			if w.program != "" && !installed(w.program) {
				continue
			}
			b.Run("", func(b *testing.B) {
				all[w.name] = append(all[w.name], measureChain(b, w, order{Link: chain[0], Rate: 30_000, For: period(), Warm: warmUp(0)}))
			})
		}
	}
	report(b, chainWatchers, all)
	inversions := 0
	for _, s := range all[chainWatchers[0].name] {
		inversions += s.report.Inversions
	}
	fmt.Printf("EightPoints    vethscope              %d inversions of time\n", inversions)
}

// idlePoints are watched while nothing happens.
const idlePoints = 32

// BenchmarkIdlePoints tells what part of the machine goes into watching 32 points
// where nothing happens: what we use, and how much less of the machine is idle,
// kernel included, than in the same time before.
func BenchmarkIdlePoints(b *testing.B) {
	sandboxtest.NS(b, "idle")
	var o watchOrder
	for i := range idlePoints / 2 {
		names := [2]string{fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)}
		sandboxtest.Run(b, "idle", "ip", "link", "add", names[0], "type", "veth", "peer", "name", names[1])
		for _, link := range names {
			sandboxtest.Run(b, "idle", "ip", "link", "set", link, "up")
			o.Points = append(o.Points, capture.Point{NS: "idle", Link: link})
		}
	}
	time.Sleep(3 * time.Second) // links that come up have things to tell each other
	var own, machine []float64
	for range rounds() {
		used, before, during := idleRound(b, o)
		own, machine = append(own, 100*used), append(machine, 100*(during-before))
	}
	fmt.Printf("IdlePoints     %d points: %.2f %% of the machine by vethscope, %.2f %% with the kernel's timers\n",
		idlePoints, middle(own), middle(machine))
}

// idleRound is what a watcher used, and how busy the machine was before and during
// that, all as parts of the machine.
func idleRound(b *testing.B, o watchOrder) (used, before, during float64) {
	b.Helper()
	before = busy(b, period())
	cmd, err := role("watch", o)
	if err != nil {
		b.Fatal(err)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, _ := pipes(b, cmd)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stdout := readLines(out)
	<-stdout.first
	time.Sleep(time.Second)
	began, at := cpuTree(cmd.Process.Pid), time.Now()
	during = busy(b, period())
	used = float64(cpuTree(cmd.Process.Pid)-began) / float64(time.Since(at)) / float64(runtime.NumCPU())
	_ = stdin.Close()
	<-stdout.done
	_ = cmd.Wait()
	return used, before, during
}

// busy is what part of the machine is not idle in the next d (proc_stat(5)).
func busy(b *testing.B, d time.Duration) float64 {
	b.Helper()
	idle := func() float64 {
		text, err := os.ReadFile("/proc/stat")
		if err != nil {
			b.Fatal(err)
		}
		line, _, _ := strings.Cut(string(text), "\n")
		ticks, err := strconv.ParseFloat(strings.Fields(line)[4], 64)
		if err != nil {
			b.Fatal(err)
		}
		return ticks / 100 // USER_HZ
	}
	began, at := idle(), time.Now()
	time.Sleep(d)
	return 1 - (idle()-began)/time.Since(at).Seconds()/float64(runtime.NumCPU())
}

// BenchmarkLatency tells how long a packet takes from the sender to the summary in
// the store, at low rates and with jitter.
func BenchmarkLatency(b *testing.B) {
	for _, rate := range []int{50, 500, 5000} {
		var p50, p99 []float64
		for range rounds() {
			b.Run("", func(b *testing.B) {
				wire(b)
				cmd, err := role("watch", watchOrder{Points: []capture.Point{{NS: "to", Link: "eth0"}}, Latency: true})
				if err != nil {
					b.Fatal(err)
				}
				s := measureScene(b, watchers[0], cmd, scene{path: netns.Path("to"), links: 1, from: netns.Path("from")}, "",
					order{Link: "eth0", Rate: rate, For: period(), Jitter: true})
				p50, p99 = append(p50, ms(s.report.P50)), append(p99, ms(s.report.P99))
			})
		}
		fmt.Printf("Latency        %5d packets a second: %.2f ms median, %.2f ms p99 from wire to summary\n", rate, middle(p50), middle(p99))
	}
}
