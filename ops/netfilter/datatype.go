package netfilter

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// datatype is how a value in a register is written (nft, datatype.h).
type datatype int

const (
	typeRaw datatype = iota
	typeIPv4
	typeIPv6
	typePort
	typeProto
	typeIfname
	typeIfindex
	typeMark
	typeNumber // in network order
	typeHost   // a number in the machine's order
	typeCTState
	typeCTStatus
	typeCTDir
	typeFibType
	typeNfproto
	typeEther
	typeEtherType
	typeICMP
	typeICMPv6
	typeTCPFlags
	typeBool
	typePktType
	typeDSCP
	typeQuoted
	typeARPOp
	typeDay
)

// keyTypes are the numbers under which nft stores datatypes with a set
// (enum datatypes in nft's datatype.h), with the bytes that each takes.
var keyTypes = map[uint32]struct {
	typ  datatype
	size int
}{
	2: {typeNfproto, 1}, 4: {typeHost, 4}, 7: {typeIPv4, 4}, 8: {typeIPv6, 16}, 9: {typeEther, 6},
	10: {typeEtherType, 2}, 12: {typeProto, 1}, 13: {typePort, 2}, 14: {typeICMP, 1},
	15: {typeTCPFlags, 1}, 19: {typeMark, 4}, 20: {typeIfindex, 4}, 26: {typeCTState, 4},
	27: {typeCTDir, 1}, 28: {typeCTStatus, 4}, 29: {typeICMPv6, 1}, 31: {typePktType, 1},
	38: {typeFibType, 4}, 41: {typeIfname, 16},
}

// keyTypeBits is the width of one datatype in the number of a concatenation.
const keyTypeBits = 6

// concatTypes takes a set's type number apart: one datatype, or several that
// are concatenated, the first in the highest bits.
func concatTypes(number uint32) []datatype {
	var out []datatype
	for ; number != 0; number >>= keyTypeBits {
		out = append([]datatype{keyTypes[number&(1<<keyTypeBits-1)].typ}, out...)
	}
	return out
}

// typeSize is the bytes of a datatype in a concatenation, 0 when not known.
func typeSize(t datatype) int {
	for _, k := range keyTypes {
		if k.typ == t {
			return k.size
		}
	}
	return 0
}

var protocolNames = map[uint64]string{
	1: "icmp", 2: "igmp", 4: "ipencap", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 47: "gre", 50: "esp", 51: "ah",
	58: "ipv6-icmp", 108: "ipcomp", 132: "sctp", 136: "udplite",
}

