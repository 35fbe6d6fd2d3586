package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// Overlay is one network across several hosts: each host, played by a namespace,
// has a bridge with containers, and a VXLAN that carries their frames to the
// bridges of the other hosts, inside UDP packets over the network between the
// hosts, the underlay.
type Overlay struct {
	Name       string `json:"name"`
	Hosts      int    `json:"hosts"`      // 2 to 26: NAME-a, NAME-b, …; 0 for 2
	Containers int    `json:"containers"` // on each host; 0 for 1: NAME-a1, …
	Subnet     string `json:"subnet"`
	IPv6       string `json:"ipv6,omitempty"`
	VNI        int    `json:"vni"`
	Port       int    `json:"port"` // 0 for IANA's 4789
	// Learning says how hosts learn where a container is: "static", told by fixed
	// entries, or "multicast", asking all and remembering the answers. "" is static.
	Learning string `json:"learning,omitempty"`
	// GwBridge gives each container a second leg, which leads to the world
	// outside through its own host.
	GwBridge bool `json:"gwbridge,omitempty"`
	// Underlay is the subnet of the network between the hosts; "" for a free one.
	Underlay    string `json:"underlay,omitempty"`
	UnderlayMTU int    `json:"underlay_mtu,omitempty"` // 0 for 1500
	// Join puts the network on the hosts of another overlay instead of making
	// hosts; the VNI keeps the two apart.
	Join string `json:"join,omitempty"`
}

const (
	defaultVxlanPort = 4789 // IANA's; the kernel's own default is 8472
	defaultMTU       = 1500
	minUnderlayMTU   = 1280 + steps.VxlanOverhead // IPv6's least must fit inside, RFC 8200
	maxUnderlayMTU   = 65535
	maxHosts         = 26 // a to z
	maxOnHost        = 99
)

// The ways to learn.
const (
	learnStatic    = "static"
	learnMulticast = "multicast"
)

// overlayPlan is Overlay with everything parsed.
type overlayPlan struct {
	Overlay
	mark     string
	subnets  *lan
	hosts    []overlayHost
	group    netip.Addr   // of multicast; zero without
	underlay netip.Prefix // zero when another overlay's is joined
	uplink   netip.Addr   // the underlay's address on our own host
	gw       netip.Prefix // zero without GwBridge
}

type overlayHost struct {
	name       string
	letter     string
	vtep       netip.Addr // its address on the underlay
	containers []overlayContainer
}

type overlayContainer struct {
	name  string
	addrs []netip.Prefix
	gw    netip.Prefix // on its second leg
}

// mac is made of the IPv4 address, so that every host can know it.
func (c overlayContainer) mac() string { return macOf(c.addrs[0].Addr()) }

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (o Overlay) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	p := o.parse(&errs, w)
	if err := errs.err(); err != nil {
		return nil, err
	}
	plan := &ops.Plan{Title: "create overlay " + o.Name, Name: o.Name, Mode: "overlay", Settings: o, Made: p.made(w)}
	if o.Join != "" {
		plan.With = []string{o.Join}
	} else {
		plan.Steps = append(plan.Steps, p.underlaySteps()...)
	}
	for _, h := range p.hosts {
		plan.Steps = append(plan.Steps, p.hostSteps(h)...)
		for _, c := range h.containers {
			plan.Steps = append(plan.Steps, p.containerSteps(h, c)...)
		}
	}
	if p.Learning == learnStatic {
		plan.Steps = append(plan.Steps, p.entrySteps()...)
	}
	if o.GwBridge {
		plan.Steps = append(plan.Steps, p.worldSteps()...)
	}
	return plan, nil
}

func (o Overlay) parse(errs *Errors, w World) *overlayPlan {
	o.defaults()
	o.checkNumbers(errs)
	p := &overlayPlan{Overlay: o, mark: steps.MarkPrefix + o.Name}
	if o.Join != "" {
		p.join(errs, w)
	} else {
		p.makeHosts()
	}
	p.checkNames(errs, w)
	// The overlay's own subnet is inside the hosts, where ours has no part in it,
	// unless the containers are to reach what ours reaches.
	inner := World{}.with(p.innerUnderlay(w), "the underlay")
	if o.GwBridge {
		inner = w
	}
	p.subnets = newLAN(nil, parseSubnet(errs, inner, "subnet", o.Subnet, false), o.subnet6(errs))
	if len(*errs) > 0 {
		return p
	}
	w = w.with(p.subnets.subnets[0], "the overlay itself")
	if o.Join == "" {
		p.makeUnderlay(errs, w)
	}
	p.subnets.need(errs, len(p.hosts)*o.Containers+1)
	if o.GwBridge {
		p.gw = freeSubnet(w.with(p.underlay, "the underlay"))
		if !p.gw.IsValid() {
			errs.add("gwbridge", "no /24 of 172.18.0.0 to 172.31.255.255 is free for it")
		}
	}
	if len(*errs) == 0 {
		p.fill()
	}
	return p
}

