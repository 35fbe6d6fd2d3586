package filter

import (
	"fmt"

	"golang.org/x/net/bpf"
)

// op is one instruction whose jumps name other instructions. Control always
// goes forward.
type op struct {
	ins     bpf.Instruction // nil for a conditional jump
	test    test            // of a conditional jump
	yes, no int             // its targets, as indices
}

// emitter lays out a tree from its end: what is jumped to is there already. A
// label is how many instructions there are from its target to the end.
type emitter struct {
	ops []op // the last instruction first
}

func (e *emitter) put(o op) int {
	e.ops = append(e.ops, o)
	return len(e.ops)
}

// node lays out n, which goes on at the label yes or no, and returns where it
// begins.
func (e *emitter) node(n node, yes, no int) int {
	switch n := n.(type) {
	case constant:
		if n {
			return yes
		}
		return no
	case negated:
		return e.node(n.x, no, yes)
	case both:
		return e.node(n.left, e.node(n.right, yes, no), no)
	case either:
		return e.node(n.left, yes, e.node(n.right, yes, no))
	case choice:
		no2 := e.node(n.no, yes, no)
		return e.node(n.cond, e.node(n.yes, yes, no), no2)
	case test:
		label := e.put(op{test: n, yes: yes, no: no})
		for i := len(n.load) - 1; i >= 0; i-- {
			label = e.put(op{ins: n.load[i]})
		}
		return label
	}
	panic("filter: a node that the emitter does not know")
}

// assemble makes the program that returns snaplen where n holds.
func assemble(prologue []bpf.Instruction, n node, snaplen uint32) ([]bpf.RawInstruction, error) {
	e := &emitter{}
	reject := e.put(op{ins: bpf.RetConstant{Val: 0}})
	accept := e.put(op{ins: bpf.RetConstant{Val: snaplen}})
	begin := e.node(n, accept, reject)
	if n == constant(true) {
		e.ops, begin = []op{{ins: bpf.RetConstant{Val: snaplen}}}, 1
	}
	// Nothing was laid out behind a tree's beginning, except for a constant.
	e.ops = e.ops[:begin]
	for i := len(prologue) - 1; i >= 0; i-- {
		e.put(op{ins: prologue[i]})
	}
	return link(dropLoads(forward(e.ops)))
}

// forward turns the instructions round, and labels into indices.
func forward(reversed []op) []op {
	n := len(reversed)
	ops := make([]op, n)
	for i, o := range reversed {
		o.yes, o.no = n-o.yes, n-o.no
		ops[n-1-i] = o
	}
	return ops
}

// registers is what the two registers are known to hold: the instruction that
// loaded them, nil when that is not known.
type registers struct {
	a, x    bpf.Instruction
	reached bool
}

// merge is what is known where two ways meet.
func (r registers) merge(o registers) registers {
	if !r.reached {
		return o
	}
	if r.a != o.a {
		r.a = nil
	}
	if r.x != o.x {
		r.x = nil
	}
	return r
}

// dropLoads takes out loads of what the register holds already, whichever way
// one came. One pass is enough, as all jumps go forward.
func dropLoads(ops []op) []op {
	at := make([]registers, len(ops)+1)
	at[0].reached = true
	drop := make([]bool, len(ops))
	for i, o := range ops {
		r := at[i]
		if o.ins == nil {
			at[o.yes] = at[o.yes].merge(r)
			at[o.no] = at[o.no].merge(r)
			continue
		}
		switch ins := o.ins.(type) {
		case bpf.LoadAbsolute, bpf.LoadExtension:
			drop[i] = r.a == o.ins
			r.a = o.ins
		case bpf.LoadMemShift:
			drop[i] = r.x == o.ins
			r.x = o.ins
		case bpf.LoadScratch:
			if ins.Dst == bpf.RegX {
				r.x = nil
			} else {
				r.a = nil
			}
		case bpf.TAX:
			r.x = nil
		case bpf.RetConstant:
			continue
		case bpf.StoreScratch:
		default:
			r.a = nil
		}
		at[i+1] = at[i+1].merge(r)
	}
	return without(ops, drop)
}

// without takes instructions out; jumps to them go to what follows.
func without(ops []op, drop []bool) []op {
	index := make([]int, len(ops)+1)
	var kept []op
	for i, o := range ops {
		index[i] = len(kept)
		if !drop[i] {
			kept = append(kept, o)
		}
	}
	for i := range kept {
		if kept[i].ins == nil {
			kept[i].yes, kept[i].no = index[kept[i].yes], index[kept[i].no]
		}
	}
	return kept
}

// link turns jumps into distances. A conditional jump reaches 255 instructions
// far; beyond that it goes to an unconditional one right behind it.
func link(ops []op) ([]bpf.RawInstruction, error) {
	var reversed []bpf.Instruction
	position := make([]int, len(ops)) // from the end
	near := func(target int) int {
		if len(reversed)-position[target] < 250 {
			return position[target]
		}
		reversed = append(reversed, bpf.Jump{Skip: uint32(len(reversed) - position[target])})
		return len(reversed)
	}
	for i := len(ops) - 1; i >= 0; i-- {
		ins := ops[i].ins
		if t := ops[i].test; ins == nil {
			yes, no := near(ops[i].yes), near(ops[i].no)
			skipYes, skipNo := uint8(len(reversed)-yes), uint8(len(reversed)-no)
			ins = bpf.JumpIf{Cond: t.cond, Val: t.k, SkipTrue: skipYes, SkipFalse: skipNo}
			if t.x {
				ins = bpf.JumpIfX{Cond: t.cond, SkipTrue: skipYes, SkipFalse: skipNo}
			}
		}
		reversed = append(reversed, ins)
		position[i] = len(reversed)
	}
	if len(reversed) > maxProgram {
		return nil, fmt.Errorf("makes %d instructions, and the kernel takes %d: shorten it", len(reversed), maxProgram)
	}
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	return bpf.Assemble(reversed)
}
