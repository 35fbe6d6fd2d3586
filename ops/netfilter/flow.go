package netfilter

import "net/netip"

// Flow is an entry of conntrack. Its identity is Zone with Original: the
// kernel may give ID again.
type Flow struct {
	ID       uint32 `json:"id"`
	Zone     uint16 `json:"zone,omitempty"`
	Protocol string `json:"protocol"` // "tcp", "udp", "icmp", "icmpv6", "sctp", or a number
	Original Tuple  `json:"original"`
	Reply    Tuple  `json:"reply"`
	// ICMPType is the type of the query that opened an ICMP flow.
	ICMPType uint8 `json:"icmp_type,omitempty"`
	// SNAT and DNAT say that conntrack rewrites the source or the destination of
	// the original direction.
	SNAT bool   `json:"snat,omitempty"`
	DNAT bool   `json:"dnat,omitempty"`
	Mark uint32 `json:"mark,omitempty"`
	// SeenReply and Assured are as in conntrack(8); Related is its EXPECTED.
	SeenReply bool `json:"seen_reply,omitempty"`
	Assured   bool `json:"assured,omitempty"`
	Related   bool `json:"related,omitempty"`
	// Sent and Received count the packets of the original and of the reply
	// direction; both are zero while the sysctl nf_conntrack_acct is 0.
	Sent     Counter `json:"sent"`
	Received Counter `json:"received"`
}

// Tuple is where the packets of one direction come from and go to. For ICMP
// both ports hold the id of the query, which NAT may change.
type Tuple struct {
	Src netip.AddrPort `json:"src"`
	Dst netip.AddrPort `json:"dst"`
}

// ChangesDestination says that the flow goes somewhere else than it was sent to.
func (f *Flow) ChangesDestination() bool {
	if f.Protocol == "icmp" || f.Protocol == "icmpv6" {
		return f.Reply.Src.Addr() != f.Original.Dst.Addr()
	}
	return f.Reply.Src != f.Original.Dst
}

// ChangesSource says that the other side sees another source than that of the
// original packets.
func (f *Flow) ChangesSource() bool { return f.Reply.Dst != f.Original.Src }
