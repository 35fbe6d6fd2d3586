package netfilter

import (
	"fmt"
	"strings"
)

// The attributes of a compat match or target (NFTA_MATCH_*, NFTA_TARGET_*).
const (
	attrXTName = 1
	attrXTRev  = 2
	attrXTInfo = 3
)

// xtInfo is the C structure that an iptables extension keeps its options in,
// in the revision that is named with it.
type xtInfo struct {
	blob
	name   string
	rev    uint32
	family uint8
}

func newXTInfo(a attrs, family uint8) *xtInfo {
	return &xtInfo{
		blob: blob{data: a[attrXTInfo]}, name: a.str(attrXTName), rev: a.u32(attrXTRev), family: family,
	}
}

// addr reads an address out of a union nf_inet_addr.
func (b *xtInfo) addr(off int) string {
	size := addrSize(b.family)
	return formatAddr(b.bytes(off, size), size)
}

// raw shows an extension that could not be decoded.
func (b *xtInfo) raw() string { return fmt.Sprintf("<%s revision %d %x>", b.name, b.rev, b.data) }

func (x *iptablesText) xtMatch(a attrs) bool {
	b := newXTInfo(a, x.family)
	options, ok := "", false
	if f := xtMatches[b.name]; f != nil {
		options, ok = f(b)
	}
	if !ok || b.short {
		x.unknown = append(x.unknown, "match "+b.name)
		x.matches = append(x.matches, "-m "+b.name+" "+b.raw())
		return true
	}
	if b.name == "comment" {
		x.comment = b.str(0, 256)
	}
	x.matches = append(x.matches, strings.TrimSpace("-m "+b.name+" "+options))
	return true
}

func (x *iptablesText) xtTarget(a attrs) bool {
	b := newXTInfo(a, x.family)
	options, ok := "", false
	if f := xtTargets[b.name]; f != nil {
		options, ok = f(b)
	}
	if !ok || b.short {
		x.unknown = append(x.unknown, "target "+b.name)
		x.target = "-j " + b.name + " " + b.raw()
		return true
	}
	x.nat = xtNAT(b)
	x.target = strings.TrimSpace("-j " + b.name + " " + options)
	return true
}

func xtNAT(b *xtInfo) *NAT {
	kind, ok := map[string]string{
		"DNAT": kindDNAT, "SNAT": kindSNAT, "MASQUERADE": kindMasquerade, "REDIRECT": kindRedirect,
	}[b.name]
	if !ok {
		return nil
	}
	r := readNATRange(b)
	return &NAT{Kind: kind, Addr: r.addrText(), Port: r.portText()}
}

// natRange is where a NAT target sends to.
type natRange struct {
	flags            uint32
	family           uint8
	low, high        []byte // addresses
	portLow, portTop uint16
	portBase         uint16
}

// readNATRange reads the three shapes of a NAT target's structure:
// nf_nat_ipv4_multi_range_compat (revision 0 of ip), nf_nat_range and
// nf_nat_range2 (linux/netfilter/nf_nat.h).
func readNATRange(b *xtInfo) natRange {
	r := natRange{family: b.family}
	if b.family == familyIP && b.rev == 0 {
		r.flags = b.u32(4)
		r.low, r.high = b.bytes(8, 4), b.bytes(12, 4)
		r.portLow, r.portTop = b.be16(16), b.be16(18)
		return r
	}
	size := addrSize(b.family)
	r.flags = b.u32(0)
	r.low, r.high = b.bytes(4, size), b.bytes(20, size)
	r.portLow, r.portTop = b.be16(36), b.be16(38)
	if b.rev >= 2 {
		r.portBase = b.be16(40)
	}
	return r
}

func (r natRange) addrText() string {
	if r.flags&natMapIPs == 0 {
		return ""
	}
	size := addrSize(r.family)
	low, high := formatAddr(r.low, size), formatAddr(r.high, size)
	if low == high {
		return low
	}
	return low + "-" + high
}

func (r natRange) portText() string {
	if r.flags&natProtoSpec == 0 {
		return ""
	}
	text := fmt.Sprint(r.portLow)
	if r.portTop != r.portLow {
		text += fmt.Sprintf("-%d", r.portTop)
	}
	if r.flags&natProtoOffset != 0 {
		text += fmt.Sprintf("/%d", r.portBase)
	}
	return text
}

func (r natRange) flagText() string {
	var out strings.Builder
	for _, f := range []struct {
		bit  uint32
		name string
	}{{natProtoRandom, " --random"}, {natRandomFully, " --random-fully"}, {natPersistent, " --persistent"}} {
		if r.flags&f.bit != 0 {
			out.WriteString(f.name)
		}
	}
	return out.String()
}
