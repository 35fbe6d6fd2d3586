package netfilter

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// iptables-nft keeps its rules in tables of these names, in base chains named
// after the hooks in capitals, with expressions of these kinds.
var (
	iptablesTables = []string{"filter", "nat", "mangle", "raw", "security"}
	iptablesChains = []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	iptablesExprs  = []string{"match", "target", "meta", "payload", "bitwise", "cmp", "range", "counter", "immediate",
		"limit", "log"}
)

// madeByIptables says whether a rule is one that iptables-nft could have made:
// it lies in a table of its own and holds nothing that it never makes.
func madeByIptables(r *rule) bool {
	t := r.chain.table
	if t.family != familyIP && t.family != familyIP6 || !slices.Contains(iptablesTables, t.name) {
		return false
	}
	xt := false
	for _, e := range r.exprs {
		if !slices.Contains(iptablesExprs, e.name) {
			return false
		}
		xt = xt || e.name == "match" || e.name == "target"
	}
	return xt || t.hasIptablesChains()
}

func (t *table) hasIptablesChains() bool {
	any := false
	for _, ch := range t.chains {
		if ch.base {
			if !slices.Contains(iptablesChains, ch.name) {
				return false
			}
			any = true
		}
	}
	return any
}

// iptablesText collects the options of one rule as iptables-save(8) writes
// them: the fixed ones first, then the matches in order, then the target.
type iptablesText struct {
	family  uint8
	regs    map[uint32]iptablesOperand
	fixed   [6]string // -s -d -i -o -p -f
	proto   string
	matches []string
	ports   map[string]string // options of the protocol's extension
	portsAt int               // its place in matches
	target  string
	comment string
	nat     *NAT
	unknown []string
}

const (
	optSource = iota
	optDestination
	optIn
	optOut
	optProtocol
	optFragment
)

type iptablesOperand struct {
	what string
	mask []byte
}

// iptablesRule writes a rule in the syntax of iptables-save(8), without its
// counters.
func iptablesRule(r *rule) ruleText {
	x := &iptablesText{family: r.chain.table.family, regs: map[uint32]iptablesOperand{}}
	for _, e := range r.exprs {
		if !x.add(e) {
			x.unknown = append(x.unknown, e.name)
			x.matches = append(x.matches, fmt.Sprintf("<%s %x>", e.name, e.raw))
		}
	}
	words := []string{"-A", r.chain.name}
	for _, w := range slices.Concat(x.fixed[:], x.matches, []string{x.target}) {
		if w != "" {
			words = append(words, w)
		}
	}
	return ruleText{text: strings.Join(words, " "), comment: x.comment, nat: x.nat, unknown: x.unknown}
}

func (x *iptablesText) add(e expr) bool {
	a := e.attrs
	switch e.name {
	case "counter":
		return true
	case "meta":
		return x.meta(a)
	case "payload":
		return x.payload(a)
	case "bitwise":
		o, ok := x.regs[slot(a.u32(1))]
		o.mask = a.value(4)
		x.regs[slot(a.u32(2))] = o
		return ok && a.u32(6) == bitwiseMask && isZero(a.value(5)) && len(o.mask) > 0
	case "cmp":
		return x.cmp(a)
	case "range":
		return x.between(a)
	case "limit":
		return x.limit(a)
	case "log":
		return x.nflog(a)
	case "immediate":
		return x.verdict(a)
	case "match":
		return x.xtMatch(a)
	case "target":
		return x.xtTarget(a)
	}
	return false
}

func (x *iptablesText) meta(a attrs) bool {
	if a.has(3) {
		x.target = "-j TRACE"
		return a.u32(2) == metaNftrace
	}
	what, ok := map[uint32]string{metaIifname: "-i", metaOifname: "-o", metaL4proto: "-p", metaMark: "mark"}[a.u32(2)]
	x.regs[slot(a.u32(1))] = iptablesOperand{what: what}
	return ok
}

