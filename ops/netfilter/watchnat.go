package netfilter

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// natBuffer is the room in bytes that is asked for, for events that have not
// been read yet. An unprivileged user gets net.core.rmem_max.
const natBuffer = 32 << 20

// resyncAfter is the least time between two dumps: one of a large table takes a
// moment, in which there should be room to follow the events.
const resyncAfter = 2 * time.Second

// NATWatch tells of the flows that conntrack rewrites in one network namespace.
// It is FlowEvents for many thousand new flows a second: of other flows, of what
// becomes of a flow, and of its counters it tells nothing.
type NATWatch struct {
	ctx    context.Context
	cancel context.CancelFunc
	path   string
	socket *natSocket
	ended  chan struct{}
	err    error // why it has ended
	dumps  sync.WaitGroup

	mu    sync.Mutex // held from receiving until f has been told
	f     func(FlowEvent)
	lost  int
	again bool // a dump is under way or due
}

// WatchNAT calls f with the flows that conntrack rewrites in the network
// namespace that nsPath opens: those that there are before it returns, and from
// then on others as they begin, until ctx ends or Close is called. f is told
// FlowReset, FlowPresent for each flow that is there, and FlowSynced; FlowNew
// comes behind that, and may tell of what is known. When events were lost,
// FlowReset comes at once, and what was missed follows as FlowPresent, then
// FlowSynced: what was told before stays true. FlowRules stands between the
// flows that began before the rules were changed and those behind. The kernel
// makes events also where the sysctl nf_conntrack_events is 2 (auto). Calls of
// f do not overlap; f has to be quick, and must not call CatchUp or Close.
// Errors are those of Flows. The caller calls Close.
func WatchNAT(ctx context.Context, nsPath string, f func(FlowEvent)) (*NATWatch, error) {
	s, err := subscribe(nsPath)
	if err != nil {
		return nil, fmt.Errorf("watch flows: %w", translate(err))
	}
	w := &NATWatch{path: nsPath, f: f, socket: s, ended: make(chan struct{})}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if err := w.dump(); err != nil {
		w.cancel()
		s.file.Close()
		return nil, err
	}
	go w.run()
	return w, nil
}

