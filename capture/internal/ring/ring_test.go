package ring

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

var small = Config{BlockSize: 4096, Blocks: 2, Timeout: 4 * time.Millisecond, Snaplen: 65535}

// pair is a namespace with two pairs of veths, "a0" to "a1" and "b0" to "b1",
// that are up and silent.
func pair(t *testing.T) string {
	t.Helper()
	ns := sandboxtest.NS(t, "ring")
	for _, l := range []string{"a", "b"} {
		sandboxtest.Run(t, ns, "ip", "link", "add", l+"0", "type", "veth", "peer", "name", l+"1")
		for _, end := range []string{"0", "1"} {
			do(t, ns, func() error {
				return os.WriteFile("/proc/sys/net/ipv6/conf/"+l+end+"/disable_ipv6", []byte("1"), 0o644)
			})
			sandboxtest.Run(t, ns, "ip", "link", "set", l+end, "up")
		}
	}
	return ns
}

func do(t *testing.T, ns string, f func() error) {
	t.Helper()
	if err := netns.Do(netns.Path(ns), f); err != nil {
		t.Fatal(err)
	}
}

func openIn(t *testing.T, ns, link string, conf Config) *Ring {
	t.Helper()
	var r *Ring
	do(t, ns, func() (err error) {
		r, err = Open(link, conf)
		return err
	})
	t.Cleanup(r.Close)
	return r
}

// sender sends frames out of a link.
func sender(t *testing.T, ns, link string) (send func() error) {
	t.Helper()
	fd, to := -1, &unix.SockaddrLinklayer{}
	do(t, ns, func() error {
		ifc, err := net.InterfaceByName(link)
		if err != nil {
			return err
		}
		to.Ifindex = ifc.Index
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	})
	t.Cleanup(func() { unix.Close(fd) })
	frame := make([]byte, 600)
	frame[12], frame[13] = 0x88, 0xb5 // an EtherType for experiments
	return func() error { return unix.Sendto(fd, frame, 0, to) }
}

// What the loopback link carries is seen once, although it is sent and received.
func TestLoopbackIsSeenOnce(t *testing.T) {
	ns := pair(t)
	sandboxtest.Run(t, ns, "ip", "link", "set", "lo", "up")
	r := openIn(t, ns, "lo", Config{BlockSize: 4096, Blocks: 8, Timeout: 4 * time.Millisecond, Snaplen: 65535})
	do(t, ns, func() error {
		c, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			return err
		}
		defer c.Close()
		for range 3 {
			_, _ = c.Write([]byte("hello")) // refused
		}
		return nil
	})
	seen := 0
	for deadline := time.Now().Add(200 * time.Millisecond); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		packets, _ := r.Stats()
		seen = int(packets)
	}
	block, err := r.Next()
	if err != nil {
		t.Fatal(err)
	}
	hello := 0
	for pkt := block.Packets(); pkt.Next(); {
		if pkt.Outgoing {
			t.Error("a packet that goes out is seen")
		}
		if pkt.Length == 14+20+8+5 {
			hello++
		}
	}
	r.Release()
	if hello == 0 || hello > 3 || seen != 2*hello { // each with its refusal
		t.Errorf("%d datagrams of 3 were seen, and %d packets", hello, seen)
	}
}

// What a full ring cannot take is counted, not forgotten.
func TestDropsAreCounted(t *testing.T) {
	ns := pair(t)
	r, send := openIn(t, ns, "a1", small), sender(t, ns, "a0")
	const sent = 200
	for range sent {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	read := uint64(0)
	for range small.Blocks {
		block, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		read += uint64(block.Len())
		r.Release()
	}
	packets, dropped := r.Stats()
	if packets != sent || dropped == 0 || read+dropped != sent {
		t.Errorf("of %d packets %d were counted, %d read and %d dropped", sent, packets, read, dropped)
	}
	if again, _ := r.Stats(); again != packets {
		t.Errorf("%d packets at the second reading, %d at the first", again, packets)
	}
}

// A ring sees no packet from before it was bound to its link.
func TestNoStrayPackets(t *testing.T) {
	ns := pair(t)
	send := sender(t, ns, "b0")
	quit, done := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-quit:
				done <- nil
				return
			default:
			}
			if err := send(); err != nil && !errors.Is(err, unix.ENOBUFS) {
				done <- err
				return
			}
		}
	}()
	for range 20 {
		r := openIn(t, ns, "a0", small)
		time.Sleep(10 * time.Millisecond)
		if packets, _ := r.Stats(); packets != 0 {
			t.Errorf("%d packets of another link", packets)
		}
	}
	flooded := openIn(t, ns, "b1", small)
	if _, err := flooded.Next(); err != nil { // the flood was there
		t.Error(err)
	}
	close(quit)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestStopEndsWaiting(t *testing.T) {
	ns := pair(t)
	r := openIn(t, ns, "a0", small)
	time.AfterFunc(20*time.Millisecond, r.Stop)
	if _, err := r.Next(); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v", err)
	}
	if _, err := r.Next(); !errors.Is(err, ErrStopped) {
		t.Errorf("at the second call: %v", err)
	}
	r.Close()
	r.Close()
	r.Stop()
	if !r.CaughtUp() {
		t.Error("a closed ring has more to come")
	}
}

func TestPacketIsComplete(t *testing.T) {
	ns := pair(t)
	in, out := openIn(t, ns, "a1", small), openIn(t, ns, "a0", small)
	send := sender(t, ns, "a0")
	before := time.Now()
	if err := send(); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*Ring{in, out} {
		block, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		for p := block.Packets(); p.Next(); {
			if len(p.Data) != 600 || p.Length != 600 || p.Data[12] != 0x88 || p.Outgoing != (r == out) {
				t.Errorf("%d of %d bytes, outgoing %v: %x", len(p.Data), p.Length, p.Outgoing, p.Data[:14])
			}
			if at := time.Unix(0, p.Time); at.Before(before) || at.After(time.Now()) {
				t.Errorf("seen at %v, sent at %v", at, before)
			}
		}
		r.Release()
	}
}

func TestOpenTellsWhatIsMissing(t *testing.T) {
	ns := pair(t)
	do(t, ns, func() error {
		if _, err := Open("nolink", small); !errors.Is(err, unix.ENODEV) {
			t.Errorf("got %v", err)
		}
		odd := small
		odd.BlockSize = 5000
		if _, err := Open("a0", odd); !errors.Is(err, unix.EINVAL) {
			t.Errorf("got %v", err)
		}
		return nil
	})
}

// What was seen before Stop is handed out behind it, also when the kernel is
// still filling the block; what comes after is not.
func TestStopLosesNothing(t *testing.T) {
	ns := pair(t)
	slow := small
	slow.Timeout = 200 * time.Millisecond
	send := sender(t, ns, "a0")
	for _, sent := range []int{0, 1, 3, 9} { // a block holds five
		r := openIn(t, ns, "a0", slow)
		for range sent {
			if err := send(); err != nil {
				t.Fatal(err)
			}
		}
		r.Stop()
		if err := send(); err != nil {
			t.Fatal(err)
		}
		got := 0
		var err error
		for {
			var b Block
			if b, err = r.Next(); err != nil {
				break
			}
			got += b.Len()
			r.Release()
		}
		if packets, dropped := r.Stats(); got != sent || packets != uint64(sent) || dropped != 0 || !errors.Is(err, ErrStopped) {
			t.Errorf("%d packets sent, %d counted, %d dropped, %d read: %v", sent, packets, dropped, got, err)
		}
	}
}
