package main

import (
	"errors"

	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newRouteCmd(g *global) *cobra.Command {
	return newNoun(g, "route", "Add or delete a route", true,
		verb{"add DESTINATION [type TYPE] [via GATEWAY] [dev LINK] [metric METRIC] [table TABLE]",
			"Add a route; the type is blackhole, unreachable or prohibit",
			"  vethscope route add -n c1 default via 172.10.0.1\n  vethscope route add 10.9.0.0/16 type blackhole",
			func(ns string, w given) (modes.Settings, error) {
				metric, err1 := w.number("METRIC")
				table, err2 := w.number("TABLE")
				return modes.RouteAdd{NS: ns, Type: w["TYPE"], Dst: w["DESTINATION"], Via: w["GATEWAY"], Link: w["LINK"],
					Metric: metric, Table: table}, errors.Join(err1, err2)
			}},
		verb{"delete DESTINATION [via GATEWAY] [dev LINK] [metric METRIC] [table TABLE]",
			"Delete a route; undo puts it back into its place", "  vethscope route delete 170.10.0.0/24 dev veth1",
			func(ns string, w given) (modes.Settings, error) {
				metric, err1 := w.number("METRIC")
				table, err2 := w.number("TABLE")
				return modes.RouteDelete{NS: ns, Dst: w["DESTINATION"], Via: w["GATEWAY"], Link: w["LINK"],
					Metric: metric, Table: table}, errors.Join(err1, err2)
			}},
	)
}
