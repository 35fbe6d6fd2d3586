package modes

import (
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// NetnsAdd makes an empty namespace, whose lo is down.
type NetnsAdd struct {
	Name string `json:"name"`
}

// Plan validates the settings against w and says every step. The error is of
// type Errors when a setting is at fault; so it is with all blocks.
func (b NetnsAdd) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	w.newNamespace(&errs, "name", b.Name)
	w.unnamed(&errs, "name", b.Name)
	if err := errs.err(); err != nil {
		return nil, err
	}
	p := block("netns", b.Name, "add namespace "+b.Name, nil, &steps.NetnsAdd{Name: b.Name,
		Reason: "A namespace has links, addresses, routes and rules of its own, and at first none of them but lo, which is down."})
	p.Made.Containers = []ops.Container{{Name: b.Name, Link: "lo"}}
	return p, nil
}

func (w World) newNamespace(errs *Errors, field, name string) {
	switch {
	case !checkWord(errs, field, name, unix.NAME_MAX):
	case name == netns.Host:
		errs.add(field, "%s stands for the host's own namespace: choose another name", name)
	case w.Namespaces[name]:
		errs.add(field, "namespace %s already exists: delete it or choose another name", name)
	}
}

// NetnsDelete deletes a named namespace with what is in it.
type NetnsDelete struct {
	Name string `json:"name"`
}

// Plan is as that of NetnsAdd.
func (b NetnsDelete) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ns := w.oldNamespace(&errs, "name", b.Name)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return block("netns-delete", ns+":delete", "delete namespace "+ns, w.all(w.placesIn(ns)...), &steps.NetnsDelete{Name: ns}), nil
}

// oldNamespace finds a namespace other than the host.
func (w World) oldNamespace(errs *Errors, field, name string) string {
	ns := w.namespace(errs, field, name)
	if ns == "" {
		errs.add(field, "the host's own namespace has no name that could be changed")
	}
	return ns
}

// placesIn are a namespace, its links, and the other ends of its veths.
func (w World) placesIn(ns string) []place {
	out := []place{{ns: ns}}
	for name := range w.linksOf(ns) {
		out = append(out, w.withPeers(place{ns, name})...)
	}
	return out
}

// NetnsRename gives a namespace another name.
type NetnsRename struct {
	Name string `json:"name"`
	To   string `json:"to"`
}

// Plan is as that of NetnsAdd.
func (b NetnsRename) Plan(w World) (*ops.Plan, error) {
	var errs Errors
	ns := w.oldNamespace(&errs, "name", b.Name)
	w.newNamespace(&errs, "to", b.To)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return block("netns-rename", b.To+":rename", describe("rename namespace %s to %s", ns, b.To), w.all(w.placesIn(ns)...),
		&steps.NetnsRename{Name: ns, To: b.To}), nil
}