func (x *iptablesText) payload(a attrs) bool {
	base, off, size := a.u32(2), a.u32(3), a.u32(4)
	src, dst := uint32(12), uint32(16)
	if x.family == familyIP6 {
		src, dst = 8, 24
	}
	what := ""
	switch {
	case base == baseNetwork && off == src:
		what = "-s"
	case base == baseNetwork && off == dst:
		what = "-d"
	case base == baseNetwork && off == 9 && size == 1 && x.family == familyIP: // before iptables 1.8.3
		what = "-p"
	case base == baseNetwork && off == 6 && size == 2 && x.family == familyIP:
		what = "-f"
	case base == baseTransport && off == 0 && size == 2:
		what = "--sport"
	case base == baseTransport && off == 0 && size == 4:
		what = "both ports"
	case base == baseTransport && off == 2 && size == 2:
		what = "--dport"
	case base == baseTransport && off == 13 && size == 1:
		what = "--tcp-flags"
	}
	x.regs[slot(a.u32(1))] = iptablesOperand{what: what}
	return what != "" && !a.has(5)
}

func not(inverted bool) string {
	if inverted {
		return "! "
	}
	return ""
}

func (x *iptablesText) cmp(a attrs) bool {
	o, op, data := x.regs[slot(a.u32(1))], a.u32(2), a.value(3)
	if len(data) == 0 || int(op) >= len(cmpSigns) {
		return false
	}
	bang := not(op == cmpNeq)
	switch o.what {
	case "-s":
		x.fixed[optSource] = bang + "-s " + x.prefix(data, o.mask)
	case "-d":
		x.fixed[optDestination] = bang + "-d " + x.prefix(data, o.mask)
	case "-i":
		x.fixed[optIn] = bang + "-i " + linkPattern(data)
	case "-o":
		x.fixed[optOut] = bang + "-o " + linkPattern(data)
	case "-p":
		x.proto = nameOr(protocolNames, bigEndian(data))
		x.fixed[optProtocol] = bang + "-p " + x.proto
	case "-f":
		x.fixed[optFragment] = not(op == cmpEq) + "-f"
	default:
		return x.matchCmp(o, op, data)
	}
	return true
}

// matchCmp writes the comparisons that belong to an extension.
func (x *iptablesText) matchCmp(o iptablesOperand, op uint32, data []byte) bool {
	bang := not(op == cmpNeq)
	switch o.what {
	case "--sport", "--dport":
		x.portOption(op == cmpNeq, o.what, openRange(op, bigEndian(data)))
	case "both ports":
		if len(data) != 4 {
			return false
		}
		x.portOption(op == cmpNeq, "--sport", strconv.FormatUint(bigEndian(data[:2]), 10))
		x.portOption(op == cmpNeq, "--dport", strconv.FormatUint(bigEndian(data[2:]), 10))
	case "--tcp-flags":
		if len(o.mask) != 1 {
			return false
		}
		x.portOption(op == cmpNeq, "--tcp-flags", tcpFlagNames(o.mask[0])+" "+tcpFlagNames(data[0]))
	case "mark":
		mask := uint32(0xffffffff)
		if o.mask != nil {
			mask = uint32(hostEndian(o.mask))
		}
		x.matches = append(x.matches, "-m mark "+bang+"--mark "+maskedHex(uint32(hostEndian(data)), mask))
	default:
		return false
	}
	return true
}

// openRange is a range of ports with one end, or one port.
func openRange(op uint32, port uint64) string {
	switch op {
	case 2: // less
		return fmt.Sprintf(":%d", port-1)
	case cmpLte:
		return fmt.Sprintf(":%d", port)
	case 4: // greater
		return fmt.Sprintf("%d:", port+1)
	case cmpGte:
		return fmt.Sprintf("%d:", port)
	}
	return strconv.FormatUint(port, 10)
}

func (x *iptablesText) between(a attrs) bool {
	o, from, to := x.regs[slot(a.u32(1))], a.value(3), a.value(4)
	if o.what != "--sport" && o.what != "--dport" || len(from) == 0 || len(to) == 0 {
		return false
	}
	x.portOption(a.u32(2) == cmpNeq, o.what, fmt.Sprintf("%d:%d", bigEndian(from), bigEndian(to)))
	return true
}

