package steps

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"vethscope/ops"
)

// conn is an rtnetlink(7) socket of one namespace. The steps of a plan share it:
// for fifty containers it is the difference between a few thousand system calls
// and a few hundred.
type conn struct {
	fd   int
	seq  uint32
	answ []byte
	// made has the indices of links that the running plan has made.
	made map[string]int
}

// maxAnswer holds every answer to a question about one thing.
const maxAnswer = 16 << 10

// skipStats asks for a link without its counters: RTEXT_FILTER_SKIP_STATS,
// linux/rtnetlink.h.
const skipStats = 1 << 3

// loIndex is the index of every namespace's lo: LOOPBACK_IFINDEX, net/flow.h.
const loIndex = 1

func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	return &conn{fd: fd, answ: make([]byte, maxAnswer), made: map[string]int{}}, nil
}

func (c *conn) Close() error { return unix.Close(c.fd) }

// over runs f with a socket of the namespace, which the steps of a plan share.
// Other than with in, f does not run in the namespace: what it does with anything
// but the socket, it does on the host.
func over(ctx context.Context, ns string, f func(c *conn) error) error {
	c, release, err := shared(ctx, rtnetlink, ns, dial)
	if err != nil {
		return err
	}
	err = f(c)
	release(err)
	return explain(err)
}

// request sends one message and returns the body of what answers it, nil for a
// mere acknowledgement.
func (c *conn) request(msgType, flags int, body []byte) (answer []byte, err error) {
	c.seq++
	msg := make([]byte, unix.NLMSG_HDRLEN, unix.NLMSG_HDRLEN+len(body))
	binary.NativeEndian.PutUint32(msg, uint32(cap(msg)))
	binary.NativeEndian.PutUint16(msg[4:], uint16(msgType))
	binary.NativeEndian.PutUint16(msg[6:], uint16(flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK))
	binary.NativeEndian.PutUint32(msg[8:], c.seq)
	kernel := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	if err := retry(func() error { return unix.Sendto(c.fd, append(msg, body...), 0, kernel) }); err != nil {
		return nil, fmt.Errorf("ask the kernel: %w", err)
	}
	for {
		msgs, err := c.receive()
		if err != nil {
			return nil, fmt.Errorf("hear from the kernel: %w", err)
		}
		for _, m := range msgs {
			switch {
			case m.seq != c.seq:
			case m.msgType != unix.NLMSG_ERROR:
				answer = slices.Clone(m.body)
			case body32(m.body) == 0:
				return answer, nil
			default:
				return nil, unix.Errno(-int32(body32(m.body)))
			}
		}
	}
}

// message is one message of the kernel; its body is only good until the next
// call of receive.
type message struct {
	msgType uint16
	seq     uint32
	body    []byte
}

func (c *conn) receive() (msgs []message, err error) {
	var n int
	var from unix.Sockaddr
	err = retry(func() error {
		n, from, err = unix.Recvfrom(c.fd, c.answ, unix.MSG_TRUNC)
		return err
	})
	if err != nil {
		return nil, err
	}
	if n > len(c.answ) {
		return nil, fmt.Errorf("an answer of %d bytes: %w", n, unix.EMSGSIZE)
	}
	if a, ok := from.(*unix.SockaddrNetlink); !ok || a.Pid != 0 {
		return nil, nil // another process wrote to our socket
	}
	for b := c.answ[:n]; len(b) >= unix.NLMSG_HDRLEN; {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return nil, fmt.Errorf("an answer that is cut off: %w", unix.EBADMSG)
		}
		msgs = append(msgs, message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint32(b[8:]), b[unix.NLMSG_HDRLEN:size]})
		b = b[min((size+3)&^3, len(b)):] // NLMSG_ALIGN
	}
	return msgs, nil
}

func body32(b []byte) uint32 { return body(b).u32(0) }

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// set changes a link.
func (c *conn) set(header *nl.IfInfomsg, attrs ...*nl.RtAttr) error {
	_, err := c.request(unix.RTM_SETLINK, 0, withAttrs(header.Serialize(), attrs...))
	return err
}

// add makes a link and returns its index. Where the name is taken the index is
// notOurs.
func (c *conn) add(name string, attrs ...*nl.RtAttr) (index int, err error) {
	attrs = append(attrs, attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	_, err = c.request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, withAttrs(linkMessage(0).Serialize(), attrs...))
	if errors.Is(err, unix.EEXIST) {
		return notOurs, err
	}
	if err != nil {
		return 0, err
	}
	index, err = c.index(name)
	switch {
	case err != nil:
	case index == 0:
		err = unix.ENODEV // deleted again by someone
	default:
		c.made[name] = index
	}
	return index, err
}

// index is that of a link, 0 where there is none.
func (c *conn) index(name string) (int, error) {
	answer, err := c.request(unix.RTM_GETLINK, 0, withAttrs(linkMessage(0).Serialize(),
		attr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)),
		attr(unix.IFLA_EXT_MASK, nl.Uint32Attr(skipStats))))
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	return rawLink(answer).index(), err
}

// link is the index of a link that must be there. The kernel is asked only once
// for one that the plan running under ctx has made.
func (c *conn) link(ctx context.Context, ns, name string) (int, error) {
	if name == "lo" && ops.JustMade(ctx, netnsWord(ns)) {
		return loIndex, nil
	}
	if index, ok := c.made[name]; ok {
		return index, nil
	}
	index, err := c.index(name)
	switch {
	case err != nil:
	case index == 0:
		err = noLink(ns, name)
	case ops.JustMade(ctx, linkWord(ns, name)):
		c.made[name] = index
	}
	return index, err
}

func noLink(ns, name string) error { return fmt.Errorf("no link %s in %s", name, label(ns)) }
