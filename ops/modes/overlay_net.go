package modes

import (
	"fmt"
	"net/netip"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// The names of an overlay's links: on our host the bridge NAME-u and the hosts'
// uplinks v-NAME-a; on each host the bridge NAME, the VXLAN vx-NAME, the
// containers' cables v-NAME-a1, and for their second legs the bridge gw-NAME with
// the cables g-NAME-a1.
func (p *overlayPlan) underlayBridge() string           { return p.Name + "-u" }
func (p *overlayPlan) uplinkOf(h overlayHost) string    { return "v-" + h.name }
func (p *overlayPlan) vxlan() string                    { return "vx-" + p.Name }
func (p *overlayPlan) gwBridge() string                 { return "gw-" + p.Name }
func (p *overlayPlan) gwLink(c overlayContainer) string { return "g-" + c.name }
func (p *overlayPlan) cable(c overlayContainer) string  { return "v-" + c.name }

// underlaySteps make the hosts and the network between them.
func (p *overlayPlan) underlaySteps() []ops.Step {
	var out []ops.Step
	for _, h := range p.hosts {
		out = append(out, &steps.NetnsAdd{Name: h.name,
			Reason: "This namespace plays a host of its own, with its own links and routes: another machine."})
	}
	out = append(out, &steps.BridgeAdd{Name: p.underlayBridge(), MAC: macOf(p.uplink), Mark: p.mark})
	out = append(out, addressSteps("", p.underlayBridge(),
		"The underlay is the ordinary network between the hosts. It knows nothing of the overlay: it carries UDP packets from host to host.",
		[]netip.Prefix{netip.PrefixFrom(p.uplink, p.underlay.Bits())})...)
	for _, h := range p.hosts {
		up := p.uplinkOf(h)
		mtu := 0
		if p.UnderlayMTU != defaultMTU {
			mtu = p.UnderlayMTU
		}
		out = append(out,
			&steps.VethAdd{Name: up, PeerNS: h.name, PeerName: "eth0", PeerMAC: macOf(h.vtep), MTU: mtu, Mark: p.mark},
			&steps.LinkMaster{Link: up, Master: p.underlayBridge()},
			&steps.LinkUp{Link: up},
			&steps.LinkUp{NS: h.name, Link: "lo"})
		out = append(out, addressSteps(h.name, "eth0", "The host's address on the underlay; between these addresses the outer packets go (VTEP).",
			[]netip.Prefix{netip.PrefixFrom(h.vtep, p.underlay.Bits())})...)
	}
	return out
}

// hostSteps make the bridge of one host and plug the VXLAN into it.
func (p *overlayPlan) hostSteps(h overlayHost) []ops.Step {
	vx := &steps.VxlanAdd{NS: h.name, Name: p.vxlan(), VNI: uint32(p.VNI), Local: h.vtep, Dev: "eth0", Port: uint16(p.Port),
		Group: p.group, Learning: p.Learning == learnMulticast, Proxy: p.Learning == learnStatic, MTU: p.mtu(), Mark: p.mark}
	return []ops.Step{
		&steps.BridgeAdd{NS: h.name, Name: p.Name, MAC: macOf(h.vtep), Mark: p.mark},
		vx,
		&steps.LinkMaster{NS: h.name, Link: vx.Name, Master: p.Name},
		&steps.LinkUp{NS: h.name, Link: vx.Name},
		&steps.LinkUp{NS: h.name, Link: p.Name},
	}
}

// containerSteps make one container on its host.
func (p *overlayPlan) containerSteps(h overlayHost, c overlayContainer) []ops.Step {
	link := p.cable(c)
	out := []ops.Step{
		&steps.NetnsAdd{Name: c.name, Reason: "A container on " + h.name + " is a namespace, wired to that host."},
		&steps.VethAdd{NS: h.name, Name: link, PeerNS: c.name, PeerName: "eth0", PeerMAC: c.mac(), MTU: p.mtu(), Mark: p.mark},
		&steps.LinkMaster{NS: h.name, Link: link, Master: p.Name},
		&steps.LinkUp{NS: h.name, Link: link},
		&steps.LinkUp{NS: c.name, Link: "lo"},
	}
	return append(out, addressSteps(c.name, "eth0", "One subnet for all containers, on whichever host they are.", c.addrs)...)
}

// entrySteps tell every host where the containers of the others are.
func (p *overlayPlan) entrySteps() []ops.Step {
	var out []ops.Step
	for _, h := range p.hosts {
		for _, there := range p.hosts {
			if there.name == h.name {
				continue
			}
			for _, c := range there.containers {
				out = append(out, p.entriesFor(h, there, c)...)
			}
		}
	}
	return out
}

func (p *overlayPlan) entriesFor(h, there overlayHost, c overlayContainer) []ops.Step {
	out := []ops.Step{&steps.FdbAdd{NS: h.name, Link: p.vxlan(), FdbEntry: steps.FdbEntry{MAC: c.mac(), Dst: there.vtep}}}
	for _, a := range c.addrs {
		out = append(out, &steps.NeighAdd{NS: h.name, Link: p.vxlan(), Addr: a.Addr(), MAC: c.mac(),
			Reason: fmt.Sprintf("Whoever asks on %s for %s is answered by the VXLAN itself (proxy): the question need not travel.", h.name, a.Addr())})
	}
	return out
}

// worldSteps give every container its second leg, and lead it out: by its host's
// NAT to the underlay, and by ours to the world.
func (p *overlayPlan) worldSteps() []ops.Step {
	const forward = "A host drops what is not for itself. Forwarding makes it a router."
	gateway := p.gw.Addr().Next()
	var out []ops.Step
	for _, h := range p.hosts {
		out = append(out, &steps.BridgeAdd{NS: h.name, Name: p.gwBridge(), MAC: macOf(gateway), Mark: p.mark})
		out = append(out, addressSteps(h.name, p.gwBridge(),
			"A second bridge, which the other hosts know nothing of, is the containers' gateway to the world. Its MTU is the usual 1500: nothing is wrapped here.",
			[]netip.Prefix{netip.PrefixFrom(gateway, p.gw.Bits())})...)
		for _, c := range h.containers {
			link := p.gwLink(c)
			out = append(out,
				&steps.VethAdd{NS: h.name, Name: link, PeerNS: c.name, PeerName: "eth1", Mark: p.mark},
				&steps.LinkMaster{NS: h.name, Link: link, Master: p.gwBridge()},
				&steps.LinkUp{NS: h.name, Link: link})
			out = append(out, addressSteps(c.name, "eth1", "The second leg's address, from its own host's private subnet.", []netip.Prefix{c.gw})...)
			out = append(out, defaultRoute(c.name, "eth1", gateway))
		}
		out = append(out, defaultRoute(h.name, "eth0", p.uplink),
			&steps.SysctlSet{NS: h.name, Key: "net.ipv4.ip_forward", Value: "1", Reason: forward})
		out = append(out, p.masquerade(h.name, p.gw, p.gwBridge())...)
	}
	out = append(out, &steps.SysctlSet{Key: "net.ipv4.ip_forward", Value: "1", Reason: forward})
	return append(out, p.masquerade("", p.underlay, p.underlayBridge())...)
}

// masquerade is a table with one rule, for what leaves subnet by another link
// than its bridge.
func (p *overlayPlan) masquerade(ns string, subnet netip.Prefix, bridge string) []ops.Step {
	table := tableName(p.Name)
	return []ops.Step{
		&steps.NftTable{NS: ns, Name: table},
		&steps.NftChain{NS: ns, Table: table, Name: "postrouting", Type: "nat", Hook: "postrouting", Priority: prioritySNAT},
		&steps.NftMasquerade{NS: ns, Table: table, Chain: "postrouting", Subnet: subnet, Except: bridge,
			Comment: fmt.Sprintf("%s: masquerade %s", p.Name, subnet)},
	}
}
