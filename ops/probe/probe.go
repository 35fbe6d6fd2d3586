// Package probe makes and answers traffic inside network namespaces, so that no
// ping, curl or nginx is needed there: echo requests, an HTTP server and client,
// and the same for datagrams. A namespace is given by the path that opens it
// (netns.Path).
//
// Only the socket is made inside the namespace; no thread stays there. Names are
// not resolved: a lookup would leave through the wrong namespace.
package probe

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"

	"vethscope/ops/netns"
)

// InputError is the fault of what the caller gave, not of the network: an address
// that is none, a number out of its range.
type InputError struct{ Message string }

func (e *InputError) Error() string { return e.Message }

func badInput(format string, args ...any) error {
	return &InputError{fmt.Sprintf(format, args...)}
}

// nameOf is what to call the namespace that path opens.
func nameOf(path string) string {
	if name, ok := strings.CutPrefix(path, netns.Dir+"/"); ok {
		return name
	}
	if strings.HasPrefix(path, "/proc/") {
		return netns.Host
	}
	return filepath.Base(path)
}

// addrPort is the netip form of a socket address; an IPv4 address is never
// written as IPv6.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// literal refuses a host that is not an address. "localhost" is one in every
// namespace.
func literal(host string) (string, error) {
	if host == "localhost" {
		return "127.0.0.1", nil
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return "", badInput("%q is not an IP address, and names are not resolved here", host)
	}
	return host, nil
}
