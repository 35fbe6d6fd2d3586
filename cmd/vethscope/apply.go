package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/lab"
	"vethscope/ops/probe"
)

// maxLab is as much of a lab file as is read.
const maxLab = 1 << 20

func newApplyCmd(g *global) *cobra.Command {
	var f planFlags
	var list, text, prove bool
	cmd := &cobra.Command{
		Use:   "apply LAB",
		Short: "Make every network of a lab file",
		Long: "LAB is a file, - for standard input, or the name of a lab that is built in (--list names them).\n" +
			"The whole lab is held against the machine before anything is changed, and a failure half-way\n" +
			"takes all of it back. A lab to begin with: `vethscope apply bridge-nat --show`.",
		Example: "  vethscope apply shop.yaml --dry-run\n  vethscope apply bridge-nat --prove\n  vethscope apply bridge-nat -o sh",
		Args: func(cmd *cobra.Command, args []string) error {
			if list {
				return exactArgs()(cmd, args)
			}
			return exactArgs("LAB")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case list:
				return listLabs(cmd.OutOrStdout(), f.output)
			case text:
				return showLab(cmd, args[0])
			}
			return applyLab(cmd, g, f, args[0], prove)
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "list the labs that are built in")
	cmd.Flags().BoolVar(&text, "show", false, "print the lab file and change nothing")
	cmd.Flags().BoolVar(&prove, "prove", false, "try what the lab promises afterwards; -o json then prints the outcomes alone")
	f.add(cmd)
	return cmd
}

func listLabs(w io.Writer, output string) error {
	labs, err := lab.List()
	if err != nil {
		return err
	}
	type row struct {
		Name  string `json:"name"`
		Title string `json:"title"`
	}
	var rows []row
	for _, l := range labs {
		rows = append(rows, row{l.Name, l.Title})
		if output == "table" {
			fmt.Fprintf(w, "%-16s  %s\n", l.Name, l.Title)
		}
	}
	if output == "json" {
		return writeJSON(w, rows)
	}
	return nil
}

func showLab(cmd *cobra.Command, arg string) error {
	_, data, err := labText(cmd.InOrStdin(), arg)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(data)
	return err
}

// labText reads the lab that the user named, and says what to call it.
func labText(stdin io.Reader, arg string) (file string, data []byte, err error) {
	if arg == "-" {
		data, err = io.ReadAll(io.LimitReader(stdin, maxLab+1))
		return "standard input", data, tooLong(data, err)
	}
	if data, err := lab.Source(arg); err == nil {
		return arg + ".yaml", data, nil
	}
	f, err := os.Open(arg)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, usageError{fmt.Errorf("no file and no built-in lab %q: `vethscope apply --list` names those", arg)}
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	data, err = io.ReadAll(io.LimitReader(f, maxLab+1))
	if errors.Is(err, unix.EISDIR) {
		return "", nil, usageError{fmt.Errorf("%s is a directory, not a lab file", arg)}
	}
	return arg, data, tooLong(data, err)
}

func tooLong(data []byte, err error) error {
	if err == nil && len(data) > maxLab {
		err = usageError{fmt.Errorf("the lab file is longer than %d bytes", maxLab)}
	}
	return err
}

