package main

import (
	"github.com/spf13/cobra"

	"vethscope/ops/modes"
)

func newNetnsCmd(g *global) *cobra.Command {
	return newNoun(g, "netns", "Add, delete or rename a namespace", false,
		verb{"add NAME", "Make an empty namespace", "  vethscope netns add c1",
			func(_ string, w given) (modes.Settings, error) { return modes.NetnsAdd{Name: w["NAME"]}, nil }},
		verb{"delete NAME", "Delete a namespace with its links; undo restores it", "  vethscope netns delete c1",
			func(_ string, w given) (modes.Settings, error) { return modes.NetnsDelete{Name: w["NAME"]}, nil }},
		verb{"rename NAME NEWNAME", "Give a namespace another name", "  vethscope netns rename c1 web",
			func(_ string, w given) (modes.Settings, error) {
				return modes.NetnsRename{Name: w["NAME"], To: w["NEWNAME"]}, nil
			}},
	)
}