// run receives until the watch ends.
func (w *NATWatch) run() {
	defer close(w.ended)
	stop := context.AfterFunc(w.ctx, func() { _ = w.socket.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var failed error
	err := w.socket.conn.Read(func(fd uintptr) bool {
		_, failed = w.drain(fd)
		return failed != nil
	})
	if w.ctx.Err() == nil {
		w.err = fmt.Errorf("watch flows: %w", translate(cmp.Or(failed, err)))
	}
}

// CatchUp returns when f has been told of every flow that had begun before the
// call: conntrack makes its event before the flow's first packet leaves the
// namespace. What the kernel lost comes with the next dump. It may be called
// concurrently.
func (w *NATWatch) CatchUp() {
	// An error ends run as well, which keeps it.
	_ = w.socket.conn.Control(func(fd uintptr) { _, _ = w.drain(fd) })
}

// Close ends the watch; f is not called any more when it returns.
func (w *NATWatch) Close() {
	w.cancel()
	<-w.ended
	w.dumps.Wait()
	w.socket.file.Close()
}

// Ended returns when the watch has ended: nil, or why it could not go on.
func (w *NATWatch) Ended() error {
	<-w.ended
	return w.err
}

// drainBatches bounds one drain where flows begin faster than it tells of them.
const drainBatches = 4096

// drain tells of what the kernel has, and returns how many messages that were.
func (w *NATWatch) drain(fd uintptr) (n int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range drainBatches {
		got, errno := w.socket.receive(fd)
		switch errno {
		case 0:
			n += got
			w.tell(got)
		case unix.EINTR:
		case unix.ENOBUFS:
			w.lose()
		case unix.EAGAIN:
			return n, nil
		default:
			return n, errno
		}
	}
	return n, nil
}

// dump tells of the flows that there are.
func (w *NATWatch) dump() error {
	began := time.Now()
	flows, err := natFlows(w.ctx, w.path)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lost == 0 {
		w.f(FlowEvent{Kind: FlowReset})
	}
	for i := range flows {
		w.f(FlowEvent{Kind: FlowPresent, Flow: flows[i], Time: began})
	}
	w.f(FlowEvent{Kind: FlowSynced})
	return nil
}

// lose tells that events were lost, and sees to a dump that makes it good. mu is
// held.
func (w *NATWatch) lose() {
	w.lost++
	if w.again || w.ctx.Err() != nil {
		return
	}
	w.again = true
	w.f(FlowEvent{Kind: FlowReset, Lost: w.lost})
	w.dumps.Go(func() {
		select {
		case <-time.After(resyncAfter):
		case <-w.ctx.Done():
			return
		}
		w.mu.Lock()
		w.again = false // what is lost from here on may not be in the dump
		w.mu.Unlock()
		// If it fails, the next loss tries anew; the watch itself will find out
		// when the namespace cannot be read any more.
		_ = w.dump()
	})
}

// tell hands on the events in the first n messages. mu is held.
func (w *NATWatch) tell(n int) {
	s, now := w.socket, time.Now()
	for i := range n {
		eachMessage(s.buffers[i][:s.messages[i].n], func(subsystem byte, body []byte) {
			if subsystem == unix.NFNL_SUBSYS_NFTABLES { // the filter lets through no other than NEWGEN
				w.f(FlowEvent{Kind: FlowRules, Time: now})
			} else if flow, ok := natFlow(body); ok {
				w.f(FlowEvent{Kind: FlowNew, Flow: flow, Time: now})
			}
		})
	}
}

// natSocket receives conntrack's events of new flows, many at once.
type natSocket struct {
	file     *os.File
	conn     syscall.RawConn
	buffers  [natBatch][natMessage]byte
	vectors  [natBatch]unix.Iovec
	messages [natBatch]mmsghdr
}

const (
	natBatch   = 64
	natMessage = 4096 // an event is some 200 bytes
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
	_   [4]byte
}

// subscribe opens a socket of its own: one packet a call would be too slow.
func subscribe(nsPath string) (*natSocket, error) {
	fd := -1
	err := netns.Do(nsPath, func() (err error) {
		fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
		return err
	})
	if err == nil && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, natBuffer) != nil {
		// What the kernel refuses to an unprivileged user stays smaller: a full
		// buffer is noticed and made good.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, natBuffer)
	}
	if err == nil {
		err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, onlyWhatCounts())
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK,
			Groups: 1<<(unix.NFNLGRP_CONNTRACK_NEW-1) | 1<<(unix.NFNLGRP_NFTABLES-1)})
	}
	if err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return nil, err
	}
	s := &natSocket{file: os.NewFile(uintptr(fd), "conntrack events")}
	for i := range s.messages {
		s.vectors[i].Base = &s.buffers[i][0]
		s.vectors[i].SetLen(natMessage)
		s.messages[i].hdr.Iov, s.messages[i].hdr.Iovlen = &s.vectors[i], 1
	}
	if s.conn, err = s.file.SyscallConn(); err != nil {
		s.file.Close()
		return nil, err
	}
	return s, nil
}

// onlyWhatCounts keeps the messages about single rules out of the socket: a
// large ruleset would fill it. What is left is that there was a change, in its
// place among the flows.
func onlyWhatCounts() *unix.SockFprog {
	kind, subsystem := uint32(4), uint32(5) // the bytes of nlmsg_type
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		kind, subsystem = subsystem, kind
	}
	const load, equal, end = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, unix.BPF_RET | unix.BPF_K
	program := []unix.SockFilter{
		{Code: load, K: subsystem},
		{Code: equal, K: unix.NFNL_SUBSYS_CTNETLINK, Jt: 3},
		{Code: equal, K: unix.NFNL_SUBSYS_NFTABLES, Jf: 3},
		{Code: load, K: kind},
		{Code: equal, K: unix.NFT_MSG_NEWGEN, Jf: 1},
		{Code: end, K: math.MaxUint32},
		{Code: end},
	}
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
}

// receive takes the messages that there are, and returns how many; it does not
// wait.
func (s *natSocket) receive(fd uintptr) (n int, errno syscall.Errno) {
	got, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.messages[0])), natBatch, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), 0
}
