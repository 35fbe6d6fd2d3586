package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ops/modes"
	"vethscope/ops/netns"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox"
)

func newDemoCmd(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo nat|vxlan",
		Short: "Build a network, send traffic, and show what becomes of each packet",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{errors.New("demo what? Demos: nat, vxlan")}
			}
			if err := noCommand(cmd, args); err != nil {
				return usageError{errors.New(strings.Replace(err.Error(), "unknown command", "unknown demo", 1))}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newDemoKindCmd(g, "nat", "DNAT of a published port, its reply, and MASQUERADE of a ping outwards",
			"In a sandbox of its own: one container behind a bridge, port 8080 of the host published to\n"+
				"its port 80. A client outside asks for a page, then the container pings outwards. Every packet\n"+
				"is shown as it was before and after it was rewritten, with the rule that did it. The exit\n"+
				"status is 0 only if the rewriting was really seen.", demoNAT),
		newDemoKindCmd(g, "vxlan", "A ping between containers on two hosts, and the packets that carry it",
			"In a sandbox of its own: two hosts, played by namespaces, a container on each, and one overlay\n"+
				"network for both. One container pings the other. Every packet on its way between the hosts is\n"+
				"shown outside and inside: outer Ethernet, IP and UDP, VXLAN, inner Ethernet, IP and ICMP. The\n"+
				"exit status is 0 only if they were really seen, and hold just what the containers sent.", demoVXLAN),
	)
	return cmd
}

// newDemoKindCmd is a demonstration that run makes in a sandbox.
func newDemoKindCmd(g *global, name, short, long string, run func(ctx context.Context, w io.Writer, output string) error) *cobra.Command {
	var output string
	var here bool
	cmd := &cobra.Command{
		Use: name, Short: short, Long: long,
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return usageError{fmt.Errorf("-o %s: must be table or json", output)}
			}
			if g.host {
				return usageError{fmt.Errorf("demo %s brings its own sandbox: leave --host out", name)}
			}
			if !here {
				return inSandbox(cmd.Context(), sandbox.Options{Args: []string{sandbox.Exe, "demo", name, "--here", "-o", output}})
			}
			if !sandbox.Inside() {
				return refusedError{fmt.Errorf("demo %s --here: this is no sandbox; leave --here out", name)}
			}
			return run(cmd.Context(), cmd.OutOrStdout(), output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, or json: one object a packet")
	cmd.Flags().BoolVar(&here, "here", false, "use the sandbox that this shell runs in, not a fresh one")
	return cmd
}

// demo is the traffic that the demonstration makes, and what it must see.
type demo struct {
	plan      *ops.Plan
	container ops.Container
	host      netip.Addr // the host's own address on its uplink
	outside   netip.Addr
	port      uint16
	seen      []*capture.Rewrite
}

// demoTime bounds the whole demonstration, which takes a fraction of it.
const demoTime = 5 * time.Second

func demoNAT(ctx context.Context, w io.Writer, output string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoTime, errors.New("took too long"))
	defer cancel()
	world, err := world(ctx)
	if err != nil {
		return err
	}
	settings := modes.Bridge{Name: "demo0", Containers: 1, Names: []string{"c1"}, Subnet: modes.FreeSubnet(world), Publish: []string{"8080:80"}}
	plan, err := settings.Plan(world)
	if err != nil {
		return fmt.Errorf("demo nat: %w", err)
	}
	x := &ops.Executor{Journal: journal()}
	if err := x.Run(ctx, plan); err != nil {
		return err
	}
	d := &demo{plan: plan, container: plan.Made.Containers[0], port: plan.Made.Published[0].HostPort,
		host: addrOf(sandbox.HostAddr), outside: addrOf(sandbox.OutsideAddr)}
	err = d.watch(ctx, w, output)
	_, undoErr := x.Undo(context.WithoutCancel(ctx), plan.ID)
	if err := errors.Join(err, undoErr); err != nil {
		return err
	}
	return d.verdict(w, output)
}

