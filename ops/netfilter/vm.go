package netfilter

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// registerBytes is the room of the registers of nf_tables, without the verdict.
const registerBytes = 64

// machine runs the expressions of one rule on the packet. Each byte of a
// register is known or not; what is not known makes a comparison an open
// question.
type machine struct {
	*walker
	rule    *rule
	data    [registerBytes]byte
	known   [registerBytes]bool
	from    [registerBytes]origin
	verdict verdict
}

// action is what an expression did.
type action int

const (
	proceed  action = iota // to the next expression
	mismatch               // the rule does not apply
	decided                // machine.verdict holds
)

// rule runs a rule. One that does not apply, or decides nothing, continues.
func (w *walker) rule(r *rule) verdict {
	*w.steps--
	if *w.steps <= 0 {
		w.result.dropped = true // ends the run
	}
	if !r.matters {
		return verdict{code: verdictContinue}
	}
	m := &machine{walker: w, rule: r, verdict: verdict{code: verdictContinue}}
	for _, e := range r.exprs {
		switch m.exec(e) {
		case mismatch:
			return verdict{code: verdictContinue}
		case decided:
			return m.verdict
		}
	}
	return m.verdict
}

// window is where in the registers size bytes from register reg are.
func window(reg uint32, size int) (from, to int, ok bool) {
	if reg == 0 || size < 0 || size > registerBytes {
		return 0, 0, false
	}
	s := slot(reg)
	if s >= registerBytes/4 {
		return 0, 0, false
	}
	from = int(s) * 4
	return from, from + size, from+size <= registerBytes
}

// store puts a known value into a register, filled up with zeros to four bytes.
func (m *machine) store(reg uint32, b []byte) {
	from, to, ok := window(reg, slots(len(b))*4)
	if !ok {
		return
	}
	clear(m.data[from:to])
	clear(m.from[from:to])
	copy(m.data[from:to], b)
	for i := from; i < to; i++ {
		m.known[i] = true
	}
}

// forget makes size bytes from a register on unknown.
func (m *machine) forget(reg uint32, size int) {
	if from, to, ok := window(reg, slots(size)*4); ok {
		clear(m.known[from:to])
	}
}

// load gives size bytes from a register on, and whether all are known. All of
// them count as used.
func (m *machine) load(reg uint32, size int) ([]byte, bool) {
	b, from, known := m.peek(reg, size)
	m.used.all(from)
	return b, known
}

// peek is load for who says himself what of it is used; from is where the bytes
// come from.
func (m *machine) peek(reg uint32, size int) (b []byte, origins []origin, known bool) {
	from, to, ok := window(reg, size)
	if !ok {
		return make([]byte, max(size, 0)), nil, false
	}
	return m.data[from:to], m.from[from:to], !slices.Contains(m.known[from:to], false)
}

