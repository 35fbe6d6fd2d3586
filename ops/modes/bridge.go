package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/dns"
	"vethscope/ops/steps"
)

// Bridge is a bridge network as Docker's default one: a bridge on the host that
// is the gateway of N containers, which reach the world by masquerading and are
// reached through published ports.
type Bridge struct {
	Name       string   `json:"name"`
	Containers int      `json:"containers"`
	Subnet     string   `json:"subnet"`            // "172.18.0.0/24"; the bridge gets its first address
	IPv6       string   `json:"ipv6,omitempty"`    // a second, IPv6 subnet
	Publish    []string `json:"publish,omitempty"` // "8080:80", "53:53/udp", "8081:80@2" for the second container
	// Names are those of the containers' namespaces; nil for NAME-1 … NAME-N.
	Names []string `json:"names,omitempty"`
	// NoIsolation lets the containers of other networks reach this one's, and
	// the reverse.
	NoIsolation bool `json:"no_isolation,omitempty"`
	NoDNS       bool `json:"no_dns,omitempty"` // no server for the containers' names
}

// maxContainers is where a bridge's port numbers end: BR_MAX_PORTS, 1 << 10, in
// net/bridge/br_private.h.
const maxContainers = 1023

// Priorities of our base chains: DNAT just before Docker's, so that a port
// published here wins over the same port there; SNAT at nft's "srcnat".
const (
	priorityDNAT = -105
	prioritySNAT = 100

	priorityFilter = 0 // nft's "filter"
)

