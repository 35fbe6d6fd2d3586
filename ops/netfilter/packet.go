package netfilter

import (
	"net/netip"
	"strconv"
)

// Packet is the first packet of a flow, as it enters the namespace or is made
// there: the one packet of a flow that the NAT chains see.
type Packet struct {
	// InLink is where it comes in, "" for one that the namespace makes itself.
	InLink string
	// OutLink is where it leaves after routing, "" for one that is delivered.
	OutLink string
	// LinksOpen says that the names of the links are not known. Whether it is
	// made here or delivered is then decided by IsLocal.
	LinksOpen bool
	Protocol  string // "tcp", "udp", "icmp", "icmpv6", "sctp", or a number
	// Src and Dst hold the id of an ICMP query in their ports.
	Src, Dst netip.AddrPort
	ICMPType uint8
	Mark     uint32
	// Related says that conntrack expected the flow (the data of an FTP session).
	Related bool
	// IsLocal says whether an address is one of the namespace's own. Where it
	// is nil every question for it is left open.
	IsLocal func(netip.Addr) bool
}

// ends says whether the packet is made in the namespace, and whether it is
// delivered there. actual is the packet's flow, when it is known.
func (p *Packet) ends(actual *Flow) (made, delivered bool) {
	if !p.LinksOpen {
		return p.InLink == "", p.InLink != "" && p.OutLink == ""
	}
	made = p.IsLocal(p.Src.Addr())
	to := p.Dst
	if actual != nil {
		to = actual.Reply.Src
	}
	return made, !made && p.IsLocal(to.Addr())
}

// Translation is what the rules make of a packet's addresses.
type Translation struct {
	DNAT *Rewrite // nil when no rule rewrites the destination
	SNAT *Rewrite // nil when no rule rewrites the source
	// Dropped says that no packet like this gets past the rules that were
	// followed, which are those of NAT and those that set marks.
	Dropped bool
	// Unsure says what could not be decided and makes a difference; the
	// rewrites are then one of the possibilities.
	Unsure []string
}

// Rewrite is a rule with what it does to one packet.
type Rewrite struct {
	Rule *Rule
	// To is the new address and port. The address is not valid where the kernel
	// chooses it (masquerade, redirect); the port is 0 where it is kept, or
	// chosen. Of a range it is the first.
	To netip.AddrPort
}

// rewrite is a Rewrite in the making.
type rewrite struct {
	rule              *rule
	kind              string
	low, high         netip.Addr // not valid: not given
	portLow, portHigh uint16
	hasPort, netmap   bool
	unknown           bool // the registers did not hold anything that is known
}

// fixedAddr says that the rule names the new address itself.
func (r *rewrite) fixedAddr() bool { return r.low.IsValid() }

// netmapped carries the host part of an address over into the prefix that low
// and high span.
func (r *rewrite) netmapped(addr netip.Addr) netip.Addr {
	low, high, from := r.low.AsSlice(), r.high.AsSlice(), addr.AsSlice()
	if len(low) != len(high) || len(low) != len(from) {
		return netip.Addr{}
	}
	out := make([]byte, len(low))
	for i := range out {
		host := low[i] ^ high[i]
		out[i] = low[i]&^host | from[i]&host
	}
	a, _ := netip.AddrFromSlice(out)
	return a
}

// target is what the rewrite makes of an address, as far as the rule says.
func (r *rewrite) target(from netip.AddrPort) netip.AddrPort {
	addr := r.low
	if r.netmap {
		addr = r.netmapped(from.Addr())
	}
	return netip.AddrPortFrom(addr, r.portLow)
}

// allows says whether the rewrite may have made to out of from. What it looks at
// is used.
func (r *rewrite) allows(from, to netip.AddrPort, p *Packet, used *used) bool {
	fromAt, toAt := factDst, factReplySrc
	if r.isSource() {
		fromAt, toAt = factSrc, factReplyDst
	}
	if !r.unknown && !r.choosesAddr() {
		used.addr(toAt)
		if r.netmap || !r.fixedAddr() {
			used.addr(fromAt)
		}
	}
	if r.hasPort || !r.isSource() {
		used.port(toAt)
		used.port(fromAt)
	}
	return r.allowsAddr(from.Addr(), to.Addr(), p) && r.allowsPort(from.Port(), to.Port(), p)
}

// choosesAddr says that the new address is one of the namespace's own.
func (r *rewrite) choosesAddr() bool { return r.kind == kindMasquerade || r.kind == kindRedirect }

func (r *rewrite) allowsAddr(from, to netip.Addr, p *Packet) bool {
	switch {
	case r.unknown:
		return false
	case r.choosesAddr():
		return p.IsLocal != nil && p.IsLocal(to)
	case r.netmap:
		return to == r.netmapped(from)
	case r.fixedAddr():
		return r.low.Compare(to) <= 0 && to.Compare(r.high) <= 0
	}
	return to == from
}

func (r *rewrite) allowsPort(from, to uint16, p *Packet) bool {
	switch {
	case p.isICMP():
		return true // the kernel may choose another id
	case r.hasPort:
		return r.portLow <= to && to <= r.portHigh
	case r.isSource():
		return true // the kernel chooses another where two flows would be one
	}
	return to == from
}

func (r *rewrite) isSource() bool { return r.kind == kindSNAT || r.kind == kindMasquerade }

// protocolNumbers are the IP protocols that a Packet has a name for.
var protocolNumbers = map[string]uint8{
	"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58, "sctp": 132, "dccp": 33, "udplite": 136, "gre": 47,
}

// protocolName is the name in a Packet and a Flow of an IP protocol.
func protocolName(number uint8) string {
	for name, n := range protocolNumbers {
		if n == number {
			return name
		}
	}
	return strconv.Itoa(int(number))
}

func (p *Packet) protocol() uint8 {
	if n, ok := protocolNumbers[p.Protocol]; ok {
		return n
	}
	n, err := strconv.ParseUint(p.Protocol, 10, 8)
	if err != nil {
		return 0
	}
	return uint8(n)
}

func (p *Packet) isICMP() bool { return p.Protocol == "icmp" || p.Protocol == "icmpv6" }
