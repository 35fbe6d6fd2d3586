package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/modes"
	"vethscope/ops/sandbox"
)

// planFlags are the flags of every command that runs a plan.
type planFlags struct {
	dryRun bool
	output string
}

func (f *planFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show the steps and change nothing")
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, json, or sh: the steps as a shell script, changing nothing")
}

func newCreateCmd(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create MODE NAME",
		Short: "Create a network",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("create what? Modes: none, host, container, veth, bridge, overlay, macvlan, ipvlan")}
			}
			if err := noCommand(cmd, args); err != nil {
				return usageError{errors.New(strings.Replace(err.Error(), "unknown command", "unknown mode", 1))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCreateNoneCmd(g), newCreateHostCmd(g), newCreateContainerCmd(g), newCreateVethCmd(g),
		newCreateBridgeCmd(g), newCreateOverlayCmd(g), newCreateMacvlanCmd(g), newCreateIpvlanCmd(g))
	return cmd
}

func newCreateBridgeCmd(g *global) *cobra.Command {
	var b modes.Bridge
	var f planFlags
	cmd := &cobra.Command{
		Use:   "bridge NAME",
		Short: "Containers on a bridge, with NAT to the world, as Docker's default network",
		Long: "Makes the bridge NAME and the containers NAME-1 … NAME-N: namespaces with eth0 inside, the\n" +
			"bridge's address as their default route, masquerading outwards and published ports inwards.",
		Example: "  vethscope create bridge web --containers 2 --subnet 172.18.0.0/24 --publish 8080:80\n" +
			"  vethscope create bridge web --publish 8080:80 --publish 8081:80@2 -o sh",
		Args: exactArgs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.Name = args[0]
			return runPlan(cmd, g, f, func(w modes.World) (*ops.Plan, error) {
				if b.Subnet == "" && !cmd.Flags().Changed("subnet") {
					b.Subnet = modes.FreeSubnet(w)
				}
				return b.Plan(w)
			})
		},
	}
	cmd.Flags().IntVar(&b.Containers, "containers", 1, "how many containers")
	cmd.Flags().StringVar(&b.Subnet, "subnet", "", "IPv4 subnet; the bridge gets its first address (default: a free one)")
	cmd.Flags().StringVar(&b.IPv6, "ipv6", "", "IPv6 subnet beside it")
	cmd.Flags().StringArrayVar(&b.Publish, "publish", nil, "HOSTPORT:PORT[/udp][@CONTAINER]: lead a port of the host into a container (repeatable)")
	cmd.Flags().BoolVar(&b.NoIsolation, "no-isolation", false, "let the containers of other networks in (published ports are open to them anyway)")
	cmd.Flags().BoolVar(&b.NoDNS, "no-dns", false, "start no name server for the containers")
	f.add(cmd)
	return cmd
}

func newPublishCmd(g *global) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:     "publish NETWORK|ADDRESS HOSTPORT:PORT[/udp][@CONTAINER]",
		Short:   "Lead one more port of the host into a container, or to any address",
		Example: "  vethscope publish web 8081:80@2\n  vethscope publish 172.10.0.10 8080:80",
		Args:    exactArgs("NETWORK", "PORT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := netip.ParseAddr(args[0]); err == nil {
				return runPlan(cmd, g, f, modes.PublishTo{Addr: args[0], Port: args[1]}.Plan)
			}
			p := modes.Publish{Network: args[0], Port: args[1]}
			return runPlan(cmd, g, f, p.Plan)
		},
	}
	f.add(cmd)
	return cmd
}

