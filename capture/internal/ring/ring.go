// Package ring reads packets from one link through a TPACKET_V3 ring: memory
// that the kernel fills and we read, without a system call per packet
// (Documentation/networking/packet_mmap.rst).
package ring

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

var (
	// ErrStopped ends a reader after Stop.
	ErrStopped = errors.New("stopped")
	// ErrGone ends a reader whose link left the namespace: deleted, or moved
	// to another one. A link that is merely down does not end its reader.
	ErrGone = errors.New("the link was deleted or moved away")
)

// downCheck is how often a link that is down is looked at: the kernel tells of
// its deletion only while it is up.
const downCheck = 250 * time.Millisecond

// lastCheck is how late the kernel may be with the last block.
const lastCheck = time.Second

// Config is the size of a ring.
type Config struct {
	BlockSize int           // bytes; a multiple of the page size; the longest packet that fits
	Blocks    int           // how many blocks the ring has
	Timeout   time.Duration // a block that is not full is handed over after this long
	Snaplen   int           // bytes kept of each packet
	// Filter makes the program that chooses packets and says how much to keep of
	// each; nil takes all of them, and Snaplen bytes.
	Filter func(Link) ([]bpf.RawInstruction, error)
}

// Ring is one packet socket with its ring. Next, Release and Close belong to
// one goroutine, the reader; the other methods may be called from any.
type Ring struct {
	conf Config
	file *os.File // an epoll instance that watches the socket
	conn syscall.RawConn
	cur  int // the block that the reader looks at next; changed under mu
	doze doze
	last time.Time // until when the reader waits for the last block; zero before the end

	mu      sync.Mutex
	mem     []byte // nil once closed
	fd      int
	ep      int
	waiting bool // the reader has handed over everything that it was given
	stopped bool
	down    bool
	packets uint64
	dropped uint64
}

// Open makes a ring on link in the network namespace of the calling thread.
// It sees what link sends and receives from this moment on, and nothing else; of
// the loopback link what it receives, which is the same, as libpcap does.
func Open(link string, conf Config) (*Ring, error) {
	ifc, err := net.InterfaceByName(link)
	if err != nil {
		return nil, fmt.Errorf("no such link: %w", unix.ENODEV)
	}
	// With protocol 0 the socket receives nothing until bind names both the
	// protocol and the link, so no packet of another link can slip in.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open packet socket: %w", err)
	}
	r := &Ring{conf: conf, fd: fd}
	if err := r.setUp(ifc); err != nil {
		if r.mem != nil {
			_ = unix.Munmap(r.mem)
		}
		_ = unix.Close(fd)
		return nil, err
	}
	if err := r.watch(); err != nil {
		r.Close()
		return nil, fmt.Errorf("watch packet socket: %w", err)
	}
	return r, nil
}

// setUp runs in the order that lets no stray packet in: filter, ring, bind.
func (r *Ring) setUp(ifc *net.Interface) error {
	if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return fmt.Errorf("set packet version 3: %w", err)
	}
	if err := r.filter(ifc); err != nil {
		return err
	}
	if ifc.Flags&net.FlagLoopback != 0 {
		// What goes out of it comes in again at once: it would be seen twice.
		if err := unix.SetsockoptInt(r.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return fmt.Errorf("ignore what the loopback link sends: %w", err)
		}
	}
	const frame = 2048 // only a unit of accounting in version 3
	req := unix.TpacketReq3{
		Block_size: uint32(r.conf.BlockSize), Block_nr: uint32(r.conf.Blocks),
		Frame_size: frame, Frame_nr: uint32(r.conf.BlockSize / frame * r.conf.Blocks),
		Retire_blk_tov: uint32(r.conf.Timeout / time.Millisecond),
	}
	if err := unix.SetsockoptTpacketReq3(r.fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return fmt.Errorf("make a ring of %d blocks of %d bytes: %w", r.conf.Blocks, r.conf.BlockSize, err)
	}
	size := r.conf.BlockSize * r.conf.Blocks
	mem, err := unix.Mmap(r.fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map the ring: %w", err)
	}
	r.mem = mem
	to := &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: ifc.Index}
	if err := unix.Bind(r.fd, to); err != nil {
		return fmt.Errorf("bind packet socket: %w", err)
	}
	return nil
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// Framed says whether packets begin with an Ethernet header; on links without
// one (tun, ipip, sit) they begin with the IP header.
func (r *Ring) Framed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sa := r.address()
	return sa == nil || framed(sa.Hatype)
}

// address is where the socket is bound, nil once it is closed. mu is held.
func (r *Ring) address() *unix.SockaddrLinklayer {
	if r.mem == nil {
		return nil
	}
	sa, err := unix.Getsockname(r.fd)
	if err != nil {
		return nil
	}
	ll, _ := sa.(*unix.SockaddrLinklayer)
	return ll
}

// gone says that the link left the namespace: the kernel then takes the index
// away from the socket (net/packet/af_packet.c, packet_notifier).
func (r *Ring) gone() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	sa := r.address()
	return sa == nil || sa.Ifindex <= 0
}

// header is the head of block i.
func (r *Ring) header(i int) *unix.TpacketHdrV1 {
	desc := (*unix.TpacketBlockDesc)(unsafe.Pointer(&r.mem[i*r.conf.BlockSize]))
	return (*unix.TpacketHdrV1)(unsafe.Pointer(&desc.Hdr))
}

