package main

import (
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"vethscope/capture/filter"
)

// filterFlags choose which packets are captured.
type filterFlags struct {
	expr string
	dump int // how often -d was given
}

func (f *filterFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.expr, "filter", "f", "", "capture only packets that match, in the syntax of pcap-filter(7), such as 'tcp port 80';\n"+
		"also 'vxlan [port N] [vni N]'")
	cmd.Flags().CountVarP(&f.dump, "dump", "d", "do not capture: print the compiled filter as tcpdump -d does, -ddd as numbers")
}

// program compiles the filter for a link with Ethernet headers and no address,
// as `tcpdump -d` does. Each link's own program is made when it is opened.
func (f *filterFlags) program() (*filter.Program, error) {
	p, err := filter.Compile(f.expr, filter.Options{Netmask: net.IPMask{0, 0, 0, 0}})
	if err != nil {
		return nil, usageError{fmt.Errorf("capture: -f: %w", err)}
	}
	return p, nil
}

// print shows the program instead of a capture.
func (f *filterFlags) print(w io.Writer) error {
	p, err := f.program()
	if err != nil {
		return err
	}
	text := p.Dump()
	switch f.dump {
	case 1:
	case 3:
		text = p.DumpDDD()
	default:
		return usageError{fmt.Errorf("capture: -d: give it once for text, or three times for numbers")}
	}
	_, err = io.WriteString(w, text)
	return err
}
