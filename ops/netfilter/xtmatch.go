package netfilter

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// xtMatches write the options of the matches, by name. Each answers false for
// a revision or a mode that it does not know.
var xtMatches = map[string]func(*xtInfo) (string, bool){
	"comment":   func(b *xtInfo) (string, bool) { return "--comment " + iptablesQuote(b.str(0, 256)), true },
	"conntrack": conntrackOptions,
	"addrtype":  addrtypeOptions,
	"tcp":       tcpOptions,
	"udp":       udpOptions,
	"icmp":      func(b *xtInfo) (string, bool) { return icmpOptions(b, "--icmp-type") },
	"icmp6":     func(b *xtInfo) (string, bool) { return icmpOptions(b, "--icmpv6-type") },
	"multiport": multiportOptions,
	"mark":      markMatchOptions,
	"connmark":  markMatchOptions,
	"limit":     limitOptions,
	"statistic": statisticOptions,
	"mac":       macOptions,
	"iprange":   iprangeOptions,
	"owner":     ownerOptions,
	"physdev":   physdevOptions,
	"pkttype":   pkttypeOptions,
	"length":    lengthOptions,
	"rpfilter":  rpfilterOptions,
}

// The parts of a conntrack match (XT_CONNTRACK_*, xt_conntrack.h): what it
// looks at, and the bits of a state.
const (
	conntrackState  = 1 << 0
	conntrackProto  = 1 << 1
	conntrackStatus = 1 << 6
	conntrackExpire = 1 << 7

	xtStateInvalid     = 1 << 0
	xtStateEstablished = 1 << 1
	xtStateRelated     = 1 << 2
	xtStateNew         = 1 << 3
	xtStateSNAT        = 1 << 6
	xtStateDNAT        = 1 << 7
	xtStateUntracked   = 1 << 8
)

var conntrackStates = []struct {
	bit  uint16
	name string
}{
	{xtStateInvalid, "INVALID"}, {xtStateNew, "NEW"}, {xtStateRelated, "RELATED"}, {xtStateEstablished, "ESTABLISHED"},
	{xtStateUntracked, "UNTRACKED"}, {xtStateSNAT, "SNAT"}, {xtStateDNAT, "DNAT"},
}

// conntrackInfo is struct xt_conntrack_mtinfo3, and 2, up to where they are
// the same.
type conntrackInfo struct {
	match, invert, state, status uint16
}

func readConntrack(b *xtInfo) conntrackInfo {
	return conntrackInfo{match: b.u16(146), invert: b.u16(148), state: b.u16(150), status: b.u16(152)}
}

func conntrackOptions(b *xtInfo) (string, bool) {
	c := readConntrack(b)
	var words []string
	add := func(bit uint16, option, value string) {
		if c.match&bit != 0 {
			words = append(words, not(c.invert&bit != 0)+option+" "+value)
		}
	}
	var states []string
	for _, s := range conntrackStates {
		if c.state&s.bit != 0 {
			states = append(states, s.name)
		}
	}
	add(conntrackState, "--ctstate", strings.Join(states, ","))
	add(conntrackProto, "--ctproto", strconv.Itoa(int(b.u16(136))))
	for i, n := range []string{"--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst"} {
		add(4<<i, n, b.addr(i*32))
	}
	status := "NONE"
	if c.status != 0 {
		status = bitNames(uint64(c.status), []string{"EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"}, ",")
	}
	add(conntrackStatus, "--ctstatus", status)
	add(conntrackExpire, "--ctexpire", fmt.Sprintf("%d:%d", b.u32(128), b.u32(132)))
	return strings.Join(words, " "), (b.rev == 2 || b.rev == 3) && c.match&^0xff == 0
}

var addrTypes = []string{"UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE",
	"PROHIBIT", "THROW", "NAT", "XRESOLVE"}

// The flags of an addrtype match (XT_ADDRTYPE_*).
const (
	addrtypeInvertSource = 0x1
	addrtypeInvertDest   = 0x2
	addrtypeLimitIn      = 0x4
	addrtypeLimitOut     = 0x8
)

