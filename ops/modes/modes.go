// Package modes turns the settings of a network mode into a plan. It is pure:
// what it must know of the machine is handed to it as a World, and nothing is
// changed until the plan is run.
package modes

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netns"
)

// maxName is the longest name of a link: IFNAMSIZ without its NUL, linux/if.h.
const maxName = 15

// FieldError is what is wrong with one setting.
type FieldError struct {
	Field   string // the setting's name as a flag and as JSON: "subnet"
	Message string
}

// Errors is everything that is wrong with the settings; nothing was changed.
type Errors []FieldError

// Error is one line.
func (e Errors) Error() string {
	parts := make([]string, len(e))
	for i, f := range e {
		parts[i] = f.Field + ": " + f.Message
	}
	return strings.Join(parts, "; ")
}

// Of is the message for one field, "" when the field is right.
func (e Errors) Of(field string) string {
	for _, f := range e {
		if f.Field == field {
			return f.Message
		}
	}
	return ""
}

func (e *Errors) add(field, format string, args ...any) {
	*e = append(*e, FieldError{field, fmt.Sprintf(format, args...)})
}

// unlike says that what was given is not what it must be, or that nothing was.
func (e *Errors) unlike(field, text, what string) {
	if text == "" {
		e.add(field, "is missing: give %s", what)
	} else {
		e.add(field, "%q is not %s", text, what)
	}
}

// err is e as an error, nil when nothing is wrong.
func (e Errors) err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

// World is what a plan has to fit into.
type World struct {
	Links      map[string]bool // of the host
	Namespaces map[string]bool
	Tables     map[string]bool // of family inet
	Subnets    []Subnet        // that the host has an address in or a route to
	Published  map[Port]string // ports of the host that a DNAT rule leads away, and whereto
	Networks   map[string]ops.Made
	Plans      map[string]string // what the journal knows, by name, with its mode
	Inside     map[string]Inside // of the namespaces other than the host
	Around
	// on says what a plan was built on, made which plan made a container, and
	// legs which plan plugged one into a network: the key is "NETWORK/CONTAINER".
	on, made, legs map[string]string
	snap           *inventory.Snapshot // what the single actions look things up in; nil for nothing
}

// Inside is what a plan must know of a namespace that it changes.
type Inside struct {
	Links             []string
	Default, Default6 bool // there is a default route
}

// Subnet is an address range in use, and what uses it.
type Subnet struct {
	Prefix netip.Prefix
	Link   string
}

// Port is a port of the host.
type Port struct {
	Protocol string
	Number   uint16
}

func (p Port) String() string { return fmt.Sprintf("%d/%s", p.Number, p.Protocol) }

// WorldOf reads a snapshot and the networks that the journal knows of.
func WorldOf(s *inventory.Snapshot, entries []ops.Entry) World {
	w := World{
		Links: map[string]bool{}, Namespaces: map[string]bool{netns.Host: true}, Tables: map[string]bool{},
		Published: map[Port]string{}, Networks: map[string]ops.Made{},
		Plans: map[string]string{}, Inside: map[string]Inside{},
		Around: aroundOf(s),
		on:     map[string]string{}, made: map[string]string{}, legs: map[string]string{},
		snap: s,
	}
	for _, e := range entries {
		if e.State == ops.StateDone {
			w.enter(e.Name, e.On, e.Mode, e.Made)
		}
	}
	for _, ns := range s.Namespaces {
		w.Namespaces[ns.Name] = true
		if ns.Kind != inventory.KindHost {
			w.Inside[ns.Name] = inside(ns)
		}
		for _, name := range ns.Also {
			w.Namespaces[name] = true
			w.Inside[name] = w.Inside[ns.Name]
		}
	}
	host := s.Host()
	if host == nil {
		return w
	}
	for _, l := range host.Links {
		w.Links[l.Name] = true
		for _, a := range l.Addrs {
			w.addSubnet(a.CIDR, l.Name)
		}
	}
	for _, r := range host.Routes {
		if r.Table != "local" && r.Dst != "default" {
			w.addSubnet(r.Dst, r.Link)
		}
	}
	for _, c := range host.Chains {
		if c.Family == "inet" {
			w.Tables[c.Table] = true
		}
	}
	for _, r := range host.Rules {
		if r.NAT == nil || r.NAT.Kind != "dnat" {
			continue
		}
		if p, ok := publishedPort(r.Text); ok {
			w.Published[p] = r.NAT.Addr
		}
	}
	return w
}

func (w *World) addSubnet(cidr, link string) {
	p, err := netip.ParsePrefix(cidr)
	if err != nil {
		return // a bare address, as some routes have
	}
	p = p.Masked()
	if p.Addr().IsLinkLocalUnicast() || p.Addr().IsMulticast() {
		return // on every link, and never chosen by a user
	}
	w.Subnets = append(w.Subnets, Subnet{p, link})
}

// overlap finds the subnet in use that p overlaps.
func (w *World) overlap(p netip.Prefix) (Subnet, bool) {
	i := slices.IndexFunc(w.Subnets, func(s Subnet) bool { return s.Prefix.Overlaps(p) })
	if i < 0 {
		return Subnet{}, false
	}
	return w.Subnets[i], true
}

// portPattern finds the port in a DNAT rule's text, in nft's words and in
// iptables'.
var portPattern = regexp.MustCompile(`\b(tcp|udp)\b.*?(?:dport|--dport) (\d+)\b`)

func publishedPort(text string) (Port, bool) {
	m := portPattern.FindStringSubmatch(text)
	if m == nil {
		return Port{}, false
	}
	n, err := parsePort(m[2])
	return Port{m[1], n}, err == nil
}

// namePattern is what the kernel, nft(8) and a shell all take as a plain word.
var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)

// checkName refuses what cannot be the name of a link and a namespace. suffix is
// the longest that the program will put around it, for the message.
func checkName(e *Errors, name, prefix, suffix string) bool {
	switch {
	case name == "":
		e.add("name", "is missing: give the network a name, such as web")
	case !namePattern.MatchString(name):
		e.add("name", "%q must begin with a letter and hold only letters, digits, '-', '_' and '.'", name)
	case len(prefix+name+suffix) > maxName:
		e.add("name", "%q is too long: the link %s would have %d bytes, %d are allowed",
			name, prefix+name+suffix, len(prefix+name+suffix), maxName)
	default:
		return true
	}
	return false
}