// readLab is labText, understood.
func readLab(cmd *cobra.Command, arg string) (*lab.Lab, error) {
	file, data, err := labText(cmd.InOrStdin(), arg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	l, err := lab.Parse(file, data)
	return l, labError(err)
}

// labError makes what is wrong with a lab the user's fault.
func labError(err error) error {
	var faults lab.Errors
	if errors.As(err, &faults) {
		return usageError{err}
	}
	return err
}

func applyLab(cmd *cobra.Command, g *global, f planFlags, arg string, prove bool) error {
	if !slices.Contains([]string{"table", "json", "sh"}, f.output) {
		return usageError{fmt.Errorf("-o %s: must be table, json or sh", f.output)}
	}
	show := f.dryRun || f.output == "sh"
	if !show {
		if err := g.mayChange(); err != nil {
			return fmt.Errorf("apply: %w", err)
		}
	}
	l, err := readLab(cmd, arg)
	if err != nil {
		return err
	}
	w, err := world(cmd.Context())
	if err != nil {
		return err
	}
	plans, err := l.Plans(w)
	if err != nil {
		if entries, _ := journal().Entries(); slices.ContainsFunc(entries, func(e ops.Entry) bool { return e.Lab == l.Name }) {
			return usageError{fmt.Errorf("apply: lab %s is there already: `vethscope delete -f %s` takes it back", l.Name, arg)}
		}
		return labError(err)
	}
	if show {
		return showPlans(cmd.OutOrStdout(), plans, f)
	}
	for _, p := range plans {
		for _, note := range p.Notes {
			fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
		}
	}
	if err := runLab(cmd.Context(), &ops.Executor{Journal: journal()}, plans); err != nil {
		return fmt.Errorf("apply %s: %w", l.Name, err)
	}
	if !prove || f.output != "json" {
		if err := showLabMade(cmd.OutOrStdout(), plans, f.output); err != nil {
			return err
		}
	}
	if !prove {
		return nil
	}
	var proofs []ops.Proof
	for _, p := range plans {
		proofs = append(proofs, p.Made.Proofs...)
	}
	outcomes, err := probe.Prove(cmd.Context(), proofs, nil)
	if err != nil {
		return err
	}
	return showOutcomes(cmd, l.Name, outcomes, f.output)
}

// showPlans is showPlan for several.
func showPlans(w io.Writer, plans []*ops.Plan, f planFlags) error {
	if f.output == "json" {
		views := make([]ops.View, len(plans))
		for i, p := range plans {
			views[i] = p.View()
		}
		return writeJSON(w, views)
	}
	for i, p := range plans {
		switch {
		case f.output == "sh" && i == 0:
			fmt.Fprint(w, p.Script())
		case f.output == "sh": // one script has one first line
			_, script, _ := strings.Cut(p.Script(), "\n")
			fmt.Fprint(w, "\n"+script)
		default:
			fmt.Fprintln(w, p.Title)
			if err := showPlan(w, p, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// runLab runs all plans, or none: what was done before a failure is taken back,
// also after ctx has ended.
func runLab(ctx context.Context, x *ops.Executor, plans []*ops.Plan) error {
	for i, p := range plans {
		err := x.Run(ctx, p)
		if err == nil {
			continue
		}
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, done := range slices.Backward(plans[:i]) {
			_, undo := x.Undo(back, done.ID)
			if !errors.Is(undo, ops.ErrNothing) { // it fell with another
				err = errors.Join(err, undo)
			}
		}
		return err
	}
	return nil
}

func showLabMade(w io.Writer, plans []*ops.Plan, output string) error {
	if output == "json" {
		views := make([]madeView, len(plans))
		for i, p := range plans {
			views[i] = madeView{p.ID, p.Name, p.Mode, p.Made}
		}
		return writeJSON(w, views)
	}
	for _, p := range plans {
		if err := showMade(w, p, output); err != nil {
			return err
		}
	}
	return nil
}

// deleteLab takes back what belongs to a lab, newest first.
func deleteLab(ctx context.Context, x *ops.Executor, name string) ([]ops.Entry, error) {
	entries, err := x.Journal.Entries()
	if err != nil {
		return nil, err
	}
	var undone []ops.Entry
	var failed error
	found := false
	for _, e := range slices.Backward(entries) {
		if e.Lab != name {
			continue
		}
		found = true
		more, err := x.Undo(ctx, e.ID)
		undone = append(undone, more...)
		if !errors.Is(err, ops.ErrNothing) {
			failed = errors.Join(failed, err)
		}
	}
	if !found {
		return nil, usageError{fmt.Errorf("delete: nothing of lab %s is there", name)}
	}
	return undone, failed
}
