package capture

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// The lab: outside (10.10.0.2) - router (10.10.0.1, 172.18.0.1) - inside
// (172.18.0.2). The router publishes inside's port 80 on its port 8080, and
// masquerades what inside sends.
var (
	routerUp    = Point{NS: "router", Link: "up0"}
	routerIn    = Point{NS: "router", Link: "in0"}
	insidePoint = Point{NS: "inside", Link: "eth0"}
)

func newLab(t testing.TB) {
	t.Helper()
	for _, ns := range []string{"outside", "router", "inside"} {
		sandboxtest.NS(t, ns)
	}
	ip(t, "router", "link add up0 type veth peer name eth0 netns outside")
	ip(t, "router", "link add in0 type veth peer name eth0 netns inside")
	for _, l := range [][3]string{
		{"router", "up0", "10.10.0.1/24"}, {"outside", "eth0", "10.10.0.2/24"},
		{"router", "in0", "172.18.0.1/24"}, {"inside", "eth0", "172.18.0.2/24"},
	} {
		sysctl(t, l[0], "net/ipv6/conf/"+l[1]+"/disable_ipv6", "1") // no chatter of its own
		ip(t, l[0], "addr add "+l[2]+" dev "+l[1])
		ip(t, l[0], "link set "+l[1]+" up")
	}
	ip(t, "inside", "route add default via 172.18.0.1")
	sysctl(t, "router", "net/ipv4/ip_forward", "1")
	nft(t, "router", `table ip lab {
		chain pre { type nat hook prerouting priority -100; ip daddr 10.10.0.1 meta l4proto { tcp, udp } th dport 8080 dnat to 172.18.0.2:80; }
		chain post { type nat hook postrouting priority 100; ip saddr 172.18.0.0/24 oifname "up0" masquerade; }
	}`)
}

func ip(t testing.TB, ns, args string) {
	t.Helper()
	sandboxtest.Run(t, ns, "ip", strings.Fields(args)...)
}

func nft(t testing.TB, ns, text string) {
	t.Helper()
	path := t.TempDir() + "/rules"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, ns, "nft", "-f", path)
}

func sysctl(t testing.TB, ns, key, value string) {
	t.Helper()
	inNS(t, ns, func() error { return os.WriteFile("/proc/sys/"+key, []byte(value), 0o644) })
}

func inNS(t testing.TB, ns string, f func() error) {
	t.Helper()
	if err := netns.Do(netns.Path(ns), f); err != nil {
		t.Fatal(err)
	}
}

func dial(t testing.TB, ns, network, addr string) net.Conn {
	t.Helper()
	var c net.Conn
	inNS(t, ns, func() (err error) {
		c, err = net.DialTimeout(network, addr, 5*time.Second)
		return err
	})
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// echoServers answer what they get, over UDP and TCP on port, until the test
// ends.
func echoServers(t testing.TB, ns string, port int) {
	t.Helper()
	var udp net.PacketConn
	var tcp net.Listener
	inNS(t, ns, func() (err error) {
		if udp, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", port)); err != nil {
			return err
		}
		tcp, err = net.Listen("tcp4", fmt.Sprintf(":%d", port))
		return err
	})
	var all sync.WaitGroup
	all.Go(func() {
		buf := make([]byte, 65536)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = udp.WriteTo(buf[:n], from)
		}
	})
	all.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			all.Go(func() { answer(c) })
		}
	})
	t.Cleanup(func() {
		udp.Close()
		tcp.Close()
		all.Wait()
	})
}

func answer(c net.Conn) {
	defer c.Close()
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		_, _ = c.Write(buf[:n])
	}
}

// exchange sends text and waits for it to come back.
func exchange(t testing.TB, c net.Conn, text string) {
	t.Helper()
	defer c.Close()
	buf := make([]byte, len(text))
	if _, err := c.Write([]byte(text)); err != nil {
		t.Error(err)
		return
	}
	if n, err := c.Read(buf); err != nil || string(buf[:n]) != text {
		t.Errorf("%q came back as %q: %v", text, buf[:n], err)
	}
}

// open opens a session that is closed when the test ends.
func open(t testing.TB, opts Options, points ...Point) *Session {
	t.Helper()
	s, err := Open(context.Background(), points, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// rest stops the session and returns what it has not handed out yet.
func rest(s *Session) []*Record {
	s.Stop()
	var all []*Record
	for batch := range s.Records() {
		all = append(all, batch...)
	}
	return all
}

// settle waits until the kernel must have handed over what was sent.
func settle() { time.Sleep(50 * time.Millisecond) }

// eventually waits for what takes the kernel a moment.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting: %s", what)
		}
	}
}

// listener hears what a namespace's conntrack rewrites.
type listener struct {
	watch *netfilter.NATWatch
	mu    sync.Mutex
	heard []Translation
	lost  int // how often the kernel dropped events
}

// listen listens to the router's conntrack until the test ends.
func listen(t testing.TB) *listener {
	t.Helper()
	l := &listener{}
	watch, err := netfilter.WatchNAT(t.Context(), netns.Path("router"), func(e netfilter.FlowEvent) {
		l.mu.Lock()
		defer l.mu.Unlock()
		switch e.Kind {
		case netfilter.FlowReset:
			l.lost = e.Lost
		case netfilter.FlowNew, netfilter.FlowPresent:
			tr := translationOf(e.Flow)
			tr.Time = e.Time
			l.heard = append(l.heard, tr)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watch.Close)
	l.watch = watch
	return l
}

// take returns what was heard since the last call, and all that there was to be
// heard by then. So it is never behind the packets that were taken before.
func (l *listener) take() []Translation {
	l.watch.CatchUp()
	l.mu.Lock()
	defer l.mu.Unlock()
	heard := l.heard
	l.heard = nil
	return heard
}

func translationOf(f netfilter.Flow) Translation {
	tr := Translation{NS: "router", ID: f.ID,
		Original: Tuple{f.Protocol, f.Original.Src, f.Original.Dst}, Reply: Tuple{f.Protocol, f.Reply.Src, f.Reply.Dst}}
	if f.ChangesDestination() {
		tr.DNAT = dnatRule
	}
	if f.ChangesSource() {
		tr.SNAT = snatRule
	}
	return tr
}
