package modes

import (
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netns"
	"vethscope/ops/steps"
)

// Blocks are single actions: each is one change to one object, as a plan. Their
// plans are named after the object that they change, "c1:eth0:10.0.0.2/24", and
// fall with the plan that made it.

// place is a namespace, or a link in one, that a block acts on.
type place struct {
	ns   string // as steps name it: "" is the host
	link string // "" for the namespace itself
}

// String is the place's name for people, and the beginning of plans' names.
func (p place) String() string {
	switch {
	case p.link == "" && p.ns == "":
		return netns.Host
	case p.link == "":
		return p.ns
	case p.ns == "":
		return p.link
	}
	return p.ns + ":" + p.link
}

// in says where it is, for titles.
func in(ns string) string {
	if ns == "" {
		return ""
	}
	return " in " + ns
}

// namespace finds the namespace that a setting names, "" and "host" for the host.
func (w World) namespace(errs *Errors, field, name string) string {
	if name == "" || name == netns.Host {
		return ""
	}
	if !w.Namespaces[name] || strings.ContainsAny(name, ":/") {
		errs.add(field, "there is no namespace %q: `vethscope ls namespaces` lists them", name)
	}
	return name
}

// links are the links of a namespace, by name.
func (w World) linksOf(ns string) map[string]inventory.Link {
	out := map[string]inventory.Link{}
	if w.snap == nil {
		return out
	}
	for _, n := range w.snap.Namespaces {
		if ns == "" && n.Kind == inventory.KindHost || ns != "" && n.Name == ns {
			for _, l := range n.Links {
				out[l.Name] = l
			}
		}
	}
	return out
}

// link finds a link that must be there.
func (w World) link(errs *Errors, field, ns, name string) inventory.Link {
	l, ok := w.linksOf(ns)[name]
	switch {
	case name == "":
		errs.add(field, "is missing: name a link")
	case !ok && len(*errs) == 0: // else the namespace may be what is wrong
		errs.add(field, "there is no link %q%s: `vethscope ls links` lists them", name, in(ns))
	}
	return l
}

// newLink refuses a name that a link in ns cannot be given.
func (w World) newLink(errs *Errors, field, ns, name string) {
	if checkWord(errs, field, name, maxName) && w.linksOf(ns)[name].Name != "" {
		errs.add(field, "there is a link %s already%s: delete it or choose another name", name, in(ns))
	}
}

// checkWord refuses what cannot be the name of a link or a namespace.
func checkWord(errs *Errors, field, name string, most int) bool {
	switch {
	case name == "":
		errs.add(field, "is missing: give a name")
	case !namePattern.MatchString(name):
		errs.add(field, "%q must begin with a letter and hold only letters, digits, '-', '_' and '.'", name)
	case len(name) > most:
		errs.add(field, "%q has %d bytes, %d are allowed", name, len(name), most)
	default:
		return true
	}
	return false
}

// unnamed refuses a name that a plan has already: `delete` could not tell them
// apart.
func (w World) unnamed(errs *Errors, field, name string) {
	if mode, ok := w.Plans[name]; ok && len(*errs) == 0 {
		errs.add(field, "%s is already the name of a change of ours (%s): `vethscope delete %s` takes that back", name, mode, name)
	}
}

// owner is the plan that made the object, "" for none of ours.
func (w World) owner(p place) string {
	if p.ns != "" {
		if made := w.made[p.ns]; made != "" {
			return made
		}
	}
	if p.link == "" {
		return ""
	}
	mark, ok := strings.CutPrefix(w.linksOf(p.ns)[p.link].Alias, steps.MarkPrefix)
	if _, known := w.Plans[mark]; ok && known {
		return mark
	}
	return ""
}

// ownersOf are all plans that an action on the objects falls with: whoever made
// them, or gave them the names that they have.
func (w World) ownersOf(places ...place) []string {
	var out []string
	for _, p := range places {
		for _, o := range []string{w.owner(p), place{ns: p.ns}.String() + ":rename", p.String() + ":rename", p.String() + ":move"} {
			if _, ok := w.Plans[o]; ok && !slices.Contains(out, o) {
				out = append(out, o)
			}
		}
	}
	return out
}

// all is ownersOf for an action that keeps all that is on the objects, and gives
// it back when it is undone: it also falls with every plan that put it there.
func (w World) all(places ...place) []string {
	out := w.ownersOf(places...)
	for name := range w.Plans {
		for _, p := range places {
			if strings.HasPrefix(name, p.String()+":") && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out
}

// peerOf is the other end of a veth.
func peerOf(ns string, l inventory.Link) (place, bool) {
	if l.Kind != "veth" || l.Peer == nil || l.Peer.Link == "" {
		return place{}, false
	}
	other := l.Peer.NS
	if other == netns.Host {
		other = ""
	}
	return place{other, l.Peer.Link}, true
}

// withPeers are the places and the other ends of those that are veths.
func (w World) withPeers(places ...place) []place {
	out := slices.Clone(places)
	for _, p := range places {
		if other, ok := peerOf(p.ns, w.linksOf(p.ns)[p.link]); ok {
			out = append(out, other)
		}
	}
	return out
}

// block is a plan of one kind of action. owners are the plans that it falls with.
func block(mode, name, title string, owners []string, list ...ops.Step) *ops.Plan {
	p := &ops.Plan{Title: title, Name: name, Mode: mode, Steps: list}
	if len(owners) > 0 {
		p.On, p.With = owners[0], owners[1:]
	}
	return p
}

// madeMAC is a MAC for a link that must keep one: locally administered, and the
// same whenever a link of that name is made.
func madeMAC(p place) string {
	h := fnv.New32a()
	h.Write([]byte(p.String()))
	s := h.Sum(nil)
	return net.HardwareAddr{0x02, 0x42, s[0], s[1], s[2], s[3]}.String()
}

// parsePrefix reads an address or a destination. A bare address is one of full
// length.
func parsePrefix(errs *Errors, field, text string) netip.Prefix {
	if text == "default" {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen())
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		errs.unlike(field, text, "an address with a prefix length, such as 10.0.0.1/24")
		return netip.Prefix{}
	}
	return p
}

func parseAddr(errs *Errors, field, text string) netip.Addr {
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		errs.unlike(field, text, "an IP address")
		return netip.Addr{}
	}
	return a
}

// parseMAC reads a MAC that a link can have.
func parseMAC(errs *Errors, field, text string) string {
	mac, err := net.ParseMAC(text)
	switch {
	case err != nil || len(mac) != 6:
		errs.unlike(field, text, "a MAC, such as 02:00:00:00:00:01")
	case mac[0]&1 != 0:
		errs.add(field, "%s is a group's address, not a link's: its first byte must be even", mac)
	}
	return mac.String()
}

// describe is fmt.Sprintf for titles, whose parts come from settings.
func describe(format string, args ...any) string {
	return strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}
