package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// mostKept bounds --keep: so many packets take some 700 MB.
const mostKept = 1_000_000

// keepFlags say how much is kept of what is captured; 0 is the default.
type keepFlags struct {
	snaplen, packets int
}

func (f *keepFlags) add(cmd *cobra.Command, snaplen string) {
	cmd.Flags().IntVar(&f.snaplen, "snaplen", 0, "keep so many bytes of each packet; "+snaplen)
	cmd.Flags().IntVar(&f.packets, "keep", 0, "keep so many packets, the last, 100000 or more by default, as far as the memory for them lasts")
}

func (f *keepFlags) check() error {
	if f.snaplen < 0 || f.snaplen > wholePackets {
		return fmt.Errorf("--snaplen %d: must be from 1 to %d", f.snaplen, wholePackets)
	}
	if f.packets < 0 || f.packets > mostKept {
		return fmt.Errorf("--keep %d: must be from 1 to %d", f.packets, mostKept)
	}
	return nil
}
