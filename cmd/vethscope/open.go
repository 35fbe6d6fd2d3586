package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"vethscope/capture"
	"vethscope/ui"
)

func newOpenCmd() *cobra.Command {
	var plain bool
	cmd := &cobra.Command{
		Use:   "open FILE",
		Short: "Look at a capture file in the terminal interface",
		Long: "Shows the packets of a pcap or pcapng file, also one that is compressed with gzip, as the\n" +
			"interface shows those of a capture: with filters, marks, headers and bytes, and with what was\n" +
			"rewritten if they were captured at several points. It needs no privilege and no sandbox.\n" +
			"`vethscope read` prints them instead.",
		Example: "  vethscope open nat.pcapng",
		Args:    exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !onTerminal() {
				return usageError{errors.New("open: the terminal interface needs a terminal: `vethscope read` prints the packets")}
			}
			file, err := capture.OpenFile(args[0])
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			world := ui.World{File: args[0], ReadOnly: "this is a file"}
			return interact(cmd.Context(), &backend{}, ui.Options{World: world, Plain: plain, File: file})
		},
	}
	cmd.Flags().BoolVar(&plain, "plain", false, "linear text, for screen readers")
	return cmd
}
