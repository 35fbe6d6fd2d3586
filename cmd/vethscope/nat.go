package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newMasqueradeCmd(g *global) *cobra.Command {
	cmd := newVerb(g, verb{"masquerade SUBNET [except LINK]",
		"Let a subnet speak to the world under the host's address",
		"  vethscope masquerade 172.10.0.0/16\n  vethscope masquerade 172.10.0.0/16 except br0",
		func(ns string, w given) (modes.Settings, error) {
			return modes.Masquerade{NS: ns, Subnet: w["SUBNET"], Except: w["LINK"]}, nil
		}}, true)
	cmd.Long = "What comes from SUBNET leaves with the host's own address, so that answers find back. What leaves\n" +
		"by LINK, which is the subnet's own where none is named, stays as it is."
	return cmd
}

func newForwardAcceptCmd(g *global) *cobra.Command {
	cmd := newVerb(g, verb{"forward-accept LINK",
		"Accept what a link forwards, in the chains of others that drop it",
		"  vethscope forward-accept br0",
		func(ns string, w given) (modes.Settings, error) {
			return modes.ForwardAccept{NS: ns, Link: w["LINK"]}, nil
		}}, true)
	cmd.Long = "Puts a rule at the head of each chain that drops what is forwarded, as that of Docker does: of nft\n" +
		"and of iptables-nft. Chains of iptables-legacy are not reached."
	return cmd
}
