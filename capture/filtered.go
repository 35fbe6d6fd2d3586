package capture

import (
	"fmt"

	"golang.org/x/net/bpf"

	"vethscope/capture/filter"
	"vethscope/capture/internal/ring"
)

// program compiles the filter for the link that a ring is opened on; nil when
// there is no filter.
func (o Options) program() func(ring.Link) ([]bpf.RawInstruction, error) {
	if o.Filter == "" {
		return nil
	}
	return func(link ring.Link) ([]bpf.RawInstruction, error) {
		to := filter.Options{Snaplen: o.Snaplen, Netmask: link.Netmask}
		if !link.Framed {
			to.LinkType = filter.RawIP
		}
		p, err := filter.Compile(o.Filter, to)
		if err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
		return p.Raw(), nil
	}
}
