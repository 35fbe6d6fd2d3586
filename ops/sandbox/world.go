package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// The small world: the sandbox's own namespace plays the host, and its uplink
// leads to one machine outside.
const (
	Uplink       = "up0"          // the host's link
	HostAddr     = "10.10.0.1/24" // with prefix length, as all four
	HostAddr6    = "fd10:10::1/64"
	Outside      = "outside" // the namespace that plays the machine outside
	OutsideLink  = "eth0"    // its link
	OutsideAddr  = "10.10.0.2/24"
	OutsideAddr6 = "fd10:10::2/64"
)

// buildWorld makes Outside and the uplink to it. Outside has no default route
// and does not forward: it answers its own subnet only, so that a container that
// is not masqueraded gets no answer.
func buildWorld() error {
	if _, err := netns.Create(Outside); err != nil {
		return err
	}
	ns, err := os.Open(netns.Path(Outside))
	if err != nil {
		return err
	}
	defer ns.Close()
	err = netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: Uplink},
		PeerName:      OutsideLink,
		PeerNamespace: netlink.NsFd(int(ns.Fd())),
	})
	if err != nil {
		return fmt.Errorf("add veth %s: %w", Uplink, err)
	}
	err = netns.Do(netns.Path(Outside), func() error {
		// Inherited from the real host, where it may be 1.
		if err := sysctl("ipv4/ip_forward", "0"); err != nil && !errors.Is(err, unix.EROFS) {
			return err
		}
		if err := bringUpLo(); err != nil {
			return err
		}
		return configure(OutsideLink, OutsideAddr, OutsideAddr6)
	})
	if err != nil {
		return fmt.Errorf("in namespace %s: %w", Outside, err)
	}
	if err := configure(Uplink, HostAddr, HostAddr6); err != nil {
		return err
	}
	if err := defaultRoutes(); err != nil {
		return err
	}
	if err := netns.Do(netns.Path(Outside), func() error { return waitUp(OutsideLink) }); err != nil {
		return fmt.Errorf("in namespace %s: %w", Outside, err)
	}
	return waitUp(Uplink)
}

// waitUp waits until the kernel has noticed the carrier of a link. It does so in
// its own time, and until then drops what is sent and answers no neighbour.
func waitUp(name string) error {
	for range 2000 {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find link %s: %w", name, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("link %s does not come up", name)
}

// configure gives a link its addresses and brings it up. A kernel without IPv6
// has a world without IPv6.
func configure(name string, cidrs ...string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	// Waiting for duplicates on a wire with two ends takes a second or two.
	_ = sysctl("ipv6/conf/"+name+"/accept_dad", "0")
	for _, cidr := range cidrs {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			if !hasIPv6() {
				continue
			}
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return fmt.Errorf("add address %s to %s: %w", cidr, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("bring up %s: %w", name, err)
	}
	return nil
}

func defaultRoutes() error {
	link, err := netlink.LinkByName(Uplink)
	if err != nil {
		return fmt.Errorf("find link %s: %w", Uplink, err)
	}
	for _, cidr := range []string{OutsideAddr, OutsideAddr6} {
		gateway, _, err := net.ParseCIDR(cidr)
		if err != nil {
			return err
		}
		if gateway.To4() == nil && !hasIPv6() {
			continue
		}
		err = netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: gateway})
		if err != nil {
			return fmt.Errorf("add default route via %s: %w", gateway, err)
		}
	}
	return nil
}

// hasIPv6 says whether the links of the calling thread's namespace have IPv6.
func hasIPv6() bool {
	data, err := os.ReadFile("/proc/sys/net/ipv6/conf/default/disable_ipv6")
	return err == nil && len(data) > 0 && data[0] == '0'
}
