// Package bench measures how long a bridge network with NAT takes to make and to
// take back: here, by the shell script of a tutorial, and by CNI's plugins as a
// container runtime would call them. All that is compared is measured in the
// same run:
//
//	go test -run '^$' -bench . ./tests/bench
//
// Nothing here fails for being slow. The tests only prove that what is measured
// really makes the network that it claims to make.
package bench

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"vethscope/ops/netns"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox"
	"vethscope/ops/sandbox/sandboxtest"
)

// containers is how many the benchmark's network has.
const containers = 50

// The network that every peer makes. Container i, from 1, is called bench-i, has
// the address gateway + i, and answers at port 80 what arrives at 8000 + i.
const (
	network = "bench"
	subnet  = "10.201.0.0/24"
	gateway = "10.201.0.1"
)

func TestMain(m *testing.M) { sandboxtest.MainWorld(m) }

func container(i int) string { return fmt.Sprintf("%s-%d", network, i) }
func address(i int) string   { return fmt.Sprintf("10.201.0.%d", i+1) }
func port(i int) int         { return 8000 + i }

// peer is one way to make the network and to take it back.
type peer interface {
	setUp(t testing.TB, n int)
	tearDown(t testing.TB, n int)
}

// peers makes one of each, or skips the test where a program is missing.
var peers = map[string]func(t testing.TB) peer{
	"vethscope": newVethscope,
	"script":    newScript,
	"cni":       newCNI,
}

func names() []string { return slices.Sorted(maps.Keys(peers)) }

// TestPeersMakeTheSameNetwork: containers reach each other and, by masquerading,
// the world; the world reaches them by published ports; and nothing stays.
func TestPeersMakeTheSameNetwork(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			p := peers[name](t)
			before := state(t)
			p.setUp(t, 2)
			proofs(t)
			p.tearDown(t, 2)
			if after := state(t); after != before {
				t.Errorf("something stayed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func proofs(t *testing.T) {
	t.Helper()
	for _, dst := range []string{address(2), gateway, strings.TrimSuffix(sandbox.OutsideAddr, "/24")} {
		r, err := probe.Ping(t.Context(), netns.Path(container(1)), netip.MustParseAddr(dst), probe.PingOptions{Count: 1, Timeout: 5 * time.Second})
		if err != nil || r.Received != 1 {
			t.Errorf("ping %s from %s: %+v, %v", dst, container(1), r, err)
		}
	}
	s, err := probe.Serve(t.Context(), netns.Path(container(2)), ":80", probe.ServeOptions{Name: container(2)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url := fmt.Sprintf("http://%s:%d/", strings.TrimSuffix(sandbox.HostAddr, "/24"), port(2))
	for _, from := range []string{sandbox.Outside, ""} {
		r, err := probe.Get(t.Context(), netns.Path(from), url, probe.GetOptions{})
		if err != nil || !strings.Contains(r.Body, container(2)) {
			t.Errorf("get %s from %q: %+v, %v", url, from, r, err)
		}
	}
}

// state is what a peer may leave behind. CNI's plugins leave their empty chains
// on purpose, for the next container; so rules count, and chains do not.
func state(t *testing.T) string {
	t.Helper()
	var lines []string
	for _, args := range []string{"ip -o link", "ip -o addr", "ip route", "ip netns", "iptables-save -t nat"} {
		words := strings.Fields(args)
		for line := range strings.Lines(sandboxtest.Run(t, "", words[0], words[1:]...)) {
			if words[0] == "iptables-save" && (!strings.HasPrefix(line, "-A") || strings.Contains(line, "CNI-")) {
				continue
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// times are those of one set-up with its tear-down.
type times struct{ up, down time.Duration }

// BenchmarkBridge prints for each peer how long it takes, and how many times as
// long as vethscope.
func BenchmarkBridge(b *testing.B) {
	taken := map[string]times{}
	for _, name := range names() {
		b.Run(fmt.Sprintf("%s-%d", name, containers), func(b *testing.B) {
			taken[name] = measure(b, peers[name](b))
		})
	}
	own, ok := taken["vethscope"]
	if !ok {
		return // left out by -bench
	}
	var table strings.Builder
	fmt.Fprintf(&table, "bridge network with NAT and %d published containers:\n", containers)
	for _, name := range names() {
		if t, ok := taken[name]; ok {
			fmt.Fprintf(&table, "%-10s set-up %7.1f ms, %5.1fx   tear-down %7.1f ms, %5.1fx\n", name,
				ms(t.up), ratio(t.up, own.up), ms(t.down), ratio(t.down, own.down))
		}
	}
	fmt.Fprintf(&table, "vethscope's tear-down takes %.2f of its set-up", ratio(own.down, own.up))
	b.Log(table.String())
}

// measure is the median of as many rounds as the benchmark asks for.
func measure(b *testing.B, p peer) times {
	var up, down []time.Duration
	for b.Loop() {
		began := time.Now()
		p.setUp(b, containers)
		made := time.Now()
		p.tearDown(b, containers)
		up, down = append(up, made.Sub(began)), append(down, time.Since(made))
		b.StopTimer()
		settle()
		b.StartTimer()
	}
	t := times{median(up), median(down)}
	b.ReportMetric(ms(t.up), "ms/set-up")
	b.ReportMetric(ms(t.down), "ms/tear-down")
	return t
}

// settle lets the kernel finish with the namespaces of the last round: it takes
// them apart in the background, holding locks that the next round needs.
func settle() { time.Sleep(300 * time.Millisecond) }

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64       { return float64(d) / float64(time.Millisecond) }
func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
