package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vethscope/ops/inventory"
)

// lsKind is a kind of thing that `ls` lists. Both renderers get the namespaces
// that were asked for.
type lsKind struct {
	name, short string
	aliases     []string
	table       func([]inventory.Namespace, lsFlags) lsTable
	json        func([]inventory.Namespace, lsFlags) any
}

var lsKinds = []lsKind{
	{"namespaces", "Network namespaces, and the processes that live in them", []string{"namespace", "netns", "ns"}, namespaceTable, namespaceJSON},
	{"links", "Links, with their addresses and the other end of each", []string{"link"}, linkTable, linkJSON},
	{"routes", "Routes of every table", []string{"route"}, routeTable, routeJSON},
	{"rules", "Rules of nft and iptables-nft, with their counters", []string{"rule"}, ruleTable, ruleJSON},
}

// lsFlags are those of every kind, and the few of one kind only.
type lsFlags struct {
	output    string // "table", "wide" or "json"
	namespace string // "" for all
	all       bool   // routes: table local too
	nat       bool   // rules: only those that rewrite addresses
}

func (f lsFlags) wide() bool { return f.output == "wide" }

func (f lsFlags) check() error {
	if !slices.Contains([]string{"table", "wide", "json"}, f.output) {
		return usageError{fmt.Errorf("ls: -o %s: must be table, wide or json", f.output)}
	}
	return nil
}

func newLsCmd() *cobra.Command {
	var f lsFlags
	var names []string
	for _, k := range lsKinds {
		names = append(names, k.name)
	}
	names = append(names, "networks")
	cmd := &cobra.Command{
		Use:     "ls KIND",
		Short:   "List what exists: " + strings.Join(names, ", "),
		Example: "  vethscope ls links\n  vethscope ls routes -n host --all\n  vethscope ls rules --nat -o json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("ls what? Kinds: %s", strings.Join(names, ", "))}
			}
			msg := fmt.Sprintf("ls: unknown kind %q", args[0])
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usageError{fmt.Errorf("%s: did you mean %s?", msg, near[0])}
			}
			return usageError{fmt.Errorf("%s: kinds are %s", msg, strings.Join(names, ", "))}
		},
		// Args has refused all but the subcommands.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2 // edits; cobra sets it only for its own messages
	cmd.PersistentFlags().StringVarP(&f.output, "output", "o", "table", "table, wide or json")
	cmd.PersistentFlags().StringVarP(&f.namespace, "namespace", "n", "", "only of the namespace of this name")
	for _, k := range lsKinds {
		cmd.AddCommand(newLsKindCmd(k, &f))
	}
	cmd.AddCommand(newLsNetworksCmd(&f))
	return cmd
}

func newLsKindCmd(k lsKind, f *lsFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: k.name, Short: k.short, Aliases: k.aliases,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			snap, err := inventory.Collect(cmd.Context())
			if err != nil {
				return err
			}
			return ls(cmd.OutOrStdout(), cmd.ErrOrStderr(), snap, k, *f)
		},
	}
	switch k.name {
	case "routes":
		cmd.Flags().BoolVarP(&f.all, "all", "a", false, "table local too (wide and json always show it)")
	case "rules":
		cmd.Flags().BoolVar(&f.nat, "nat", false, "only rules that rewrite addresses or ports")
	}
	return cmd
}

// ls writes the kind's list to out and the snapshot's warnings to errs.
func ls(out, errs io.Writer, snap *inventory.Snapshot, k lsKind, f lsFlags) error {
	namespaces := snap.Namespaces
	if f.namespace != "" {
		n := snap.Namespace(f.namespace)
		if n == nil {
			return usageError{fmt.Errorf("ls %s: no namespace %q: `vethscope ls namespaces` lists them", k.name, f.namespace)}
		}
		namespaces = []inventory.Namespace{*n}
	}
	var err error
	if f.output == "json" {
		err = writeJSON(out, k.json(namespaces, f))
	} else {
		err = k.table(namespaces, f).write(out)
	}
	for _, w := range snap.Warnings {
		_, werr := fmt.Fprintln(errs, "warning: "+safeLine(w))
		err = errors.Join(err, werr)
	}
	return err
}
