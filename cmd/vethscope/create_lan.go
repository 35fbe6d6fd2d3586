package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/modes"
)

// parentHelp tells what --parent does in the modes that have one.
const parentHelp = "Without --parent a LAN is made: the host's link p-NAME, and a second machine, the namespace NAME-lan."

func newCreateMacvlanCmd(g *global) *cobra.Command {
	var m modes.Macvlan
	var f planFlags
	cmd := &cobra.Command{
		Use:   "macvlan NAME",
		Short: "Containers on the LAN of one of the host's links, each with its own MAC",
		Long: "Makes the containers NAME-1, NAME-2, … with a macvlan as eth0: machines on the LAN of their own,\n" +
			"which everyone there reaches, but not the parent's own host; --shim repairs that.\n" + parentHelp,
		Example: "  vethscope create macvlan lan --subnet 192.168.50.0/24 --shim\n" +
			"  vethscope create macvlan lan --parent up0 --subnet 10.10.0.0/24 --first 10.10.0.100",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			m.Name = args[0]
			return runPlan(cmd, g, f, func(w modes.World) (*ops.Plan, error) {
				if m.Parent == "" {
					defaultSubnet(cmd, &m.Subnet, w)
				}
				return orZero(cmd, m, w, "containers")
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&m.Containers, "containers", 0, "how many containers (default: 2, or 1 with passthru)")
	flags.StringVar(&m.Parent, "parent", "", "the host's link to the LAN (default: a LAN is made)")
	flags.StringVar(&m.Subnet, "subnet", "", "the LAN's IPv4 subnet (default, without --parent: a free one)")
	flags.StringVar(&m.IPv6, "ipv6", "", "the LAN's IPv6 subnet")
	flags.StringVar(&m.Submode, "submode", "bridge", "bridge, private, vepa or passthru")
	flags.BoolVar(&m.Shim, "shim", false, "a macvlan for the host, so that it and the containers reach each other")
	flags.StringVar(&m.Gateway, "gateway", "", "the containers' gateway (default, without --parent: NAME-lan)")
	flags.StringVar(&m.First, "first", "", "the first container's address (default: the first free one)")
	f.add(cmd)
	return cmd
}

func newCreateIpvlanCmd(g *global) *cobra.Command {
	var v modes.Ipvlan
	var f planFlags
	cmd := &cobra.Command{
		Use:   "ipvlan NAME",
		Short: "Containers behind one of the host's links, all with its MAC",
		Long: "Makes the containers NAME-1, NAME-2, … with an ipvlan as eth0. In submode l2 they are on the LAN;\n" +
			"in l3 and l3s each --subnet is behind the host, and the LAN's router must be told: --router does.\n" + parentHelp,
		Example: "  vethscope create ipvlan lan --submode l2 --subnet 192.168.50.0/24\n" +
			"  vethscope create ipvlan deep --submode l3 --subnet 10.0.1.0/24 --subnet 10.0.2.0/24 --router",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v.Name = args[0]
			return runPlan(cmd, g, f, func(w modes.World) (*ops.Plan, error) {
				if len(v.Subnets) == 0 && v.Parent == "" {
					v.Subnets = []string{modes.FreeSubnet(w)}
				}
				return orZero(cmd, v, w, "containers")
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&v.Containers, "containers", 0, "how many containers, dealt out to the subnets in turn (default: one each, at least 2)")
	flags.StringVar(&v.Parent, "parent", "", "the host's link to the LAN (default: a LAN is made)")
	flags.StringArrayVar(&v.Subnets, "subnet", nil, "in l2 the LAN's subnet, in l3 and l3s the containers' own (repeatable)")
	flags.StringVar(&v.Submode, "submode", "l2", "l2, l3 or l3s")
	flags.BoolVar(&v.Router, "router", false, "tell the LAN's router where the containers' subnets are (l3, l3s)")
	flags.StringVar(&v.Gateway, "gateway", "", "the containers' gateway in l2 (default, without --parent: NAME-lan)")
	flags.StringVar(&v.First, "first", "", "the first container's address in l2 (default: the first free one)")
	f.add(cmd)
	return cmd
}