// The names that nft(8) gives to bits and to single values.
var (
	ctStateBits  = []string{"invalid", "established", "related", "new", "", "", "untracked"}
	ctStatusBits = []string{"expected", "seen-reply", "assured", "confirmed", "snat", "dnat", "seq-adjust",
		"snat-done", "dnat-done", "dying"}
	tcpFlagBits = []string{"fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"}
	fibTypes    = map[uint64]string{0: "unspec", 1: "unicast", 2: "local", 3: "broadcast", 4: "anycast",
		5: "multicast", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
	etherTypes = map[uint64]string{0x0800: "ip", 0x0806: "arp", 0x86dd: "ip6", 0x8100: "8021q", 0x88a8: "8021ad"}
	nfprotos   = map[uint64]string{2: "ipv4", 10: "ipv6"}
	icmpTypes  = map[uint64]string{0: "echo-reply", 3: "destination-unreachable", 4: "source-quench", 5: "redirect",
		8: "echo-request", 9: "router-advertisement", 10: "router-solicitation", 11: "time-exceeded",
		12: "parameter-problem", 13: "timestamp-request", 14: "timestamp-reply"}
	icmpv6Types = map[uint64]string{1: "destination-unreachable", 2: "packet-too-big", 3: "time-exceeded",
		4: "parameter-problem", 128: "echo-request", 129: "echo-reply", 130: "mld-listener-query",
		131: "mld-listener-report", 132: "mld-listener-done", 133: "nd-router-solicit", 134: "nd-router-advert",
		135: "nd-neighbor-solicit", 136: "nd-neighbor-advert", 137: "nd-redirect"}
	dscpNames = map[uint64]string{0: "cs0", 8: "cs1", 16: "cs2", 24: "cs3", 32: "cs4", 40: "cs5", 48: "cs6", 56: "cs7",
		46: "ef", 10: "af11", 12: "af12", 14: "af13", 18: "af21", 20: "af22", 22: "af23", 26: "af31", 28: "af32",
		30: "af33", 34: "af41", 36: "af42", 38: "af43"}
	pktTypes = map[uint64]string{0: "host", 1: "broadcast", 2: "multicast", 3: "other"}
	arpOps   = map[uint64]string{1: "request", 2: "reply", 3: "rrequest", 4: "rreply", 8: "inrequest", 9: "inreply", 10: "nak"}
	days     = map[uint64]string{0: "Sunday", 1: "Monday", 2: "Tuesday", 3: "Wednesday", 4: "Thursday", 5: "Friday", 6: "Saturday"}
)

func nameOr(names map[uint64]string, v uint64) string {
	if n, ok := names[v]; ok {
		return n
	}
	return strconv.FormatUint(v, 10)
}

// bitNames writes the set bits of v by name, the nameless ones as a number.
func bitNames(v uint64, names []string, sep string) string {
	var out []string
	for i, n := range names {
		if n != "" && v&(1<<i) != 0 {
			out = append(out, n)
			v &^= 1 << i
		}
	}
	if v != 0 || len(out) == 0 {
		out = append(out, fmt.Sprintf("0x%x", v))
	}
	return strings.Join(out, sep)
}

// formatValue writes a value as nft(8) does. links names interfaces by index.
func formatValue(t datatype, b []byte, links map[uint32]string) string {
	if len(b) == 0 {
		return "<empty>"
	}
	switch t {
	case typeIPv4:
		return formatAddr(b, 4)
	case typeIPv6:
		return formatAddr(b, 16)
	case typeEther:
		return net.HardwareAddr(b).String()
	case typeIfname, typeQuoted:
		return formatName(b)
	case typeIfindex:
		if n, ok := links[uint32(hostEndian(b))]; ok {
			return strconv.Quote(n)
		}
		return strconv.FormatUint(hostEndian(b), 10)
	}
	return formatNumber(t, b)
}

// numberNames are the datatypes whose numbers have names; those in network
// order, and those in the machine's.
var (
	networkNames = map[datatype]map[uint64]string{
		typeProto: protocolNames, typeNfproto: nfprotos, typeEtherType: etherTypes, typeICMP: icmpTypes,
		typeICMPv6: icmpv6Types, typePktType: pktTypes, typeARPOp: arpOps,
	}
	hostNames = map[datatype]map[uint64]string{typeFibType: fibTypes}
)

func formatNumber(t datatype, b []byte) string {
	if len(b) > 8 {
		return "0x" + hex.EncodeToString(b)
	}
	if names, ok := networkNames[t]; ok {
		return nameOr(names, bigEndian(b))
	}
	if names, ok := hostNames[t]; ok {
		return nameOr(names, hostEndian(b))
	}
	switch t {
	case typePort, typeNumber:
		return strconv.FormatUint(bigEndian(b), 10)
	case typeHost:
		return strconv.FormatUint(hostEndian(b), 10)
	case typeMark:
		return fmt.Sprintf("0x%08x", hostEndian(b))
	case typeCTState:
		return bitNames(hostEndian(b), ctStateBits, ",")
	case typeCTStatus:
		return bitNames(hostEndian(b), ctStatusBits, ",")
	case typeCTDir:
		return []string{"original", "reply"}[b[0]&1]
	case typeTCPFlags:
		return bitNames(uint64(b[0]), tcpFlagBits, " | ")
	case typeDSCP:
		if n, ok := dscpNames[uint64(b[0])]; ok {
			return n
		}
		return fmt.Sprintf("0x%02x", b[0])
	case typeBool:
		return map[bool]string{true: "exists", false: "missing"}[bigEndian(b) != 0]
	case typeDay:
		return strconv.Quote(nameOr(days, uint64(b[0])))
	}
	return "0x" + hex.EncodeToString(b)
}

// formatAddr writes an address; one with bytes missing at its end is how the
// kernel is given a prefix that ends at a byte.
func formatAddr(b []byte, size int) string {
	if len(b) > size {
		return "0x" + hex.EncodeToString(b)
	}
	full := make([]byte, size)
	copy(full, b)
	addr, _ := netip.AddrFromSlice(full)
	if len(b) < size {
		return fmt.Sprintf("%s/%d", addr, len(b)*8)
	}
	return addr.String()
}

// formatName writes the name of an interface; one without a NUL at its end is
// a beginning that any name may follow.
func formatName(b []byte) string {
	name := cString(b)
	if len(name) == len(b) && len(b) < 16 {
		name += "*"
	}
	return `"` + name + `"`
}

// prefixLength is the length of the prefix that mask covers, -1 when its bits
// are not all at the start.
func prefixLength(mask []byte) int {
	n, end := 0, false
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			if b>>bit&1 == 0 {
				end = true
				continue
			}
			if end {
				return -1
			}
			n++
		}
	}
	return n
}

// formatRange writes first to last; a range of addresses that is a prefix is
// written as one.
func formatRange(t datatype, first, last []byte, links map[uint32]string) string {
	a, b := formatValue(t, first, links), formatValue(t, last, links)
	if a == b {
		return a
	}
	if t == typeIPv4 || t == typeIPv6 {
		mask := make([]byte, len(first))
		aligned := len(first) == len(last)
		for i := range min(len(first), len(last)) {
			diff := first[i] ^ last[i]
			mask[i] = ^diff
			aligned = aligned && first[i]&diff == 0
		}
		if n := prefixLength(mask); aligned && n >= 0 {
			return fmt.Sprintf("%s/%d", a, n)
		}
	}
	return a + "-" + b
}
