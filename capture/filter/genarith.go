package filter

import "golang.org/x/net/bpf"

// value is a number that a program computes.
type value struct {
	code  []bpf.Instruction // leaves it in the accumulator; nil when it is constant
	guard node              // the packet has what is loaded; nil when it always has
	k     uint32            // the constant
}

func (v value) constant() bool { return v.code == nil }

// load is code for constants, too.
func (v value) load() []bpf.Instruction {
	if v.constant() {
		return []bpf.Instruction{bpf.LoadConstant{Dst: bpf.RegA, Val: v.k}}
	}
	return v.code
}

func guards(a, b node) node {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	}
	return both{a, b}
}

const (
	memorySlots = 16 // BPF_MEMWORDS of linux/bpf_common.h
	// offsetSlot is kept for the offset that "vlan" moves: it is set before
	// anything is computed.
	offsetSlot = memorySlots - 1
)

// slot takes a word of scratch memory.
func (g *generator) slot(at token) int {
	if g.slots == offsetSlot {
		bail(at, "too complex: a program has %d words of memory", memorySlots)
	}
	g.slots++
	return g.slots - 1
}

func (g *generator) relation(e relExpr) node {
	free := g.slots
	g.computed = true
	left := g.number(e.left)
	right := g.number(e.right)
	t := test{k: right.k}
	if right.constant() {
		t.load = left.load()
	} else {
		t.x = true
		t.load = g.pair(e.op, left, right)
	}
	g.slots = free
	n := compared(t, e.op.text)
	if left.constant() && right.constant() {
		n = settle(n)
	}
	if guard := guards(left.guard, right.guard); guard != nil {
		return both{guard, n}
	}
	return n
}

// compared is a test for one of the six comparisons, which the kernel has three
// of, and one more for bits.
func compared(t test, op string) node {
	switch op {
	case ">", "<=":
		t.cond = bpf.JumpGreaterThan
	case ">=", "<":
		t.cond = bpf.JumpGreaterOrEqual
	default:
		t.cond = bpf.JumpEqual
	}
	n := node(t)
	if last, ok := t.load[len(t.load)-1].(bpf.ALUOpConstant); ok && last.Op == bpf.ALUOpAnd && t.cond == bpf.JumpEqual && t.k == 0 && !t.x {
		n = negated{test{load: t.load[:len(t.load)-1], cond: bpf.JumpBitsSet, k: last.Val}}
	}
	if op == "!=" || op == "<" || op == "<=" {
		return negated{n}
	}
	return n
}

// settle is the outcome of a comparison of two constants.
func settle(n node) node {
	switch n := n.(type) {
	case negated:
		return !settle(n.x).(constant)
	case test:
		return constant(compare(n.cond, n.load[0].(bpf.LoadConstant).Val, n.k))
	}
	return n
}

// pair leaves left in the accumulator and right in the index register.
func (g *generator) pair(at token, left, right value) []bpf.Instruction {
	s := g.slot(at)
	code := append(clone(right.load()), bpf.StoreScratch{Src: bpf.RegA, N: s})
	code = append(code, left.load()...)
	return append(code, bpf.LoadScratch{Dst: bpf.RegX, N: s})
}

func clone(code []bpf.Instruction) []bpf.Instruction { return append([]bpf.Instruction(nil), code...) }

func (g *generator) number(a arith) value {
	switch a := a.(type) {
	case numArith:
		return value{k: a.value}
	case lenArith:
		return value{code: []bpf.Instruction{bpf.LoadExtension{Num: bpf.ExtLen}}}
	case negArith:
		v := g.number(a.x)
		if v.constant() {
			return value{k: -v.k}
		}
		return value{code: append(clone(v.code), bpf.NegateA{}), guard: v.guard}
	case binArith:
		return g.compute(a)
	case loadArith:
		return g.load(a)
	}
	panic("filter: a number that the generator does not know")
}

var aluOps = map[string]bpf.ALUOp{"|": bpf.ALUOpOr, "^": bpf.ALUOpXor, "&": bpf.ALUOpAnd, "<<": bpf.ALUOpShiftLeft, ">>": bpf.ALUOpShiftRight,
	"+": bpf.ALUOpAdd, "-": bpf.ALUOpSub, "*": bpf.ALUOpMul, "/": bpf.ALUOpDiv, "%": bpf.ALUOpMod}

