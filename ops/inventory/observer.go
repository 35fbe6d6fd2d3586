package inventory

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"github.com/mdlayher/socket"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// eventBuffer is the receive buffer of a socket for events, in bytes.
const eventBuffer = 8 << 20

// noID stands for the namespace of the event socket itself.
const noID = -1

// observer hears of changes in every namespace that it has given an id. Its
// sockets live in a scratch namespace that nothing else uses: a socket in a
// watched namespace would keep that one alive when it is deleted.
type observer struct {
	// control gives ids, and is nil when only the own namespace is heard.
	control *netlink.Handle
	route   *socket.Conn // rtnetlink(7) events
	rules   *socket.Conn // nf_tables events, nil with control
}

// routeGroups are the rtnetlink(7) groups of all that a Snapshot shows.
var routeGroups = []int{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_NSID,
}

// newObserver makes the scratch namespace and its sockets, with receive buffers
// of size bytes.
func newObserver(size int) (*observer, error) {
	if err := ownedHere(); err != nil {
		return nil, err
	}
	o := &observer{}
	err := inScratch(func() (err error) {
		if o.control, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
			return fmt.Errorf("open rtnetlink: %w", err)
		}
		if o.route, err = listen(unix.NETLINK_ROUTE, size, true, routeGroups...); err != nil {
			return err
		}
		o.rules, err = listen(unix.NETLINK_NETFILTER, size, true, unix.NFNLGRP_NFTABLES)
		return err
	})
	if err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// ownedHere fails when the own network namespace belongs to a user namespace
// above ours: its events would not reach a namespace that we make, and nothing
// would say so (netlink(7): CAP_NET_BROADCAST).
func ownedHere() error {
	file, err := os.Open(netns.Path(netns.Host))
	if err != nil {
		return err
	}
	defer file.Close()
	fd, err := unix.IoctlRetInt(int(file.Fd()), unix.NS_GET_USERNS)
	if err != nil {
		return fmt.Errorf("find the owner of the own network namespace: %w", err)
	}
	return unix.Close(fd)
}

// newOwnObserver hears of the own namespace only, which needs no privilege.
func newOwnObserver(size int) (*observer, error) {
	route, err := listen(unix.NETLINK_ROUTE, size, false, routeGroups...)
	if err != nil {
		return nil, err
	}
	return &observer{route: route}, nil
}

// inScratch runs f in a fresh network namespace, on a thread that is thrown away
// afterwards. The namespace lives as long as the sockets that f opened.
func inScratch(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("create network namespace to watch from: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// observerPort is the netlink port of the observer's sockets, in a namespace of
// their own. The kernel spares the sender of a change its own event, and knows
// senders by port alone, in whatever namespace (nfnetlink_send, and
// do_one_broadcast in net/netlink/af_netlink.c). Left to itself it would give us
// our process id: the port that a change made by this very process comes from.
const observerPort = 1 << 30 // no process id, and none that the kernel gives out

// listen opens a netlink socket that gets the events of groups; with all those
// of every namespace that its own has an id for (netlink(7),
// NETLINK_LISTEN_ALL_NSID).
func listen(family, size int, all bool, groups ...int) (*socket.Conn, error) {
	c, err := socket.Socket(unix.AF_NETLINK, unix.SOCK_RAW, family, "netlink", nil)
	if err != nil {
		return nil, fmt.Errorf("open event socket: %w", err)
	}
	if err := configure(c, size, all, groups); err != nil {
		c.Close()
		return nil, fmt.Errorf("listen for events: %w", err)
	}
	return c, nil
}

func configure(c *socket.Conn, size int, all bool, groups []int) error {
	// SetReadBuffer goes past net.core.rmem_max where that is allowed.
	if err := c.SetReadBuffer(size); err != nil {
		return err
	}
	if all {
		if err := c.SetsockoptInt(unix.SOL_NETLINK, unix.NETLINK_LISTEN_ALL_NSID, 1); err != nil {
			return err
		}
	}
	addr := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if all {
		addr.Pid = observerPort
	}
	if err := c.Bind(addr); err != nil {
		return err
	}
	for _, g := range groups {
		if err := c.SetsockoptInt(unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			return err
		}
	}
	return nil
}

func (o *observer) close() {
	for _, c := range []*socket.Conn{o.route, o.rules} {
		if c != nil {
			c.Close()
		}
	}
	if o.control != nil {
		o.control.Close()
	}
}

// identify gives the namespace an id, from when on its events arrive, and
// returns it; noID when only the own namespace is heard.
func (o *observer) identify(f netns.Found) (int, error) {
	if o.control == nil {
		return noID, nil
	}
	file, err := openNamespace(f)
	if err != nil {
		return noID, err
	}
	defer file.Close()
	fd := int(file.Fd())
	// -1 lets the kernel choose. EEXIST: it has an id already.
	if err := o.control.SetNetNsIdByFd(fd, -1); err != nil && !errors.Is(err, unix.EEXIST) {
		return noID, fmt.Errorf("give %s an id: %w", f.Name, err)
	}
	return o.control.GetNetNsIdByFd(fd)
}

// hear marks what the events on c change, until ctx ends. mark is called for
// every event of a watched namespace.
func (o *observer) hear(ctx context.Context, c *socket.Conn, m *marks, mark func(d *dirty, id int)) error {
	buf, oob := make([]byte, 64<<10), make([]byte, 256)
	for {
		n, oobn, _, _, err := c.Recvmsg(ctx, buf, oob, 0)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			// The kernel dropped events: whatever was read may be out of date.
			m.add(func(d *dirty) { d.all, d.overrun = true, true })
			continue
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("receive events: %w", err)
		}
		id, foreign := originID(oob[:oobn])
		if foreign || o.control == nil {
			m.add(func(d *dirty) { mark(d, id) })
			continue
		}
		for _, id := range deadIDs(buf[:n]) {
			m.add(func(d *dirty) { d.dead[id] = true })
		}
	}
}

// originID is the id of the namespace that an event comes from; without one it
// comes from the socket's own.
func originID(oob []byte) (id int, ok bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return noID, false
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_NETLINK && m.Header.Type == unix.NETLINK_LISTEN_ALL_NSID && len(m.Data) >= 4 {
			return int(int32(binary.NativeEndian.Uint32(m.Data))), true
		}
	}
	return noID, false
}

// deadIDs are the ids that the kernel took back since their namespace has ended
// (RTM_DELNSID of rtnetlink(7)).
func deadIDs(datagram []byte) []int {
	messages, err := syscall.ParseNetlinkMessage(datagram)
	if err != nil {
		return nil
	}
	var ids []int
	for _, m := range messages {
		if m.Header.Type != unix.RTM_DELNSID || len(m.Data) < unix.SizeofRtGenmsg {
			continue
		}
		attrs, err := nl.ParseRouteAttr(m.Data[sizeofAlignedRtGenmsg:])
		if err != nil {
			continue
		}
		for _, a := range attrs {
			if a.Attr.Type == netlink.NETNSA_NSID && len(a.Value) >= 4 {
				ids = append(ids, int(int32(binary.NativeEndian.Uint32(a.Value))))
			}
		}
	}
	return ids
}

// sizeofAlignedRtGenmsg is struct rtgenmsg, one byte, padded as netlink(7) asks.
const sizeofAlignedRtGenmsg = unix.NLMSG_ALIGNTO
