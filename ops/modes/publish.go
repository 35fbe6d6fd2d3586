package modes

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// Publish leads one more port of the host into a container of a network.
type Publish struct {
	Network string `json:"network"`
	Port    string `json:"publish"` // as in Bridge.Publish
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (p Publish) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	made, ok := w.Networks[p.Network]
	if !ok || len(made.Containers) == 0 {
		errs.add("network", "no network %q of ours: `vethscope create bridge` makes one", p.Network)
		return nil, errs
	}
	names := make([]string, len(made.Containers))
	for i, c := range made.Containers {
		names[i] = c.Name
	}
	specs := parsePublish(&errs, w, []string{p.Port}, names)
	if err := errs.err(); err != nil {
		return nil, err
	}
	to := made.Containers[specs[0].container-1]
	pub := specs[0].on(to)
	on := p.Network
	if leg := w.legs[p.Network+"/"+to.Name]; leg != "" {
		on = leg // a container that came later takes its ports with it
	}
	return &ops.Plan{
		Title: fmt.Sprintf("publish port %s of %s", specs[0].port, p.Network),
		Name:  fmt.Sprintf("%s:%s", p.Network, specs[0].port),
		On:    on,
		Mode:  "publish",
		Steps: publishSteps(tableName(p.Network), p.Network, pub, to),
		Made:  ops.Made{Published: []ops.Published{pub}, Proofs: publishProofs(w, gatewaysOf(made), pub)},

		Settings: p,
	}, nil
}

// publishSpec is one parsed "8080:80/tcp@1".
type publishSpec struct {
	port      Port
	to        uint16
	container int // from 1
}

func (s publishSpec) on(c ops.Container) ops.Published {
	return ops.Published{HostPort: s.port.Number, Container: c.Name,
		ContainerPort: s.to, Protocol: s.port.Protocol}
}

// parsePublish reads the ports to publish on a network of the named containers.
func parsePublish(errs *Errors, w World, texts, containers []string) []publishSpec {
	var out []publishSpec
	for _, text := range texts {
		s, err := parseSpec(text, containers)
		switch {
		case err != nil:
			errs.add("publish", "%v", err)
		case slices.ContainsFunc(out, func(o publishSpec) bool { return o.port == s.port }):
			errs.add("publish", "port %s is published twice", s.port)
		case w.Published[s.port] != "":
			errs.add("publish", "port %s is already published: it leads to %s", s.port, w.Published[s.port])
		default:
			out = append(out, s)
		}
	}
	return out
}

// parseSpec reads HOSTPORT:PORT[/tcp|/udp][@CONTAINER]; the container is given by
// its number or its name.
func parseSpec(text string, containers []string) (publishSpec, error) {
	s := publishSpec{container: 1}
	ports, container, ok := strings.Cut(strings.TrimSpace(text), "@")
	if ok {
		n, err := strconv.Atoi(container)
		switch {
		case slices.Contains(containers, container):
			n = slices.Index(containers, container) + 1
		case err != nil:
			return s, fmt.Errorf("%q: there is no container %s in the network", text, strconv.Quote(container))
		case n < 1:
			return s, fmt.Errorf("%q: after @ stands the number of a container, from 1", text)
		case n > len(containers):
			return s, fmt.Errorf("%q: there is no container %d, only 1 to %d", text, n, len(containers))
		}
		s.container = n
	}
	ports, s.port.Protocol, ok = strings.Cut(ports, "/")
	if !ok {
		s.port.Protocol = "tcp"
	}
	if s.port.Protocol != "tcp" && s.port.Protocol != "udp" {
		return s, fmt.Errorf("%q: the protocol must be tcp or udp", text)
	}
	from, to, ok := strings.Cut(ports, ":")
	if !ok {
		return s, fmt.Errorf("%q must be HOSTPORT:PORT, such as 8080:80", text)
	}
	var err error
	if s.port.Number, err = parsePort(from); err == nil {
		s.to, err = parsePort(to)
	}
	if err != nil {
		return s, fmt.Errorf("%q: %w", text, err)
	}
	return s, nil
}

func parsePort(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n < 1 || n > 65535 {
		return 0, fmt.Errorf("port %s is not 1 to 65535", strconv.Quote(text))
	}
	return uint16(n), nil
}

// publishSteps are the two rules that publish a port, twice with IPv6.
func publishSteps(table, network string, p ops.Published, c ops.Container) []ops.Step {
	var out []ops.Step
	for _, addr := range []string{c.Addr, c.Addr6} {
		if addr == "" {
			continue
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(addr), p.ContainerPort)
		for _, chain := range []string{"prerouting", "output"} {
			out = append(out, &steps.NftDNAT{Table: table, Chain: chain, Protocol: p.Protocol, Port: p.HostPort, To: to,
				Comment: fmt.Sprintf("%s: publish %d/%s to %s", network, p.HostPort, p.Protocol, to)})
		}
	}
	return out
}