// portOptionOrder is the order in which iptables-save writes the options of
// the protocol's own extension.
var portOptionOrder = []string{"--sport", "--dport", "--tcp-flags"}

// portOption adds an option of the protocol's own extension; all share the
// "-m" of the first.
func (x *iptablesText) portOption(inverted bool, option, value string) {
	if x.ports == nil {
		x.ports = map[string]string{}
		x.portsAt = len(x.matches)
		x.matches = append(x.matches, "")
	}
	x.ports[option] = not(inverted) + option + " " + value
	words := []string{"-m", x.proto}
	for _, o := range portOptionOrder {
		if text := x.ports[o]; text != "" {
			words = append(words, text)
		}
	}
	x.matches[x.portsAt] = strings.Join(words, " ")
}

func linkPattern(b []byte) string {
	name := cString(b)
	if len(name) == len(b) && len(b) < 16 {
		name += "+"
	}
	return name
}

// prefix writes an address with the length of its prefix, or with its mask.
func (x *iptablesText) prefix(addr, mask []byte) string {
	size := addrSize(x.family)
	if len(addr) > size {
		return fmt.Sprintf("<%x>", addr)
	}
	full := make([]byte, size)
	copy(full, addr)
	n := len(addr) * 8
	if mask != nil {
		n = prefixLength(mask)
	}
	if n < 0 {
		return formatAddr(full, size) + "/" + formatAddr(mask, size)
	}
	return fmt.Sprintf("%s/%d", formatAddr(full, size), n)
}

func addrSize(family uint8) int {
	if family == familyIP6 {
		return 16
	}
	return 4
}

func (x *iptablesText) limit(a attrs) bool {
	unit, ok := map[uint64]string{1: "sec", 60: "min", 3600: "hour", 86400: "day"}[a.uint(2)]
	text := fmt.Sprintf("-m limit --limit %d/%s", a.uint(1), unit)
	if burst := a.u32(3); burst != 5 {
		text += fmt.Sprintf(" --limit-burst %d", burst)
	}
	x.matches = append(x.matches, text)
	return ok && a.u32(4) == 0
}

func (x *iptablesText) nflog(a attrs) bool {
	x.target = "-j NFLOG"
	if p := a.str(2); p != "" {
		x.target += " --nflog-prefix " + iptablesQuote(p)
	}
	if group := a.u32(1); group != 0 {
		x.target += fmt.Sprintf(" --nflog-group %d", group)
	}
	if size := a.u32(3); size != 0 {
		x.target += fmt.Sprintf(" --nflog-size %d", size)
	}
	if threshold := a.u32(4); threshold > 1 {
		x.target += fmt.Sprintf(" --nflog-threshold %d", threshold)
	}
	return a.has(1)
}

func (x *iptablesText) verdict(a attrs) bool {
	data := a.nested(2)
	b, ok := data[2]
	if !ok {
		return false
	}
	switch v := parseVerdict(b); v.code {
	case verdictAccept:
		x.target = "-j ACCEPT"
	case verdictDrop:
		x.target = "-j DROP"
	case verdictReturn:
		x.target = "-j RETURN"
	case verdictJump:
		x.target = "-j " + v.chain
	case verdictGoto:
		x.target = "-g " + v.chain
	case verdictContinue:
	default:
		return false
	}
	return true
}

// iptablesQuote puts a text into quotes where iptables-save does.
func iptablesQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s) + `"`
}

func maskedHex(v, mask uint32) string {
	if mask == 0xffffffff {
		return fmt.Sprintf("0x%x", v)
	}
	return fmt.Sprintf("0x%x/0x%x", v, mask)
}

func tcpFlagNames(flags uint8) string {
	if flags == 0 {
		return "NONE"
	}
	return bitNames(uint64(flags), []string{"FIN", "SYN", "RST", "PSH", "ACK", "URG"}, ",")
}
