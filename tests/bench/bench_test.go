// Package bench measures vethscope beside other programs. All that is compared is
// measured in the same run, and told as the median of the ratios of its rounds:
//
//	go test -run '^$' -bench Bridge ./tests/bench        a bridge network with NAT, made and taken back, beside a tutorial's script and CNI
//	go test -run '^$' -bench Capture ./tests/bench       the engine with store and screen, beside tcpdump, dumpcap and tshark
//	go test -run '^$' -bench Save ./tests/bench          capture -w, beside tcpdump -w and dumpcap
//	go test -run '^$' -bench EightPoints ./tests/bench   one flow at eight points, beside eight tcpdumps
//	go test -run '^$' -bench IdlePoints ./tests/bench    32 points where nothing happens
//	go test -run '^$' -bench Latency ./tests/bench       from the wire to the summary, at low rates with jitter
//	go test -run '^$' -bench Interface ./tests/bench     the interface itself, beside tcpdump -n
//	go test -run '^$' -bench OpenFile ./tests/bench      a file of a million packets, beside tshark
//
// VETHSCOPE_BENCH_ROUNDS is how often each is measured (5), VETHSCOPE_BENCH_PERIOD
// for how long (3s). With 1 and 2s all of the captures, Capture to OpenFile, take
// about three minutes; -benchtime 1x keeps the testing package from repeating what
// repeats itself. Sender and receiver have a processor each, 0 and 1: nothing else
// should run there.
//
// Nothing here fails for being slow. The tests only prove that what is measured
// really does what it claims.
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
			proofs(t, 2)
			p.tearDown(t, 2)
			if after := state(t); after != before {
				t.Errorf("something stayed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// proofs tries the first and the last of n containers.
func proofs(t testing.TB, n int) {
	t.Helper()
	for _, dst := range []string{address(n), gateway, strings.TrimSuffix(sandbox.OutsideAddr, "/24")} {
		r, err := probe.Ping(t.Context(), netns.Path(container(1)), netip.MustParseAddr(dst), probe.PingOptions{Count: 1, Timeout: 5 * time.Second})
		if err != nil || r.Received != 1 {
			t.Errorf("ping %s from %s: %+v, %v", dst, container(1), r, err)
		}
	}
	s, err := probe.Serve(t.Context(), netns.Path(container(n)), ":80", probe.ServeOptions{Name: container(n)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url := fmt.Sprintf("http://%s:%d/", strings.TrimSuffix(sandbox.HostAddr, "/24"), port(n))
	for _, from := range []string{sandbox.Outside, ""} {
		r, err := probe.Get(t.Context(), netns.Path(from), url, probe.GetOptions{})
		if err != nil || !strings.Contains(r.Body, container(n)) {
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

// BenchmarkBridge compares each peer with vethscope: both make the network and
// take it back in every round, by turns first, and what counts is the median of
// the rounds' ratios. So what else the machine does meanwhile hits both.
func BenchmarkBridge(b *testing.B) {
	own := newVethscope(b)
	for _, name := range names() {
		if name == "vethscope" {
			continue
		}
		b.Run(fmt.Sprintf("%s-%d", name, containers), func(b *testing.B) {
			peer := peers[name](b)
			var mine, theirs []times
			for round := range rounds() {
				if round%2 == 0 {
					mine = append(mine, measure(b, own))
				}
				theirs = append(theirs, measure(b, peer))
				if round%2 == 1 {
					mine = append(mine, measure(b, own))
				}
			}
			reportTimes(b, mine, theirs)
		})
	}
}

// reportTimes gives medians: of times, in milliseconds, and of how many times as long
// as vethscope the peer took.
func reportTimes(b *testing.B, mine, theirs []times) {
	for name, part := range map[string]func(times) time.Duration{
		"set-up":    func(t times) time.Duration { return t.up },
		"tear-down": func(t times) time.Duration { return t.down },
	} {
		var own, peer, slower []float64
		for i := range mine {
			own, peer = append(own, ms(part(mine[i]))), append(peer, ms(part(theirs[i])))
			slower = append(slower, peer[i]/own[i])
		}
		b.ReportMetric(middle(own), "own-ms/"+name)
		b.ReportMetric(middle(peer), "ms/"+name)
		b.ReportMetric(middle(slower), "x/"+name)
	}
	var share []float64
	for _, t := range mine {
		share = append(share, ms(t.down)/ms(t.up))
	}
	b.ReportMetric(middle(share), "own-tear-down/set-up")
	b.ReportMetric(0, "ns/op") // says nothing: it is the sum of all
}

// measure makes the network once, sees that it works, and takes it back.
func measure(b *testing.B, p peer) (t times) {
	settle()
	began := time.Now()
	p.setUp(b, containers)
	t.up = time.Since(began)
	proofs(b, containers)
	began = time.Now()
	p.tearDown(b, containers)
	t.down = time.Since(began)
	return t
}

// settle lets the kernel finish with the namespaces of the last round: it takes
// them apart in the background, holding locks that the next round needs.
func settle() { time.Sleep(time.Second) }

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
