package capture

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/capture/filter"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// datagram is an IPv4 packet with UDP to a port.
func datagram(port byte) []byte {
	p := make([]byte, 60)
	copy(p, []byte{0x45, 0, 0, 60, 0, 0, 0, 0, 64, 17, 0, 0, 10, 10, 0, 2, 10, 10, 0, 1, 0, 99, 0, port, 0, 40})
	return p
}

// inFrame puts it behind an Ethernet header, and behind tags, of type 0x8100.
func inFrame(packet []byte, tags ...byte) []byte {
	f := []byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9}
	for _, t := range tags {
		f = append(f, 0x81, 0, 0x60, t)
	}
	return append(append(f, 8, 0), packet...)
}

// frameSender sends frames out of a link, by a socket that is closed with the test.
func frameSender(t *testing.T, ns, link string) func(frame []byte) error {
	t.Helper()
	fd, to := -1, &unix.SockaddrLinklayer{}
	inNS(t, ns, func() error {
		ifc, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		to.Ifindex = ifc.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	return func(frame []byte) error { return unix.Sendto(fd, frame, 0, to) }
}

// flood sends the frames in turn until the test calls stop.
func flood(t *testing.T, send func([]byte) error, frames ...[]byte) (stop func()) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			if err := send(frames[i%len(frames)]); err != nil && !errors.Is(err, unix.ENOBUFS) {
				done <- err
				return
			}
		}
	}()
	return func() {
		close(quit)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Not one packet that the filter refuses comes in between the socket's making
// and the filter's.
func TestFilterLetsNoStrayPacketIn(t *testing.T) {
	newLab(t)
	defer flood(t, frameSender(t, "outside", "eth0"), inFrame(datagram(7)), inFrame(datagram(8)), inFrame(datagram(9)))()
	defer flood(t, frameSender(t, "inside", "eth0"), inFrame(datagram(7)))() // which routerUp never sees
	chosen := 0
	for i := range 100 {
		s := open(t, Options{Filter: "udp dst port 9", Blocks: 2}, routerUp)
		if i%10 == 0 { // some live long enough to see what they shall see
			settle()
		}
		for _, r := range rest(s) {
			if r.Summary.Dst.Port() != 9 {
				t.Fatalf("open %d: a packet to port %d", i, r.Summary.Dst.Port())
			}
			chosen++
		}
		s.Close()
	}
	if chosen == 0 {
		t.Error("no packet at all came in")
	}
}

// The kernel takes the first VLAN tag out of a packet before a filter sees it.
func TestFilterOfVLANs(t *testing.T) {
	newLab(t)
	send := frameSender(t, "outside", "eth0")
	for expr, want := range map[string]int{
		"": 4, "vlan": 3, "vlan 42": 2, "vlan 43": 1, "vlan 44": 0, "not vlan": 1, "vlan 42 and vlan 43": 1, "vlan 42 and vlan 42": 0,
		"vlan 42 and udp port 9": 1, "vlan 42 and vlan 43 and udp port 9": 1, "vlan and udp port 7": 0, "udp port 9": 3, "inbound and udp": 3, "outbound": 0,
	} {
		s := open(t, Options{Filter: expr}, routerUp)
		for _, frame := range [][]byte{inFrame(datagram(9)), inFrame(datagram(9), 42), inFrame(datagram(9), 43), inFrame(datagram(9), 42, 43)} {
			if err := send(frame); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		n := 0
		for _, r := range rest(s) {
			if len(r.Data) > 12 && r.Data[6] == 2 && r.Data[11] == 9 {
				n++
			}
		}
		if n != want {
			t.Errorf("%q: %d packets, want %d", expr, n, want)
		}
	}
}

// The packets of a tun link begin with the IP header.
func TestFilterWithoutLinkLayer(t *testing.T) {
	ns := sandboxtest.NS(t, "tunneled")
	tun := tunLink(t, ns, "tun0")
	ip(t, ns, "addr add 10.9.0.1/24 dev tun0")
	ip(t, ns, "link set tun0 up")
	at := Point{NS: ns, Link: "tun0"}
	s := open(t, Options{Filter: "ip and udp dst port 9"}, at)
	for _, port := range []byte{7, 9, 8} {
		if _, err := tun.Write(datagram(port)); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	all := rest(s)
	if len(all) != 1 || all[0].Summary.Dst.Port() != 9 {
		t.Errorf("%d packets", len(all))
	}
	_, err := Open(context.Background(), []Point{at}, Options{Filter: "ether host 02:00:00:00:00:01"})
	var bad *filter.Error
	if !errors.As(err, &bad) || bad.Column != 12 || !strings.Contains(err.Error(), at.String()) {
		t.Errorf("a filter of Ethernet addresses: %v", err)
	}
}

func tunLink(t *testing.T, ns, name string) *os.File {
	t.Helper()
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		t.Skipf("no tun links: %v", err)
	}
	var f *os.File
	inNS(t, ns, func() (err error) {
		// The link is made in the namespace in which this file is opened.
		if f, err = os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
			return err
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, req)
	})
	t.Cleanup(func() { f.Close() })
	return f
}

// What is wrong with a filter is told with the point, and nothing is opened.
func TestBadFilterOpensNothing(t *testing.T) {
	ns := sandboxtest.NS(t, "bare")
	_, err := Open(context.Background(), []Point{{NS: ns, Link: "lo", Path: netns.Path(ns)}}, Options{Filter: "tcp por 80"})
	var bad *filter.Error
	if !errors.As(err, &bad) || bad.Column != 5 || bad.Word != "por" {
		t.Errorf("%v", err)
	}
}

// A record is shown by what its file's link type says where IP begins.
func TestRecordAsSubject(t *testing.T) {
	d, err := filter.ParseDisplay("udp port 9 and ns lab and flow 2")
	if err != nil {
		t.Fatal(err)
	}
	at := Point{NS: "lab", Link: "eth0"}
	for name, r := range map[string]*Record{
		"Ethernet": {Point: at, Data: inFrame(datagram(9))},
		"tagged":   {Point: at, Data: inFrame(datagram(9), 42)},
		"raw":      {Point: at, Data: datagram(9), unframed: true},
		"loopback": {Point: at, Data: append([]byte{2, 0, 0, 0}, datagram(9)...), link: linkLoopback},
		"SLL":      {Point: at, Data: append(make([]byte, 16), datagram(9)...), link: linkSLL},
		"SLL2":     {Point: at, Data: append(make([]byte, 20), datagram(9)...), link: linkSLL2},
	} {
		if !d.Match(r.Subject(false, 2)) {
			t.Errorf("%s: not shown", name)
		}
		if d.Match(r.Subject(false, 3)) {
			t.Errorf("%s: shown as of another flow", name)
		}
	}
	for _, r := range []*Record{{Point: at, Data: datagram(9), link: linkOther}, {Point: at, Data: []byte{1}, link: linkSLL}} {
		if d.Match(r.Subject(false, 2)) {
			t.Errorf("a link type that is not known, or too short a packet, is shown: %v", r.Data)
		}
	}
}
