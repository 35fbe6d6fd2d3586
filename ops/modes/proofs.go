package modes

import (
	"fmt"
	"net"
	"slices"
	"strconv"

	"vethscope/ops"
	"vethscope/ops/netns"
)

// proofs gathers what can be tried on a network.
type proofs []ops.Proof

// ping wants an answer, or none, from each of the addresses that are not "".
func (p *proofs) ping(from string, want bool, why string, to ...string) {
	for _, addr := range to {
		if addr != "" {
			*p = append(*p, ops.Proof{Kind: "ping", From: from, Target: addr, Want: want, Why: why})
		}
	}
}

// get asks for a page at port 80 of addr, where server ("web-1:80") is listening.
func (p *proofs) get(from, addr string, port uint16, server string, want bool, why string) {
	if addr != "" {
		*p = append(*p, ops.Proof{Kind: "get", From: from, Target: "http://" + hostPort(addr, port) + "/", Serve: server, Want: want, Why: why})
	}
}

// udp wants a datagram's answer from a port of addr, where server
// ("web-1:53/udp") is listening.
func (p *proofs) udp(from, addr string, port uint16, server, why string) {
	if addr != "" {
		*p = append(*p, ops.Proof{Kind: "udp", From: from, Target: hostPort(addr, port), Serve: server, Want: true, Why: why})
	}
}

// listen tries to open a port that another server has already.
func (p *proofs) listen(from string, port uint16, server, why string) {
	*p = append(*p, ops.Proof{Kind: "listen", From: from, Target: fmt.Sprintf(":%d", port), Serve: server, Want: false, Why: why})
}

func hostPort(addr string, port uint16) string {
	return net.JoinHostPort(addr, strconv.Itoa(int(port)))
}

// maxMatrix is up to how many containers each pings each; of more, each pings the
// next.
const maxMatrix = 5

// among has the containers ping one another.
func (p *proofs) among(list []ops.Container, want bool, why string) {
	for i, from := range list {
		for j, to := range list {
			next := j == (i+1)%len(list)
			if i != j && (len(list) <= maxMatrix || next) {
				p.ping(from.Name, want, why, to.Addr, to.Addr6)
			}
		}
	}
}

// proofs are what a bridge network can do, and what it cannot.
func (p *bridgePlan) proofs(w World) []ops.Proof {
	var out proofs
	out.among(p.containers, true, "The bridge is a switch: its containers reach each other.")
	first := p.containers[0]
	gateways := gatewaysOf(p.made())
	out.ping(first.Name, true, "The bridge's own address is the host: the gateway.", gateways...)
	if o := w.Outside; o != nil {
		to6 := ""
		if p.subnet6.IsValid() {
			to6 = o.Addr6
		}
		out.ping(first.Name, true, "Masquerading gives its packets the host's address, so that answers find back.", o.Addr, to6)
		out.ping(o.NS, false, "The world outside knows no way to the container's own address: only published ports lead in.", first.Addr)
	}
	for _, pub := range p.published {
		out = append(out, publishProofs(w, gateways, pub)...)
	}
	return out
}

// newcomers and the network's first container reach each other.
func (p *bridgePlan) newcomers(why string, list ...ops.Container) []ops.Proof {
	if len(p.containers) == 0 {
		return nil
	}
	var out proofs
	first := p.containers[0]
	for _, c := range list {
		out.ping(c.Name, true, why, first.Addr)
		out.ping(first.Name, true, why, c.Addr)
		if first.Addr6 != "" && c.Addr6 != "" {
			out.ping(c.Name, true, why, first.Addr6)
			out.ping(first.Name, true, why, c.Addr6)
		}
	}
	return out
}

// gatewaysOf are the host's addresses in a bridge network.
func gatewaysOf(m ops.Made) []string {
	return slices.DeleteFunc([]string{m.Gateway, m.Gateway6}, func(s string) bool { return s == "" })
}

// publishProofs ask for a page, or for a datagram's answer, through a published
// port: from the host, by its address on the bridge, and from outside.
func publishProofs(w World, gateways []string, pub ops.Published) []ops.Proof {
	var out proofs
	server := fmt.Sprintf("%s:%d", pub.Container, pub.ContainerPort)
	ask := func(from, addr, why string) { out.get(from, addr, pub.HostPort, server, true, why) }
	port := "Port"
	if pub.Protocol == "udp" {
		server += "/udp"
		ask = func(from, addr, why string) { out.udp(from, addr, pub.HostPort, server, why) }
		port = "UDP port"
	}
	for _, g := range gateways {
		ask(netns.Host, g, fmt.Sprintf("%s %d of the host leads to %s, for the host itself, too.", port, pub.HostPort, server))
	}
	if o := w.Outside; o != nil {
		why := fmt.Sprintf("%s %d of the host leads the world outside to %s.", port, pub.HostPort, server)
		ask(o.NS, o.Host, why)
		if len(gateways) > 1 {
			ask(o.NS, o.Host6, why)
		}
	}
	return out
}
