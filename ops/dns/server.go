package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// lookEvery is how often a server looks whether its link is still there.
const lookEvery = time.Second

// Config says where a server listens and what it knows.
type Config struct {
	Zone   Zone
	Link   string         // the server ends when this link is gone
	Listen []netip.Prefix // addresses of the link, with their network's length
	// Later, when set, tells of hosts beside those of Zone; it is asked again at
	// every question, by several goroutines at once.
	Later func() []Host
	// Ready, when set, is called once, when every address is listened on.
	Ready func()
}

// Serve answers on port 53, UDP and TCP, of every address until ctx ends or the
// link is gone, which is no error. It needs CAP_NET_BIND_SERVICE, and listens in
// the network namespace of the calling thread.
func Serve(ctx context.Context, c Config) error {
	link, err := net.InterfaceByName(c.Link)
	if err != nil {
		return fmt.Errorf("link %s: %w", c.Link, err)
	}
	servers, err := listen(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failed := make(chan error, len(servers))
	for _, s := range servers {
		running.Go(func() {
			if err := s.ActivateAndServe(); err != nil && ctx.Err() == nil {
				failed <- err
				cancel()
			}
		})
	}
	if c.Ready != nil {
		c.Ready()
	}
	awaitEnd(ctx, link)
	cancel()
	closeAll(servers)
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// listen opens the sockets. What makes them unusable, the port being taken, say,
// shows here, before anyone is told that the server is ready.
func listen(c Config) ([]*dns.Server, error) {
	var servers []*dns.Server
	for _, p := range c.Listen {
		at := net.JoinHostPort(p.Addr().String(), "53")
		handler := c.handler()
		pc, err := net.ListenPacket("udp", at)
		if err == nil {
			servers = append(servers, &dns.Server{PacketConn: pc, Handler: handler})
			var l net.Listener
			if l, err = net.Listen("tcp", at); err == nil {
				servers = append(servers, &dns.Server{Listener: l, Handler: handler})
			}
		}
		if err != nil {
			closeAll(servers)
			return nil, err
		}
	}
	return servers, nil
}

// closeAll closes the sockets, which ends those that serve them.
func closeAll(servers []*dns.Server) {
	for _, s := range servers {
		if s.PacketConn != nil {
			s.PacketConn.Close()
		}
		if s.Listener != nil {
			s.Listener.Close()
		}
	}
}

func (c Config) handler() dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, req *dns.Msg) {
		zone := c.Zone
		if c.Later != nil {
			zone.Hosts = append(zone.Hosts[:len(zone.Hosts):len(zone.Hosts)], c.Later()...)
		}
		client, err := netip.ParseAddrPort(w.RemoteAddr().String())
		if err != nil {
			return
		}
		// A client that is gone needs no answer.
		_ = w.WriteMsg(zone.answer(client.Addr(), req))
	})
}

// awaitEnd waits until ctx ends or the link is gone. A link of that name that was
// made later is another one.
func awaitEnd(ctx context.Context, link *net.Interface) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			// Of its own, the library has no error for a link that is not there;
			// those of the kernel (no memory, say) do not mean that it is gone.
			now, err := net.InterfaceByIndex(link.Index)
			var errno syscall.Errno
			if err == nil && now.Name != link.Name || err != nil && !errors.As(err, &errno) {
				return
			}
		}
	}
}
