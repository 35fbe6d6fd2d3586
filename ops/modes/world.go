package modes

import (
	"maps"
	"slices"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/steps"
)

// inside reads what plans must know of a namespace.
func inside(ns inventory.Namespace) Inside {
	var out Inside
	for _, l := range ns.Links {
		out.Links = append(out.Links, l.Name)
	}
	for _, r := range ns.Routes {
		if r.Dst == "default" && r.Table == "main" {
			out.setDefault(r.Family == "ip6")
		}
	}
	return out
}

func (i *Inside) setDefault(six bool) {
	if six {
		i.Default6 = true
	} else {
		i.Default = true
	}
}

// enter notes a plan that is done. What was built on a network is merged into
// what is known of it: ports published since, and containers that came later.
// The network's own containers stand before those of other networks.
func (w *World) enter(name, on, mode string, made ops.Made) {
	w.Plans[name], w.on[name] = mode, on
	network := w.rootOf(name)
	for _, c := range made.Containers {
		w.legs[network+"/"+c.Name] = name
		if mode != connectMode {
			w.made[c.Name] = name
		}
	}
	if on == "" {
		w.Networks[name] = made
		return
	}
	whole := w.Networks[network]
	whole.Published = append(slices.Clone(whole.Published), made.Published...)
	whole.Containers = append(slices.Clone(whole.Containers), made.Containers...)
	slices.SortStableFunc(whole.Containers, func(a, b ops.Container) int {
		return w.guest(network, a.Name) - w.guest(network, b.Name)
	})
	w.Networks[network] = whole
}

// guest is 1 for a container that was made elsewhere and connected later.
func (w *World) guest(network, container string) int {
	if w.Plans[w.legs[network+"/"+container]] == connectMode {
		return 1
	}
	return 0
}

// rootOf is the network that the plan called name belongs to: what is built on a
// leg of a network ("web:db-1") is part of the network.
func (w *World) rootOf(name string) string {
	for range len(w.on) {
		if w.on[name] == "" {
			break
		}
		name = w.on[name]
	}
	return name
}

// After is the world as p will leave it, for plans that are to follow.
func (w World) After(p *ops.Plan) World {
	w.Links, w.Namespaces, w.Tables = maps.Clone(w.Links), maps.Clone(w.Namespaces), maps.Clone(w.Tables)
	w.Published, w.Networks, w.Plans = maps.Clone(w.Published), maps.Clone(w.Networks), maps.Clone(w.Plans)
	w.Inside, w.on, w.made, w.legs = maps.Clone(w.Inside), maps.Clone(w.on), maps.Clone(w.made), maps.Clone(w.legs)
	w.Subnets, w.Around = slices.Clone(w.Subnets), w.Around.clone()
	for _, s := range p.Steps {
		w.done(s)
	}
	w.enter(p.Name, p.On, p.Mode, p.Made)
	return w
}

// done notes what one step will have changed.
func (w *World) done(s ops.Step) {
	w.Around.done(s)
	switch s := s.(type) {
	case *steps.NetnsAdd:
		w.Namespaces[s.Name] = true
		w.Inside[s.Name] = Inside{Links: []string{"lo"}}
	case *steps.NetnsAttach:
		w.Namespaces[s.Name] = true
		w.Inside[s.Name] = w.Inside[s.With]
	case *steps.BridgeAdd:
		w.addLink(s.NS, s.Name)
	case *steps.VxlanAdd:
		w.addLink(s.NS, s.Name)
	case *steps.MacvlanAdd:
		w.addLink(s.NS, s.Name)
	case *steps.IpvlanAdd:
		w.addLink(s.NS, s.Name)
	case *steps.VethAdd:
		w.addLink(s.NS, s.Name)
		w.addLink(s.PeerNS, s.PeerName)
	case *steps.AddrAdd:
		if s.NS == "" {
			w.addSubnet(s.Addr.String(), s.Link)
		}
	case *steps.RouteAdd:
		if s.NS == "" && s.Dst.Bits() > 0 {
			w.addSubnet(s.Dst.String(), s.Link)
		}
		if s.NS != "" && s.Dst.Bits() == 0 {
			in := w.Inside[s.NS]
			in.setDefault(s.Dst.Addr().Is6())
			w.Inside[s.NS] = in
		}
	case *steps.NftTable:
		if s.NS == "" {
			w.Tables[s.Name] = true
		}
	case *steps.NftDNAT:
		if s.NS == "" {
			w.Published[Port{s.Protocol, s.Port}] = s.To.Addr().String()
		}
	}
}

func (w *World) addLink(ns, name string) {
	if ns == "" {
		w.Links[name] = true
		return
	}
	in := w.Inside[ns]
	in.Links = append(slices.Clone(in.Links), name)
	w.Inside[ns] = in
}
