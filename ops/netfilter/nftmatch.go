package netfilter

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// The comparisons of a cmp expression (NFT_CMP_*) as nft writes them.
const (
	cmpEq  = 0
	cmpNeq = 1
	cmpLte = 3
	cmpGte = 5
)

var cmpSigns = []string{"", "!= ", "< ", "<= ", "> ", ">= "}

// The operations of a bitwise expression (NFT_BITWISE_*).
const (
	bitwiseMask   = 0
	bitwiseLshift = 1
	bitwiseRshift = 2
)

func (x *nftText) bitwise(a attrs) bool {
	o := x.get(a.u32(1))
	switch a.u32(6) {
	case bitwiseLshift, bitwiseRshift:
		sign := map[uint32]string{bitwiseLshift: "<<", bitwiseRshift: ">>"}[a.u32(6)]
		o.text = fmt.Sprintf("%s %s %d", o.text, sign, hostEndian(a.value(7)))
	case bitwiseMask:
		mask, xor := a.value(4), a.value(5)
		if len(mask) == 0 || len(mask) != len(xor) {
			return false
		}
		if isZero(xor) {
			o.mask = mask
		} else {
			o.text = maskXorText(o.text, uint32(hostEndian(mask)), uint32(hostEndian(xor)))
		}
	default:
		return false
	}
	x.set(a.u32(2), o)
	return true
}

// maskXorText writes (x & mask) ^ xor in the shorter form where there is one.
func maskXorText(text string, mask, xor uint32) string {
	switch {
	case mask == 0xffffffff:
		return fmt.Sprintf("%s ^ 0x%08x", text, xor)
	case mask == ^xor:
		return fmt.Sprintf("%s | 0x%08x", text, xor)
	}
	return fmt.Sprintf("%s & 0x%08x ^ 0x%08x", text, mask, xor)
}

func isZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

func (x *nftText) byteorder(a attrs) bool {
	o := x.get(a.u32(1))
	if o.typ == typeHost {
		o.typ = typeNumber
	}
	x.set(a.u32(2), o)
	return true
}

func (x *nftText) cmp(a attrs) bool {
	reg, op, data := a.u32(1), a.u32(2), a.value(3)
	if int(op) >= len(cmpSigns) || len(data) == 0 {
		return false
	}
	o := x.get(reg)
	switch {
	case o.typ == typePort && o.size == 4 && len(data) == 4:
		x.emit("%s %s%d", o.text, cmpSigns[op], bigEndian(data[:2]))
		x.emit("%s dport %s%d", x.header(baseTransport), cmpSigns[op], bigEndian(data[2:]))
		return true
	case op == cmpLte && x.lower != nil && x.lower.reg == reg && x.lower.at == len(x.out)-1:
		x.out = x.out[:x.lower.at]
		x.emit("%s %s-%s", o.text, x.value(o.typ, x.lower.data), x.value(o.typ, data))
		return true
	case op == cmpGte:
		x.lower = &lowerBound{at: len(x.out), reg: reg, data: data}
	}
	x.emit("%s", x.relation(o, op, data))
	if op == cmpEq && o.mask == nil {
		x.notePin(o, data)
	}
	return true
}

// notePin remembers what a comparison says about the protocols.
func (x *nftText) notePin(o operand, data []byte) {
	switch o.text {
	case "meta l4proto", "ip protocol", "ip6 nexthdr":
		x.pin(layerTransport, x.value(typeProto, data))
	case "meta nfproto":
		if p, ok := map[uint64]string{familyIP: "ip", familyIP6: "ip6"}[bigEndian(data)]; ok {
			x.pin(layerNetwork, p)
		}
	case "meta protocol", "ether type":
		x.pin(layerNetwork, x.value(typeEtherType, data))
	}
}

// relation writes a comparison of a value, masked or not, with a constant.
func (x *nftText) relation(o operand, op uint32, data []byte) string {
	if o.mask != nil {
		return x.maskedRelation(o, op, data)
	}
	return o.text + " " + cmpSigns[op] + x.value(o.typ, data)
}

func (x *nftText) maskedRelation(o operand, op uint32, data []byte) string {
	sign := cmpSigns[op]
	plain := sign // between a mask and a value the equals sign is written
	if op == cmpEq {
		plain = "== "
	}
	value, mask := x.value(o.typ, data), x.value(o.typ, o.mask)
	switch o.typ {
	case typeIPv4, typeIPv6:
		if n := prefixLength(o.mask); n >= 0 {
			return fmt.Sprintf("%s %s%s/%d", o.text, sign, value, n)
		}
	case typeCTState, typeCTStatus, typeTCPFlags:
		if isZero(data) && op == cmpNeq {
			return o.text + " " + strings.ReplaceAll(mask, " | ", ",")
		}
		if isZero(data) && op == cmpEq {
			return o.text + " ! " + strings.ReplaceAll(mask, " | ", ",")
		}
		if o.typ == typeTCPFlags {
			// 1.0.6 writes a mask of several flags in brackets.
			return fmt.Sprintf("%s & (%s) %s%s", o.text, mask, plain, value)
		}
	case typeDSCP:
		return o.text + " " + sign + x.value(typeDSCP, []byte{data[0] >> 2})
	case typeRaw:
		value, mask = "0x"+hex.EncodeToString(data), "0x"+hex.EncodeToString(o.mask)
		if strings.HasSuffix(o.text, " version") {
			return fmt.Sprintf("%s %s%d", o.text, sign, data[0]>>4)
		}
	}
	return fmt.Sprintf("%s & %s %s%s", o.text, mask, plain, value)
}

func (x *nftText) between(a attrs) bool {
	o, from, to := x.get(a.u32(1)), a.value(3), a.value(4)
	if len(from) == 0 || len(to) == 0 || a.u32(2) > cmpNeq {
		return false
	}
	x.emit("%s %s%s-%s", o.text, cmpSigns[a.u32(2)], x.value(o.typ, from), x.value(o.typ, to))
	return true
}

func (x *nftText) immediate(a attrs) bool {
	data := a.nested(2)
	if v, ok := data[2]; ok {
		x.emit("%s", parseVerdict(v))
		return true
	}
	x.set(a.u32(1), operand{imm: bytes.Clone(data[1]), size: len(data[1])})
	return len(data[1]) > 0
}

func (x *nftText) lookup(a attrs) bool {
	name, reg := a.str(1), a.u32(2)
	s := x.table.sets[name]
	if s == nil {
		return false
	}
	elems := "@" + name
	if s.flags&setAnonymous != 0 {
		elems = x.elements(s, x.get(reg).typ)
	}
	left := x.concat(reg, int(s.keyLen))
	switch {
	case !a.has(3):
		sign := ""
		if a.u32(5)&1 != 0 { // NFT_LOOKUP_F_INV
			sign = "!= "
		}
		x.emit("%s %s%s", left, sign, elems)
	case a.u32(3) == 0: // the verdict register
		x.emit("%s vmap %s", left, elems)
	default:
		x.mapped(a.u32(3), s, left+" map "+elems)
	}
	return true
}

// mapped puts the result of a map into registers, one operand for all of it.
func (x *nftText) mapped(reg uint32, s *set, text string) {
	o := operand{text: text, size: int(s.dataLen)}
	if types := concatTypes(s.dataType); len(types) == 1 {
		o.typ = types[0]
	}
	x.set(reg, o)
	for i := 1; i < slots(int(min(s.dataLen, 64))); i++ {
		x.regs[slot(reg)+uint32(i)] = operand{text: mappedRest, size: 4}
	}
}

// mappedRest stands for the parts of a map's result after the first.
const mappedRest = "+"
