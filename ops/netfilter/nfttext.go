package netfilter

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// operand is what a register holds while a rule is turned back into text: the
// words for where its value comes from, or the value itself.
type operand struct {
	text string
	typ  datatype
	size int    // bytes
	mask []byte // of a bitwise and that has not been written yet
	imm  []byte // a constant; text is empty then
}

// The layers whose protocol a statement may pin down without being written.
const (
	layerNetwork   = "network"
	layerTransport = "transport"
)

// nftText collects the statements of one rule as nft(8) writes them.
type nftText struct {
	table   *table
	regs    map[uint32]operand // by slot
	out     []string           // "" for one that turned out to be implied
	l3, l4  string             // protocols that the rule has pinned down
	implied map[string]int     // layer to the statement that pins it
	lower   *lowerBound
	nat     *NAT
	unknown []string
}

// lowerBound is a ">=" that may turn out to be the start of a range.
type lowerBound struct {
	at   int // in out
	reg  uint32
	data []byte
}

// nftRule writes a rule in the syntax of nft(8).
func nftRule(r *rule) ruleText {
	x := newNFTText(r.chain.table)
	for _, e := range r.exprs {
		x.add(e)
	}
	text := x.String()
	if r.comment != "" {
		text = strings.TrimSpace(text + fmt.Sprintf(` comment "%s"`, r.comment))
	}
	return ruleText{text: text, nat: x.nat, unknown: x.unknown}
}

func newNFTText(t *table) *nftText {
	x := &nftText{table: t, regs: map[uint32]operand{}, implied: map[string]int{}}
	switch t.family {
	case familyIP:
		x.l3 = "ip"
	case familyIP6:
		x.l3 = "ip6"
	case familyARP:
		x.l3 = "arp"
	}
	return x
}

func (x *nftText) String() string {
	var words []string
	for _, s := range x.out {
		if s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, " ")
}

// add writes one expression, raw when it cannot be decoded.
func (x *nftText) add(e expr) {
	f := x.writer(e.name)
	if f != nil && f(e.attrs) {
		return
	}
	x.unknown = append(x.unknown, e.name)
	x.emit("<%s %s>", e.name, hex.EncodeToString(e.raw))
}

// writer is the method for a kind of expression; it answers false when it does
// not understand what it was given.
func (x *nftText) writer(name string) func(attrs) bool {
	switch name {
	case "meta":
		return x.meta
	case "payload":
		return x.payload
	case "ct":
		return x.ct
	case "fib":
		return x.fib
	case "rt":
		return x.rt
	case "socket":
		return x.socket
	case "numgen":
		return x.numgen
	case "hash":
		return x.hash
	case "bitwise":
		return x.bitwise
	case "byteorder":
		return x.byteorder
	case "cmp":
		return x.cmp
	case "range":
		return x.between
	case "lookup":
		return x.lookup
	case "immediate":
		return x.immediate
	}
	return x.statementWriter(name)
}

// statementWriter has the expressions that do something with the packet.
func (x *nftText) statementWriter(name string) func(attrs) bool {
	switch name {
	case "counter":
		return x.counter
	case "limit":
		return x.limit
	case "connlimit":
		return x.connlimit
	case "quota":
		return x.quota
	case "log":
		return x.log
	case "notrack":
		return func(attrs) bool { x.emit("notrack"); return true }
	case "reject":
		return x.reject
	case "nat":
		return x.natStatement
	case "masq":
		return x.masquerade
	case "redir":
		return x.redirect
	case "dynset":
		return x.dynset
	case "objref":
		return x.objref
	}
	return nil
}

func (x *nftText) emit(format string, a ...any) { x.out = append(x.out, fmt.Sprintf(format, a...)) }

// slot is the four-byte register that a register number starts at: 1 to 4 are
// the old ones of sixteen bytes, 8 and up those of four (NFT_REG*).
func slot(reg uint32) uint32 {
	if reg >= 8 {
		return reg - 8
	}
	return (reg - 1) * 4
}

func (x *nftText) set(reg uint32, o operand) { x.regs[slot(reg)] = o }

func (x *nftText) get(reg uint32) operand {
	if o, ok := x.regs[slot(reg)]; ok {
		return o
	}
	return operand{text: fmt.Sprintf("<register %d>", reg)}
}

// concat is the text of all operands in the size bytes from reg on.
func (x *nftText) concat(reg uint32, size int) string {
	parts := []string{x.get(reg).text}
	for off := slots(x.get(reg).size); off < slots(size); {
		o, ok := x.regs[slot(reg)+uint32(off)]
		if !ok {
			break
		}
		parts = append(parts, o.text)
		off += slots(o.size)
	}
	return strings.Join(parts, " . ")
}

// slots is how many four-byte registers hold size bytes, at least one.
func slots(size int) int { return max((size+3)/4, 1) }

// constant writes what a register holds: a constant in the type that its use
// has, or the words for where it comes from.
func (x *nftText) constant(reg uint32, t datatype) string {
	o := x.get(reg)
	if o.imm == nil {
		return o.text
	}
	return x.value(t, o.imm)
}

func (x *nftText) value(t datatype, b []byte) string { return formatValue(t, b, x.table.links) }

// pin notes that the statement just written says which protocol a layer has.
func (x *nftText) pin(layer, protocol string) {
	if layer == layerNetwork {
		x.l3 = protocol
	} else {
		x.l4 = protocol
	}
	x.implied[layer] = len(x.out) - 1
}

// drop takes back the statement that pinned a layer: the one that follows says
// it too ("meta l4proto tcp th dport 80" is "tcp dport 80").
func (x *nftText) drop(layer string) {
	if i, ok := x.implied[layer]; ok && i < len(x.out) {
		x.out[i] = ""
		delete(x.implied, layer)
	}
}
