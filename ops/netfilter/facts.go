package netfilter

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// facts are the addresses and ports of a flow, side by side: what differs from
// flow to flow. Each of the four ends has an address of up to 16 bytes, and a
// port behind it.
type facts [4 * factEnd]byte

// Where each end begins, and its port behind that.
const (
	factEnd      = 18
	factPort     = 16
	factSrc      = 0 * factEnd
	factDst      = 1 * factEnd
	factReplySrc = 2 * factEnd
	factReplyDst = 3 * factEnd
)

func (f *Flow) facts() (out facts) {
	for i, end := range []netip.AddrPort{f.Original.Src, f.Original.Dst, f.Reply.Src, f.Reply.Dst} {
		if a := end.Addr(); a.Is4() {
			v4 := a.As4()
			copy(out[i*factEnd:], v4[:])
		} else {
			v6 := a.As16()
			copy(out[i*factEnd:], v6[:])
		}
		binary.BigEndian.PutUint16(out[i*factEnd+factPort:], end.Port())
	}
	return out
}

// origin is where a byte of a register comes from: those bits of a fact.
type origin struct {
	fact uint8 // counted from 1; 0 is none
	bits byte
}

// origins are those of n bytes, all of their bits.
func origins(fact, n int) []origin {
	out := make([]origin, n)
	for i := range out {
		out[i] = origin{uint8(fact + i + 1), 0xff}
	}
	return out
}

// comesFrom notes the origins of what was stored in a register.
func (m *machine) comesFrom(reg uint32, from []origin) {
	if start, to, ok := window(reg, len(from)); ok {
		copy(m.from[start:to], from)
	}
}

// used are the bits of the facts that an evaluation has looked at: a flow that
// has the same ones, and the same traits, comes to the same end. Its methods do
// nothing on nil.
type used facts

func (u *used) addr(end int) { u.fact(end, 16) }
func (u *used) port(end int) { u.fact(end+factPort, 2) }

func (u *used) fact(at, n int) {
	if u == nil {
		return
	}
	for i := range n {
		u[at+i] = 0xff
	}
}

// all uses every bit.
func (u *used) all(from []origin) {
	if u == nil {
		return
	}
	for _, o := range from {
		if o.fact != 0 {
			u[o.fact-1] |= o.bits
		}
	}
}

// compared uses what a comparison looks at. When it only asks whether two values
// are the same, and they are not, one bit is reason enough.
func (u *used) compared(from []origin, a, b []byte, sameness bool) {
	if u == nil {
		return
	}
	for i := range from {
		if differ := a[i] ^ b[i]; sameness && differ != 0 {
			o := from[i]
			if o.fact == 0 {
				return // what differs is the same for all flows
			}
			u[o.fact-1] |= o.bits & (0x80 >> bits.LeadingZeros8(differ))
			return
		}
	}
	u.all(from)
}