func (o *Overlay) defaults() {
	for value, other := range map[*int]int{&o.Port: defaultVxlanPort, &o.UnderlayMTU: defaultMTU, &o.Containers: 1, &o.Hosts: 2} {
		if *value == 0 {
			*value = other
		}
	}
	if o.Learning == "" {
		o.Learning = learnStatic
	}
}

func (o *Overlay) checkNumbers(errs *Errors) {
	if o.Join == "" && (o.Hosts < 2 || o.Hosts > maxHosts) {
		errs.add("hosts", "must be 2 to %d, not %d", maxHosts, o.Hosts)
		o.Hosts = 2
	}
	checkCount(errs, &o.Containers, maxOnHost)
	if o.VNI < 1 || o.VNI >= 1<<24 {
		errs.add("vni", "must be 1 to %d, not %d: the header has 24 bits for it", 1<<24-1, o.VNI)
	}
	if o.Port < 1 || o.Port > 65535 {
		errs.add("port", "must be 1 to 65535, not %d", o.Port)
	}
	if o.Learning != learnStatic && o.Learning != learnMulticast {
		errs.add("learning", "%q must be static or multicast", o.Learning)
	}
	if o.UnderlayMTU < minUnderlayMTU || o.UnderlayMTU > maxUnderlayMTU {
		errs.add("underlay_mtu", "must be %d to %d, not %d", minUnderlayMTU, maxUnderlayMTU, o.UnderlayMTU)
	}
}

func (o *Overlay) subnet6(errs *Errors) netip.Prefix {
	if o.IPv6 == "" {
		return netip.Prefix{}
	}
	return parseSubnet(errs, World{}, "ipv6", o.IPv6, true)
}

// longest is the longest name that is made of NAME.
func (p *overlayPlan) longest() string { return fmt.Sprintf("v-NAME-a%d", p.Containers) }

func (p *overlayPlan) makeHosts() {
	for i := range p.Hosts {
		letter := string(rune('a' + i))
		p.hosts = append(p.hosts, overlayHost{name: p.Name + "-" + letter, letter: letter})
	}
}

// join takes the hosts of another overlay.
func (p *overlayPlan) join(errs *Errors, w World) {
	made, ok := w.Networks[p.Join]
	if !ok || len(made.Hosts) == 0 {
		errs.add("join", "no overlay %q of ours: `vethscope create overlay` makes one", p.Join)
		return
	}
	if p.GwBridge {
		errs.add("gwbridge", "is given by the overlay that makes the hosts, not by one that joins")
	}
	p.UnderlayMTU = made.MTU + steps.VxlanOverhead
	for name, other := range w.Networks {
		if other.VNI == p.VNI && other.VXLANPort == p.Port && other.Underlay == made.Underlay {
			errs.add("vni", "%d is %s's on these hosts: choose another", p.VNI, name)
		}
	}
	for _, h := range made.Hosts {
		letter := h.Name[strings.LastIndex(h.Name, "-")+1:]
		vtep, err := netip.ParseAddr(h.Addr)
		if err != nil {
			errs.add("join", "%s has no address on the underlay", h.Name)
		}
		p.hosts = append(p.hosts, overlayHost{name: h.Name, letter: letter, vtep: vtep})
	}
}

// innerUnderlay is the underlay that the hosts are in before they join.
func (p *overlayPlan) innerUnderlay(w World) netip.Prefix {
	u, _ := netip.ParsePrefix(w.Networks[p.Join].Underlay)
	return u
}

func (p *overlayPlan) checkNames(errs *Errors, w World) {
	var namespaces, links []string
	for _, h := range p.hosts {
		if p.Join == "" {
			namespaces = append(namespaces, h.name)
			links = append(links, p.uplinkOf(h))
		}
		for n := range p.Containers {
			namespaces = append(namespaces, p.containerName(h, n))
		}
	}
	if p.Join == "" {
		links = append(links, p.underlayBridge())
	}
	checkNew(errs, w, p.Name, p.longest(), namespaces, links)
	if p.GwBridge && w.Tables[tableName(p.Name)] {
		errs.add("name", "%s is in use: nft table inet %s exists", p.Name, tableName(p.Name))
	}
}

func (p *overlayPlan) containerName(h overlayHost, n int) string {
	return fmt.Sprintf("%s-%s%d", p.Name, h.letter, n+1)
}

