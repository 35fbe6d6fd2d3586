package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/lab"
)

func newExportCmd() *cobra.Command {
	var name, output string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write what vethscope has made as a lab file",
		Long: "Writes the networks, what was added to them since, and the proofs of the labs among them. Single\n" +
			"actions (netns, link, route and so on) no lab can say: a comment in the file names them.",
		Example: "  vethscope export > lab.yaml; vethscope clean; vethscope apply lab.yaml",
		Args:    exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "yaml" {
				return usageError{fmt.Errorf("export: -o %s: must be yaml", output)}
			}
			entries, err := journal().Entries()
			if err != nil {
				return err
			}
			text, left, err := lab.Export(name, entries)
			for _, title := range left {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: left out, as no lab file can say it: %s\n", printable(title))
			}
			if errors.Is(err, ops.ErrNothing) {
				return usageError{errors.New("export: there is no network of ours")}
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&name, "name", "lab", "what to call the lab")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml")
	return cmd
}
