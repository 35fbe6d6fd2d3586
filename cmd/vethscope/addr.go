package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newAddrCmd(g *global) *cobra.Command {
	return newNoun(g, "addr", "Add or delete an address of a link", true,
		verb{"add ADDRESS dev LINK", "Give a link an address", "  vethscope addr add 172.10.0.1/16 dev br0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.AddrAdd{NS: ns, Link: w["LINK"], Addr: w["ADDRESS"]}, nil
			}},
		verb{"delete ADDRESS dev LINK", "Take an address off a link", "  vethscope addr delete -n c1 10.0.0.2/24 dev eth0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.AddrDelete{NS: ns, Link: w["LINK"], Addr: w["ADDRESS"]}, nil
			}},
	)
}
