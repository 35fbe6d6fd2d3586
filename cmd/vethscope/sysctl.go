package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newSysctlCmd(g *global) *cobra.Command {
	return newNoun(g, "sysctl", "Set a kernel parameter of a namespace", true,
		verb{"set KEY=VALUE", "Set a parameter of the network", "  vethscope sysctl set net.ipv4.ip_forward=1",
			func(ns string, w given) (modes.Settings, error) {
				key, value, ok := strings.Cut(w["KEY=VALUE"], "=")
				if !ok {
					return nil, fmt.Errorf("%q must be KEY=VALUE, such as net.ipv4.ip_forward=1", w["KEY=VALUE"])
				}
				return modes.Sysctl{NS: ns, Key: strings.TrimSpace(key), Value: strings.TrimSpace(value)}, nil
			}},
	)
}
