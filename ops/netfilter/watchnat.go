package netfilter

import (
	"context"
	"errors"
	"fmt"
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

// WatchNAT calls f with the flows that conntrack rewrites in the network
// namespace that nsPath opens, as they begin, until ctx ends; then it returns
// nil. It is WatchFlows for many thousand new flows a second: of others, of what
// becomes of a flow, and of its counters it tells nothing. f is told FlowReset
// and FlowSynced as there, with FlowPresent and FlowNew in between and behind.
// When events were lost, FlowReset comes at once, and what was missed follows as
// FlowPresent: what was told before stays true. Calls of f do not overlap; f has
// to be quick. Errors are those of Flows.
func WatchNAT(ctx context.Context, nsPath string, f func(FlowEvent)) error {
	s, err := subscribe(nsPath)
	if err != nil {
		return fmt.Errorf("watch flows: %w", translate(err))
	}
	defer s.file.Close()
	defer context.AfterFunc(ctx, func() { _ = s.file.SetReadDeadline(time.Unix(1, 0)) })()
	w := &natWatch{ctx: ctx, path: nsPath, f: f}
	if err := w.dump(); err != nil {
		return err
	}
	defer w.dumps.Wait()
	for {
		n, err := s.receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			w.lose()
		case err != nil:
			return fmt.Errorf("watch flows: %w", translate(err))
		}
		w.tell(s, n)
	}
}

// natWatch is one WatchNAT.
type natWatch struct {
	ctx   context.Context
	path  string
	mu    sync.Mutex // held while f runs
	f     func(FlowEvent)
	lost  int
	again bool // a dump is under way or due
	dumps sync.WaitGroup
}

// dump tells of the flows that there are.
func (w *natWatch) dump() error {
	flows, err := Flows(w.ctx, w.path)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.f(FlowEvent{Kind: FlowReset, Lost: w.lost})
	for i := range flows {
		if flows[i].SNAT || flows[i].DNAT {
			w.f(FlowEvent{Kind: FlowPresent, Flow: flows[i]})
		}
	}
	w.f(FlowEvent{Kind: FlowSynced})
	return nil
}

// lose tells that events were lost, and sees to a dump that makes it good.
func (w *natWatch) lose() {
	w.mu.Lock()
	w.lost++
	due := !w.again
	w.again = true
	if due {
		w.f(FlowEvent{Kind: FlowReset, Lost: w.lost})
	}
	w.mu.Unlock()
	if !due {
		return
	}
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

// tell hands on the events in the first n messages.
func (w *natWatch) tell(s *natSocket, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range n {
		eachMessage(s.buffers[i][:s.messages[i].n], func(body []byte) {
			if flow, ok := natFlow(body); ok {
				w.f(FlowEvent{Kind: FlowNew, Flow: flow})
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
		err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_CONNTRACK_NEW - 1)})
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

// receive waits for messages, and returns how many came.
func (s *natSocket) receive() (n int, err error) {
	var errno syscall.Errno
	err = s.conn.Read(func(fd uintptr) bool {
		var got uintptr
		got, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.messages[0])), natBatch, unix.MSG_DONTWAIT, 0, 0)
		n = int(got)
		return errno != unix.EAGAIN && errno != unix.EINTR
	})
	if err == nil && errno != 0 {
		err = errno
	}
	if err != nil {
		n = 0
	}
	return n, err
}
