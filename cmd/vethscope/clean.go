package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/sweep"
)

func newCleanCmd(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "clean",
		Short: "Take back every change, also what a crash left half-made",
		Long: "Takes back every change that the journal knows of, and then removes what still bears a mark of\n" +
			"vethscope, should the journal be lost: namespaces and links by their alias (vethscope:NAME), nft\n" +
			"tables by their name (vethscope-NAME), rules in other tables by their comment, routes by their\n" +
			"protocol (118), and background processes. What bears no mark is not touched.",
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := g.mayChange(); err != nil {
				return fmt.Errorf("%s: %w", cmd.Name(), err)
			}
			var swept []string
			undone, err := (&ops.Executor{Journal: journal()}).CleanThen(cmd.Context(), func(ctx context.Context) (err error) {
				swept, err = sweep.Sweep(ctx)
				return err
			})
			out := cmd.OutOrStdout()
			for _, e := range undone {
				fmt.Fprintf(out, "taken back: %s\n", e.Title)
			}
			for _, what := range swept {
				fmt.Fprintf(out, "removed: %s\n", printable(what))
			}
			if err == nil && len(undone)+len(swept) == 0 {
				fmt.Fprintln(out, "clean: nothing of ours is there")
			}
			return err
		},
	}
}
