package netfilter

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// ctGet is IPCTNL_MSG_CT_GET (linux/netfilter/nfnetlink_conntrack.h).
const ctGet = 1

// Flows dumps conntrack's table of the network namespace that nsPath opens, of
// all families and zones. It keeps no socket. Without CAP_NET_ADMIN over the
// namespace it fails with fs.ErrPermission, without conntrack in the kernel with
// ErrUnsupported. It may be called concurrently.
func Flows(ctx context.Context, nsPath string) ([]Flow, error) {
	replies, err := dumpFlows(ctx, nsPath)
	if err != nil {
		return nil, fmt.Errorf("read flows: %w", err)
	}
	flows := make([]Flow, 0, len(replies))
	for _, m := range replies {
		var e conntrack.Event
		if err := e.Unmarshal(m); err != nil {
			return nil, fmt.Errorf("read flows: %w", err)
		}
		if e.Flow != nil {
			flows = append(flows, newFlow(e.Flow))
		}
	}
	return flows, nil
}

// natFlows is Flows of those that are rewritten, for a large table.
func natFlows(ctx context.Context, nsPath string) ([]Flow, error) {
	replies, err := dumpFlows(ctx, nsPath)
	if err != nil {
		return nil, fmt.Errorf("read flows: %w", err)
	}
	var flows []Flow
	for _, m := range replies {
		if len(m.Data) < nfgenmsg {
			continue
		}
		if f, ok := natFlow(m.Data[nfgenmsg:]); ok {
			flows = append(flows, f)
		}
	}
	return flows, nil
}

// dumpFlows are conntrack's own messages.
func dumpFlows(ctx context.Context, nsPath string) ([]netlink.Message, error) {
	conn, release, err := dial(ctx, nsPath)
	if err != nil {
		return nil, err
	}
	defer release()
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_CTNETLINK<<8 | ctGet),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: []byte{unix.AF_UNSPEC, 0, 0, 0}, // struct nfgenmsg
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if errors.Is(err, unix.EINVAL) { // how nfnetlink says that it has no such subsystem
		err = fmt.Errorf("%w: %w", unix.EOPNOTSUPP, err)
	}
	return replies, translate(err)
}

func newFlow(f *conntrack.Flow) Flow {
	return Flow{
		ID: f.ID, Zone: max(f.Zone, f.TupleOrig.Zone), Protocol: protocolName(f.TupleOrig.Proto.Protocol),
		Original: newTuple(f.TupleOrig), Reply: newTuple(f.TupleReply), ICMPType: f.TupleOrig.Proto.ICMPType,
		SNAT: f.Status.SrcNAT(), DNAT: f.Status.DstNAT(), Mark: f.Mark,
		SeenReply: f.Status.SeenReply(), Assured: f.Status.Assured(), Related: f.Status.Expected(),
		Sent:     Counter{Packets: f.CountersOrig.Packets, Bytes: f.CountersOrig.Bytes},
		Received: Counter{Packets: f.CountersReply.Packets, Bytes: f.CountersReply.Bytes},
	}
}

func newTuple(t conntrack.Tuple) Tuple {
	src, dst := t.Proto.SourcePort, t.Proto.DestinationPort
	if t.Proto.ICMPv4 || t.Proto.ICMPv6 {
		src, dst = t.Proto.ICMPID, t.Proto.ICMPID
	}
	return Tuple{
		Src: netip.AddrPortFrom(t.IP.SourceAddress, src),
		Dst: netip.AddrPortFrom(t.IP.DestinationAddress, dst),
	}
}