func hostBytes(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

// test goes on when ok, and leaves the rule when not.
func test(ok bool) action {
	if ok {
		return proceed
	}
	return mismatch
}

func (m *machine) exec(e expr) action {
	a := e.attrs
	switch e.name {
	case "counter", "log", "notrack":
		return proceed
	case "meta":
		m.meta(a)
	case "payload":
		m.payload(a)
	case "ct":
		m.ct(a)
	case "fib":
		m.fib(a)
	case "immediate":
		return m.immediate(a)
	case "bitwise":
		m.bitwise(a)
	case "byteorder":
		m.byteorder(a)
	case "cmp":
		return m.cmp(a)
	case "range":
		return m.between(a)
	case "lookup":
		return m.lookup(a)
	case "limit", "quota", "connlimit", "dynset", "objref":
		return test(m.either(e.name))
	case "numgen", "rt", "exthdr", "osf", "xfrm":
		m.forget(a.u32(1), 16)
	case "hash", "socket":
		m.forget(a.u32(2), 4)
	default:
		return m.effect(e)
	}
	return proceed
}

// effect runs the expressions that end a rule.
func (m *machine) effect(e expr) action {
	a := e.attrs
	switch e.name {
	case "reject":
		return m.decide(verdictDrop)
	case "nat":
		return m.nat(a)
	case "masq":
		return m.portsNAT(kindMasquerade, a, 2, 3)
	case "redir":
		return m.portsNAT(kindRedirect, a, 1, 2)
	case "match":
		return m.xtMatch(newXTInfo(a, m.rule.chain.table.family))
	case "target":
		return m.xtTarget(newXTInfo(a, m.rule.chain.table.family))
	}
	// Not understood: it may match or not, and it may do anything.
	if !m.either("expression " + e.name) {
		return mismatch
	}
	m.opaque()
	return proceed
}

func (m *machine) decide(code int32) action {
	m.verdict = verdict{code: code}
	return decided
}

func (m *machine) immediate(a attrs) action {
	data := a.nested(2)
	if b, ok := data[2]; ok {
		m.verdict = *parseVerdict(b)
		return decided
	}
	m.store(a.u32(1), data[1])
	return proceed
}

func (m *machine) bitwise(a attrs) {
	size := int(min(a.u32(3), registerBytes))
	src, origins, known := m.peek(a.u32(1), size)
	mask, xor := a.value(4), a.value(5)
	if a.u32(6) != bitwiseMask || len(mask) < size || len(xor) < size || !known {
		m.forget(a.u32(2), size)
		return
	}
	out := make([]byte, size)
	masked := make([]origin, size)
	for i := range out {
		out[i] = src[i]&mask[i] ^ xor[i]
		masked[i] = origin{origins[i].fact, origins[i].bits & mask[i]}
	}
	m.store(a.u32(2), out)
	m.comesFrom(a.u32(2), masked)
}

func (m *machine) byteorder(a attrs) {
	size, unit := int(min(a.u32(4), registerBytes)), int(a.u32(5))
	src, known := m.load(a.u32(1), size)
	if !known || unit <= 0 {
		m.forget(a.u32(2), size)
		return
	}
	out := bytes.Clone(src)
	if hostEndian([]byte{1, 0}) == 1 { // on a big-endian machine nothing moves
		for i := 0; i+unit <= size; i += unit {
			slices.Reverse(out[i : i+unit])
		}
	}
	m.store(a.u32(2), out)
}

func (m *machine) cmp(a attrs) action {
	want := a.value(3)
	got, origins, known := m.peek(a.u32(1), len(want))
	if !known {
		return test(m.either("comparison in " + m.place()))
	}
	c := bytes.Compare(got, want)
	m.used.compared(origins, got, want, a.u32(2) <= cmpNeq)
	results := []bool{c == 0, c != 0, c < 0, c <= 0, c > 0, c >= 0}
	if op := int(a.u32(2)); op < len(results) {
		return test(results[op])
	}
	return test(m.either("comparison in " + m.place()))
}

func (m *machine) between(a attrs) action {
	from, to := a.value(3), a.value(4)
	got, known := m.load(a.u32(1), len(from))
	if !known || len(from) != len(to) {
		return test(m.either("range in " + m.place()))
	}
	inside := bytes.Compare(got, from) >= 0 && bytes.Compare(got, to) <= 0
	return test(inside != (a.u32(2) == cmpNeq))
}

// place names the rule for those who are told what could not be decided.
func (m *machine) place() string {
	t := m.rule.chain.table
	return familyName(t.family) + " " + t.name + " " + m.rule.chain.name
}

// header builds what is known of a header: the bytes, for each whether it is
// known, and where it comes from.
type header struct {
	data  [64]byte
	known [64]bool
	from  [64]origin
}

func (h *header) put(off int, b ...byte) {
	copy(h.data[off:], b)
	for i := range b {
		h.known[off+i] = true
	}
}

// putFact is put for what the flow decides.
func (h *header) putFact(off, fact int, b ...byte) {
	h.put(off, b...)
	copy(h.from[off:], origins(fact, len(b)))
}

func (m *machine) networkHeader() *header {
	h := &header{}
	src, dst := m.src.Addr().AsSlice(), m.dst.Addr().AsSlice()
	if m.family() == familyIP {
		h.put(0, 0x45)
		h.put(9, m.pkt.protocol())
		h.putFact(12, factSrc, src...)
		h.putFact(16, m.dstAt, dst...)
	} else {
		h.put(6, m.pkt.protocol())
		h.putFact(8, factSrc, src...)
		h.putFact(24, m.dstAt, dst...)
	}
	return h
}

func (m *machine) transportHeader() *header {
	h := &header{}
	sport := binary.BigEndian.AppendUint16(nil, m.src.Port())
	if m.pkt.isICMP() {
		h.put(0, m.pkt.ICMPType, 0)
		h.putFact(4, factSrc+factPort, sport...)
		return h
	}
	h.putFact(0, factSrc+factPort, sport...)
	h.putFact(2, m.dstAt+factPort, binary.BigEndian.AppendUint16(nil, m.dst.Port())...)
	return h
}

func (m *machine) payload(a attrs) {
	if a.has(5) { // writes to the packet
		return
	}
	off, size := a.u32(3), a.u32(4)
	var h *header
	switch a.u32(2) {
	case baseNetwork:
		h = m.networkHeader()
	case baseTransport:
		h = m.transportHeader()
	}
	if h == nil || off >= uint32(len(h.data)) || size > uint32(len(h.data))-off {
		m.forget(a.u32(1), int(min(size, registerBytes)))
		return
	}
	m.store(a.u32(1), h.data[off:off+size])
	if from, to, ok := window(a.u32(1), int(size)); ok {
		copy(m.known[from:to], h.known[off:off+size])
		copy(m.from[from:to], h.from[off:off+size])
	}
}
