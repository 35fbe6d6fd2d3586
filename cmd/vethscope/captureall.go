package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netns"
)

// allPoints are the points of --all: every link of the namespace ns, or all the
// links that the packets of the networks, or labs, called names pass.
func allPoints(ctx context.Context, ns string, names []string) ([]capture.Point, error) {
	if ns != "" && len(names) > 0 {
		return nil, usageError{errors.New("capture --all: -n is a namespace, NAME a network: give one of them")}
	}
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return nil, err
	}
	p := &pointList{snap: snap}
	if len(names) == 0 {
		err = p.namespace(ns)
	}
	for _, name := range names {
		err = errors.Join(err, p.network(name))
	}
	if err == nil && len(p.points) == 0 {
		err = usageError{errors.New("capture --all: there is no link to capture at")}
	}
	return p.points, err
}

// pointList gathers points, in the order in which packets pass them on their
// way out of a container.
type pointList struct {
	snap   *inventory.Snapshot
	points []capture.Point
}

// add adds a link, if there is one of this name that is not listed yet.
func (p *pointList) add(ns, link string) {
	n := p.find(ns)
	if n == nil || !slices.ContainsFunc(n.Links, func(l inventory.Link) bool { return l.Name == link }) {
		return
	}
	point := capture.Point{NS: n.Name, Path: n.Path, Link: link}
	if !slices.Contains(p.points, point) {
		p.points = append(p.points, point)
	}
}

func (p *pointList) find(ns string) *inventory.Namespace {
	if ns == netns.Host {
		return p.snap.Host()
	}
	return p.snap.Namespace(ns)
}

func (p *pointList) namespace(ns string) error {
	if ns == "" {
		ns = netns.Host
	}
	n := p.find(ns)
	if n == nil {
		return usageError{fmt.Errorf("capture --all: no namespace %q: `vethscope ls namespaces` lists them", ns)}
	}
	for _, l := range n.Links {
		p.add(ns, l.Name)
	}
	return nil
}

func (p *pointList) network(name string) error {
	entries, err := journal().Entries()
	if err != nil {
		return err
	}
	found := false
	for _, e := range entries {
		if e.Name == name || e.On == name || e.Lab == name {
			found = true
			p.made(&e.Made)
		}
	}
	if !found {
		return usageError{fmt.Errorf("capture --all: no network or lab %q: `vethscope ls networks` lists them", name)}
	}
	for _, l := range p.snap.Host().Links { // the ways out
		if l.Kind != "loopback" && l.Kind != "bridge" && slices.ContainsFunc(l.Addrs, func(a inventory.Addr) bool { return a.Scope == "global" }) {
			p.add(netns.Host, l.Name)
		}
	}
	return nil
}

// made adds what a plan has made.
func (p *pointList) made(m *ops.Made) {
	for _, c := range m.Containers {
		ns := c.Name
		if c.Shares != "" {
			ns = c.Shares
		}
		p.withPeer(ns, c.Link)
		for _, leg := range c.Legs {
			p.withPeer(ns, leg.Link)
		}
	}
	p.add(netns.Host, m.Bridge)
	for _, h := range m.Hosts {
		p.add(h.Name, h.Bridge)
		p.add(h.Name, h.VXLAN)
		p.withPeer(h.Name, h.Link)
	}
	p.add(netns.Host, m.Shim)
	p.add(netns.Host, m.Parent)
	for _, machine := range m.Machines {
		p.withPeer(machine.Name, machine.Link)
	}
}

// withPeer adds a link and the other end of its veth.
func (p *pointList) withPeer(ns, link string) {
	p.add(ns, link)
	n := p.find(ns)
	if n == nil {
		return
	}
	for _, l := range n.Links {
		if l.Name == link && l.Peer != nil && l.Kind == "veth" {
			p.add(l.Peer.NS, l.Peer.Link)
		}
	}
}