// bridgePlan is Bridge with everything parsed.
type bridgePlan struct {
	name       string
	table      string
	mark       string
	subnet     netip.Prefix
	subnet6    netip.Prefix // zero without IPv6
	containers []ops.Container
	published  []ops.Published
	isolated   bool
	dns        bool
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (b Bridge) Plan(w World) (*ops.Plan, error) {
	p, errs := b.parse(w)
	if err := errs.err(); err != nil {
		return nil, err
	}
	plan := &ops.Plan{
		Title: "create bridge network " + p.name,
		Name:  p.name,
		Mode:  "bridge",
		Made:  p.made(),

		Settings: b,
	}
	plan.Made.Proofs = p.proofs(w)
	for _, c := range p.containers {
		plan.Steps = append(plan.Steps, &steps.NetnsAdd{Name: c.Name,
			Reason: "A container is, for the network, a namespace: links, addresses, routes and rules of its own, and at first none of them."})
	}
	plan.Steps = append(plan.Steps, p.forwarding()...)
	plan.Steps = append(plan.Steps, p.bridge()...)
	for _, c := range p.containers {
		plan.Steps = append(plan.Steps, p.container(c)...)
	}
	plan.Steps = append(plan.Steps, p.nat()...)
	if p.isolated {
		plan.Steps = append(plan.Steps, p.isolation()...)
	}
	if p.dns {
		plan.Steps = append(plan.Steps, p.nameServer())
	}
	return plan, nil
}

// tableName is the nft table of a network.
func tableName(network string) string { return "vethscope-" + network }

// hostLink is the host's end of container i's cable, i from 1.
func hostLink(network string, i int) string { return fmt.Sprintf("v-%s-%d", network, i) }

func (b Bridge) parse(w World) (*bridgePlan, Errors) {
	var errs Errors
	p := &bridgePlan{name: b.Name, table: tableName(b.Name), mark: steps.MarkPrefix + b.Name,
		isolated: !b.NoIsolation, dns: !b.NoDNS}
	if b.Containers < 1 || b.Containers > maxContainers {
		errs.add("containers", "must be 1 to %d, not %d", maxContainers, b.Containers)
		b.Containers = 1 // go on, to find what else is wrong
	}
	b.checkNames(w, &errs)
	p.subnet = parseSubnet(&errs, w, "subnet", b.Subnet, false)
	if b.IPv6 != "" {
		p.subnet6 = parseSubnet(&errs, w, "ipv6", b.IPv6, true)
	}
	checkRoom(&errs, "subnet", p.subnet, b.Containers)
	checkRoom(&errs, "ipv6", p.subnet6, b.Containers)
	specs := parsePublish(&errs, w, b.Publish, b.containerNames())
	if len(errs) > 0 {
		return nil, errs
	}
	p.fill(b, specs)
	return p, nil
}

// fill makes the containers and the published ports, all of which are valid.
func (p *bridgePlan) fill(b Bridge, specs []publishSpec) {
	addr, addr6 := p.subnet.Addr().Next(), p.subnet6.Addr().Next() // the gateway's
	for i := range b.Containers {
		addr, addr6 = addr.Next(), addr6.Next()
		c := ops.Container{Name: b.containerName(i), Link: "eth0", Addr: addr.String(), HostLink: hostLink(b.Name, i+1)}
		if p.subnet6.IsValid() {
			c.Addr6 = addr6.String()
		}
		p.containers = append(p.containers, c)
	}
	for _, s := range specs {
		p.published = append(p.published, s.on(p.containers[s.container-1]))
	}
}

func (b Bridge) containerNames() []string {
	out := make([]string, b.Containers)
	for i := range out {
		out[i] = b.containerName(i)
	}
	return out
}

func (b Bridge) containerName(i int) string {
	if i < len(b.Names) {
		return b.Names[i]
	}
	return fmt.Sprintf("%s-%d", b.Name, i+1)
}

func (b Bridge) checkNames(w World, errs *Errors) {
	if !checkName(errs, b.Name, "v-", fmt.Sprintf("-%d", b.Containers)) {
		return
	}
	switch {
	case w.Links[b.Name]:
		errs.add("name", "%s is already a link of the host", b.Name)
	case w.Tables[tableName(b.Name)]:
		errs.add("name", "%s is in use: nft table inet %s exists", b.Name, tableName(b.Name))
	}
	for i := range b.Containers {
		if name := b.containerName(i); w.Namespaces[name] {
			errs.add("name", "%s is in use: namespace %s exists", b.Name, name)
			return
		}
		if link := hostLink(b.Name, i+1); w.Links[link] {
			errs.add("name", "%s is in use: link %s exists", b.Name, link)
			return
		}
	}
}

func (p *bridgePlan) made() ops.Made {
	m := ops.Made{
		Network: p.subnet.String(), Bridge: p.name, Gateway: p.gateway().String(),
		Containers: p.containers, Published: p.published,
	}
	if p.subnet6.IsValid() {
		m.Network6, m.Gateway6 = p.subnet6.String(), p.gateway6().String()
	}
	if p.dns {
		m.DNS = m.Gateway
	}
	return m
}

// macOf is the MAC that Docker, too, gives to who has an IPv4 address: locally
// administered, and unique where the address is.
func macOf(a netip.Addr) string {
	b := a.As4()
	return fmt.Sprintf("02:42:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3])
}

func (p *bridgePlan) gateway() netip.Addr  { return p.subnet.Addr().Next() }
func (p *bridgePlan) gateway6() netip.Addr { return p.subnet6.Addr().Next() }

func (p *bridgePlan) bridge() []ops.Step {
	add := &steps.BridgeAdd{Name: p.name, MAC: macOf(p.gateway()), Mark: p.mark}
	if p.isolated {
		add.Group = steps.IsolationGroup
	}
	out := []ops.Step{
		add,
		&steps.AddrAdd{Link: p.name, Addr: netip.PrefixFrom(p.gateway(), p.subnet.Bits()),
			Reason: "The bridge's own address puts the host into the subnet, and makes it the containers' gateway."},
	}
	if p.subnet6.IsValid() {
		out = append(out, &steps.AddrAdd{Link: p.name, Addr: netip.PrefixFrom(p.gateway6(), p.subnet6.Bits()),
			Reason: "The same for IPv6."})
	}
	return append(out, &steps.LinkUp{Link: p.name})
}

// container wires a new container to the bridge, which becomes its gateway.
func (p *bridgePlan) container(c ops.Container) []ops.Step {
	out := append(p.plug(c), &steps.LinkUp{NS: c.Name, Link: "lo"})
	out = append(out, p.address(c)...)
	out = append(out, p.defaultRoute(c))
	if c.Addr6 != "" {
		out = append(out, p.defaultRoute6(c))
	}
	return out
}

// plug lays the cable from a container to the bridge.
func (p *bridgePlan) plug(c ops.Container) []ops.Step {
	return []ops.Step{
		&steps.VethAdd{Name: c.HostLink, PeerNS: c.Name, PeerName: c.Link, Mark: p.mark},
		&steps.LinkMaster{Link: c.HostLink, Master: p.name},
		&steps.PortHairpin{Link: c.HostLink},
		&steps.LinkUp{Link: c.HostLink},
	}
}

// address gives the container's end of the cable its addresses and switches it
// on.
func (p *bridgePlan) address(c ops.Container) []ops.Step {
	out := []ops.Step{
		&steps.AddrAdd{NS: c.Name, Link: c.Link, Addr: netip.PrefixFrom(netip.MustParseAddr(c.Addr), p.subnet.Bits()),
			Reason: "The container's own address; the route to the rest of the subnet comes with it."},
	}
	if c.Addr6 != "" {
		out = append(out, &steps.AddrAdd{NS: c.Name, Link: c.Link,
			Addr:   netip.PrefixFrom(netip.MustParseAddr(c.Addr6), p.subnet6.Bits()),
			Reason: "The same for IPv6."})
	}
	return append(out, &steps.LinkUp{NS: c.Name, Link: c.Link})
}

func (p *bridgePlan) defaultRoute(c ops.Container) ops.Step {
	return &steps.RouteAdd{NS: c.Name, Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0), Via: p.gateway(), Link: c.Link}
}

func (p *bridgePlan) defaultRoute6(c ops.Container) ops.Step {
	return &steps.RouteAdd{NS: c.Name, Dst: netip.PrefixFrom(netip.IPv6Unspecified(), 0), Via: p.gateway6(), Link: c.Link}
}

func (p *bridgePlan) forwarding() []ops.Step {
	const why = "A host drops what is not for itself. Forwarding makes it a router between the bridge and the world."
	out := []ops.Step{&steps.SysctlSet{Key: "net.ipv4.ip_forward", Value: "1", Reason: why}}
	if p.subnet6.IsValid() {
		out = append(out, &steps.SysctlSet{Key: "net.ipv6.conf.all.forwarding", Value: "1", Reason: "The same for IPv6."})
	}
	return out
}

// nat makes the table and its rules. All three chains are always there, so that
// a port can be published later.
func (p *bridgePlan) nat() []ops.Step {
	out := []ops.Step{
		&steps.NftTable{Name: p.table},
		&steps.NftChain{Table: p.table, Name: "prerouting", Type: "nat", Hook: "prerouting", Priority: priorityDNAT},
		&steps.NftChain{Table: p.table, Name: "output", Type: "nat", Hook: "output", Priority: priorityDNAT},
		&steps.NftChain{Table: p.table, Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: prioritySNAT},
	}
	for _, subnet := range []netip.Prefix{p.subnet, p.subnet6} {
		if subnet.IsValid() {
			out = append(out,
				&steps.NftMasquerade{Table: p.table, Chain: "postrouting", Subnet: subnet, Except: p.name,
					Comment: fmt.Sprintf("%s: masquerade %s", p.name, subnet)},
				&steps.NftHairpin{Table: p.table, Chain: "postrouting", Subnet: subnet, Bridge: p.name,
					Comment: fmt.Sprintf("%s: hairpin %s", p.name, subnet)})
		}
	}
	for _, pub := range p.published {
		c := p.containers[slices.IndexFunc(p.containers, func(c ops.Container) bool { return c.Name == pub.Container })]
		out = append(out, publishSteps(p.table, p.name, pub, c)...)
	}
	return out
}

// isolation keeps the containers of our other networks out.
func (p *bridgePlan) isolation() []ops.Step {
	return []ops.Step{
		&steps.NftChain{Table: p.table, Name: "forward", Type: "filter", Hook: "forward", Priority: priorityFilter},
		&steps.NftIsolate{Table: p.table, Chain: "forward", Bridge: p.name, Comment: p.name + ": keep other networks out"},
	}
}

// nameServer starts the server that knows the containers by name.
func (p *bridgePlan) nameServer() ops.Step {
	c := dns.Config{Zone: dns.Zone{Network: p.name}, Listen: []netip.Prefix{netip.PrefixFrom(p.gateway(), p.subnet.Bits())}}
	if p.subnet6.IsValid() {
		c.Listen = append(c.Listen, netip.PrefixFrom(p.gateway6(), p.subnet6.Bits()))
	}
	for _, container := range p.containers {
		c.Zone.Hosts = append(c.Zone.Hosts, HostOf(container))
	}
	return &steps.ProcessStart{Args: c.Args(),
		Reason: fmt.Sprintf("Addresses change, names stay: a small name server at %s tells the network's containers who %s is. It is vethscope itself, in the background, and ends with the bridge.", p.gateway(), p.containers[0].Name)}
}

// HostOf is a container as a name server knows it.
func HostOf(c ops.Container) dns.Host {
	h := dns.Host{Names: append([]string{c.Name}, c.Aliases...)}
	for _, text := range []string{c.Addr, c.Addr6} {
		if a, err := netip.ParseAddr(text); err == nil {
			h.Addrs = append(h.Addrs, a)
		}
	}
	return h
}

// parseSubnet reads a subnet that must be free. It returns the zero Prefix when
// it has found fault.
func parseSubnet(errs *Errors, w World, field, text string, six bool) netip.Prefix {
	text = strings.TrimSpace(text)
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		errs.unlike(field, text, "a subnet in CIDR form, such as 172.18.0.0/24")
	case p.Addr().Is4() == six || p.Addr().Is4In6():
		errs.add(field, "%s is not %s", p, map[bool]string{false: "IPv4", true: "IPv6"}[six])
	case p.Masked() != p:
		errs.add(field, "%s has host bits set: the subnet is %s", p, p.Masked())
	case !usable(p.Addr()) || !usable(lastAddr(p)):
		errs.add(field, "%s is not for hosts: choose a private subnet, such as 172.18.0.0/24", p)
	default:
		if other, ok := w.overlap(p); ok {
			errs.add(field, "%s overlaps %s, which %s uses", p, other.Prefix, linkLabel(other.Link))
			return netip.Prefix{}
		}
		return p
	}
	return netip.Prefix{}
}

