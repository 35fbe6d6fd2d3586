package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/modes"
)

func newCreateOverlayCmd(g *global) *cobra.Command {
	var o modes.Overlay
	var f planFlags
	cmd := &cobra.Command{
		Use:   "overlay NAME",
		Short: "One network across several hosts: VXLAN",
		Long: "Makes the hosts NAME-a, NAME-b, …, played by namespaces, on the underlay NAME-u, and on each the\n" +
			"containers NAME-a1, NAME-b1, …, all in one subnet: what they send each other travels from host to\n" +
			"host inside UDP packets. --join puts a second overlay on the hosts of a first one; the VNI keeps\n" +
			"the two apart.",
		Example: "  vethscope create overlay red --hosts 2 --subnet 10.0.1.0/24 --vni 4097\n" +
			"  vethscope create overlay blue --join red --subnet 10.0.1.0/24 --vni 4098\n" +
			"  vethscope create overlay red --hosts 3 --subnet 10.0.1.0/24 --gwbridge --learning multicast",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name = args[0]
			return runPlan(cmd, g, f, func(w modes.World) (*ops.Plan, error) {
				defaultSubnet(cmd, &o.Subnet, w)
				return orZero(cmd, o, w, "hosts", "containers", "port", "underlay-mtu")
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Hosts, "hosts", 2, "how many hosts, 2 to 26")
	flags.IntVar(&o.Containers, "containers", 1, "how many containers on each host")
	flags.StringVar(&o.Subnet, "subnet", "", "IPv4 subnet of the containers (default: a free one)")
	flags.StringVar(&o.IPv6, "ipv6", "", "IPv6 subnet beside it")
	flags.IntVar(&o.VNI, "vni", 4097, "the network's number in every packet, 1 to 16777215")
	flags.IntVar(&o.Port, "port", 4789, "UDP port of the outer packets")
	flags.StringVar(&o.Learning, "learning", "static", "how hosts learn where a container is: static or multicast")
	flags.BoolVar(&o.GwBridge, "gwbridge", false, "a second leg for each container, to the world outside (IPv4 only)")
	flags.StringVar(&o.Underlay, "underlay", "", "IPv4 subnet between the hosts (default: a free one)")
	flags.IntVar(&o.UnderlayMTU, "underlay-mtu", 1500, "of the network between the hosts; inside it is 50 less")
	flags.StringVar(&o.Join, "join", "", "the overlay whose hosts to use")
	f.add(cmd)
	return cmd
}
