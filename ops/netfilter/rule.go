// Package netfilter reads what the kernel's packet filter holds: rules of
// native nft tables and of iptables-nft, and the flows of conntrack; and it
// finds the rule that rewrote a given flow.
package netfilter

// Rule is one rule as the kernel holds it.
type Rule struct {
	Engine   string `json:"engine"` // "nft" or "iptables-nft"
	Family   string `json:"family"` // "ip", "ip6", "inet", "bridge", "netdev", "arp"
	Table    string `json:"table"`
	Chain    string `json:"chain"`
	Hook     string `json:"hook,omitempty"` // "prerouting"…; "" in a chain that is only jumped to
	Priority int32  `json:"priority"`
	Handle   uint64 `json:"handle"`
	Position int    `json:"position"` // 1 is the first rule of its chain
	// Text is the rule in the engine's own words: nft syntax for nft,
	// iptables-save syntax for iptables-nft; without the counters' values. Parts that could not be decoded
	// are shown raw inside it, and Unknown names them.
	Text    string   `json:"text"`
	Unknown []string `json:"unknown,omitempty"`
	Comment string   `json:"comment,omitempty"`
	Counter *Counter `json:"counter,omitempty"` // nil where the rule has none
	NAT     *NAT     `json:"nat,omitempty"`     // nil where the rule rewrites nothing
}

// Counter is a rule's counter: packets and bytes since it was made.
type Counter struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// NAT is what a rule rewrites.
type NAT struct {
	Kind string `json:"kind"`           // "dnat", "snat", "masquerade", "redirect"
	Addr string `json:"addr,omitempty"` // "172.18.0.2" or "10.0.0.1-10.0.0.9"; "" when not given
	Port string `json:"port,omitempty"` // "80" or "8000-8010"; "" when not given
}

// Chain is a chain with its rules left out.
type Chain struct {
	Family   string   `json:"family"`
	Table    string   `json:"table"`
	Name     string   `json:"name"`
	Type     string   `json:"type,omitempty"` // "filter", "nat", "route"; "" unless a base chain
	Hook     string   `json:"hook,omitempty"`
	Priority int32    `json:"priority"`
	Policy   string   `json:"policy,omitempty"` // "accept" or "drop", base chains only
	Handle   uint64   `json:"handle"`
	Counter  *Counter `json:"counter,omitempty"`
}
