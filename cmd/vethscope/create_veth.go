package main

import (
	"strings"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/modes"
)

func newCreateVethCmd(g *global) *cobra.Command {
	var v modes.Veth
	var f planFlags
	cmd := &cobra.Command{
		Use:   "veth NAME",
		Short: "A cable between the host and a namespace, or between two namespaces",
		Long: "Without --between: makes the namespace NAME and a cable from v-NAME on the host to eth0 inside.\n" +
			"With it: a cable between two namespaces, which are made where they do not exist; the links are\n" +
			"called eth0 in a new namespace and NAME in one that was there.",
		Example: "  vethscope create veth netns1 --subnet 170.10.0.0/24\n" +
			"  vethscope create veth cable --between network01 --between network02 --subnet 10.0.1.0/24",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			v.Name = args[0]
			return runPlan(cmd, g, f, func(w modes.World) (*ops.Plan, error) {
				defaultSubnet(cmd, &v.Subnet, w)
				return v.Plan(w)
			})
		},
	}
	cmd.Flags().StringArrayVar(&v.Between, "between", nil, "one end; give it twice (\"host\" is the host)")
	cmd.Flags().StringVar(&v.Subnet, "subnet", "", "IPv4 subnet; the first end gets its first address (default: a free one)")
	cmd.Flags().StringVar(&v.IPv6, "ipv6", "", "IPv6 subnet beside it")
	f.add(cmd)
	return cmd
}

// orZero is the settings' plan; but what settings take as "not said", a 0, is
// refused where the user has said it.
func orZero(cmd *cobra.Command, s modes.Settings, w modes.World, flags ...string) (*ops.Plan, error) {
	for _, name := range flags {
		if cmd.Flags().Changed(name) && cmd.Flags().Lookup(name).Value.String() == "0" {
			return nil, modes.Errors{{Field: strings.ReplaceAll(name, "-", "_"), Message: "must be at least 1, not 0"}}
		}
	}
	return s.Plan(w)
}

// defaultSubnet finds a free subnet where none was given.
func defaultSubnet(cmd *cobra.Command, subnet *string, w modes.World) {
	if *subnet == "" && !cmd.Flags().Changed("subnet") {
		*subnet = modes.FreeSubnet(w)
	}
}
