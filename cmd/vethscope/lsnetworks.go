package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vethscope/ops"
)

// networkRecord is a network of `ls networks -o json`.
type networkRecord struct {
	Name  string    `json:"name"`
	Mode  string    `json:"mode"`
	Lab   string    `json:"lab,omitempty"`
	State ops.State `json:"state"`
	Time  time.Time `json:"time"`
	Made  ops.Made  `json:"made"`
}

// newLsNetworksCmd lists what the journal knows, not the kernel: what others
// have made is no network of ours.
func newLsNetworksCmd(f *lsFlags) *cobra.Command {
	return &cobra.Command{
		Use: "networks", Short: "The networks that vethscope has made, with their containers", Aliases: []string{"network"},
		Args: exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			entries, err := journal().Entries()
			if err != nil {
				return err
			}
			networks := networksOf(entries, f.namespace)
			if f.output == "json" {
				return writeJSON(cmd.OutOrStdout(), networks)
			}
			return networkTable(networks, f.wide()).write(cmd.OutOrStdout())
		},
	}
}

// networksOf are the networks among the changes, with what was added to each
// later; only those of the namespace, when there is one.
func networksOf(entries []ops.Entry, namespace string) []networkRecord {
	out := []networkRecord{}
	for _, e := range entries {
		if e.On != "" {
			if i := slices.IndexFunc(out, func(n networkRecord) bool { return n.Name == e.On }); i >= 0 {
				out[i].Made.Containers = slices.Concat(out[i].Made.Containers, e.Made.Containers)
				out[i].Made.Published = slices.Concat(out[i].Made.Published, e.Made.Published)
			}
			continue
		}
		if m := e.Made; len(m.Containers)+len(m.Hosts) > 0 || m.Network != "" {
			out = append(out, networkRecord{e.Name, e.Mode, e.Lab, e.State, e.Time, m})
		}
	}
	return slices.DeleteFunc(out, func(n networkRecord) bool {
		return namespace != "" && !slices.ContainsFunc(n.Made.Containers, func(c ops.Container) bool { return c.Name == namespace })
	})
}

func networkTable(networks []networkRecord, wide bool) lsTable {
	t := lsTable{header: []string{"NAME", "MODE", "SUBNET", "CONTAINERS", "PORTS", "LAB"}}
	if wide {
		t.header = append(t.header, "STATE", "MADE")
	}
	for _, n := range networks {
		subnets := n.Made.Networks
		if len(subnets) == 0 {
			subnets = slices.DeleteFunc([]string{n.Made.Network, n.Made.Network6}, func(s string) bool { return s == "" })
		}
		var containers, ports []string
		for _, c := range n.Made.Containers {
			containers = append(containers, strings.TrimSpace(c.Name+" "+c.Addr))
		}
		for _, p := range n.Made.Published {
			ports = append(ports, fmt.Sprintf("%d/%s→%s:%d", p.HostPort, p.Protocol, p.Container, p.ContainerPort))
		}
		row := []string{n.Name, n.Mode, strings.Join(subnets, " "), strings.Join(containers, ", "), strings.Join(ports, ", "), n.Lab}
		if wide {
			row = append(row, string(n.State), n.Time.Format(time.DateTime))
		}
		t.rows = append(t.rows, row)
	}
	return t
}
