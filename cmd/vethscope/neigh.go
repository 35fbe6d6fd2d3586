package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newNeighCmd(g *global) *cobra.Command {
	return newNoun(g, "neigh", "Add or delete a neighbour: the MAC behind an address", true,
		verb{"add ADDRESS lladdr MAC dev LINK", "Enter the MAC behind an address", "  vethscope neigh add -n c1 10.0.0.9 lladdr 02:00:00:00:00:09 dev eth0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.Neigh{NS: ns, Link: w["LINK"], Addr: w["ADDRESS"], MAC: w["MAC"]}, nil
			}},
		verb{"delete ADDRESS dev LINK", "Delete a neighbour", "  vethscope neigh delete -n c1 10.0.0.9 dev eth0",
			func(ns string, w given) (modes.Settings, error) {
				return modes.Neigh{NS: ns, Link: w["LINK"], Addr: w["ADDRESS"]}, nil
			}},
	)
}
