package netfilter

import (
	"bytes"
	"encoding/binary"
)

// attrs are the netlink attributes of one nesting level, by type; of several
// with one type the last counts. Every getter gives the zero value for an
// attribute that is missing or too short, so that no bytes can make it panic.
type attrs map[uint16][]byte

// attrTypeMask takes NLA_F_NESTED and NLA_F_NET_BYTEORDER off a type
// (linux/netlink.h).
const attrTypeMask = 0x3fff

// eachAttr calls f with every attribute in b, in order, and stops at the first
// that does not fit.
func eachAttr(b []byte, f func(typ uint16, data []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		if size < 4 || size > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&attrTypeMask, b[4:size])
		next := (size + 3) &^ 3
		if next > len(b) {
			return
		}
		b = b[next:]
	}
}

func parseAttrs(b []byte) attrs {
	a := attrs{}
	eachAttr(b, func(typ uint16, data []byte) { a[typ] = data })
	return a
}

func (a attrs) has(typ uint16) bool { _, ok := a[typ]; return ok }

func (a attrs) nested(typ uint16) attrs { return parseAttrs(a[typ]) }

// uint is the big-endian number of any size up to eight bytes, which is how
// nf_tables writes all its numbers.
func (a attrs) uint(typ uint16) uint64 {
	d := a[typ]
	if len(d) > 8 {
		return 0
	}
	return bigEndian(d)
}

func (a attrs) u32(typ uint16) uint32 { return uint32(a.uint(typ)) }

// str is the text up to the first NUL.
func (a attrs) str(typ uint16) string { return cString(a[typ]) }

func cString(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// bigEndian is b as a number in network order; only the last eight bytes count.
func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

// hostEndian is b as a number in the machine's own order.
func hostEndian(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return bigEndian(b)
}

// blob reads fields of a C structure by offset. A field beyond the end is zero
// and sets short, which the reader of the structure looks at once, at the end.
type blob struct {
	data  []byte
	short bool
}

// zeros is what bytes gives for what is not there; no caller writes to it.
var zeros [1024]byte

func (b *blob) bytes(off, n int) []byte {
	if off < 0 || n < 0 || off+n > len(b.data) {
		b.short = true
		return zeros[:min(max(n, 0), len(zeros))]
	}
	return b.data[off : off+n]
}

func (b *blob) u8(off int) uint8   { return b.bytes(off, 1)[0] }
func (b *blob) u16(off int) uint16 { return binary.NativeEndian.Uint16(b.bytes(off, 2)) }
func (b *blob) u32(off int) uint32 { return binary.NativeEndian.Uint32(b.bytes(off, 4)) }

// be16 is for what iptables keeps in network order: the ports of a NAT range.
func (b *blob) be16(off int) uint16 { return binary.BigEndian.Uint16(b.bytes(off, 2)) }

func (b *blob) str(off, n int) string { return cString(b.bytes(off, n)) }

// userComment finds the comment in nft's userdata: a list of type, length and
// value, one byte each but the value (libnftnl, udata.h; type 0 is the comment
// of a rule and of a set element).
func userComment(b []byte) string {
	for len(b) >= 2 {
		size := int(b[1])
		if len(b) < 2+size {
			return ""
		}
		if b[0] == 0 {
			return cString(b[2 : 2+size])
		}
		b = b[2+size:]
	}
	return ""
}