func (g *generator) compute(e binArith) value {
	op := aluOps[e.op.text]
	left, right := g.number(e.left), g.number(e.right)
	guard := guards(left.guard, g.forgotten(e.op, right.guard))
	if !right.constant() {
		return value{code: append(g.pair(e.op, left, right), bpf.ALUOpX{Op: op}), guard: guard}
	}
	switch {
	case (op == bpf.ALUOpDiv || op == bpf.ALUOpMod) && right.k == 0:
		bail(e.op, "division by zero")
	case (op == bpf.ALUOpShiftLeft || op == bpf.ALUOpShiftRight) && right.k > 31:
		bail(e.op, "a shift by more than 31 bits")
	}
	if left.constant() {
		return value{k: alu(op, left.k, right.k), guard: guard}
	}
	return value{code: append(clone(left.code), bpf.ALUOpConstant{Op: op, Val: right.k}), guard: guard}
}

// forgotten is the guard of a right operand, which libpcap forgets: in
// "len - ip[2:2] > 14" it would look for the field in packets of all protocols.
// Such an expression is taken only where the protocol is known anyway, so that
// both mean the same.
func (g *generator) forgotten(at token, guard node) node {
	if guard == nil || g.stripped {
		return guard
	}
	return implied{guard, at}
}

// alu computes as the kernel does; the divisor is not 0.
func alu(op bpf.ALUOp, a, b uint32) uint32 {
	switch op {
	case bpf.ALUOpOr:
		return a | b
	case bpf.ALUOpXor:
		return a ^ b
	case bpf.ALUOpAnd:
		return a & b
	case bpf.ALUOpShiftLeft:
		return a << (b & 31)
	case bpf.ALUOpShiftRight:
		return a >> (b & 31)
	case bpf.ALUOpAdd:
		return a + b
	case bpf.ALUOpSub:
		return a - b
	case bpf.ALUOpMul:
		return a * b
	case bpf.ALUOpDiv:
		return a / b
	}
	return a % b
}

// load is "proto[index:size]". What is behind an IP header is looked for in
// IPv4 alone, and in icmp6's case in IPv6 without extension headers.
func (g *generator) load(e loadArith) value {
	index := g.number(e.index)
	v := value{}
	switch w := e.proto.text; {
	case w == "ether" || w == "link":
		if g.opts.LinkType == Ethernet {
			g.needEthernet(e.proto)
		}
		v.code = g.fixed(e, index, 0, false)
	case w == "ip" || w == "ip6" || w == "arp" || w == "rarp" || w == "lat" || w == "moprc" || w == "mopdl" || w == "sca" || w == "decnet":
		v.guard = g.linkType(e.proto, etherTypes[w])
		v.code = g.fixed(e, index, g.network(0), true)
	case w == "icmp6":
		v.guard = g.carriesOnly(e.proto, etherIP6, protoICMP6)
		v.code = g.fixed(e, index, g.network(40), true)
	case w == "ah" || w == "esp" || protoFamily[w] == "":
		bail(e.proto, "has no fields that can be looked at; use ip[...] or ether[...]")
	default:
		v.guard = both{g.carries(e.proto, "ip", ipProtocols[w]), g.noFragment()}
		v.code = g.transport(e, index)
	}
	v.guard = guards(index.guard, v.guard)
	return v
}

// fixed loads from behind headers of constant length. The header itself may
// have been moved by a VLAN tag.
func (g *generator) fixed(e loadArith, index value, base uint32, moves bool) []bpf.Instruction {
	if index.constant() {
		off := base + index.k
		if off >= 1<<31 {
			bail(e.proto, "the offset %d is beyond any packet", int32(index.k))
		}
		if moves {
			return g.loadAt(off, e.size)
		}
		return []bpf.Instruction{bpf.LoadAbsolute{Off: off, Size: e.size}}
	}
	code := clone(index.code)
	if moves && g.offset.slot >= 0 && !g.offset.untracked {
		g.readOffset()
		code = append(code, bpf.LoadScratch{Dst: bpf.RegX, N: g.offset.slot}, bpf.ALUOpX{Op: bpf.ALUOpAdd})
	}
	return append(code, bpf.TAX{}, bpf.LoadIndirect{Off: base, Size: e.size})
}

// transport loads from behind the IPv4 header.
func (g *generator) transport(e loadArith, index value) []bpf.Instruction {
	if index.constant() {
		off := g.network(index.k)
		if off >= 1<<31 {
			bail(e.proto, "the offset %d is beyond any packet", int32(index.k))
		}
		return append(g.headerLength(), bpf.LoadIndirect{Off: off, Size: e.size})
	}
	// headerLength may use the accumulator, so the index waits in memory.
	s := g.slot(e.proto)
	code := append(clone(index.code), bpf.StoreScratch{Src: bpf.RegA, N: s})
	code = append(code, g.headerLength()...)
	code = append(code, bpf.LoadScratch{Dst: bpf.RegA, N: s}, bpf.ALUOpX{Op: bpf.ALUOpAdd}, bpf.TAX{})
	return append(code, bpf.LoadIndirect{Off: g.network(0), Size: e.size})
}
