package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"vethscope/ops/netns"
)

// maxDatagram is as much of a datagram as is read.
const maxDatagram = 2048

// UDPServer answers datagrams in a namespace. Its methods may be called
// concurrently.
type UDPServer struct {
	name    string
	o       ServeOptions
	conn    net.PacketConn
	done    chan struct{} // closed when no goroutine of the server is left
	err     error         // then why, if it was not asked to
	unwatch func() bool
}

// ServeUDP listens for datagrams in the namespace that nsPath opens, on addr as
// Serve does, and is ready when it returns. To every datagram it answers with its
// name and the client's address as it sees it. It ends with ctx, or with Close.
// OnRequest is told of every datagram; it has no Method and no Path.
func ServeUDP(ctx context.Context, nsPath, addr string, o ServeOptions) (*UDPServer, error) {
	addr, err := listenAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &UDPServer{name: o.Name, o: o, done: make(chan struct{})}
	err = netns.Do(nsPath, func() (err error) {
		s.conn, err = new(net.ListenConfig).ListenPacket(ctx, "udp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if s.name == "" {
		s.name = nameOf(nsPath)
	}
	go func() {
		defer close(s.done)
		s.err = s.answer()
	}()
	s.unwatch = context.AfterFunc(ctx, func() { s.conn.Close() })
	return s, nil
}

// answer answers until the socket is closed.
func (s *UDPServer) answer() error {
	buf := make([]byte, maxDatagram)
	for {
		_, from, err := s.conn.ReadFrom(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			s.conn.Close()
			return fmt.Errorf("serve: %w", err)
		}
		client := addrPort(from)
		// A client that cannot be reached any more is no reason to end.
		_, _ = s.conn.WriteTo(fmt.Appendf(nil, "This is %s.\nYou come from %s.\n", s.name, client), from)
		if s.o.OnRequest != nil {
			s.o.OnRequest(Request{Time: time.Now(), Client: client, Local: s.Addr()})
		}
	}
}

// Addr is where the server listens.
func (s *UDPServer) Addr() netip.AddrPort { return addrPort(s.conn.LocalAddr()) }

// Wait waits for the server to end, and returns why if it was not asked to.
func (s *UDPServer) Wait() error {
	<-s.done
	return s.err
}

// Close ends the server and waits for it.
func (s *UDPServer) Close() error {
	s.unwatch()
	s.conn.Close()
	return s.Wait()
}

// ExchangeOptions are those of Exchange.
type ExchangeOptions struct {
	Timeout time.Duration // for an answer; 0 means 5 s
}

// Reply is the answer to a datagram. Text in it comes from outside.
type Reply struct {
	Body       string         `json:"body"` // at most 2 KiB of it
	LocalAddr  netip.AddrPort `json:"local"`
	RemoteAddr netip.AddrPort `json:"remote"`
	Elapsed    time.Duration  `json:"elapsed_ns"`
}

// sendAgain is after how long a datagram is taken for lost, as one is that comes
// before the neighbours on its way have answered.
const sendAgain = 300 * time.Millisecond

// Exchange sends a datagram from the namespace that nsPath opens to dst,
// "address:port", and waits for one back; until then it sends it again every
// 300 ms. A port that nobody listens on is an error where the other side says so,
// ECONNREFUSED. Exchange may be called concurrently.
func Exchange(ctx context.Context, nsPath, dst string, o ExchangeOptions) (Reply, error) {
	dst, err := datagramTarget(dst)
	if err != nil {
		return Reply{}, err
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("no answer within %s", o.Timeout))
	defer cancel()
	r, err := exchange(ctx, nsPath, dst)
	if err != nil {
		return r, fmt.Errorf("udp %s: %w", dst, plain(ctx, err))
	}
	return r, nil
}

// datagramTarget checks "address:port".
func datagramTarget(dst string) (string, error) {
	host, port, err := net.SplitHostPort(dst)
	if err != nil {
		return "", badInput("udp %s: give address:port", dst)
	}
	if host, err = literal(host); err != nil {
		return "", badInput("udp %s: %v", dst, err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", badInput("udp %s: give a port from 0 to 65535", dst)
	}
	return net.JoinHostPort(host, port), nil
}

func exchange(ctx context.Context, nsPath, dst string) (Reply, error) {
	began := time.Now()
	conn, err := dial(ctx, nsPath, "udp", dst)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := Reply{LocalAddr: addrPort(conn.LocalAddr()), RemoteAddr: addrPort(conn.RemoteAddr())}
	buf := make([]byte, maxDatagram)
	for {
		if _, err := conn.Write([]byte("Who is there?\n")); err != nil {
			return r, err
		}
		conn.SetReadDeadline(time.Now().Add(sendAgain))
		n, err := conn.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		r.Body, r.Elapsed = strings.ToValidUTF8(string(buf[:n]), "?"), time.Since(began)
		return r, err
	}
}
