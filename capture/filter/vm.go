package filter

import (
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Packet is what the kernel shows to a program: bytes, and what it knows beside.
type Packet struct {
	Data     []byte // from the link layer header on, without the VLAN tag that TCI holds
	Length   int    // on the wire; Data may be less
	Tagged   bool   // the kernel has taken a VLAN tag out
	TCI      uint16 // that tag's priority and identifier
	Outgoing bool
}

// Run gives what the kernel would: how many bytes to keep of the packet, 0 for
// none. A load from behind the end of Data and a division by zero give 0.
//
// x/net/bpf has a virtual machine without the ancillary loads that VLAN tags
// and directions need; this one has those that the compiler uses.
func (p *Program) Run(pkt Packet) int {
	m := machine{pkt: pkt}
	for pc := 0; pc < len(p.raw); pc++ {
		ins := p.raw[pc]
		switch ins.Op & classMask {
		case unix.BPF_RET:
			return int(ins.K)
		case unix.BPF_JMP:
			pc += m.jump(ins)
		case unix.BPF_LD, unix.BPF_LDX:
			if !m.load(ins) {
				return 0
			}
		case unix.BPF_ST:
			m.memory[ins.K&(memorySlots-1)] = m.a
		case unix.BPF_STX:
			m.memory[ins.K&(memorySlots-1)] = m.x
		case unix.BPF_ALU:
			if !m.compute(ins) {
				return 0
			}
		default: // BPF_MISC
			if ins.Op&0xf8 == unix.BPF_TXA {
				m.a = m.x
			} else {
				m.x = m.a
			}
		}
	}
	return 0
}

type machine struct {
	pkt    Packet
	a, x   uint32
	memory [memorySlots]uint32
}

// jump is how many instructions are left out.
func (m *machine) jump(ins bpf.RawInstruction) int {
	k := ins.K
	if ins.Op&unix.BPF_X != 0 {
		k = m.x
	}
	var cond bpf.JumpTest
	switch ins.Op & opMask {
	case unix.BPF_JA:
		return int(ins.K)
	case unix.BPF_JEQ:
		cond = bpf.JumpEqual
	case unix.BPF_JGT:
		cond = bpf.JumpGreaterThan
	case unix.BPF_JGE:
		cond = bpf.JumpGreaterOrEqual
	default:
		cond = bpf.JumpBitsSet
	}
	if compare(cond, m.a, k) {
		return int(ins.Jt)
	}
	return int(ins.Jf)
}

// load says false for what is not there.
func (m *machine) load(ins bpf.RawInstruction) bool {
	v, ok := uint32(0), true
	switch ins.Op & modeMask {
	case unix.BPF_IMM:
		v = ins.K
	case unix.BPF_MEM:
		v = m.memory[ins.K&(memorySlots-1)]
	case unix.BPF_LEN:
		v = uint32(m.pkt.Length)
	case unix.BPF_MSH:
		v, ok = m.bytes(ins.K, unix.BPF_B)
		v = v & 0xf * 4
	case unix.BPF_IND:
		v, ok = m.bytes(m.x+ins.K, ins.Op&sizeMask)
	case unix.BPF_ABS:
		if ins.K >= 1<<31 {
			v, ok = m.ancillary(ins.K)
		} else {
			v, ok = m.bytes(ins.K, ins.Op&sizeMask)
		}
	}
	if ins.Op&classMask == unix.BPF_LDX {
		m.x = v
	} else {
		m.a = v
	}
	return ok
}

func (m *machine) bytes(off uint32, size uint16) (v uint32, ok bool) {
	n := uint64(4)
	switch size {
	case unix.BPF_H:
		n = 2
	case unix.BPF_B:
		n = 1
	}
	if off >= 1<<31 || uint64(off)+n > uint64(len(m.pkt.Data)) {
		return 0, false
	}
	for _, b := range m.pkt.Data[off : uint64(off)+n] {
		v = v<<8 | uint32(b)
	}
	return v, true
}

func (m *machine) ancillary(off uint32) (uint32, bool) {
	switch {
	case off == adPacketType && m.pkt.Outgoing:
		return packetOutgoing, true
	case off == adPacketType:
		return 0, true
	case off == adVLANTagged && m.pkt.Tagged:
		return 1, true
	case off == adVLANTagged:
		return 0, true
	case off == adVLANTag:
		return uint32(m.pkt.TCI), true
	}
	return 0, false
}

// compute says false for a division by zero.
func (m *machine) compute(ins bpf.RawInstruction) bool {
	o := ins.Op & opMask
	if o == unix.BPF_NEG {
		m.a = -m.a
		return true
	}
	k := ins.K
	if ins.Op&unix.BPF_X != 0 {
		k = m.x
	}
	if k == 0 && (o == unix.BPF_DIV || o == unix.BPF_MOD) {
		return false
	}
	m.a = alu(bpf.ALUOp(o), m.a, k)
	return true
}