// makeUnderlay finds the subnet between the hosts.
func (p *overlayPlan) makeUnderlay(errs *Errors, w World) {
	if p.Underlay == "" {
		p.underlay = freeSubnet(w)
		if !p.underlay.IsValid() {
			errs.add("underlay", "no /24 of 172.18.0.0 to 172.31.255.255 is free: give a subnet")
		}
	} else {
		p.underlay = parseSubnet(errs, w, "underlay", p.Underlay, false)
	}
	if free := 32 - p.underlay.Bits(); p.underlay.IsValid() && (free < 31 && 1<<free < len(p.hosts)+3) {
		errs.add("underlay", "%s is too small for %d hosts", p.underlay, len(p.hosts))
	}
}

// fill gives everyone an address; all is valid.
func (p *overlayPlan) fill() {
	if p.underlay.IsValid() {
		l := newLAN(nil, p.underlay)
		p.uplink = l.take()[0].Addr()
		for i := range p.hosts {
			p.hosts[i].vtep = l.take()[0].Addr()
		}
	}
	p.subnets.take() // the first is a gateway's, by habit
	for i := range p.hosts {
		h := &p.hosts[i]
		gw := newLAN(nil, p.gw)
		gw.take()
		for n := range p.Containers {
			c := overlayContainer{name: p.containerName(*h, n), addrs: p.subnets.take()}
			if p.GwBridge {
				c.gw = gw.take()[0]
			}
			h.containers = append(h.containers, c)
		}
	}
	if p.Learning == learnMulticast {
		// 239/8 is for use within an organisation, RFC 2365; the VNI makes a
		// group for each network.
		p.group = netip.AddrFrom4([4]byte{239, byte(p.VNI >> 16), byte(p.VNI >> 8), byte(p.VNI)})
	}
}

// mtu is what is left inside.
func (p *overlayPlan) mtu() int { return p.UnderlayMTU - steps.VxlanOverhead }

func (p *overlayPlan) made(w World) ops.Made {
	m := ops.Made{Network: p.subnets.subnets[0].String(), VNI: p.VNI, VXLANPort: p.Port, MTU: p.mtu(),
		Learning: p.Learning, Underlay: p.underlay.String()}
	if p.Join != "" {
		m.Underlay = w.Networks[p.Join].Underlay
	}
	if len(p.subnets.subnets) > 1 {
		m.Network6 = p.subnets.subnets[1].String()
	}
	if p.Join == "" {
		m.Bridge = p.underlayBridge()
	}
	for _, h := range p.hosts {
		host := ops.SimHost{Name: h.name, Link: "eth0", Addr: h.vtep.String(), Bridge: p.Name, VXLAN: p.vxlan()}
		for _, c := range h.containers {
			made := container(c.name, "eth0", c.addrs)
			made.HostLink, made.Host = p.cable(c), h.name
			if p.GwBridge {
				made.Legs = []ops.Leg{{Link: "eth1", Addr: c.gw.Addr().String(), MTU: defaultMTU}}
			}
			host.Containers = append(host.Containers, c.name)
			m.Containers = append(m.Containers, made)
		}
		m.Hosts = append(m.Hosts, host)
	}
	m.Proofs = p.proofs(w, m)
	return m
}

func (p *overlayPlan) proofs(w World, m ops.Made) []ops.Proof {
	var out proofs
	out.among(m.Containers, true, "One subnet across hosts: VXLAN carries the frames from one to the other.")
	first, last := m.Containers[0], m.Containers[len(m.Containers)-1]
	out.get(first.Name, last.Addr, 80, last.Name+":80", true, "Whole segments fit, because the links inside know the smaller MTU.")
	if o := w.Outside; o != nil && p.Join == "" {
		if p.GwBridge {
			out.ping(first.Name, true, "The second leg leads out through its own host, which masquerades.", o.Addr)
		} else {
			out.ping(first.Name, false, "The overlay leads to its containers and nowhere else; --gwbridge adds a leg to the outside world.", o.Addr)
		}
	}
	for _, other := range sortedNames(w.Networks) {
		made := w.Networks[other]
		if made.Underlay != m.Underlay {
			continue
		}
		for _, c := range made.Containers {
			// Where two networks have an address in common, one's own answers.
			if !slices.ContainsFunc(m.Containers, func(own ops.Container) bool { return own.Addr == c.Addr }) {
				out.ping(first.Name, false, fmt.Sprintf("%s is on the same hosts, but has VNI %d: another network.", other, made.VNI), c.Addr)
				break
			}
		}
	}
	return out
}

func sortedNames(networks map[string]ops.Made) []string {
	out := make([]string, 0, len(networks))
	for name := range networks {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
