package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"vethscope/ops"
)

// printMade says what a plan made.
func printMade(w io.Writer, m ops.Made) {
	printNetwork(w, m)
	if m.DNS != "" {
		fmt.Fprintf(w, "  names are known to the server at %s\n", m.DNS)
	}
	for _, h := range m.Hosts {
		fmt.Fprintf(w, "  host %s: %s %s, bridge %s with %s and %s\n", h.Name, h.Link, h.Addr, h.Bridge, h.VXLAN, strings.Join(h.Containers, ", "))
	}
	for _, x := range m.Machines {
		fmt.Fprintf(w, "  second machine on the LAN %s: %s %s\n", x.Name, x.Link, x.Addr)
	}
	for _, c := range m.Containers {
		line := "  " + c.Name + ": " + words(c.Link, c.Addr, c.Addr6)
		if c.Link == "" {
			line = "  all links, addresses and ports are the " + c.Name + "'s own"
		}
		if c.Shares != "" {
			line += ", shared with " + c.Shares
		}
		for _, l := range c.Legs {
			line += ", " + words(l.Link, l.Addr)
		}
		fmt.Fprintln(w, line)
	}
	for _, pub := range m.Published {
		fmt.Fprintf(w, "  port %d/%s of the host leads to %s:%d\n", pub.HostPort, pub.Protocol, pub.Container, pub.ContainerPort)
	}
}

// printNetwork says what the containers are on.
func printNetwork(w io.Writer, m ops.Made) {
	switch {
	case m.VNI != 0:
		fmt.Fprintf(w, "  subnet %s, VNI %d, UDP port %d, MTU %d, learning %s, over the underlay %s\n",
			words(m.Network, m.Network6), m.VNI, m.VXLANPort, m.MTU, m.Learning, m.Underlay)
	case m.Parent != "":
		fmt.Fprintf(w, "  parent %s, submode %s, subnet %s\n", words(m.Parent, m.ParentAddr), m.Submode,
			strings.Join(slices.Compact(append([]string{words(m.Network, m.Network6)}, m.Networks...)), ", "))
		if m.Shim != "" {
			fmt.Fprintf(w, "  the host's shim %s: %s\n", m.Shim, m.ShimAddr)
		}
	case m.Bridge != "":
		fmt.Fprintf(w, "  bridge %s, subnet %s, gateway %s\n", m.Bridge, m.Network, m.Gateway)
		if m.Network6 != "" {
			fmt.Fprintf(w, "  subnet %s, gateway %s\n", m.Network6, m.Gateway6)
		}
	}
}

// words are those that are not "", with spaces between.
func words(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(s string) bool { return s == "" }), " ")
}