// filled says whether the kernel has handed block i over.
func (r *Ring) filled(i int) bool {
	return atomic.LoadUint32(&r.header(i).Block_status)&unix.TP_STATUS_USER != 0
}

// Next waits for the next block. Its packets are valid until Release.
// After Stop, or when the link went away, it hands out what the kernel has seen
// until then, and fails with ErrStopped or ErrGone behind it.
func (r *Ring) Next() (Block, error) {
	r.setWaiting(true)
	defer r.setWaiting(false)
	if !r.filled(r.cur) {
		r.nap()
	}
	for {
		var err error
		if !r.filled(r.cur) {
			err = r.wait()
		}
		switch {
		case r.filled(r.cur):
			r.setDown(false)
			return r.block(), nil
		case err == nil, errors.Is(err, unix.ENETDOWN), errors.Is(err, os.ErrDeadlineExceeded):
		default:
			return Block{}, err
		}
		if end := r.ended(); end == nil {
			r.setDown(true)
		} else if !r.waitForLast() {
			return Block{}, end
		}
	}
}

// wait returns when there is a block, an error of the socket, or the deadline.
func (r *Ring) wait() error {
	r.arm(true)
	var sockErr error
	err := r.conn.Read(func(uintptr) bool {
		if r.filled(r.cur) {
			return true
		}
		sockErr = pendingError(r.fd)
		return sockErr != nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("wait for packet socket: %w", err)
	case sockErr != nil:
		return fmt.Errorf("read packet socket: %w", sockErr)
	}
	return nil
}

// ended says why nothing more is to come, nil if it is.
func (r *Ring) ended() error {
	switch {
	case r.isStopped():
		return ErrStopped
	case r.gone():
		return ErrGone
	}
	return nil
}

// waitForLast says whether the block that the kernel is filling holds packets
// already: the kernel hands it over when its time has come, and until then the
// next wait lasts. It gives up when the kernel is much too late.
func (r *Ring) waitForLast() bool {
	if atomic.LoadUint32(&r.header(r.cur).Num_pkts) == 0 {
		return false
	}
	now := time.Now()
	if r.last.IsZero() {
		r.last = now.Add(2*r.conf.Timeout + lastCheck)
	}
	if now.After(r.last) {
		return false
	}
	_ = r.file.SetReadDeadline(now.Add(r.conf.Timeout))
	return true
}

// pendingError asks in a raw system call: it does not block, and the runtime
// would wake its monitor for any other, once a block.
func pendingError(fd int) error {
	var value int32
	size := uint32(unsafe.Sizeof(value))
	_, _, errno := unix.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_ERROR,
		uintptr(unsafe.Pointer(&value)), uintptr(unsafe.Pointer(&size)), 0)
	switch {
	case errno != 0:
		return errno
	case value != 0:
		return unix.Errno(value)
	}
	return nil
}

func (r *Ring) block() Block {
	h := r.header(r.cur)
	r.doze.blocks++
	r.doze.packets += int(h.Num_pkts)
	return Block{
		base: unsafe.Pointer(&r.mem[r.cur*r.conf.BlockSize]),
		len:  int(h.Num_pkts), first: uintptr(h.Offset_to_first_pkt),
	}
}

// Release gives the block that Next returned back to the kernel.
func (r *Ring) Release() {
	// The kernel counts anew when it begins with the block; until then, too, it
	// shall be seen that nothing is in it.
	atomic.StoreUint32(&r.header(r.cur).Num_pkts, 0)
	atomic.StoreUint32(&r.header(r.cur).Block_status, unix.TP_STATUS_KERNEL)
	r.mu.Lock()
	r.cur = (r.cur + 1) % r.conf.Blocks
	r.mu.Unlock()
}

// CaughtUp says that the reader waits and that the kernel has nothing for it:
// every packet older than the block timeout has been handed over.
func (r *Ring) CaughtUp() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mem == nil || r.waiting && !r.filled(r.cur)
}

func (r *Ring) setWaiting(v bool) {
	r.mu.Lock()
	r.waiting = v
	r.mu.Unlock()
}

// setDown keeps a deadline running while the link is down.
func (r *Ring) setDown(v bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || !v && !r.down {
		return
	}
	r.down = v
	at := time.Time{}
	if v {
		at = time.Now().Add(downCheck)
	}
	// It fails only on a closed file, and only the reader closes it.
	_ = r.file.SetReadDeadline(at)
}

func (r *Ring) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped
}

// Stop ends the capture at this moment: Next hands out what was seen until now
// and fails with ErrStopped then.
func (r *Ring) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped || r.mem == nil {
		return
	}
	r.stopped = true
	// From here on nothing more gets in; otherwise a flood would have no end.
	none := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K}
	_ = unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &none})
	_ = r.file.SetReadDeadline(time.Unix(1, 0))
}

// Stats returns how many packets the kernel has had for this ring since it was
// opened, and how many of those it dropped because the ring was full.
func (r *Ring) Stats() (packets, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count()
	return r.packets, r.dropped
}

// count adds up, because PACKET_STATISTICS starts anew at every reading.
func (r *Ring) count() {
	if r.mem == nil {
		return
	}
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err == nil {
		r.packets += uint64(s.Packets) // includes the drops
		r.dropped += uint64(s.Drops)
	}
}

// Close unmaps the ring and closes the socket. Only the reader may call it.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mem == nil {
		return
	}
	r.count()
	_ = unix.Munmap(r.mem)
	r.mem = nil
	if r.file != nil {
		_ = r.file.Close()
	}
	_ = unix.Close(r.fd)
}