func addrtypeOptions(b *xtInfo) (string, bool) {
	src, dst, flags := b.u16(0), b.u16(2), b.u32(4)
	var words []string
	if src != 0 {
		words = append(words, not(flags&addrtypeInvertSource != 0)+"--src-type "+bitNames(uint64(src), addrTypes, ","))
	}
	if dst != 0 {
		words = append(words, not(flags&addrtypeInvertDest != 0)+"--dst-type "+bitNames(uint64(dst), addrTypes, ","))
	}
	if flags&addrtypeLimitIn != 0 {
		words = append(words, "--limit-iface-in")
	}
	if flags&addrtypeLimitOut != 0 {
		words = append(words, "--limit-iface-out")
	}
	return strings.Join(words, " "), b.rev == 1
}

func portRange(low, high uint16) string {
	if low == high {
		return strconv.Itoa(int(low))
	}
	return fmt.Sprintf("%d:%d", low, high)
}

// portOptions writes the port ranges that struct xt_tcp and xt_udp start with.
func portOptions(b *xtInfo, invert uint8) []string {
	var words []string
	if low, high := b.u16(0), b.u16(2); low != 0 || high != 0xffff {
		words = append(words, not(invert&1 != 0)+"--sport "+portRange(low, high))
	}
	if low, high := b.u16(4), b.u16(6); low != 0 || high != 0xffff {
		words = append(words, not(invert&2 != 0)+"--dport "+portRange(low, high))
	}
	return words
}

func tcpOptions(b *xtInfo) (string, bool) {
	option, mask, flags, invert := b.u8(8), b.u8(9), b.u8(10), b.u8(11)
	words := portOptions(b, invert)
	if option != 0 {
		words = append(words, fmt.Sprintf("%s--tcp-option %d", not(invert&8 != 0), option))
	}
	if mask != 0 || flags != 0 {
		words = append(words, not(invert&4 != 0)+"--tcp-flags "+tcpFlagNames(mask)+" "+tcpFlagNames(flags))
	}
	return strings.Join(words, " "), true
}

func udpOptions(b *xtInfo) (string, bool) { return strings.Join(portOptions(b, b.u8(8)), " "), true }

func icmpOptions(b *xtInfo, option string) (string, bool) {
	typ, low, high := b.u8(0), b.u8(1), b.u8(2)
	text := not(b.u8(3)&1 != 0) + option + " "
	if typ == 0xff && b.family == familyIP {
		return text + "any", true
	}
	text += strconv.Itoa(int(typ))
	if low != 0 || high != 0xff {
		text += fmt.Sprintf("/%d", low)
	}
	return text, true
}

// multiport is struct xt_multiport_v1 as a list of ranges.
type multiport struct {
	which  uint8 // 0 source, 1 destination, 2 either
	ranges [][2]uint16
	invert bool
}

// multiportMax is XT_MULTI_PORTS.
const multiportMax = 15

func readMultiport(b *xtInfo) (multiport, bool) {
	m := multiport{which: b.u8(0), invert: b.u8(47) != 0}
	n := int(b.u8(1))
	if b.rev != 1 || m.which > 2 || n > multiportMax {
		return m, false
	}
	for i := 0; i < n; i++ {
		r := [2]uint16{b.u16(2 + 2*i), b.u16(2 + 2*i)}
		if b.u8(32+i) != 0 && i+1 < n {
			i++
			r[1] = b.u16(2 + 2*i)
		}
		m.ranges = append(m.ranges, r)
	}
	return m, true
}

func multiportOptions(b *xtInfo) (string, bool) {
	m, ok := readMultiport(b)
	if !ok {
		return "", false
	}
	var ports []string
	for _, r := range m.ranges {
		ports = append(ports, portRange(r[0], r[1]))
	}
	return not(m.invert) + []string{"--sports ", "--dports ", "--ports "}[m.which] + strings.Join(ports, ","), true
}

func markMatchOptions(b *xtInfo) (string, bool) {
	return not(b.u8(8) != 0) + "--mark " + maskedHex(b.u32(0), b.u32(4)), b.rev == 1
}

