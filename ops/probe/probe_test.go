package probe_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox/sandboxtest"
)

func init() { netns.Pin() }

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// lan is two namespaces, a at 10.9.0.1 and b at 10.9.0.2 (fd09::1 and fd09::2),
// joined by a veth pair. Only a has a default route, through b.
func lan(t *testing.T) (a, b string) {
	t.Helper()
	a, b = sandboxtest.NS(t, "a"), sandboxtest.NS(t, "b")
	ip := func(ns string, args ...string) { t.Helper(); sandboxtest.Run(t, ns, "ip", args...) }
	ip(a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b)
	for i, ns := range []string{a, b} {
		ip(ns, "link", "set", "lo", "up")
		ip(ns, "addr", "add", fmt.Sprintf("10.9.0.%d/24", i+1), "dev", "eth0")
		ip(ns, "addr", "add", fmt.Sprintf("fd09::%d/64", i+1), "dev", "eth0", "nodad")
		ip(ns, "link", "set", "eth0", "up")
	}
	for _, ns := range []string{a, b} {
		waitUp(t, ns)
	}
	ip(a, "route", "add", "default", "via", "10.9.0.2")
	ip(a, "-6", "route", "add", "default", "via", "fd09::2")
	return netns.Path(a), netns.Path(b)
}

// waitUp waits until the kernel has noticed that eth0 has a carrier. Until then
// it drops what is sent, and answers no neighbour.
func waitUp(t *testing.T, ns string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if strings.Contains(sandboxtest.Run(t, ns, "ip", "-o", "link", "show", "eth0"), "state UP") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("eth0 in %s does not come up", ns)
		}
	}
}

func quick(n int) probe.PingOptions {
	return probe.PingOptions{Count: n, Interval: 10 * time.Millisecond, Timeout: 5 * time.Second}
}

func TestPing(t *testing.T) {
	a, _ := lan(t)
	for _, dst := range []string{"10.9.0.2", "fd09::2", "127.0.0.1", "::1", "::ffff:10.9.0.2"} {
		t.Run(dst, func(t *testing.T) {
			o := quick(3)
			o.Size, o.TTL = 1000, 7
			var told int
			o.OnReply = func(probe.PingReply) { told++ }
			addr := netip.MustParseAddr(dst)
			res, err := probe.Ping(t.Context(), a, addr, o)
			if err != nil {
				t.Fatal(err)
			}
			if res.Sent != 3 || res.Received != 3 || len(res.RTTs()) != 3 || told != 3 {
				t.Fatalf("result %+v, told %d times, want 3 of 3", res, told)
			}
			for i, r := range res.Replies {
				if r.Seq != i+1 || r.From != addr.Unmap() || r.RTT <= 0 || r.Size != 1008 || r.TTL != 64 || r.Problem != "" {
					t.Errorf("reply %+v, want seq %d from %s, 1008 bytes, ttl 64", r, i+1, dst)
				}
			}
		})
	}
}

func TestPingLinkLocal(t *testing.T) {
	a, _ := lan(t)
	for ns, addr := range map[string]string{"a": "fe80::a/64", "b": "fe80::b/64"} {
		sandboxtest.Run(t, ns, "ip", "addr", "add", addr, "dev", "eth0", "nodad")
	}
	res, err := probe.Ping(t.Context(), a, netip.MustParseAddr("fe80::b%eth0"), quick(2))
	if err != nil || res.Received != 2 {
		t.Errorf("%+v, %v, want 2 of 2", res, err)
	}
	_, err = probe.Ping(t.Context(), a, netip.MustParseAddr("fe80::b%nosuch"), quick(1))
	if err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("a zone that is no link: %v", err)
	}
}

func TestPingUnanswered(t *testing.T) {
	a, _ := lan(t)
	sandboxtest.Run(t, "b", "ip", "addr", "add", "10.9.9.9/32", "dev", "lo")
	sandboxtest.Run(t, "b", "ip", "route", "add", "blackhole", "10.9.0.1/32")
	o := quick(2)
	o.Timeout = 50 * time.Millisecond
	res, err := probe.Ping(t.Context(), a, netip.MustParseAddr("10.9.9.9"), o)
	if err != nil || res.Sent != 2 || res.Received != 0 || len(res.RTTs()) != 0 {
		t.Errorf("result %+v, %v, want 0 of 2 and no error", res, err)
	}
}

