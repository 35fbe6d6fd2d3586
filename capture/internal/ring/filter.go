package ring

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Link is what a filter has to know of the link that it is made for.
type Link struct {
	Framed  bool       // packets begin with an Ethernet header, not with that of IP
	Netmask net.IPMask // of its first IPv4 address; zero when there is none
}

// filter attaches the program before the socket is bound, so that no packet
// comes in that it would have refused.
func (r *Ring) filter(ifc *net.Interface) error {
	prog := []bpf.RawInstruction{{Op: unix.BPF_RET | unix.BPF_K, K: uint32(r.conf.Snaplen)}}
	if r.conf.Filter != nil {
		link, err := describe(r.fd, ifc)
		if err != nil {
			return err
		}
		if prog, err = r.conf.Filter(link); err != nil {
			return err
		}
	}
	code := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		code[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	err := unix.SetsockoptSockFprog(r.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]})
	if errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("attach a filter of %d instructions: more than net.core.optmem_max lets it have; shorten it", len(code))
	}
	if err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	return nil
}

// describe asks by name, as the socket is not bound yet.
func describe(fd int, ifc *net.Interface) (Link, error) {
	req, err := unix.NewIfreq(ifc.Name)
	if err != nil {
		return Link{}, fmt.Errorf("ask for the link's type: %w", err)
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFHWADDR, req); err != nil {
		return Link{}, fmt.Errorf("ask for the link's type: %w", err)
	}
	link := Link{Framed: framed(req.Uint16()), Netmask: net.IPMask{0, 0, 0, 0}}
	addrs, err := ifc.Addrs()
	if err != nil {
		return Link{}, fmt.Errorf("ask for the link's addresses: %w", err)
	}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil {
			link.Netmask = ip.Mask
			break
		}
	}
	return link, nil
}

// framed says whether links of a hardware type have Ethernet headers.
func framed(hatype uint16) bool {
	return hatype == unix.ARPHRD_ETHER || hatype == unix.ARPHRD_LOOPBACK
}
