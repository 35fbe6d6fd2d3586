package inventory

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// deadline is how long a change may take to be seen. It takes some milliseconds;
// a loaded machine is not to fail the test.
const deadline = 5 * time.Second

// watch runs a Watcher for the length of the test and waits for its first
// snapshot.
func watch(t *testing.T, w *Watcher) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		for range w.Snapshots() { // is closed
		}
	})
	f := &follower{w: w}
	f.until(t, "the first snapshot", func(s *Snapshot) bool { return true })
	return f
}

// follower keeps the newest snapshot.
type follower struct {
	w    *Watcher
	last *Snapshot
}

// until receives snapshots until one is as wanted.
func (f *follower) until(t *testing.T, what string, wanted func(*Snapshot) bool) {
	t.Helper()
	timeout := time.After(deadline)
	for f.last == nil || !wanted(f.last) {
		select {
		case s, ok := <-f.w.Snapshots():
			if !ok {
				t.Fatalf("the watcher ended before %s was seen", what)
			}
			if f.last != nil && s.Serial <= f.last.Serial {
				t.Errorf("serial %d after %d", s.Serial, f.last.Serial)
			}
			f.last = s
		case <-timeout:
			t.Fatalf("%s was not seen within %v; the last snapshot has\n%s", what, deadline, outline(f.last))
		}
	}
}