// runPlan makes a plan and then shows it, or runs it and says what was made.
func runPlan(cmd *cobra.Command, g *global, f planFlags, make func(modes.World) (*ops.Plan, error)) error {
	if !slices.Contains([]string{"table", "json", "sh"}, f.output) {
		return usageError{fmt.Errorf("-o %s: must be table, json or sh", f.output)}
	}
	show := f.dryRun || f.output == "sh"
	if !show {
		if err := g.mayChange(); err != nil {
			return fmt.Errorf("%s: %w", cmd.CommandPath()[len("vethscope "):], err)
		}
	}
	w, err := world(cmd.Context())
	if err != nil {
		return err
	}
	plan, err := make(w)
	if err != nil {
		return fmt.Errorf("%s: %w", strings.Join(append(strings.Fields(cmd.CommandPath())[1:], cmd.Flags().Args()...), " "), err)
	}
	if show {
		return showPlan(cmd.OutOrStdout(), plan, f)
	}
	for _, note := range plan.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "note: "+note)
	}
	if !sandbox.Inside() && f.output == "table" {
		// On the machine itself what is going to be done is said first.
		for _, s := range plan.Steps {
			fmt.Fprintln(cmd.OutOrStdout(), s.Shell())
		}
	}
	if err := (&ops.Executor{Journal: journal()}).Run(cmd.Context(), plan); err != nil {
		return err
	}
	return showMade(cmd.OutOrStdout(), plan, f.output)
}

func showPlan(w io.Writer, p *ops.Plan, f planFlags) error {
	switch f.output {
	case "sh":
		_, err := io.WriteString(w, p.Script())
		return err
	case "json":
		return writeJSON(w, p.View())
	}
	for i, s := range p.Steps {
		fmt.Fprintf(w, "%2d. %s\n    %s\n", i+1, s.Shell(), s.Why())
	}
	_, err := fmt.Fprintf(w, "%s; nothing was changed\n", stepCount(p))
	return err
}

func stepCount(p *ops.Plan) string {
	if len(p.Steps) == 1 {
		return "1 step"
	}
	return fmt.Sprintf("%d steps", len(p.Steps))
}

// madeView is what was made, as JSON.
type madeView struct {
	ID   string   `json:"id"`
	Name string   `json:"name"`
	Mode string   `json:"mode"`
	Made ops.Made `json:"made"`
}

func showMade(w io.Writer, p *ops.Plan, output string) error {
	if output == "json" {
		return writeJSON(w, madeView{p.ID, p.Name, p.Mode, p.Made})
	}
	undo := "vethscope undo"
	if !sandbox.Inside() {
		undo += " --host"
	}
	fmt.Fprintf(w, "%s: done in %s (%s takes it back)\n", p.Title, stepCount(p), undo)
	printMade(w, p.Made)
	if len(p.Made.Proofs) > 0 {
		fmt.Fprintf(w, "  vethscope prove %s: tries what it can do, and what it cannot\n", p.Name)
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func newDeleteCmd(g *global) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:     "delete NAME | -f LAB",
		Short:   "Take back what made NAME, or a whole lab, and all that was built on it",
		Example: "  vethscope delete web\n  vethscope delete web:8081/tcp\n  vethscope delete -f lab.yaml",
		Args: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				return exactArgs()(cmd, args)
			}
			return exactArgs("NAME")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if file != "" {
				l, err := readLab(cmd, file)
				if err != nil {
					return err
				}
				return takeBack(cmd, g, func(ctx context.Context, x *ops.Executor) ([]ops.Entry, error) {
					return deleteLab(ctx, x, l.Name)
				})
			}
			return takeBack(cmd, g, func(ctx context.Context, x *ops.Executor) ([]ops.Entry, error) {
				undone, err := x.Delete(ctx, args[0])
				if errors.Is(err, ops.ErrNothing) {
					return nil, usageError{fmt.Errorf("delete %s: vethscope has made nothing of that name", args[0])}
				}
				return undone, err
			})
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "take back what this lab made: a file, or the name of a built-in lab")
	return cmd
}

func newUndoCmd(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "undo",
		Short: "Take back the last change",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return takeBack(cmd, g, func(ctx context.Context, x *ops.Executor) ([]ops.Entry, error) {
				undone, err := x.Undo(ctx, "")
				if errors.Is(err, ops.ErrNothing) {
					return nil, errors.New("undo: there is nothing to take back")
				}
				return undone, err
			})
		},
	}
}

// takeBack undoes plans and says which.
func takeBack(cmd *cobra.Command, g *global, undo func(context.Context, *ops.Executor) ([]ops.Entry, error)) error {
	if err := g.mayChange(); err != nil {
		return fmt.Errorf("%s: %w", cmd.Name(), err)
	}
	undone, err := undo(cmd.Context(), &ops.Executor{Journal: journal()})
	for _, e := range undone {
		fmt.Fprintf(cmd.OutOrStdout(), "taken back: %s\n", e.Title)
	}
	return err
}
