package modes

import (
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// Container shares the namespace of a container that exists, as the containers
// of a pod do.
type Container struct {
	Name string `json:"name"`
	With string `json:"with"` // whose namespace
}

// sharedPort is where the proofs of a shared namespace have a server.
const sharedPort = 8000

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault. What made the other container takes
// this one along when it is taken back.
func (c Container) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	checkNew(&errs, w, c.Name, "NAME", []string{c.Name}, nil)
	switch {
	case c.With == "":
		errs.add("with", "is missing: give the container whose namespace to share")
	case c.With == netns.Host:
		errs.add("with", "to share the host's is mode host: `vethscope create host %s`", c.Name)
	case !w.Namespaces[c.With]:
		errs.add("with", "no namespace %q: `vethscope ls namespaces` lists them", c.With)
	}
	if err := errs.err(); err != nil {
		return nil, err
	}
	shared, owner := w.containerOf(c.With)
	plan := &ops.Plan{
		Title: "create container " + c.Name, Name: c.Name, Mode: "container", Settings: c,
		Steps: []ops.Step{
			&steps.NetnsAttach{Name: c.Name, With: c.With},
			&steps.LinkUp{NS: c.Name, Link: "lo"},
		},
	}
	if owner != "" {
		plan.With = []string{owner}
	}
	shared.Name, shared.Shares = c.Name, c.With
	plan.Made = ops.Made{Containers: []ops.Container{shared}, Proofs: c.proofs(shared)}
	return plan, nil
}

func (c Container) proofs(shared ops.Container) []ops.Proof {
	server := hostPort(c.With, sharedPort)
	var out proofs
	out.get(c.Name, "127.0.0.1", sharedPort, server, true, c.Name+" and "+c.With+" have one lo: they talk over 127.0.0.1.")
	if shared.Addr != "127.0.0.1" {
		out.get(c.Name, shared.Addr, sharedPort, server, true, "They have one address.")
	}
	out.listen(c.Name, sharedPort, server, "They have one set of ports: where "+c.With+" serves, "+c.Name+" cannot.")
	return out
}

// containerOf is the container called name, and the plan that made it; both are
// empty for a namespace that is not ours.
func (w World) containerOf(name string) (ops.Container, string) {
	if owner := w.made[name]; owner != "" {
		list := w.Networks[w.rootOf(owner)].Containers
		if i := slices.IndexFunc(list, func(c ops.Container) bool { return c.Name == name }); i >= 0 {
			return list[i], owner
		}
	}
	for network, made := range w.Networks {
		for _, h := range made.Hosts {
			// An overlay that joined lists the hosts of the one that made them.
			if h.Name == name && strings.HasPrefix(name, network+"-") {
				return ops.Container{Link: h.Link, Addr: h.Addr}, network
			}
		}
		for _, m := range made.Machines {
			if m.Name == name {
				return ops.Container{Link: m.Link, Addr: m.Addr}, network
			}
		}
	}
	return ops.Container{}, ""
}
