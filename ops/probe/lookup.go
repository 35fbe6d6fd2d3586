package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// ErrNoName says that none of the servers knows the name.
var ErrNoName = errors.New("no such name")

// lookupTime is how long one server may take for one answer.
const lookupTime = 2 * time.Second

// Lookup asks the servers, from inside the namespace that nsPath opens, for the
// addresses of a name, and returns those of the first that knows it: IPv4 before
// IPv6, at least one. It is ErrNoName when every server answered and none knows
// it. Lookup may be called concurrently.
func Lookup(ctx context.Context, nsPath, name string, servers []netip.Addr) ([]netip.Addr, error) {
	var failed error
	for _, server := range servers {
		var out []netip.Addr
		var err error
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
			var more []netip.Addr
			if more, err = lookup(ctx, nsPath, name, qtype, server); err != nil {
				break
			}
			out = append(out, more...)
		}
		if err == nil && len(out) > 0 {
			return out, nil
		}
		failed = errors.Join(failed, err)
	}
	if failed == nil {
		failed = ErrNoName
	}
	return nil, fmt.Errorf("look up %s: %w", name, failed)
}

// lookup asks one server one question over UDP. That the server does not have the
// name is no error.
func lookup(ctx context.Context, nsPath, name string, qtype uint16, server netip.Addr) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	conn, err := dial(ctx, nsPath, "udp", net.JoinHostPort(server.String(), "53"))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, plain(ctx, err))
	}
	defer conn.Close()
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), qtype)
	answer, _, err := new(dns.Client).ExchangeWithConnContext(ctx, q, &dns.Conn{Conn: conn})
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", server, plain(ctx, err))
	}
	var out []netip.Addr
	for _, rr := range answer.Answer {
		var ip net.IP
		switch rr := rr.(type) {
		case *dns.A:
			ip = rr.A
		case *dns.AAAA:
			ip = rr.AAAA
		}
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out, nil
}
