package netfilter

import (
	"fmt"
	"strings"
)

// counter is without its values, as in `nft -s list ruleset`: they are in
// Rule.Counter, and a text that names a rule must not change with the traffic.
func (x *nftText) counter(attrs) bool {
	x.emit("counter")
	return true
}

func timeUnit(seconds uint64) string {
	switch seconds {
	case 1:
		return "second"
	case 60:
		return "minute"
	case 3600:
		return "hour"
	case 86400:
		return "day"
	case 604800:
		return "week"
	}
	return fmt.Sprintf("%d seconds", seconds)
}

// Two kinds of limit (NFT_LIMIT_*) and its one flag.
const (
	limitBytes    = 1
	limitInverted = 0x1
)

func (x *nftText) limit(a attrs) bool {
	over := ""
	if a.u32(5)&limitInverted != 0 {
		over = "over "
	}
	rate, unit, burst := a.uint(1), timeUnit(a.uint(2)), a.u32(3)
	if a.u32(4) == limitBytes {
		n, word := byteUnit(rate)
		x.emit("limit rate %s%d %s/%s%s", over, n, word, unit, burstBytes(burst))
		return true
	}
	text := ""
	if burst != 0 {
		text = fmt.Sprintf(" burst %d packets", burst)
	}
	x.emit("limit rate %s%d/%s%s", over, rate, unit, text)
	return true
}

func byteUnit(n uint64) (uint64, string) {
	switch {
	case n != 0 && n%(1<<20) == 0:
		return n >> 20, "mbytes"
	case n != 0 && n%(1<<10) == 0:
		return n >> 10, "kbytes"
	}
	return n, "bytes"
}

func burstBytes(burst uint32) string {
	if burst == 0 {
		return ""
	}
	n, word := byteUnit(uint64(burst))
	return fmt.Sprintf(" burst %d %s", n, word)
}

func (x *nftText) connlimit(a attrs) bool {
	over := ""
	if a.u32(2)&1 != 0 {
		over = "over "
	}
	x.emit("ct count %s%d", over, a.u32(1))
	return true
}

func (x *nftText) quota(a attrs) bool {
	over := ""
	if a.u32(2)&1 != 0 {
		over = "over "
	}
	n, word := byteUnit(a.uint(1))
	x.emit("quota %s%d %s", over, n, word)
	return true
}

var logLevels = []string{"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit"}

func (x *nftText) log(a attrs) bool {
	text := "log"
	if p := a.str(2); p != "" {
		text += fmt.Sprintf(` prefix "%s"`, p)
	}
	if a.has(1) {
		text += fmt.Sprintf(" group %d", a.u32(1))
	}
	if n := a.u32(3); n != 0 {
		text += fmt.Sprintf(" snaplen %d", n)
	}
	if n := a.u32(4); n != 0 {
		text += fmt.Sprintf(" queue-threshold %d", n)
	}
	if n := a.u32(5); a.has(5) && n != 4 && int(n) < len(logLevels) {
		text += " level " + logLevels[n]
	}
	switch flags := a.u32(6); {
	case flags&0x1f == 0x1f:
		text += " flags all"
	case flags != 0:
		return false
	}
	x.emit("%s", text)
	return true
}

// The kinds of reject (NFT_REJECT_*).
const (
	rejectICMP     = 0
	rejectTCPReset = 1
	rejectICMPX    = 2
)

var (
	icmpCodes = map[uint64]string{0: "net-unreachable", 1: "host-unreachable", 2: "prot-unreachable",
		3: "port-unreachable", 9: "net-prohibited", 10: "host-prohibited", 13: "admin-prohibited"}
	icmpv6Codes = map[uint64]string{0: "no-route", 1: "admin-prohibited", 3: "addr-unreachable",
		4: "port-unreachable", 5: "policy-fail", 6: "reject-route"}
	icmpxCodes = map[uint64]string{0: "no-route", 1: "port-unreachable", 2: "host-unreachable", 3: "admin-prohibited"}
)

func (x *nftText) reject(a attrs) bool {
	kind, names := "icmp", icmpCodes
	switch a.u32(1) {
	case rejectTCPReset:
		x.drop(layerTransport)
		x.emit("reject with tcp reset")
		return true
	case rejectICMPX:
		kind, names = "icmpx", icmpxCodes
	case rejectICMP:
		if x.l3 == "ip6" {
			kind, names = "icmpv6", icmpv6Codes
		}
		x.drop(layerNetwork)
	default:
		return false
	}
	// The default answer is not written.
	if name := nameOr(names, uint64(a.u32(2))); name == "port-unreachable" {
		x.emit("reject")
	} else {
		x.emit("reject with %s %s", kind, name)
	}
	return true
}

// formatTime writes milliseconds as nft does, "1h30m".
func formatTime(ms uint64) string {
	var out strings.Builder
	for _, u := range []struct {
		name string
		size uint64
	}{{"d", 86400_000}, {"h", 3600_000}, {"m", 60_000}, {"s", 1000}, {"ms", 1}} {
		if n := ms / u.size; n > 0 {
			fmt.Fprintf(&out, "%d%s", n, u.name)
			ms -= n * u.size
		}
	}
	return out.String()
}

var dynsetOps = []string{"add", "update", "delete"}

func (x *nftText) dynset(a attrs) bool {
	name, op := a.str(1), a.u32(3)
	s := x.table.sets[name]
	if s == nil || int(op) >= len(dynsetOps) {
		return false
	}
	words := []string{x.concat(a.u32(4), int(s.keyLen))}
	if ms := a.uint(6); ms != 0 {
		words = append(words, "timeout "+formatTime(ms))
	}
	inner := &nftText{table: x.table, regs: x.regs, implied: map[string]int{}}
	for _, e := range dynsetExprs(a) {
		inner.add(e)
	}
	if text := inner.String(); text != "" {
		words = append(words, text)
	}
	x.unknown = append(x.unknown, inner.unknown...)
	data := ""
	if a.has(5) {
		data = " : " + x.constant(a.u32(5), typeRaw)
	}
	x.emit("%s @%s { %s%s }", dynsetOps[op], name, strings.Join(words, " "), data)
	return true
}

// dynsetExprs are the expressions in a dynset, of which it holds one or a list.
func dynsetExprs(a attrs) []expr {
	if a.has(10) {
		return parseExprs(a[10])
	}
	if !a.has(7) {
		return nil
	}
	one := a.nested(7)
	return []expr{{name: one.str(1), attrs: one.nested(2), raw: one[2]}}
}

var objectKinds = map[uint32]string{
	1: "counter name", 2: "quota name", 3: "ct helper set", 4: "limit name", 7: "ct timeout set",
	9: "ct expectation set", 10: "synproxy name",
}

func (x *nftText) objref(a attrs) bool {
	kind, ok := objectKinds[a.u32(1)]
	if !ok || a.has(3) {
		return false
	}
	x.emit(`%s "%s"`, kind, a.str(2))
	return true
}
