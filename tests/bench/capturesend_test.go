package bench

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// order is what a sender is asked for.
type order struct {
	Link string
	Rate int // packets a second; 0 is as fast as the machine can
	For  time.Duration
	Warm time.Duration // for how long is sent before what is measured; of who measures
	// Jitter sends single packets at random moments: fixed rates lock onto the
	// timers of the receiver.
	Jitter bool
}

// sentReport is what a sender has done.
type sentReport struct {
	Sent    int
	Elapsed time.Duration
}

const senderBatch = 64

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// packets to send, half of them UDP in 64 bytes and half of those in VXLAN, all
// ready to go: 1,024 different ones, of 256 flows.
func packets() [][]byte {
	out := make([][]byte, 1024)
	for i := range out {
		in := udpFrame(9, [4]byte{10, 1, 0, byte(i&15) + 1}, [4]byte{10, 1, 1, byte(i>>4&15) + 1}, uint16(20000+i&255), 9000, uint16(i), make([]byte, 22))
		if i&1 == 1 {
			in = udpFrame(8, [4]byte{172, 16, 0, 1}, [4]byte{172, 16, 0, 2}, uint16(50000+i&255), 4789, uint16(i),
				append([]byte{8, 0, 0, 0, 0, 0, 42, 0}, in...))
		}
		out[i] = in
	}
	return out
}

func udpFrame(mac byte, src, dst [4]byte, sport, dport, id uint16, payload []byte) []byte {
	b := []byte{2, 0, 0, 0, mac, 2, 2, 0, 0, 0, mac, 1, 8, 0, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0}
	b = append(append(b, src[:]...), dst[:]...)
	binary.BigEndian.PutUint16(b[16:], uint16(28+len(payload)))
	binary.BigEndian.PutUint16(b[18:], id)
	sum := uint32(0)
	for i := 14; i < 34; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(b[24:], ^uint16(sum+sum>>16))
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

// sendMain is a process that sends what is ordered on its command line and
// reports on its standard output.
func sendMain(arg string) error {
	var o order
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
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index}); err != nil {
		return err
	}
	report, err := o.send(fd, packets())
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func (o order) send(fd int, packets [][]byte) (sentReport, error) {
	messages, vectors := make([]mmsghdr, senderBatch), make([]unix.Iovec, senderBatch)
	for i := range messages {
		messages[i].hdr.Iov, messages[i].hdr.Iovlen = &vectors[i], 1
	}
	batch := senderBatch
	switch {
	case o.Rate == 0:
	case o.Rate < 20_000:
		batch = 1
	case o.Rate < 200_000:
		batch = 8
	}
	start, sent := time.Now(), 0
	for {
		elapsed := time.Since(start)
		if elapsed >= o.For {
			return sentReport{sent, elapsed}, nil
		}
		if o.Jitter {
			time.Sleep(time.Duration((0.3 + 1.4*rand.Float64()) / float64(o.Rate) * float64(time.Second)))
		} else if o.Rate > 0 && float64(sent+batch) > elapsed.Seconds()*float64(o.Rate) {
			continue // spinning: a sleep would be too long
		}
		for i := range batch {
			p := packets[(sent+i)%len(packets)]
			if o.Jitter { // the receiver takes the time from here
				binary.LittleEndian.PutUint64(p[len(p)-22:], uint64(time.Now().UnixNano()))
			}
			vectors[i].Base = &p[0]
			vectors[i].SetLen(len(p))
		}
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[0])), uintptr(batch), 0, 0, 0)
		if errno != 0 && !errors.Is(errno, unix.ENOBUFS) && !errors.Is(errno, unix.EAGAIN) {
			return sentReport{}, fmt.Errorf("sendmmsg: %w", errno)
		}
		if errno == 0 {
			sent += int(n)
		}
	}
}
