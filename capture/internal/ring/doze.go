package ring

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// On a busy link a block is handed over every few milliseconds, and each would
// wake us. So we sleep instead, and look then at all that has come, as network
// drivers do. All rings wake at the same moments: one wake-up is enough for all.
// On a quiet link the kernel wakes us, and no packet is late.

// doze says how long to sleep.
type doze struct {
	armed   bool          // the kernel may wake us
	nap     time.Duration // 0 when it shall
	blocks  int           // that were handed out since the last wait
	packets int
}

const (
	// roomyRing bytes hold what two million short packets a second bring in
	// mostNap.
	roomyRing = 8 << 20
	// busyPackets are so many that we do not want to be woken for a few more.
	busyPackets = 32
	leastNap    = 2 * time.Millisecond
	mostNap     = 16 * time.Millisecond
	// mostTimeout is that of rings whose blocks come more often than that.
	mostTimeout = 8 * time.Millisecond
)

// next is how long to sleep before one looks again. While we sleep no more than
// an eighth of the ring shall fill.
func (d *doze) next(c Config) time.Duration {
	// A flood that begins while we sleep must find room.
	most := mostNap * time.Duration(c.BlockSize*c.Blocks) / roomyRing
	switch {
	case d.packets < busyPackets || c.Blocks < 16 || c.Timeout > mostTimeout:
		d.nap = 0
	case d.nap == 0:
		d.nap = max(c.Timeout, leastNap)
	case d.blocks > c.Blocks/8:
		if d.nap /= 2; d.nap < leastNap {
			d.nap = 0
		}
	case d.blocks <= c.Blocks/16:
		d.nap = min(2*d.nap, most, mostNap)
	}
	d.blocks, d.packets = 0, 0
	return d.nap
}

// nap sleeps if the link is busy.
func (r *Ring) nap() {
	d := r.doze.next(r.conf)
	if d == 0 || r.isStopped() {
		return
	}
	r.arm(false)
	now := time.Duration(time.Now().UnixNano())
	time.Sleep(d - now%d)
}

// watch makes the epoll instance through which the runtime learns of packets. The
// socket itself would tell it of every block, asked or not.
func (r *Ring) watch() error {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return err
	}
	if err := unix.SetNonblock(ep, true); err != nil {
		_ = unix.Close(ep)
		return err
	}
	r.file = os.NewFile(uintptr(ep), "packet socket")
	r.doze.armed = true
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, r.fd, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
		return err
	}
	r.conn, err = r.file.SyscallConn()
	r.ep = ep
	return err
}

// arm says whether the kernel shall wake us for packets; for errors it does always.
func (r *Ring) arm(on bool) {
	if r.doze.armed == on {
		return
	}
	r.doze.armed = on
	event := unix.EpollEvent{}
	if on {
		event.Events = unix.EPOLLIN
	}
	_ = unix.EpollCtl(r.ep, unix.EPOLL_CTL_MOD, r.fd, &event) // fails on what is closed only
}
