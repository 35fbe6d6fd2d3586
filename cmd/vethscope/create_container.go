package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newCreateNoneCmd(g *global) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:     "none NAME",
		Short:   "A container without a network: only lo",
		Long:    "Makes the namespace NAME with nothing but lo in it.",
		Example: "  vethscope create none lonely",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPlan(cmd, g, f, modes.None{Name: args[0]}.Plan)
		},
	}
	f.add(cmd)
	return cmd
}

func newCreateHostCmd(g *global) *cobra.Command {
	var h modes.Host
	var f planFlags
	cmd := &cobra.Command{
		Use:   "host NAME",
		Short: "A container in the host's own namespace",
		Long: "Makes nothing: a container of mode host has the host's own links, addresses and ports. The name\n" +
			"is recorded, so that `vethscope prove NAME` shows what that means.",
		Example: "  vethscope create host app",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			h.Name = args[0]
			if h.Port == 0 { // in a lab that is the default
				return usageError{fmt.Errorf("create host %s: port: 0 is not 1 to 65535", h.Name)}
			}
			return runPlan(cmd, g, f, h.Plan)
		},
	}
	cmd.Flags().Uint16Var(&h.Port, "port", 8000, "of the server that proves it")
	f.add(cmd)
	return cmd
}

func newCreateContainerCmd(g *global) *cobra.Command {
	var c modes.Container
	var f planFlags
	cmd := &cobra.Command{
		Use:   "container NAME --with OTHER",
		Short: "A container that shares the namespace of another, as in a pod",
		Long: "Gives the namespace OTHER the second name NAME: one set of links, addresses and ports for both.\n" +
			"It goes when what made OTHER is deleted.",
		Example: "  vethscope create bridge web\n  vethscope create container sidecar --with web-1",
		Args:    exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Name = args[0]
			return runPlan(cmd, g, f, c.Plan)
		},
	}
	cmd.Flags().StringVar(&c.With, "with", "", "the container whose namespace to share")
	f.add(cmd)
	return cmd
}
