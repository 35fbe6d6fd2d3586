package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newFDBCmd(g *global) *cobra.Command {
	return newNoun(g, "fdb", "Add or delete a forwarding entry of a bridge port or a vxlan", true,
		verb{"add MAC dev LINK [dst ADDRESS]", "Enter where the frames for a MAC go", "  vethscope fdb add 02:42:0a:00:01:03 dev vx0 dst 192.0.2.2",
			func(ns string, w given) (modes.Settings, error) {
				return modes.FDB{NS: ns, Link: w["LINK"], MAC: w["MAC"], Dst: w["ADDRESS"]}, nil
			}},
		verb{"delete MAC dev LINK [dst ADDRESS]", "Delete an entry", "  vethscope fdb delete 02:42:0a:00:01:03 dev vx0 dst 192.0.2.2",
			func(ns string, w given) (modes.Settings, error) {
				return modes.FDB{NS: ns, Link: w["LINK"], MAC: w["MAC"], Dst: w["ADDRESS"], Delete: true}, nil
			}},
	)
}
