package modes

import (
	"net/netip"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// Veth is a cable between two namespaces, and nothing else: no bridge, no route,
// no NAT.
type Veth struct {
	Name string `json:"name"`
	// Between are the two ends; nil for the host and a new namespace called Name.
	// What does not exist is made.
	Between []string `json:"between,omitempty"`
	Subnet  string   `json:"subnet"` // the first end gets its first address, the other its second
	IPv6    string   `json:"ipv6,omitempty"`
}

// vethEnd is one end of the cable.
type vethEnd struct {
	name, link string // the namespace's name for people, and the link
	made       bool   // by the plan
	addrs      []netip.Prefix
}

// ns is the namespace as steps name it.
func (e vethEnd) ns() string {
	if e.name == netns.Host {
		return ""
	}
	return e.name
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (v Veth) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ends := v.ends(&errs, w)
	near := w
	if ends[0].name != netns.Host && ends[1].name != netns.Host {
		near.Subnets = nil // the host has no part in it
	}
	l := newLAN(nil, parseSubnet(&errs, near, "subnet", v.Subnet, false), v.subnet6(&errs, near))
	if len(errs) == 0 {
		l.need(&errs, 2)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	for i := range ends {
		ends[i].addrs = l.take()
	}
	plan := &ops.Plan{Title: "create veth " + v.Name, Name: v.Name, Mode: "veth", Settings: v, Made: vethMade(w, l, ends)}
	plan.Steps = v.steps(ends)
	for _, e := range ends {
		if _, owner := w.containerOf(e.name); owner != "" {
			plan.With = append(plan.With, owner)
		}
	}
	return plan, nil
}

func (v Veth) subnet6(errs *Errors, w World) netip.Prefix {
	if v.IPv6 == "" {
		return netip.Prefix{}
	}
	return parseSubnet(errs, w, "ipv6", v.IPv6, true)
}

// ends are the two ends with their links' names: eth0 in a namespace that the
// plan makes, v-NAME on the host, and NAME in a namespace that was there, which
// may have an eth0 already.
func (v Veth) ends(errs *Errors, w World) []vethEnd {
	between := v.Between
	if between == nil {
		between = []string{netns.Host, v.Name}
		checkNew(errs, w, v.Name, "v-NAME", []string{v.Name}, []string{"v-" + v.Name})
	} else {
		checkNew(errs, w, v.Name, "v-NAME", nil, []string{"v-" + v.Name})
	}
	if len(between) != 2 || between[0] == between[1] {
		errs.add("between", "give two different namespaces, such as --between red --between blue")
		between = []string{netns.Host, v.Name} // go on, to find what else is wrong
	}
	if between[1] == netns.Host {
		between = []string{between[1], between[0]} // shell lines act from the first
	}
	out := make([]vethEnd, 2)
	for i, name := range between {
		out[i] = vethEnd{name: name, link: v.Name}
		switch {
		case name == netns.Host:
			out[i].link = "v-" + v.Name
		case !w.Namespaces[name]:
			out[i].link, out[i].made = "eth0", true
			if err := netns.CheckName(name); err != nil || !namePattern.MatchString(name) {
				errs.add("between", "%q must begin with a letter and hold only letters, digits, '-', '_' and '.'", name)
			}
		}
	}
	return out
}

func (v Veth) steps(ends []vethEnd) []ops.Step {
	var out []ops.Step
	for _, e := range ends {
		if e.made {
			out = append(out, &steps.NetnsAdd{Name: e.name, Reason: "A namespace has links, addresses, routes and rules of its own, and at first none of them."})
		}
	}
	out = append(out, &steps.VethAdd{NS: ends[0].ns(), Name: ends[0].link, PeerNS: ends[1].ns(), PeerName: ends[1].link, Mark: steps.MarkPrefix + v.Name})
	for _, e := range ends {
		if e.made {
			out = append(out, &steps.LinkUp{NS: e.name, Link: "lo"})
		}
		out = append(out, addressSteps(e.ns(), e.link, "With the address comes the route to its subnet: this is all that the two ends need to talk.", e.addrs)...)
	}
	return out
}

func vethMade(w World, l *lan, ends []vethEnd) ops.Made {
	m := ops.Made{Network: l.subnets[0].String()}
	if len(l.subnets) > 1 {
		m.Network6 = l.subnets[1].String()
	}
	list := []ops.Container{container(ends[0].name, ends[0].link, ends[0].addrs), container(ends[1].name, ends[1].link, ends[1].addrs)}
	var out proofs
	out.among(list, true, "The cable has two ends: each reaches the other.")
	for i, e := range ends {
		if e.name == netns.Host {
			m.Gateway = list[i].Addr
			continue
		}
		m.Containers = append(m.Containers, list[i])
		if e.made && w.Outside != nil {
			out.ping(e.name, false, "There is no route but to the cable: everything else is \"network is unreachable\".", w.Outside.Addr)
		}
	}
	m.Proofs = out
	return m
}