func TestPingProblems(t *testing.T) {
	a, b := lan(t)
	sandboxtest.Run(t, "b", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	sandboxtest.Run(t, "b", "ip", "route", "add", "prohibit", "10.7.0.0/24")
	sandboxtest.Run(t, "b", "ip", "route", "add", "10.6.0.0/24", "dev", "lo")
	for _, c := range []struct {
		dst, from, problem string
		ttl                int
	}{
		{"10.8.0.1", "10.9.0.2", "network unreachable", 0},
		{"10.7.0.1", "10.9.0.2", "administratively prohibited", 0},
		{"10.6.0.1", "10.9.0.2", "time to live exceeded", 1},
		{"fd08::1", "fd09::2", "no route", 0},
	} {
		o := quick(1)
		o.TTL = c.ttl
		res, err := probe.Ping(t.Context(), a, netip.MustParseAddr(c.dst), o)
		if err != nil || len(res.Replies) != 1 {
			t.Errorf("%s: %+v, %v, want one answer", c.dst, res, err)
			continue
		}
		r := res.Replies[0]
		if r.Problem != c.problem || r.From.String() != c.from || r.Seq != 1 || res.Received != 0 {
			t.Errorf("%s: %+v, want %q from %s", c.dst, r, c.problem, c.from)
		}
	}
	_, err := probe.Ping(t.Context(), b, netip.MustParseAddr("10.2.1.1"), quick(1))
	if !errors.Is(err, unix.ENETUNREACH) || !strings.Contains(err.Error(), "network is unreachable") {
		t.Errorf("no route: %v, want network is unreachable", err)
	}
}

// Without CAP_NET_RAW an ICMP datagram socket must do. The test runs in a process
// that was started without it.
func TestPingWithoutPrivilege(t *testing.T) {
	const env = "PROBE_TEST_WITHOUT_NET_RAW"
	if os.Getenv(env) != "" {
		pingWithoutPrivilege(t)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), env+"=1")
	var out []byte
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread goes
		err := unix.Prctl(unix.PR_CAPBSET_DROP, unix.CAP_NET_RAW, 0, 0, 0)
		if err == nil {
			out, err = cmd.CombinedOutput()
		}
		done <- err
	}()
	if err := <-done; err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("%v: %s", err, out)
	}
}

func pingWithoutPrivilege(t *testing.T) {
	a, _ := lan(t)
	dst, far := netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("10.8.0.1")
	if _, err := probe.Ping(t.Context(), a, dst, quick(1)); err == nil || !strings.Contains(err.Error(), "ping_group_range") {
		t.Errorf("neither sort of socket is allowed: %v, want the sysctl's name", err)
	}
	for _, ns := range []string{"a", "b"} {
		sandboxtest.Run(t, ns, "sh", "-c", "echo 0 0 >/proc/sys/net/ipv4/ping_group_range; echo 1 >/proc/sys/net/ipv4/ip_forward")
	}
	for _, dst := range []string{"10.9.0.2", "fd09::2"} {
		res, err := probe.Ping(t.Context(), a, netip.MustParseAddr(dst), quick(2))
		if err != nil || res.Received != 2 || res.Replies[1].TTL != 64 || res.Replies[1].From.String() != dst {
			t.Errorf("%s: %+v, %v, want 2 of 2", dst, res, err)
		}
	}
	res, err := probe.Ping(t.Context(), a, far, quick(1))
	if err != nil || res.Received != 0 || len(res.Replies) != 1 || res.Replies[0].Problem != "network is unreachable" {
		t.Errorf("%s: %+v, %v, want one answer, network is unreachable", far, res, err)
	}
}

func TestPingBadOptions(t *testing.T) {
	for _, o := range []probe.PingOptions{
		{Count: -1}, {Count: 65536}, {Size: 65508}, {Size: -1}, {TTL: 256}, {TTL: -1}, {Interval: -1}, {Timeout: -1},
	} {
		if _, err := probe.Ping(t.Context(), netns.Path(""), netip.MustParseAddr("127.0.0.1"), o); err == nil {
			t.Errorf("%+v went well", o)
		}
	}
	_, err := probe.Ping(t.Context(), netns.Path("nosuch"), netip.MustParseAddr("127.0.0.1"), quick(1))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such namespace: %v, want fs.ErrNotExist", err)
	}
}

func TestPingEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	o := quick(60000)
	o.OnReply = func(probe.PingReply) { cancel() }
	res, err := probe.Ping(ctx, netns.Path(""), netip.MustParseAddr("127.0.0.1"), o)
	if !errors.Is(err, context.Canceled) || res.Received == 0 {
		t.Errorf("%+v, %v, want what there was and context.Canceled", res, err)
	}
}

// Two at once hear each other's replies on their raw sockets.
func TestPingConcurrently(t *testing.T) {
	a, _ := lan(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			res, err := probe.Ping(t.Context(), a, netip.MustParseAddr("10.9.0.2"), quick(5))
			if err != nil || res.Received != 5 || len(res.Replies) != 5 {
				t.Errorf("%+v, %v, want 5 of 5", res, err)
			}
		})
	}
	wg.Wait()
}