// outline is a snapshot in a few lines.
func outline(s *Snapshot) string {
	if s == nil {
		return "not come"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "serial %d, warnings %q\n", s.Serial, s.Warnings)
	for _, n := range s.Namespaces {
		fmt.Fprintf(&b, "%s: %d routes, %d rules, links", n.Name, len(n.Routes), len(n.Rules))
		for _, l := range n.Links {
			fmt.Fprintf(&b, " %s %v", l.Name, cidrsOf(l))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func cidrsOf(l Link) []string {
	var out []string
	for _, a := range l.Addrs {
		out = append(out, a.CIDR)
	}
	return out
}

// quiet waits until nothing comes for as long as snapshots are held back, so that
// the next change is the first after a quiet time.
func (f *follower) quiet() {
	for {
		select {
		case s := <-f.w.Snapshots():
			f.last = s
		case <-time.After(2 * snapshotGap):
			return
		}
	}
}

func hasLink(ns, link string) func(*Snapshot) bool {
	return func(s *Snapshot) bool {
		n := s.Namespace(ns)
		return n != nil && n.Link(link) != nil
	}
}

func not(f func(*Snapshot) bool) func(*Snapshot) bool {
	return func(s *Snapshot) bool { return !f(s) }
}

func TestWatchLink(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	f := watch(t, NewWatcher())
	for _, ns := range []string{netns.Host, blue} {
		f.quiet()
		start := time.Now()
		ip(t, ns, "link", "add", "probe0", "type", "bridge")
		f.until(t, "the new link", hasLink(ns, "probe0"))
		t.Logf("%s: link added, seen %v after ip was started", ns, time.Since(start))
		ip(t, ns, "addr", "add", "10.1.1.1/24", "dev", "probe0")
		f.until(t, "the address", func(s *Snapshot) bool {
			addrs := s.Namespace(ns).Link("probe0").Addrs
			return len(addrs) > 0 && addrs[0].CIDR == "10.1.1.1/24"
		})
		ip(t, ns, "link", "set", "probe0", "up")
		f.until(t, "the route", func(s *Snapshot) bool {
			for _, r := range s.Namespace(ns).Routes {
				if r.Dst == "10.1.1.0/24" && r.Link == "probe0" {
					return true
				}
			}
			return false
		})
		ip(t, ns, "link", "set", "probe0", "down")
		ip(t, ns, "link", "set", "probe0", "name", "probe1")
		f.until(t, "the new name", hasLink(ns, "probe1"))
		ip(t, ns, "link", "del", "probe1")
		f.until(t, "the end of the link", not(hasLink(ns, "probe1")))
	}
}

// What was seen is what a fresh reading finds, whatever came in between.
func TestWatchEqualsCollect(t *testing.T) {
	blue, red := sandboxtest.NS(t, "blue"), sandboxtest.NS(t, "red")
	f := watch(t, NewWatcher())
	for i := range 20 {
		a, b := fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i)
		ip(t, blue, "link", "add", a, "type", "veth", "peer", "name", b, "netns", red)
		ip(t, blue, "link", "set", a, "up")
		if i%3 == 0 {
			ip(t, red, "link", "del", b)
		} else {
			ip(t, red, "addr", "add", fmt.Sprintf("10.9.%d.1/24", i), "dev", b)
		}
	}
	var want *Snapshot
	f.until(t, "what Collect finds", func(s *Snapshot) bool {
		want = collect(t)
		return reflect.DeepEqual(withoutProcesses(s), withoutProcesses(want))
	})
	if p := f.last.Namespace(blue).Link("a1").Peer; p == nil || p.NS != red || p.Link != "b1" {
		t.Errorf("blue:a1 has the peer %+v, want red:b1", p)
	}
}

// withoutProcesses leaves out what the watch learns of every two seconds only.
func withoutProcesses(s *Snapshot) []Namespace {
	var out []Namespace
	for _, n := range s.Namespaces {
		n.Processes = nil
		out = append(out, n)
	}
	return out
}

func TestWatchNamespace(t *testing.T) {
	f := watch(t, NewWatcher())
	for i := range 4 { // inodes and ids are used again
		f.quiet()
		start := time.Now()
		ip(t, "", "netns", "add", "fresh")
		f.until(t, "the namespace", func(s *Snapshot) bool { return s.Namespace("fresh") != nil })
		t.Logf("namespace added, seen %v after ip was started", time.Since(start))
		link := "in" + strconv.Itoa(i)
		ip(t, "fresh", "link", "add", link, "type", "bridge")
		f.until(t, "a link in it", hasLink("fresh", link))
		if n := f.last.Namespace("fresh"); len(n.Links) != 2 {
			t.Errorf("links of the new namespace: %+v, want lo and %s", n.Links, link)
		}
		ip(t, "", "netns", "del", "fresh")
		f.until(t, "its end", func(s *Snapshot) bool { return s.Namespace("fresh") == nil })
	}
}

// The name comes long before the namespace, and the directory is made anew: the
// watch waits for both.
func TestWatchSlowName(t *testing.T) {
	sandboxtest.NS(t, "other")
	f := watch(t, NewWatcher())
	path := netns.Path("slow")
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(path, unix.MNT_DETACH); os.Remove(path) })
	f.quiet()
	if n := f.last.Namespace("slow"); n != nil {
		t.Errorf("a stub is shown as %+v", n)
	}
	if err := unix.Mount(netns.Path("other"), path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := netns.Delete("other"); err != nil {
		t.Fatal(err)
	}
	f.until(t, "the namespace under its other name", func(s *Snapshot) bool { return s.Namespace("slow") != nil })
}

func TestWatchProcess(t *testing.T) {
	f := watch(t, NewWatcher())
	cmd := exec.Command(sandboxtest.Tool(t, "sleep"), "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	name := "pid:" + strconv.Itoa(cmd.Process.Pid)
	f.until(t, "the process's namespace", hasLink(name, "lo"))
	cmd.Process.Kill()
	cmd.Wait()
	f.until(t, "its end", func(s *Snapshot) bool { return s.Namespace(name) == nil })
}

// The links of both ends are read when the veth is made, and resolved although
// one namespace was not known yet.
func TestWatchPeer(t *testing.T) {
	f := watch(t, NewWatcher())
	blue := sandboxtest.NS(t, "blue")
	ip(t, "", "link", "add", "v0", "type", "veth", "peer", "name", "eth0", "netns", blue)
	f.until(t, "the peers", func(s *Snapshot) bool {
		if !hasLink(netns.Host, "v0")(s) || !hasLink(blue, "eth0")(s) {
			return false
		}
		out, in := s.Host().Link("v0").Peer, s.Namespace(blue).Link("eth0").Peer
		return out.NS == blue && out.Link == "eth0" && in.NS == netns.Host && in.Link == "v0" && s.Namespace(blue).NSID >= 0
	})
	ip(t, blue, "link", "set", "eth0", "name", "eth7")
	f.until(t, "the peer's new name", func(s *Snapshot) bool { return s.Host().Link("v0").Peer.Link == "eth7" })
	if err := netns.Delete(blue); err != nil {
		t.Fatal(err)
	}
	f.until(t, "the end of both", func(s *Snapshot) bool {
		return s.Namespace(blue) == nil && s.Host().Link("v0") == nil
	})
}

func TestWatchRules(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	w := NewWatcher()
	f := watch(t, w)
	f.quiet()
	sandboxtest.Run(t, blue, "nft", "add table ip t; add chain ip t c { type filter hook output priority 0; }; add rule ip t c counter")
	f.until(t, "the rule", func(s *Snapshot) bool { return len(s.Namespace(blue).Rules) == 1 })

	w.SetRulePolling(true)
	ip(t, blue, "link", "set", "lo", "up")
	sendDatagram(t, blue)
	f.until(t, "the counter", func(s *Snapshot) bool {
		c := s.Namespace(blue).Rules[0].Counter
		return c != nil && c.Packets > 0
	})
	w.SetRulePolling(false)

	sandboxtest.Run(t, blue, "nft", "flush", "ruleset")
	f.until(t, "the end of the rules", func(s *Snapshot) bool {
		n := s.Namespace(blue)
		return len(n.Rules) == 0 && len(n.Chains) == 0
	})
}

// sendDatagram sends one datagram to the namespace itself.
func sendDatagram(t *testing.T, ns string) {
	t.Helper()
	err := netns.Do(netns.Path(ns), func() error {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(s)
		return unix.Sendto(s, []byte("x"), 0, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// With next to no buffer the kernel drops events; what is shown in the end is
// right all the same.
func TestWatchResync(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	w := NewWatcher()
	w.buffer = 1 // the kernel makes it its least, 2304 bytes on amd64
	f := watch(t, w)
	var batch strings.Builder
	const many = 300
	for i := range many {
		fmt.Fprintf(&batch, "addr add 10.0.%d.%d/32 dev lo\n", i/250, i%250)
	}
	file := t.TempDir() + "/batch"
	if err := os.WriteFile(file, []byte(batch.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ip(t, blue, "-batch", file)
	f.until(t, "every address", func(s *Snapshot) bool { return len(s.Namespace(blue).Link("lo").Addrs) == many })
	if w.resyncs.Load() == 0 {
		t.Error("no event was dropped: the test shows nothing")
	}
}

// Watching must not keep a namespace alive: the far end of a veth goes only when
// the namespace really does.
func TestWatchHoldsNoNamespace(t *testing.T) {
	const few, many = 3, 40
	watcher := NewWatcher()
	f := watch(t, watcher)
	add := func(i int) {
		name := sandboxtest.NS(t, "held"+strconv.Itoa(i))
		ip(t, "", "link", "add", "h"+strconv.Itoa(i), "type", "veth", "peer", "name", "eth0", "netns", name)
	}
	for i := range few {
		add(i)
	}
	seen := func(n int) func(*Snapshot) bool {
		return func(s *Snapshot) bool {
			peer := s.Host().Link("h" + strconv.Itoa(n-1))
			return peer != nil && peer.Peer.Link == "eth0"
		}
	}
	f.until(t, "a few namespaces", seen(few))
	f.quiet()
	before := openFiles(t)
	for i := few; i < many; i++ {
		add(i)
	}
	f.until(t, "many namespaces", seen(many))
	f.quiet()
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open for %d namespaces, %d for %d", before, few, after, many)
	}
	for i := range many {
		if err := netns.Delete("held" + strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	f.until(t, "the end of every veth", func(s *Snapshot) bool {
		for i := range many {
			if s.Host().Link("h"+strconv.Itoa(i)) != nil {
				return false
			}
		}
		return len(s.Namespaces) == 1
	})
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// A snapshot that was handed out never changes.
func TestWatchSnapshotsAreImmutable(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	f := watch(t, NewWatcher())
	ip(t, blue, "link", "add", "a0", "type", "veth", "peer", "name", "a1")
	f.until(t, "the veth", hasLink(blue, "a1"))
	f.quiet()
	old := f.last
	text := fmt.Sprintf("%+v", withPeers(old))
	ip(t, blue, "link", "set", "a1", "name", "a2")
	ip(t, blue, "addr", "add", "10.0.0.1/8", "dev", "a0")
	f.until(t, "the new name", hasLink(blue, "a2"))
	if now := fmt.Sprintf("%+v", withPeers(old)); now != text {
		t.Errorf("an old snapshot was %s and became %s", text, now)
	}
}

// withPeers lets fmt see behind the pointers.
func withPeers(s *Snapshot) []any {
	out := []any{s.Namespaces}
	for _, n := range s.Namespaces {
		for _, l := range n.Links {
			if l.Peer != nil {
				out = append(out, *l.Peer)
			}
		}
	}
	return out
}

// At most 10 snapshots a second come, however fast things change.
func TestWatchCoalesces(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	f := watch(t, NewWatcher())
	f.quiet()
	first, start := f.last.Serial, time.Now()
	for i := 0; time.Since(start) < time.Second; i++ {
		ip(t, blue, "addr", "add", fmt.Sprintf("10.0.%d.%d/32", i/250, i%250), "dev", "lo")
		select {
		case f.last = <-f.w.Snapshots():
		default:
		}
	}
	span := time.Since(start)
	if n := f.last.Serial - first; n > uint64(span/snapshotGap)+1 {
		t.Errorf("%d snapshots in %v", n, span)
	}
}

// Where no namespace can be made the own one is still live, and the others are
// read now and then.
func TestWatchWithoutObserver(t *testing.T) {
	const limit = "/proc/sys/user/max_net_namespaces"
	old, err := os.ReadFile(limit)
	if err != nil {
		t.Fatal(err)
	}
	blue := sandboxtest.NS(t, "blue")
	if err := os.WriteFile(limit, []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.WriteFile(limit, old, 0) })
	f := watch(t, NewWatcher())
	if len(f.last.Warnings) != 1 || !strings.Contains(f.last.Warnings[0], "own network namespace only") {
		t.Errorf("warnings %q, want one of the limit", f.last.Warnings)
	}
	ip(t, "", "link", "add", "own0", "type", "bridge")
	t.Cleanup(func() { ip(t, "", "link", "del", "own0") })
	f.until(t, "a link of the own namespace", hasLink(netns.Host, "own0"))
	ip(t, blue, "link", "add", "far0", "type", "bridge")
	f.until(t, "a link elsewhere", hasLink(blue, "far0"))
}
