package filter

import (
	"fmt"
	"strings"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Dump is the program as `tcpdump -d` prints it, one instruction a line.
func (p *Program) Dump() string {
	var b strings.Builder
	for i, ins := range p.raw {
		name, operand, jump := disassemble(ins, i)
		if jump {
			fmt.Fprintf(&b, "(%03d) %-8s %-16s jt %d\tjf %d\n", i, name, operand, i+1+int(ins.Jt), i+1+int(ins.Jf))
		} else {
			fmt.Fprintf(&b, "(%03d) %-8s %s\n", i, name, operand)
		}
	}
	return b.String()
}

// DumpDDD is the program as `tcpdump -ddd` prints it: the number of
// instructions, and the numbers of each.
func (p *Program) DumpDDD() string {
	var b strings.Builder
	fmt.Fprintln(&b, len(p.raw))
	for _, i := range p.raw {
		fmt.Fprintln(&b, i.Op, i.Jt, i.Jf, i.K)
	}
	return b.String()
}

var (
	aluNames = map[uint16]string{unix.BPF_ADD: "add", unix.BPF_SUB: "sub", unix.BPF_MUL: "mul", unix.BPF_DIV: "div", unix.BPF_MOD: "mod",
		unix.BPF_AND: "and", unix.BPF_OR: "or", unix.BPF_XOR: "xor", unix.BPF_LSH: "lsh", unix.BPF_RSH: "rsh"}
	jumpNames = map[uint16]string{unix.BPF_JEQ: "jeq", unix.BPF_JGT: "jgt", unix.BPF_JGE: "jge", unix.BPF_JSET: "jset"}
	sizeNames = map[uint16]string{unix.BPF_W: "", unix.BPF_H: "h", unix.BPF_B: "b"}
	adNames   = map[uint32]string{adPacketType: "[type]", adVLANTag: "[vlan_tci]", adVLANTagged: "[vlanp]"}
)

// The parts of an instruction's code (linux/bpf_common.h).
const (
	classMask = 0x07
	sizeMask  = 0x18
	modeMask  = 0xe0
	opMask    = 0xf0
)

func disassemble(ins bpf.RawInstruction, at int) (name, operand string, jump bool) {
	switch ins.Op & classMask {
	case unix.BPF_LD:
		return "ld" + sizeNames[ins.Op&sizeMask], loadOperand(ins), false
	case unix.BPF_LDX:
		if ins.Op&modeMask == unix.BPF_MSH {
			return "ldxb", loadOperand(ins), false
		}
		return "ldx", loadOperand(ins), false
	case unix.BPF_ST:
		return "st", fmt.Sprintf("M[%d]", ins.K), false
	case unix.BPF_ALU:
		return aluOperand(ins)
	case unix.BPF_JMP:
		if ins.Op&opMask == unix.BPF_JA {
			return "ja", fmt.Sprint(at + 1 + int(ins.K)), false
		}
		if ins.Op&unix.BPF_X != 0 {
			return jumpNames[ins.Op&opMask], "x", true
		}
		return jumpNames[ins.Op&opMask], fmt.Sprintf("#0x%x", ins.K), true
	case unix.BPF_RET:
		return "ret", fmt.Sprintf("#%d", ins.K), false
	}
	return "tax", "", false
}

func loadOperand(ins bpf.RawInstruction) string {
	switch ins.Op & modeMask {
	case unix.BPF_IMM:
		return fmt.Sprintf("#0x%x", ins.K)
	case unix.BPF_ABS:
		if name, ok := adNames[ins.K]; ok {
			return name
		}
		return fmt.Sprintf("[%d]", ins.K)
	case unix.BPF_IND:
		return fmt.Sprintf("[x + %d]", ins.K)
	case unix.BPF_MEM:
		return fmt.Sprintf("M[%d]", ins.K)
	case unix.BPF_MSH:
		return fmt.Sprintf("4*([%d]&0xf)", ins.K)
	}
	return "#pktlen"
}

func aluOperand(ins bpf.RawInstruction) (name, operand string, jump bool) {
	o := ins.Op & opMask
	switch {
	case o == unix.BPF_NEG:
		return "neg", "", false
	case ins.Op&unix.BPF_X != 0:
		return aluNames[o], "x", false
	case o == unix.BPF_AND || o == unix.BPF_OR || o == unix.BPF_XOR:
		return aluNames[o], fmt.Sprintf("#0x%x", ins.K), false
	}
	return aluNames[o], fmt.Sprintf("#%d", ins.K), false
}
