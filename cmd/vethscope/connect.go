package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/modes"
)

func newAddCmd(g *global) *cobra.Command {
	var a modes.Add
	var f planFlags
	cmd := &cobra.Command{
		Use:   "add NETWORK",
		Short: "Put more containers on a bridge network",
		Long: "The names go on where the network's end (after web-2 comes web-3), and the addresses are the\n" +
			"lowest free ones. `vethscope delete NETWORK:FIRST-NAME` takes back what one `add` made.",
		Example: "  vethscope add web --containers 2",
		Args:    exactArgs("NETWORK"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.Network = args[0]
			return runPlan(cmd, g, f, a.Plan)
		},
	}
	cmd.Flags().IntVar(&a.Containers, "containers", 1, "how many more")
	f.add(cmd)
	return cmd
}

func newConnectCmd(g *global) *cobra.Command {
	var c modes.Connect
	var f planFlags
	cmd := &cobra.Command{
		Use:   "connect NETWORK CONTAINER",
		Short: "Plug a container into one more network",
		Long: "The container keeps the links that it has and gets one more, with an address of NETWORK. Its\n" +
			"default route stays; only a container without one gets NETWORK's gateway.",
		Example: "  vethscope connect web db-1 --alias db",
		Args:    exactArgs("NETWORK", "CONTAINER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Network, c.Container = args[0], args[1]
			return runPlan(cmd, g, f, c.Plan)
		},
	}
	cmd.Flags().StringArrayVar(&c.Aliases, "alias", nil, "a further name of the container in NETWORK (repeatable)")
	f.add(cmd)
	return cmd
}

func newDisconnectCmd(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "disconnect NETWORK CONTAINER",
		Short:   "Unplug a container from a network that it was connected to",
		Example: "  vethscope disconnect web db-1",
		Args:    exactArgs("NETWORK", "CONTAINER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return takeBack(cmd, g, func(ctx context.Context, x *ops.Executor) ([]ops.Entry, error) {
				undone, err := x.Delete(ctx, modes.ConnectName(args[0], args[1]))
				if errors.Is(err, ops.ErrNothing) {
					return nil, usageError{fmt.Errorf("disconnect: %s was not connected to network %s with `vethscope connect`", args[1], args[0])}
				}
				return undone, err
			})
		},
	}
}