// limitScale is XT_LIMIT_SCALE: a rate is kept as that many parts of a second
// between two packets.
const limitScale = 10000

func limitOptions(b *xtInfo) (string, bool) {
	avg, burst := b.u32(0), b.u32(4)
	if avg == 0 {
		return "", false
	}
	units := []struct {
		name string
		size uint32
	}{{"day", limitScale * 86400}, {"hour", limitScale * 3600}, {"min", limitScale * 60}, {"sec", limitScale}}
	i := 1
	for ; i < len(units); i++ {
		if avg > units[i].size || units[i].size/avg < units[i].size%avg {
			break
		}
	}
	text := fmt.Sprintf("--limit %d/%s", units[i-1].size/avg, units[i-1].name)
	if burst != 5 {
		text += fmt.Sprintf(" --limit-burst %d", burst)
	}
	return text, true
}

func statisticOptions(b *xtInfo) (string, bool) {
	bang := not(b.u16(2)&1 != 0)
	if b.u16(0) == 0 {
		const scale = 1 << 31 // the probability is kept in parts of this
		return fmt.Sprintf("--mode random %s--probability %.11f", bang, float64(b.u32(4))/scale), true
	}
	return fmt.Sprintf("--mode nth %s--every %d --packet %d", bang, b.u32(4)+1, b.u32(8)), true
}

func macOptions(b *xtInfo) (string, bool) {
	return not(b.u32(8) != 0) + "--mac-source " + net.HardwareAddr(b.bytes(0, 6)).String(), true
}

func iprangeOptions(b *xtInfo) (string, bool) {
	flags := b.u8(64)
	var words []string
	if flags&1 != 0 {
		words = append(words, fmt.Sprintf("%s--src-range %s-%s", not(flags&16 != 0), b.addr(0), b.addr(16)))
	}
	if flags&2 != 0 {
		words = append(words, fmt.Sprintf("%s--dst-range %s-%s", not(flags&32 != 0), b.addr(32), b.addr(48)))
	}
	return strings.Join(words, " "), b.rev == 1
}

func ownerOptions(b *xtInfo) (string, bool) {
	match, invert := b.u8(16), b.u8(17)
	var words []string
	for i, n := range []string{"--uid-owner", "--gid-owner"} {
		if match&(1<<i) == 0 {
			continue
		}
		low, high := b.u32(8*i), b.u32(8*i+4)
		id := strconv.Itoa(int(low))
		if high != low {
			id += fmt.Sprintf("-%d", high)
		}
		words = append(words, not(invert&(1<<i) != 0)+n+" "+id)
	}
	if match&4 != 0 {
		words = append(words, not(invert&4 != 0)+"--socket-exists")
	}
	return strings.Join(words, " "), b.rev == 1
}

func physdevOptions(b *xtInfo) (string, bool) {
	invert, match := b.u8(64), b.u8(65)
	var words []string
	for _, o := range []struct {
		bit  uint8
		text string
	}{
		{8, "--physdev-is-in"}, {1, "--physdev-in " + b.str(0, 16)}, {16, "--physdev-is-out"},
		{2, "--physdev-out " + b.str(32, 16)}, {4, "--physdev-is-bridged"},
	} {
		if match&o.bit != 0 {
			words = append(words, not(invert&o.bit != 0)+o.text)
		}
	}
	return strings.Join(words, " "), true
}

func pkttypeOptions(b *xtInfo) (string, bool) {
	name, ok := map[uint32]string{0: "unicast", 1: "broadcast", 2: "multicast"}[b.u32(0)]
	return not(b.u32(4) != 0) + "--pkt-type " + name, ok
}

func lengthOptions(b *xtInfo) (string, bool) {
	return not(b.u8(4) != 0) + "--length " + portRange(b.u16(0), b.u16(2)), true
}

func rpfilterOptions(b *xtInfo) (string, bool) {
	flags := b.u8(0)
	var words []string
	for i, n := range []string{"--loose", "--validmark", "--accept-local", "--invert"} {
		if flags&(1<<i) != 0 {
			words = append(words, n)
		}
	}
	return strings.Join(words, " "), true
}
