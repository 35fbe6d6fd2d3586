package modes

import (
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
	"vethscope/ops/steps"
)

// Masquerade lets a subnet speak to the world under the address of the link that
// its packets leave by.
type Masquerade struct {
	NS     string `json:"namespace,omitempty"`
	Subnet string `json:"subnet"`
	// Except is the link that the subnet is on, "" for the one that has a route
	// to it: what stays there keeps its source.
	Except string `json:"except,omitempty"`
}

// tableOf is the name of the nft table of a block: every block has its own, which
// goes with it.
func tableOf(name string) string {
	return tableName(strings.Map(func(r rune) rune {
		if r == ':' || r == '/' {
			return '_'
		}
		return r
	}, name))
}

// Plan is as that of NetnsAdd.
func (b Masquerade) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ns := w.namespace(&errs, "namespace", b.NS)
	subnet := parsePrefix(&errs, "subnet", b.Subnet)
	if subnet.IsValid() && (subnet.Masked() != subnet || subnet.Bits() == 0) {
		errs.add("subnet", "%s is not a subnet, such as %s", subnet, netip.PrefixFrom(subnet.Addr(), 24).Masked())
	}
	if b.Except == "" && len(errs) == 0 {
		if b.Except = w.routeTo(ns, subnet); b.Except == "" {
			errs.add("except", "no link%s leads to %s: name the one that it is on", in(ns), subnet)
		}
	} else {
		w.link(&errs, "except", ns, b.Except)
	}
	at := place{ns, b.Except}
	name := place{ns: ns}.String() + ":masquerade:" + subnet.String()
	if ns == "" {
		name = "masquerade:" + subnet.String()
	}
	w.unnamed(&errs, "subnet", name)
	if err := errs.err(); err != nil {
		return nil, err
	}
	table := tableOf(name)
	return block("masquerade", name, describe("masquerade %s%s", subnet, in(ns)), w.ownersOf(at),
		&steps.NftTable{NS: ns, Name: table},
		&steps.NftChain{NS: ns, Table: table, Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: prioritySNAT},
		&steps.NftMasquerade{NS: ns, Table: table, Chain: "postrouting", Subnet: subnet, Except: b.Except, Comment: name},
	), nil
}

// routeTo is the link by which ns reaches exactly this subnet.
func (w World) routeTo(ns string, subnet netip.Prefix) string {
	if w.snap == nil {
		return ""
	}
	for _, n := range w.snap.Namespaces {
		if ns == "" && n.Kind != inventory.KindHost || ns != "" && n.Name != ns {
			continue
		}
		for _, r := range n.Routes {
			if r.Dst == subnet.String() && r.Table == "main" {
				return r.Link
			}
		}
	}
	return ""
}

// PublishTo leads a port of the host to an address that no network of ours has.
type PublishTo struct {
	Addr string `json:"address"`
	Port string `json:"publish"` // "8080:80", "53:53/udp"
}

// Plan is as that of NetnsAdd.
func (b PublishTo) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	addr := parseAddr(&errs, "address", b.Addr)
	specs := parsePublish(&errs, w, []string{b.Port}, []string{b.Addr})
	if err := errs.err(); err != nil {
		return nil, err
	}
	spec := specs[0]
	name := "publish:" + spec.port.String()
	table := tableOf(name)
	to := netip.AddrPortFrom(addr, spec.to)
	p := block("publish-to", name, describe("publish port %s to %s", spec.port, to), w.ownersOf(place{link: w.linkTo(addr)}), &steps.NftTable{Name: table})
	for _, chain := range []string{"prerouting", "output"} {
		p.Steps = append(p.Steps,
			&steps.NftChain{Table: table, Name: chain, Type: "nat", Hook: chain, Priority: priorityDNAT},
			&steps.NftDNAT{Table: table, Chain: chain, Protocol: spec.port.Protocol, Port: spec.port.Number, To: to, Comment: name})
	}
	return p, nil
}

// linkTo is the host's link that an address is on.
func (w World) linkTo(addr netip.Addr) string {
	i := slices.IndexFunc(w.Subnets, func(s Subnet) bool { return s.Prefix.Bits() > 0 && s.Prefix.Contains(addr) })
	if i < 0 {
		return ""
	}
	return w.Subnets[i].Link
}

// ForwardAccept lets through what comes from, or goes to, a link, in every chain
// of others that drops what is forwarded.
type ForwardAccept struct {
	NS   string `json:"namespace,omitempty"`
	Link string `json:"link"`
}

// Plan is as that of NetnsAdd.
func (b ForwardAccept) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ns := w.namespace(&errs, "namespace", b.NS)
	w.link(&errs, "link", ns, b.Link)
	at := place{ns, b.Link}
	var list []ops.Step
	for _, c := range w.dropping(ns) {
		for _, out := range []bool{true, false} { // the last comes first
			list = append(list, &steps.ForwardAccept{NS: ns, Family: c.Family, Table: c.Table, Chain: c.Name, Link: b.Link, Out: out,
				Comment: steps.MarkPrefix + at.String()})
		}
	}
	if len(list) == 0 && len(errs) == 0 {
		errs.add("link", "no chain of nft or iptables-nft%s drops what is forwarded: there is nothing to accept it from", in(ns))
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	p := block("forward-accept", at.String()+":forward-accept", describe("accept what %s forwards%s", b.Link, in(ns)), w.ownersOf(at), list...)
	p.Notes = []string{"for frames that only cross a bridge there is another repair: vethscope sysctl set net.bridge.bridge-nf-call-iptables=0"}
	return p, nil
}

// dropping are the chains of others that drop what is forwarded: by policy or by
// a rule. Where Docker is, it has a chain that is meant for rules such as ours.
func (w World) dropping(ns string) []netfilter.Chain {
	if w.snap == nil {
		return nil
	}
	var out []netfilter.Chain
	for _, n := range w.snap.Namespaces {
		if ns == "" && n.Kind != inventory.KindHost || ns != "" && n.Name != ns {
			continue
		}
		for _, c := range n.Chains {
			family := c.Family == "ip" || c.Family == "ip6" || c.Family == "inet"
			if !family || c.Hook != "forward" || strings.HasPrefix(c.Table, tableName("")) || !drops(n, c) {
				continue
			}
			docker := c
			docker.Name = "DOCKER-USER"
			if slices.ContainsFunc(n.Chains, func(o netfilter.Chain) bool {
				return o.Family == docker.Family && o.Table == docker.Table && o.Name == docker.Name
			}) {
				c = docker
			}
			out = append(out, c)
		}
	}
	return out
}

// drops says whether a chain drops anything by itself.
func drops(n inventory.Namespace, c netfilter.Chain) bool {
	if c.Policy == "drop" {
		return true
	}
	return slices.ContainsFunc(n.Rules, func(r netfilter.Rule) bool {
		words := strings.Fields(strings.ToLower(r.Text))
		return r.Family == c.Family && r.Table == c.Table && r.Chain == c.Name &&
			(slices.Contains(words, "drop") || slices.Contains(words, "reject"))
	})
}
