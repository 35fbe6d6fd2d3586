package bench

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vethscope/capture"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// The load: flows of one datagram each, from - router - to. The router sends
// what comes for 10.10.0.1 to 172.18.0.2, and masquerades it, so that source and
// destination are rewritten, and source ports where flows would be one.
// What nothing rewrites is the payload: the datagram's number, and its addresses
// and ports as they were sent.
var (
	beforeNAT = capture.Point{NS: "router", Link: "up0"}
	afterNAT  = capture.Point{NS: "to", Link: "eth0"}
)

const (
	loadPorts    = 256 // of the destination, from firstPort on
	firstPort    = 8000
	refusedPort  = firstPort + 255 // the router drops what comes for it
	twiceEvery   = 50              // datagrams are sent again, with the same bytes
	payloadMagic = 0x7665746873636f70
)

// flowOrder is what a sender of new flows is asked for.
type flowOrder struct {
	Link  string
	MAC   net.HardwareAddr // of the router
	Rate  int              // flows a second
	Flows int
}

// datagram is one of the load, by its number.
type datagram struct {
	src, dst netip.AddrPort
}

func datagramOf(n int) datagram {
	// Few source ports: the router has to give out others.
	return datagram{
		src: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 11, byte(n >> 8), byte(n)}), uint16(20000+n>>16)),
		dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 10, 0, 1}), uint16(firstPort+n%loadPorts)),
	}
}

func (d datagram) refused() bool { return d.dst.Port() == refusedPort }

// copies is how often a datagram is sent.
func copies(n int) int {
	if n%twiceEvery == 0 {
		return 2
	}
	return 1
}

func payloadOf(n int, d datagram) []byte {
	b := binary.BigEndian.AppendUint64(nil, payloadMagic)
	b = binary.BigEndian.AppendUint64(b, uint64(n))
	src, dst := d.src.Addr().As4(), d.dst.Addr().As4()
	b = append(append(b, src[:]...), dst[:]...)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, d.src.Port()), d.dst.Port())
}

// readPayload finds the number in a frame that was captured, and the addresses
// that it bears now.
func readPayload(frame []byte) (n int, now datagram, ok bool) {
	const headers = 14 + 20 + 8
	if len(frame) < headers+28 || binary.BigEndian.Uint64(frame[headers:]) != payloadMagic {
		return 0, now, false
	}
	now.src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(frame[26:30])), binary.BigEndian.Uint16(frame[34:]))
	now.dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(frame[30:34])), binary.BigEndian.Uint16(frame[36:]))
	return int(binary.BigEndian.Uint64(frame[headers+8:])), now, true
}

// flowsMain is a process that sends new flows and reports on standard output.
func flowsMain(arg string) error {
	var o flowOrder
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return err
	}
	link, err := net.InterfaceByName(o.Link)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
		return err
	}
	report, err := o.send(fd)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// send sends what is due every millisecond.
func (o flowOrder) send(fd int) (report sentReport, err error) {
	began := time.Now()
	var frames [][]byte
	for n := 0; n < o.Flows; {
		due := min(o.Flows, int(time.Since(began).Seconds()*float64(o.Rate)))
		if n >= due {
			time.Sleep(time.Millisecond)
			continue
		}
		frames = frames[:0]
		for ; n < due && len(frames) < senderBatch-1; n++ {
			d := datagramOf(n)
			f := udpFrame(9, d.src.Addr().As4(), d.dst.Addr().As4(), d.src.Port(), d.dst.Port(), uint16(n&15), payloadOf(n, d))
			copy(f, o.MAC)
			for range copies(n) {
				frames = append(frames, f)
			}
		}
		if err := sendAll(fd, frames); err != nil {
			return report, err
		}
		report.Sent += len(frames)
	}
	report.Elapsed = time.Since(began)
	return report, nil
}

func sendAll(fd int, frames [][]byte) error {
	var messages [senderBatch]mmsghdr
	var vectors [senderBatch]unix.Iovec
	for len(frames) > 0 {
		n := min(len(frames), senderBatch)
		for i, f := range frames[:n] {
			vectors[i].Base = &f[0]
			vectors[i].SetLen(len(f))
			messages[i].hdr.Iov, messages[i].hdr.Iovlen = &vectors[i], 1
		}
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(n), 0, 0, 0)
		if errno != 0 && errno != unix.ENOBUFS && errno != unix.EAGAIN {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		if errno == 0 {
			frames = frames[sent:]
		}
	}
	return nil
}

// natLoad makes the namespaces, and returns the router's MAC.
func natLoad(t testing.TB) net.HardwareAddr {
	t.Helper()
	for _, ns := range []string{"from", "router", "to"} {
		sandboxtest.NS(t, ns)
	}
	ip := func(ns, args string) string { return sandboxtest.Run(t, ns, "ip", strings.Fields(args)...) }
	ip("router", "link add up0 type veth peer name eth0 netns from")
	ip("router", "link add in0 type veth peer name eth0 netns to")
	for _, l := range [][3]string{
		{"router", "up0", "10.10.0.1/24"}, {"from", "eth0", "10.10.0.2/24"},
		{"router", "in0", "172.18.0.1/24"}, {"to", "eth0", "172.18.0.2/24"},
	} {
		set(t, l[0], "ipv6/conf/"+l[1]+"/disable_ipv6", "1") // no chatter of its own
		ip(l[0], "addr add "+l[2]+" dev "+l[1])
		ip(l[0], "link set "+l[1]+" up")
	}
	ip("router", "route add 10.11.0.0/16 dev up0")
	ip("router", "neigh add 172.18.0.2 dev in0 nud permanent lladdr "+mac(t, "to", "eth0").String())
	set(t, "router", "ipv4/ip_forward", "1")
	set(t, "router", "netfilter/nf_conntrack_udp_timeout", "1")
	nft(t, "router", fmt.Sprintf(`table ip load {
		chain pre { type nat hook prerouting priority -100; ip daddr 10.10.0.1 udp dport %d-%d dnat to 172.18.0.2; }
		chain post { type nat hook postrouting priority 100; ip saddr 10.11.0.0/16 oifname "in0" masquerade; }
		chain forward { type filter hook forward priority 0; udp dport %d drop; }
	}`, firstPort, firstPort+loadPorts-1, refusedPort))
	// Nobody answers, and nobody says so.
	nft(t, "to", "table ip quiet { chain pre { type filter hook prerouting priority -300; drop; }; }")
	return mac(t, "router", "up0")
}

func nft(t testing.TB, ns, text string) {
	t.Helper()
	path := t.TempDir() + "/rules"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, ns, "nft", "-f", path)
}

func set(t testing.TB, ns, key, value string) {
	t.Helper()
	if err := netns.Do(netns.Path(ns), func() error {
		return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644)
	}); err != nil {
		t.Fatal(err)
	}
}

func mac(t testing.TB, ns, link string) (addr net.HardwareAddr) {
	t.Helper()
	if err := netns.Do(netns.Path(ns), func() error {
		l, err := net.InterfaceByName(link)
		if err == nil {
			addr = l.HardwareAddr
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return addr
}
