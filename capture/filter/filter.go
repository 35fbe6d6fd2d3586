// Package filter compiles pcap-filter(7) expressions to classic BPF programs
// for the kernel, and evaluates the same expressions over captured packets.
//
// What libpcap would compile differently, or not at all, is refused with an
// error that names the column; nothing is compiled to something else than
// `tcpdump -i LINK -d` shows. Names of hosts and networks are not resolved,
// protochain, gateway, geneve and the words for radio, ATM and SS7 links are
// refused.
//
// Of our own is "vxlan [port N] [vni N]": UDP to one of the VXLAN ports (4789
// and 8472, or the one given) with the header's I flag set (RFC 7348).
package filter

import (
	"fmt"
	"net"

	"golang.org/x/net/bpf"
)

// LinkType says with which header the packets of a link begin.
type LinkType int

const (
	// Ethernet is a link with Ethernet headers, loopback included.
	Ethernet LinkType = iota
	// RawIP is a link whose packets begin with the IP header: tun, ipip, sit.
	RawIP
)

// Options say for which link an expression is compiled.
type Options struct {
	LinkType LinkType
	// Snaplen is how many bytes of a packet the program keeps, 262144 (the
	// default of tcpdump) when 0.
	Snaplen int
	// Netmask is that of the link's IPv4 address, which "ip broadcast" needs;
	// nil when it is not known. A link without address has 0.0.0.0.
	Netmask net.IPMask
}

// Error is what is wrong with an expression.
type Error struct {
	Column int    // of the word, in characters from 1
	Word   string // "" at the end of the expression
	Reason string
}

// Error implements error, in one line.
func (e *Error) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("column %d, at the end: %s", e.Column, e.Reason)
	}
	return fmt.Sprintf("column %d, %q: %s", e.Column, e.Word, e.Reason)
}

// maxProgram is BPF_MAXINSNS of linux/bpf_common.h.
const maxProgram = 4096

// Program is a compiled filter. It is immutable.
type Program struct {
	raw []bpf.RawInstruction
}

// Raw is the program as the kernel takes it (SO_ATTACH_FILTER). It returns the
// bytes to keep of a packet that matches, and 0 for one that does not. The
// loads at negative offsets (VLAN tag, direction) need a packet socket on Linux.
func (p *Program) Raw() []bpf.RawInstruction { return append([]bpf.RawInstruction(nil), p.raw...) }

// Compile makes a program of an expression; an empty one matches everything.
// What is wrong with the expression is told by an *Error.
func Compile(expr string, o Options) (p *Program, err error) {
	defer rescue(&err)
	if o.Snaplen <= 0 {
		o.Snaplen = 262144
	}
	tree := parse(expr, false)
	g := newGenerator(o)
	n := g.tree(tree)
	if g.offset.slot >= 0 && !g.offset.read {
		// Nothing behind "vlan" depends on where the tag is.
		g = newGenerator(o)
		g.offset.untracked = true
		n = g.tree(tree)
	}
	n = simplify(n, nil)
	if (*fact)(nil).refuted(n) {
		bail(token{col: 1, text: expr}, "no packet can match this")
	}
	raw, err := assemble(g.prologue(), n, uint32(o.Snaplen))
	if err != nil {
		return nil, &Error{Column: 1, Word: expr, Reason: err.Error()}
	}
	return &Program{raw: raw}, nil
}

// bail gives up: the recursive descent of parser and generator ends in rescue.
func bail(at token, format string, args ...any) {
	panic(&Error{Column: at.col, Word: at.text, Reason: fmt.Sprintf(format, args...)})
}

func rescue(err *error) { rescueFrom(recover(), err) }

func rescueFrom(recovered any, err *error) {
	switch r := recovered.(type) {
	case nil:
	case *Error:
		r.Word = printable(r.Word)
		*err = r
	default:
		panic(r)
	}
}
