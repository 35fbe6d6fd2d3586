package steps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// What has to be made again just as it was is kept as the kernel told it: the
// body of an rtnetlink(7) message, which the kernel takes back with another type,
// as `ip address save` and `ip route save` do it. These are the helpers for it;
// they act in the namespace of the calling thread.

// dumpAttempts bounds how often a dump that was disturbed by changes is repeated.
const dumpAttempts = 20

// dumpRaw asks for all objects of one type and returns the bodies of the answers.
func dumpRaw(get, answer uint16, header nl.NetlinkRequestData) ([][]byte, error) {
	for range dumpAttempts {
		req := nl.NewNetlinkRequest(int(get), unix.NLM_F_DUMP)
		req.AddData(header)
		msgs, err := req.Execute(unix.NETLINK_ROUTE, answer)
		if !errors.Is(err, nl.ErrDumpInterrupted) {
			return msgs, err
		}
	}
	return nil, fmt.Errorf("read the kernel's tables: they changed all the time")
}

// sendRaw sends one request with a body that is complete.
func sendRaw(msgType int, flags int, body []byte) error {
	req := nl.NewNetlinkRequest(msgType, flags|unix.NLM_F_ACK)
	req.AddRawData(body)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// body is a fixed header that is followed by attributes.
type body []byte

// attrs are the attributes after a header of size bytes; what is malformed has
// none.
func (b body) attrs(size int) attrList {
	if len(b) < size {
		return nil
	}
	list, err := nl.ParseRouteAttr(b[size:])
	if err != nil {
		return nil
	}
	return list
}

func (b body) u32(at int) uint32 {
	if len(b) < at+4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b[at:])
}

// attrList holds attributes in the kernel's order.
type attrList []syscall.NetlinkRouteAttr

// nested are the attributes inside of b.
func nested(b []byte) attrList { return body(b).attrs(0) }

// get is the value of the first attribute of a type, nil for none.
func (l attrList) get(typ uint16) []byte {
	i := slices.IndexFunc(l, func(a syscall.NetlinkRouteAttr) bool { return a.Attr.Type&^unix.NLA_F_NESTED == typ })
	if i < 0 {
		return nil
	}
	return l[i].Value
}

func (l attrList) has(typ uint16) bool { return l.get(typ) != nil }

func (l attrList) u32(typ uint16) uint32 { return body(l.get(typ)).u32(0) }

func (l attrList) text(typ uint16) string {
	return nl.BytesToString(append(slices.Clone(l.get(typ)), 0))
}

// only are the attributes whose types are among keep, as they would be sent.
func (l attrList) only(keep []uint16) []byte {
	var out []byte
	for _, a := range l {
		if slices.Contains(keep, a.Attr.Type&^unix.NLA_F_NESTED) {
			out = append(out, nl.NewRtAttr(int(a.Attr.Type), a.Value).Serialize()...)
		}
	}
	return out
}

// linkMessage is the header of a message about the link with the given index,
// 0 for one that is found by its name.
func linkMessage(index int) *nl.IfInfomsg {
	m := nl.NewIfInfomsg(unix.AF_UNSPEC)
	m.Index = int32(index)
	return m
}

// linkRequest sends a message about a link with attributes.
func linkRequest(msgType int, flags int, header *nl.IfInfomsg, attrs ...*nl.RtAttr) error {
	return sendRaw(msgType, flags, withAttrs(header.Serialize(), attrs...))
}

// withAttrs is a message's body of a fixed header and attributes.
func withAttrs(header []byte, attrs ...*nl.RtAttr) []byte {
	for _, a := range attrs {
		header = append(header, a.Serialize()...)
	}
	return header
}

func attr(typ int, value []byte) *nl.RtAttr { return nl.NewRtAttr(typ, value) }
