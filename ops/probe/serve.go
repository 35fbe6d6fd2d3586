package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"vethscope/ops/netns"
)

// ServeOptions say how a Server presents itself.
type ServeOptions struct {
	// Name is what it calls itself; "" means its namespace's name.
	Name string
	// OnRequest, when set, is told of every request, possibly by several
	// goroutines at once.
	OnRequest func(Request)
}

// Request is what a Server saw of a request. Text in it comes from outside.
type Request struct {
	Time   time.Time      `json:"time"`
	Client netip.AddrPort `json:"client"` // as the server sees it: SNAT shows here
	Local  netip.AddrPort `json:"local"`  // that it reached: DNAT shows here
	Method string         `json:"method"`
	Path   string         `json:"path"`
}

// Server is an HTTP server in a namespace. Its methods may be called
// concurrently.
type Server struct {
	name string
	o    ServeOptions
	addr netip.AddrPort
	http *http.Server
	// done is closed when no goroutine of the server is left; err is then why.
	done      chan struct{}
	err       error
	unwatch   func() bool
	closeOnce sync.Once
}

// Serve starts an HTTP server in the namespace that nsPath opens. It listens on
// addr, "host:port", ":port" for every address, or just a port, and is ready when
// Serve returns; port 0 means a free one. To every request it answers a few lines
// of text: its name, its own address and the client's as it sees them. It ends
// with ctx, or with Close.
func Serve(ctx context.Context, nsPath, addr string, o ServeOptions) (*Server, error) {
	addr, err := listenAddr(addr)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	var l net.Listener
	err = netns.Do(nsPath, func() (err error) {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false) // its options would puzzle who watches
		l, err = lc.Listen(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	s := &Server{name: o.Name, o: o, addr: addrPort(l.Addr()), done: make(chan struct{})}
	if s.name == "" {
		s.name = nameOf(nsPath)
	}
	s.http = &http.Server{Handler: http.HandlerFunc(s.answer), ReadHeaderTimeout: 10 * time.Second}
	s.http.SetKeepAlivesEnabled(false)
	go func() {
		defer close(s.done)
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.err = fmt.Errorf("serve: %w", err)
		}
	}()
	s.unwatch = context.AfterFunc(ctx, func() { s.stop() })
	return s, nil
}

// listenAddr checks an address to listen on and completes a lone port.
func listenAddr(addr string) (string, error) {
	if !strings.Contains(addr, ":") {
		addr = ":" + addr
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", badInput("address %q: give host:port", addr)
	}
	if host != "" {
		if host, err = literal(host); err != nil {
			return "", err
		}
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", badInput("port %q: give a number from 0 to 65535", port)
	}
	return net.JoinHostPort(host, port), nil
}

// Addr is where the server listens.
func (s *Server) Addr() netip.AddrPort { return s.addr }

// Wait waits for the server to end, and returns why if it was not asked to.
func (s *Server) Wait() error {
	<-s.done
	return s.err
}

// Close ends the server and waits for it.
func (s *Server) Close() error {
	s.unwatch()
	s.stop()
	return s.Wait()
}

// stop lets requests that are being answered finish, for a moment.
func (s *Server) stop() {
	s.closeOnce.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			s.http.Close()
		}
	})
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	req := Request{Time: time.Now(), Method: r.Method, Path: r.URL.Path}
	req.Client, _ = netip.ParseAddrPort(r.RemoteAddr)
	req.Client = netip.AddrPortFrom(req.Client.Addr().Unmap(), req.Client.Port())
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		req.Local = addrPort(local)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Server", "vethscope")
	fmt.Fprintf(w, "This is %s.\nYou reached %s.\nYou come from %s.\n", s.name, req.Local, req.Client)
	if s.o.OnRequest != nil {
		s.o.OnRequest(req)
	}
}
