package netfilter

import (
	"fmt"
	"strings"
)

// xtTargets write the options of the targets, by name. Each answers false for
// a revision or a mode that it does not know.
var xtTargets = map[string]func(*xtInfo) (string, bool){
	"DNAT":       func(b *xtInfo) (string, bool) { return natAddrOptions(b, "--to-destination") },
	"SNAT":       func(b *xtInfo) (string, bool) { return natAddrOptions(b, "--to-source") },
	"MASQUERADE": natPortOptions,
	"REDIRECT":   natPortOptions,
	"NETMAP":     netmapOptions,
	"MARK":       markOptions,
	"CONNMARK":   connmarkOptions,
	"REJECT":     rejectOptions,
	"LOG":        logOptions,
	"NFLOG":      nflogOptions,
	"CT":         ctOptions,
	"TCPMSS":     tcpmssOptions,
	"TRACE":      func(*xtInfo) (string, bool) { return "", true },
	"CHECKSUM":   func(b *xtInfo) (string, bool) { return "--checksum-fill", b.u8(0) == 1 },
}

func natAddrOptions(b *xtInfo, option string) (string, bool) {
	r := readNATRange(b)
	addr, port := r.addrText(), r.portText()
	if port != "" {
		if b.family == familyIP6 && addr != "" {
			addr = "[" + addr + "]"
		}
		port = ":" + port
	}
	text := r.flagText()
	if addr+port != "" {
		text = option + " " + addr + port + text
	}
	return text, b.rev <= 2
}

func natPortOptions(b *xtInfo) (string, bool) {
	r := readNATRange(b)
	text := r.flagText()
	if port := r.portText(); port != "" {
		text = "--to-ports " + port + text
	}
	return text, b.rev <= 2
}

func netmapOptions(b *xtInfo) (string, bool) {
	r := readNATRange(b)
	mask := make([]byte, len(r.low))
	for i := range mask {
		mask[i] = ^(r.low[i] ^ r.high[i])
	}
	return fmt.Sprintf("--to %s/%d", formatAddr(r.low, addrSize(b.family)), prefixLength(mask)), b.rev <= 2
}

func markOptions(b *xtInfo) (string, bool) {
	return fmt.Sprintf("--set-xmark 0x%x/0x%x", b.u32(0), b.u32(4)), b.rev == 2
}

// The modes of CONNMARK (XT_CONNMARK_*).
const (
	connmarkSet     = 0
	connmarkSave    = 1
	connmarkRestore = 2
)

func connmarkMode(b *xtInfo) uint8 {
	if b.rev >= 2 { // struct xt_connmark_tginfo2 has the shift first
		return b.u8(14)
	}
	return b.u8(12)
}

func connmarkOptions(b *xtInfo) (string, bool) {
	mark, ctMask, nfMask := b.u32(0), b.u32(4), b.u32(8)
	switch connmarkMode(b) {
	case connmarkSet:
		return fmt.Sprintf("--set-xmark 0x%x/0x%x", mark, ctMask), true
	case connmarkSave:
		return fmt.Sprintf("--save-mark --nfmask 0x%x --ctmask 0x%x", nfMask, ctMask), true
	case connmarkRestore:
		return fmt.Sprintf("--restore-mark --nfmask 0x%x --ctmask 0x%x", nfMask, ctMask), true
	}
	return "", false
}

var (
	rejects = []string{"icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable",
		"icmp-port-unreachable", "echo-reply", "icmp-net-prohibited", "icmp-host-prohibited", "tcp-reset",
		"icmp-admin-prohibited"}
	rejects6 = []string{"icmp6-no-route", "icmp6-adm-prohibited", "icmp6-not-neighbour", "icmp6-addr-unreachable",
		"icmp6-port-unreachable", "echo-reply", "tcp-reset", "icmp6-policy-fail", "icmp6-reject-route"}
)

func rejectOptions(b *xtInfo) (string, bool) {
	names := rejects
	if b.family == familyIP6 {
		names = rejects6
	}
	n := b.u32(0)
	if int(n) >= len(names) {
		return "", false
	}
	return "--reject-with " + names[n], true
}

func logOptions(b *xtInfo) (string, bool) {
	level, flags := b.u8(0), b.u8(1)
	var words []string
	if p := b.str(2, 30); p != "" {
		words = append(words, "--log-prefix "+iptablesQuote(p))
	}
	if level != 4 {
		words = append(words, fmt.Sprintf("--log-level %d", level))
	}
	for i, n := range []string{"tcp-sequence", "tcp-options", "ip-options", "uid", "", "macdecode"} {
		if n != "" && flags&(1<<i) != 0 {
			words = append(words, "--log-"+n)
		}
	}
	return strings.Join(words, " "), true
}

func nflogOptions(b *xtInfo) (string, bool) {
	text := ""
	if p := b.str(12, 64); p != "" {
		text = "--nflog-prefix " + iptablesQuote(p)
	}
	if group := b.u16(4); group != 0 {
		text += fmt.Sprintf(" --nflog-group %d", group)
	}
	return strings.TrimSpace(text), true
}

func ctOptions(b *xtInfo) (string, bool) {
	flags, zone := b.u16(0), b.u16(2)
	var words []string
	if flags&1 != 0 {
		words = append(words, "--notrack")
	}
	if h := b.str(12, 16); h != "" {
		words = append(words, "--helper "+h)
	}
	if b.rev >= 1 {
		if t := b.str(28, 32); t != "" {
			words = append(words, "--timeout "+t)
		}
	}
	if zone != 0 {
		words = append(words, fmt.Sprintf("--zone %d", zone))
	}
	return strings.Join(words, " "), b.u32(4) == 0 && b.u32(8) == 0
}

func tcpmssOptions(b *xtInfo) (string, bool) {
	if mss := b.u16(0); mss != 0xffff {
		return fmt.Sprintf("--set-mss %d", mss), true
	}
	return "--clamp-mss-to-pmtu", true
}
