package netfilter

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// lab is a host with an uplink to a machine outside and a bridge to a
// container, all of them namespaces.
type lab struct {
	host, outside, container string
	local                    func(netip.Addr) bool
}

const (
	outsideAddr, outsideAddr6     = "10.10.0.2", "fd00:10::2"
	hostAddr, hostAddr6           = "10.10.0.1", "fd00:10::1"
	containerAddr, containerAddr6 = "172.18.0.2", "fd00:18::2"
	gatewayAddr, gatewayAddr6     = "172.18.0.1", "fd00:18::1"
)

func newLab(t *testing.T, name string) *lab {
	t.Helper()
	l := &lab{
		host: sandboxtest.NS(t, name+"-h"), outside: sandboxtest.NS(t, name+"-o"), container: sandboxtest.NS(t, name+"-c"),
	}
	own := map[netip.Addr]bool{}
	for _, a := range []string{hostAddr, hostAddr6, gatewayAddr, gatewayAddr6, "127.0.0.1", "::1"} {
		own[netip.MustParseAddr(a)] = true
	}
	l.local = func(a netip.Addr) bool { return own[a] }
	ip := func(ns string, lines ...string) {
		for _, line := range lines {
			sandboxtest.Run(t, ns, "ip", strings.Fields(line)...)
		}
	}
	ip(l.host, "link set lo up", "link add br0 type bridge", "link set br0 up",
		"link add up0 type veth peer name eth0 netns "+l.outside, "link set up0 up",
		"link add veth1 type veth peer name eth0 netns "+l.container, "link set veth1 master br0 up",
		"addr add "+hostAddr+"/24 dev up0", "-6 addr add "+hostAddr6+"/64 dev up0 nodad",
		"addr add "+gatewayAddr+"/24 dev br0", "-6 addr add "+gatewayAddr6+"/64 dev br0 nodad")
	ip(l.outside, "link set lo up", "link set eth0 up", "addr add "+outsideAddr+"/24 dev eth0",
		"-6 addr add "+outsideAddr6+"/64 dev eth0 nodad", "-6 route add fd00:18::/64 via "+hostAddr6,
		"route add 172.18.0.0/24 via "+hostAddr)
	ip(l.container, "link set lo up", "link set eth0 up", "addr add "+containerAddr+"/24 dev eth0",
		"-6 addr add "+containerAddr6+"/64 dev eth0 nodad", "route add default via "+gatewayAddr,
		"-6 route add default via "+gatewayAddr6)
	sysctl(t, l.host, "ipv4/ip_forward", "1")
	sysctl(t, l.host, "ipv6/conf/all/forwarding", "1")
	return l
}

// serve answers TCP connections inside a namespace until the test ends.
func serve(t *testing.T, ns, addr string) {
	t.Helper()
	var l net.Listener
	err := netns.Do(netns.Path(ns), func() (err error) {
		l, err = (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte("hello"))
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

// visit opens a TCP connection from inside a namespace and reads the answer.
func visit(t *testing.T, ns, addr string) {
	t.Helper()
	err := netns.Do(netns.Path(ns), func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		b := make([]byte, 5)
		if n, err := c.Read(b); n != 5 {
			return fmt.Errorf("read %d bytes: %w", n, err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s visits %s: %v", ns, addr, err)
	}
}

// flowTo is the one flow that was sent to addr; for ICMP addr has no port.
func flowTo(t *testing.T, ns, addr string) Flow {
	t.Helper()
	flows, err := Flows(t.Context(), netns.Path(ns))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if f.Original.Dst.String() == addr || f.Protocol == "icmp" && f.Original.Dst.Addr().String() == addr {
			return f
		}
	}
	t.Fatalf("no flow to %s in %+v", addr, flows)
	return Flow{}
}

// flood makes n flows in the lab's host.
func flood(t *testing.T, l *lab, n int) {
	t.Helper()
	err := netns.Do(netns.Path(l.host), func() error {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP("127.0.0.1")})
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range n {
			to := &net.UDPAddr{IP: net.IPv4(127, 1, byte(i>>12), byte(i>>4)), Port: 1 + i%16}
			if _, err := c.WriteToUDP([]byte("x"), to); err != nil && i == 0 {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sysctl sets one under /proc/sys/net, which belongs to the namespace of the
// thread that opens it.
func sysctl(t *testing.T, ns, name, value string) {
	t.Helper()
	err := netns.Do(netns.Path(ns), func() error {
		return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ping sends an ICMP echo request to an IPv4 address and waits for the answer.
func ping(t *testing.T, ns, addr string) {
	t.Helper()
	err := netns.Do(netns.Path(ns), func() error {
		c, err := icmp.ListenPacket("ip4:icmp", "0.0.0.0")
		if err != nil {
			return err
		}
		defer c.Close()
		request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: 4711, Seq: 1, Data: []byte("hello")}}
		b, err := request.Marshal(nil)
		if err != nil {
			return err
		}
		if _, err := c.WriteTo(b, &net.IPAddr{IP: net.ParseIP(addr)}); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer := make([]byte, 1500)
		for {
			n, _, err := c.ReadFrom(answer)
			if err != nil {
				return err
			}
			if reply, err := icmp.ParseMessage(1, answer[:n]); err == nil && reply.Type == ipv4.ICMPTypeEchoReply {
				return nil
			}
		}
	})
	if err != nil {
		t.Fatalf("%s pings %s: %v", ns, addr, err)
	}
}
