package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"vethscope/ops/sandbox"
)

func newSandboxCmd(g *global) *cobra.Command {
	var empty bool
	cmd := &cobra.Command{
		Use:   "sandbox [flags] [-- COMMAND [ARG...]]",
		Short: "Run a shell, or COMMAND, in a fresh sandbox",
		Long: "Runs COMMAND, or a shell, in user, network, mount and pid namespaces of its own: root\n" +
			"inside, no privilege outside, and everything gone when it ends.\n\n" +
			"The sandbox plays a host with one machine outside: its uplink up0 (10.10.0.1/24) leads to\n" +
			"the namespace outside (10.10.0.2).",
		Example: "  vethscope sandbox\n" +
			"  vethscope sandbox -- sh -c 'vethscope create bridge web --containers 2 --subnet 172.18.0.0/24; ip -br link'",
		RunE: func(cmd *cobra.Command, args []string) error {
			return inSandbox(cmd.Context(), sandbox.Options{Args: args, Empty: empty})
		},
	}
	cmd.Flags().BoolVar(&empty, "empty", false, "without uplink: a bare network namespace")
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// inSandbox runs a command in a fresh sandbox on our own standard streams, where
// this program can be called by name. Its exit status becomes ours.
func inSandbox(ctx context.Context, o sandbox.Options) error {
	o.Env = append(os.Environ(), "PATH="+sandbox.BinDir+":"+os.Getenv("PATH")) // the last one counts
	o.Stdin, o.Stdout, o.Stderr = os.Stdin, os.Stdout, os.Stderr
	// Run passes signals on itself, and waits for what they lead to.
	code, err := sandbox.Run(context.WithoutCancel(ctx), o)
	if err != nil {
		return err
	}
	if code != 0 {
		return exitError(code)
	}
	return nil
}