func TestServeAndGet(t *testing.T) {
	a, b := lan(t)
	var seen []probe.Request
	s, err := probe.Serve(t.Context(), b, "80", probe.ServeOptions{OnRequest: func(r probe.Request) { seen = append(seen, r) }})
	if err != nil {
		t.Fatal(err)
	}
	if s.Addr().Port() != 80 {
		t.Errorf("listens on %s, want port 80", s.Addr())
	}
	for _, host := range []string{"10.9.0.2", "[fd09::2]"} {
		res, err := probe.Get(t.Context(), a, "http://"+host+"/path?q=1", probe.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("This is b.\nYou reached %s.\nYou come from %s.\n", res.RemoteAddr, res.LocalAddr)
		if res.Status != 200 || res.Body != want || res.Truncated || res.Elapsed <= 0 {
			t.Errorf("got %+v, want 200 and %q", res, want)
		}
		if host := strings.Trim(host, "[]"); res.RemoteAddr != netip.AddrPortFrom(netip.MustParseAddr(host), 80) {
			t.Errorf("remote address %s, want %s:80", res.RemoteAddr, host)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if len(seen) != 2 || seen[0].Method != "GET" || seen[0].Path != "/path" || seen[0].Client.Addr().String() != "10.9.0.1" ||
		seen[0].Local.String() != "10.9.0.2:80" {
		t.Errorf("the server saw %+v", seen)
	}
	_, err = probe.Get(t.Context(), a, "10.9.0.2", probe.GetOptions{})
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("after Close: %v, want connection refused", err)
	}
}

func TestServeTwice(t *testing.T) {
	a, b := lan(t)
	first, err := probe.Serve(t.Context(), a, ":80", probe.ServeOptions{Name: "first"})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := probe.Serve(t.Context(), a, ":80", probe.ServeOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("same port, same namespace: %v, want address already in use", err)
	}
	second, err := probe.Serve(t.Context(), b, ":80", probe.ServeOptions{Name: "second"})
	if err != nil {
		t.Fatalf("same port, other namespace: %v", err)
	}
	defer second.Close()
	for ns, name := range map[string]string{a: "first", b: "second"} {
		res, err := probe.Get(t.Context(), ns, "localhost", probe.GetOptions{})
		if err != nil || !strings.Contains(res.Body, "This is "+name+".") {
			t.Errorf("%s answers %q, %v, want %s", ns, res.Body, err, name)
		}
	}
}

func TestServeEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := probe.Serve(ctx, netns.Path(""), "127.0.0.1:0", probe.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	res, err := probe.Get(t.Context(), netns.Path(""), s.Addr().String(), probe.GetOptions{})
	if err != nil || !strings.Contains(res.Body, "This is host.") {
		t.Errorf("got %+v, %v", res, err)
	}
	cancel()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("Close after the end: %v", err)
	}
}

func TestServeBadAddress(t *testing.T) {
	for _, addr := range []string{"", "x", "65536", "-1", "example.org:80", "1.2.3.4:http", "[::1", "1.2.3.4:80"} {
		s, err := probe.Serve(t.Context(), netns.Path(""), addr, probe.ServeOptions{})
		if err == nil {
			s.Close()
			t.Errorf("Serve on %q went well", addr)
		}
	}
}

func TestGetErrors(t *testing.T) {
	ns := netns.Path(sandboxtest.NS(t, "alone"))
	for url, want := range map[string]string{
		"http://example.org/":   "not an IP address",
		"https://10.0.0.1/":     "only http",
		"ftp://10.0.0.1/":       "only http",
		"http://10.0.0.1:port/": "invalid port",
		"http://10.0.0.1/":      "network is unreachable",
		"http://127.0.0.1/":     "network is unreachable", // lo is down
		"":                      "not an IP address",
	} {
		if _, err := probe.Get(t.Context(), ns, url, probe.GetOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("get %q: %v, want %q", url, err, want)
		}
	}
	_, err := probe.Get(t.Context(), netns.Path("nosuch"), "10.0.0.1", probe.GetOptions{})
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such namespace: %v, want fs.ErrNotExist", err)
	}
}

// A server that accepts and never answers.
func TestGetTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := time.Now()
	_, err = probe.Get(t.Context(), netns.Path(""), l.Addr().String(), probe.GetOptions{Timeout: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("got %v, want no answer within 50ms", err)
	}
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("took %s", took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := probe.Get(ctx, netns.Path(""), l.Addr().String(), probe.GetOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestGetBoundsTheBody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		for range 100 {
			w.Write(make([]byte, 1024))
		}
	})}
	var wg sync.WaitGroup
	wg.Go(func() { srv.Serve(l) })
	defer wg.Wait()
	defer srv.Close()
	res, err := probe.Get(t.Context(), netns.Path(""), l.Addr().String(), probe.GetOptions{})
	if err != nil || len(res.Body) != 64<<10 || !res.Truncated {
		t.Errorf("%d bytes, truncated %v, %v; want 64 KiB of it", len(res.Body), res.Truncated, err)
	}
	res, err = probe.Get(t.Context(), netns.Path(""), l.Addr().String()+"/moved", probe.GetOptions{})
	if err != nil || res.Status != http.StatusFound {
		t.Errorf("a redirection: %d, %v, want 302, not followed", res.Status, err)
	}
}
