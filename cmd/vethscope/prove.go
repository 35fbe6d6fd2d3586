package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/probe"
)

func newProveCmd() *cobra.Command {
	var output, file string
	cmd := &cobra.Command{
		Use:   "prove NAME | -f LAB",
		Short: "Try what a network must do, and what it cannot",
		Long: "Pings and requests between the containers of NAME, the host and the world outside, each with\n" +
			"what must come of it. The servers that are needed are started for it. The exit status is 0 only\n" +
			"if everything came out as it should.",
		Example: "  vethscope prove web\n  vethscope prove lan -o json\n  vethscope prove -f lab.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return exactArgs()(cmd, args)
			}
			return exactArgs("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := tableOrJSON(output); err != nil {
				return err
			}
			name, belongs, err := whatToProve(cmd, args, file)
			if err != nil {
				return err
			}
			list, err := proofsOf(name, belongs)
			if err != nil {
				return err
			}
			outcomes, err := probe.Prove(cmd.Context(), list, nil)
			if err != nil {
				return err
			}
			return showOutcomes(cmd, name, outcomes, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().StringVarP(&file, "file", "f", "", "try what this lab made: a file, or the name of a built-in lab")
	return cmd
}

// whatToProve is what the user named, and which plans belong to it: what made a
// network and was built on it, or all of a lab.
func whatToProve(cmd *cobra.Command, args []string, file string) (name string, belongs func(ops.Entry) bool, err error) {
	if file == "" {
		return args[0], func(e ops.Entry) bool { return e.Name == args[0] || e.On == args[0] }, nil
	}
	l, err := readLab(cmd, file)
	if err != nil {
		return "", nil, err
	}
	return l.Name, func(e ops.Entry) bool { return e.Lab == l.Name }, nil
}

// proofsOf gathers the proofs of the plans that belong to name.
func proofsOf(name string, belongs func(ops.Entry) bool) ([]ops.Proof, error) {
	entries, err := journal().Entries()
	if err != nil {
		return nil, err
	}
	var out []ops.Proof
	known := false
	for _, e := range entries {
		if e.State == ops.StateDone && belongs(e) {
			out, known = append(out, e.Made.Proofs...), true
		}
	}
	switch {
	case !known:
		return nil, usageError{fmt.Errorf("prove %s: vethscope has made nothing of that name", name)}
	case len(out) == 0:
		return nil, usageError{fmt.Errorf("prove %s: there is nothing to try on it", name)}
	}
	return out, nil
}

func showOutcomes(cmd *cobra.Command, name string, list []probe.Outcome, output string) error {
	failed := 0
	for _, o := range list {
		if !o.OK {
			failed++
		}
	}
	out := cmd.OutOrStdout()
	if output == "json" {
		if err := writeJSON(out, list); err != nil {
			return err
		}
	} else {
		printOutcomes(tabwriter.NewWriter(out, 0, 0, 2, ' ', 0), list)
		fmt.Fprintf(out, "%d of %d came out as they should\n", len(list)-failed, len(list))
	}
	if failed > 0 {
		return fmt.Errorf("prove %s: %d of %d failed", name, failed, len(list))
	}
	return nil
}

// printOutcomes writes a line for each, with the reason wherever it changes.
func printOutcomes(w *tabwriter.Writer, list []probe.Outcome) {
	reasons := map[bool]string{false: "FAILED", true: "ok"}
	var said []string
	for _, o := range list {
		if !slices.Contains(said, o.Why) {
			w.Flush()
			fmt.Fprintln(w, o.Why)
			said = append(said, o.Why)
		}
		must := "must"
		if !o.Want {
			must = "cannot"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\n", reasons[o.OK], o.From, must, o.Kind, o.Target,
			printable(strings.TrimPrefix(o.Detail, o.Kind+" "+o.Target+": "))) // it stands before
	}
	w.Flush()
}
