package filter

import (
	"fmt"
	"math/rand"
	"strings"
)

// grammar makes random expressions that pcap-filter(7) allows.
type grammar struct{ *rand.Rand }

func (g grammar) one(of ...string) string { return of[g.Intn(len(of))] }

// expression nests up to depth deep.
func (g grammar) expression(depth int) string {
	if depth == 0 || g.Intn(4) == 0 {
		return g.primitive()
	}
	switch g.Intn(7) {
	case 0:
		return g.one("not", "!") + " " + g.operand(depth-1)
	case 1:
		return g.list()
	case 2, 3, 4:
		return g.operand(depth-1) + " " + g.one("and", "&&") + " " + g.operand(depth-1)
	}
	return g.operand(depth-1) + " " + g.one("or", "||") + " " + g.operand(depth-1)
}

// operand is sometimes left without parentheses, so that precedence matters.
func (g grammar) operand(depth int) string {
	if e := g.expression(depth); g.Intn(3) > 0 {
		return "(" + e + ")"
	} else {
		return e
	}
}

func (g grammar) direction() string {
	return g.one("", "", "src ", "dst ", "src or dst ", "dst or src ", "src and dst ")
}

// list is several identifiers with one qualifier.
func (g grammar) list() string {
	head, of := "host ", someIP4
	switch g.Intn(4) {
	case 0:
		head, of = g.one("tcp ", "udp ", "")+"port ", []string{"22", "53", "80", "443", "4789"}
	case 1:
		head, of = "ether host ", someMACs
	case 2:
		head, of = "host ", someIP6
	}
	var b strings.Builder
	b.WriteString(g.one("", g.direction()))
	if strings.HasPrefix(head, "ether") || strings.HasPrefix(head, "tcp") || strings.HasPrefix(head, "udp") {
		b.Reset()
	}
	b.WriteString(head + pick(g.Rand, of))
	for range 1 + g.Intn(3) {
		b.WriteString(" " + g.one("or", "and", "or not", "and not") + " " + pick(g.Rand, of))
	}
	return b.String()
}

func (g grammar) primitive() string {
	port := func() string { return fmt.Sprint(pick(g.Rand, somePorts)) }
	switch g.Intn(16) {
	case 0, 1:
		return g.one("ip", "ip6", "arp", "rarp", "tcp", "udp", "icmp", "icmp6", "sctp", "igmp", "pim", "vrrp", "ah", "esp", "stp", "iso")
	case 2:
		return g.one("", "ip ", "arp ") + g.direction() + "host " + pick(g.Rand, someIP4)
	case 3:
		return g.one("", "ip6 ") + g.direction() + "host " + pick(g.Rand, someIP6)
	case 4:
		return "ether " + g.direction() + "host " + pick(g.Rand, someMACs)
	case 5:
		return g.direction() + "net " + g.one("10.0.0.0/24", "10.0.0.0/8", "10.0", "192.168", "fd00::/64", "fd00::/15", "224.0.0.0/4", "172.16.0.0 mask 255.255.0.0")
	case 6, 7:
		return g.one("", "tcp ", "udp ", "sctp ") + g.direction() + "port " + g.one(port(), "http", "domain")
	case 8:
		return g.one("", "tcp ", "udp ") + g.direction() + fmt.Sprintf("portrange %s-%s", port(), port())
	case 9:
		return g.one("", "ip ", "ip6 ") + "proto " + g.one("6", "17", `\tcp`, `\udp`, "58", "44", "112")
	case 10:
		return g.one("broadcast", "multicast", "ip multicast", "ip6 multicast", "ip broadcast", "inbound", "outbound", "ether proto 0x88cc", `ether proto \arp`)
	case 11:
		return g.one("greater ", "less ") + fmt.Sprint(g.Intn(400))
	case 12:
		return g.one("vlan", "vlan 10", "vlan 20", "not vlan", "mpls", "mpls 100", "pppoes", "pppoes 7", "pppoed")
	}
	return g.number(2, g.protocol()) + " " + g.one("=", "==", "!=", "<", ">", "<=", ">=") + " " + g.number(2, g.protocol())
}

func (g grammar) protocol() string {
	return g.one("ip", "ip6", "tcp", "udp", "icmp", "icmp6", "arp", "ether", "sctp")
}

// number is an arithmetic expression over fields of one protocol. Those on the
// right of an operator mostly come after one on its left.
func (g grammar) number(depth int, proto string) string {
	if depth == 0 || g.Intn(3) == 0 {
		switch n := g.Intn(5); {
		case n == 0:
			return "len"
		case n < 3 || proto == "":
			return g.one(fmt.Sprint(g.Intn(70000)), fmt.Sprint(g.Intn(16)), "0x0a000001", "tcp-syn", "icmp-echo", "icmp6-echo")
		}
		return fmt.Sprintf("%s[%s%s]", proto, g.one(fmt.Sprint(g.Intn(20)), "tcpflags", "icmptype", proto+"[0] & 7", "len & 15"), g.one("", ":1", ":2", ":4"))
	}
	left := g.number(depth-1, proto)
	if !strings.Contains(left, "[") && g.Intn(20) > 0 {
		proto = ""
	}
	right := g.number(depth-1, proto)
	switch op := g.one("+", "-", "*", "&", "|", "^", "<<", ">>", "/", "%", "neg"); op {
	case "neg":
		return "-(" + left + ")"
	case "<<", ">>":
		return "(" + left + ") " + op + " " + fmt.Sprint(g.Intn(32))
	case "/", "%":
		return "(" + left + ") " + op + " " + fmt.Sprint(1+g.Intn(9))
	default:
		if g.Intn(2) == 0 {
			return "(" + left + ") " + op + " (" + right + ")"
		}
		return left + " " + op + " " + right
	}
}
