package modes

import (
	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// None is a container without a network: a namespace with nothing but lo.
type None struct {
	Name string `json:"name"`
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault.
func (n None) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	checkNew(&errs, w, n.Name, "NAME", []string{n.Name}, nil)
	if err := errs.err(); err != nil {
		return nil, err
	}
	var out proofs
	out.ping(n.Name, true, "lo is up: it reaches itself.", "127.0.0.1")
	if o := w.Outside; o != nil {
		out.ping(n.Name, false, "It has no link and no route: the network is unreachable.", o.Host, o.Addr)
	}
	return &ops.Plan{
		Title: "create none " + n.Name, Name: n.Name, Mode: "none", Settings: n,
		Steps: []ops.Step{
			&steps.NetnsAdd{Name: n.Name, Reason: "Mode none is a namespace and nothing more: no link but lo, no address, no route, no rule."},
			&steps.LinkUp{NS: n.Name, Link: "lo"},
		},
		Made: ops.Made{Containers: []ops.Container{{Name: n.Name, Link: "lo", Addr: "127.0.0.1"}}, Proofs: out},
	}, nil
}

// Host is a container without a namespace of its own: it lives in the host's.
type Host struct {
	Name string `json:"name"`
	Port uint16 `json:"port"` // of the server that proves it; 0 for 8000
}

// Plan validates the settings against w. There is nothing to be made: the plan
// has no step, and only records the name.
func (h Host) Plan(w World) (*ops.Plan, error) {
	settings := h
	var errs Errors
	checkNew(&errs, w, h.Name, "NAME", []string{h.Name}, nil)
	if h.Port == 0 {
		h.Port = 8000
	}
	if to := w.Published[Port{"tcp", h.Port}]; to != "" {
		errs.add("port", "%d of the host is published: it leads to %s", h.Port, to)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	server := hostPort(netns.Host, h.Port)
	var out proofs
	out.get(netns.Host, "127.0.0.1", h.Port, server, true, "A server in the container is a server of the host.")
	if o := w.Outside; o != nil {
		out.get(o.NS, o.Host, h.Port, server, true, "No NAT and no published port: the host's address is the container's own.")
	}
	out.listen(netns.Host, h.Port, server, "There is one set of ports: a second server on the same one is refused.")
	return &ops.Plan{
		Title: "create host " + h.Name, Name: h.Name, Mode: "host", Settings: settings,
		Notes: []string{"mode host changes nothing: the container uses the host's own links, addresses, routes and ports"},
		Made:  ops.Made{Containers: []ops.Container{{Name: netns.Host}}, Proofs: out},
	}, nil
}
