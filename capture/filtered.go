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

// Subject is the packet as a display filter sees it. The Matcher knows whether
// it was rewritten, and the number of its flow, 0 when it has none. vxlanPorts
// are those besides 4789 and 8472.
func (r *Record) Subject(rewritten bool, flow int, vxlanPorts ...uint16) filter.Subject {
	s := filter.Subject{
		Data: r.Data, Length: r.Length, Outgoing: r.Outgoing, VXLANPorts: vxlanPorts,
		NS: r.Point.NS, Link: r.Point.Link, Rewritten: rewritten, Flow: flow,
	}
	if r.unframed {
		s.LinkType = filter.RawIP
		return s
	}
	// What stands before the IP header in files of other links is not looked at.
	skip := map[linkHeader]int{linkLoopback: 4, linkSLL: 16, linkSLL2: 20, linkOther: len(r.Data)}[r.link]
	if r.link != linkEthernet {
		s.LinkType, s.Data = filter.RawIP, r.Data[min(skip, len(r.Data)):]
	}
	return s
}