// linkLabel names what uses a subnet; a blackhole route has no link.
func linkLabel(link string) string {
	if link == "" {
		return "a route"
	}
	return link
}

// usable is true for an address that a host can have.
func usable(a netip.Addr) bool {
	reserved := a.Is4() && (a.As4()[0] == 0 || a.As4()[0] >= 240) // RFC 1122, RFC 1112
	return !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() && !reserved
}

// lastAddr is the highest address of p, its broadcast address in IPv4.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// checkRoom refuses a subnet without room for the network's own address, the
// gateway, n containers and, in IPv4, the broadcast address.
func checkRoom(errs *Errors, field string, p netip.Prefix, n int) {
	if !p.IsValid() {
		return
	}
	need := n + 2
	if p.Addr().Is4() {
		need++
	}
	free := p.Addr().BitLen() - p.Bits()
	if free < 31 && 1<<free < need {
		errs.add(field, "%s is too small: %d containers and the gateway need %d addresses, it has %d", p, n, need, 1<<free)
	}
}

// DefaultBridge is a network that fits into w, for a form to begin with.
func DefaultBridge(w World) Bridge {
	b := Bridge{Containers: 2, Publish: []string{"8080:80"}}
	for i := 0; b.Name == ""; i++ {
		name := "web"
		if i > 0 {
			name = fmt.Sprintf("web%d", i+1)
		}
		try := Bridge{Name: name, Containers: b.Containers}
		var errs Errors
		if try.checkNames(w, &errs); len(errs) == 0 {
			b.Name = name
		}
	}
	b.Subnet = FreeSubnet(w)
	for n := uint16(8080); n < 9000; n++ {
		if _, taken := w.Published[Port{"tcp", n}]; !taken {
			b.Publish = []string{fmt.Sprintf("%d:80", n)}
			break
		}
	}
	return b
}

// FreeSubnet is the first /24 from Docker's own range that nothing uses, ""
// when there is none.
func FreeSubnet(w World) string {
	for second := byte(18); second < 32; second++ {
		for third := range 256 {
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, second, byte(third), 0}), 24)
			if _, taken := w.overlap(p); !taken {
				return p.String()
			}
		}
	}
	return ""
}
