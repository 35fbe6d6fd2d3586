package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newMasqueradeCmd(g *global) *cobra.Command {
	return newVerb(g, verb{"masquerade SUBNET [except LINK]",
		"Let a subnet speak to the world under the host's address; what leaves by LINK stays as it is (default: the link of the subnet)",
		"  vethscope masquerade 172.10.0.0/16 except br0",
		func(ns string, w given) (modes.Settings, error) {
			return modes.Masquerade{NS: ns, Subnet: w["SUBNET"], Except: w["LINK"]}, nil
		}}, true)
}

func newForwardAcceptCmd(g *global) *cobra.Command {
	return newVerb(g, verb{"forward-accept LINK",
		"Accept what a link forwards, in the chains of others that drop it",
		"  vethscope forward-accept br0",
		func(ns string, w given) (modes.Settings, error) {
			return modes.ForwardAccept{NS: ns, Link: w["LINK"]}, nil
		}}, true)
}