func addrOf(cidr string) netip.Addr { return netip.MustParsePrefix(cidr).Addr() }

// watch makes the traffic, and shows each packet as soon as it is known on both
// sides.
func (d *demo) watch(ctx context.Context, w io.Writer, output string) error {
	points := []capture.Point{
		{NS: netns.Host, Path: netns.Path(netns.Host), Link: sandbox.Uplink},
		{NS: d.container.Name, Path: netns.Path(d.container.Name), Link: d.container.Link},
	}
	f, err := follow(ctx, points, following{rewrites: true})
	if err != nil {
		return err
	}
	if output != "json" {
		fmt.Fprintf(w, "The host has %s on %s and publishes port %d: it leads to port 80 of the container %s (%s).\n"+
			"outside (%s) asks for http://%s:%d/, then %s pings outside.\n\n",
			d.host, sandbox.Uplink, d.port, d.container.Name, d.container.Addr, d.outside, d.host, d.port, d.container.Name)
	}
	show := newRewritePrinter(w, output)
	ctx, stop := context.WithCancel(ctx)
	traffic := make(chan error, 1)
	go func() { traffic <- d.traffic(ctx) }()
	f.run(ctx, func(b batch) {
		for _, r := range b.rewrites {
			if !r.ChangesEnds() {
				continue // forwarded, not rewritten
			}
			d.seen = append(d.seen, r)
			show.print(r)
		}
		if d.missing() == "" && ctx.Err() == nil {
			stop()
		}
	})
	stop()
	return errors.Join(show.err, <-traffic)
}

// traffic is one request from outside through the published port, and one ping
// from the container outwards.
func (d *demo) traffic(ctx context.Context) error {
	path := netns.Path(d.container.Name)
	server, err := probe.Serve(ctx, path, ":80", probe.ServeOptions{Name: d.container.Name})
	if err != nil {
		return err
	}
	defer server.Close()
	url := fmt.Sprintf("http://%s/", netip.AddrPortFrom(d.host, d.port))
	if _, err := probe.Get(ctx, netns.Path(sandbox.Outside), url, probe.GetOptions{}); err != nil {
		return fmt.Errorf("request to %s: %w", url, err)
	}
	_, err = probe.Ping(ctx, path, d.outside, probe.PingOptions{Count: 1})
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("ping %s: %w", d.outside, err)
	}
	return nil
}

// wanted is a rewriting that the demonstration must show.
type wanted struct{ protocol, direction, changed, rule string }

var demoWants = []wanted{
	{"tcp", capture.Original, "dst", "dnat"},
	{"tcp", capture.Reply, "src", "dnat"},
	{"icmp", capture.Original, "src", "masquerade"},
	{"icmp", capture.Reply, "dst", "masquerade"},
}

// missing is the first of the wanted rewritings that was not seen, "" when all
// were.
func (d *demo) missing() string {
	for _, want := range demoWants {
		if !slices.ContainsFunc(d.seen, func(r *capture.Rewrite) bool {
			return r.Protocol == want.protocol && r.Direction == want.direction &&
				slices.Contains(r.Changed, want.changed) && r.Rule != nil && strings.Contains(r.Rule.Text, want.rule)
		}) {
			return fmt.Sprintf("the %s of %s %s packets by a %s rule", want.changed, want.protocol, want.direction, want.rule)
		}
	}
	return ""
}

// verdict fails unless everything was really seen.
func (d *demo) verdict(w io.Writer, output string) error {
	if m := d.missing(); m != "" {
		return fmt.Errorf("demo nat: did not see %s change", m)
	}
	if output != "json" {
		_, err := fmt.Fprintf(w, "\n%d packets were rewritten: DNAT inwards, MASQUERADE outwards, and both undone on the replies.\n", len(d.seen))
		return err
	}
	return nil
}
