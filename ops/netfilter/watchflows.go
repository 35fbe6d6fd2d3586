package netfilter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"
)

// FlowEventKind is what a FlowEvent tells.
type FlowEventKind string

// The kinds of FlowEvent. A watch starts with FlowReset, one FlowPresent for
// each flow that is there, and FlowSynced. The same comes again when the kernel
// dropped events: forget all flows at FlowReset. An event that was on its way
// during the dump comes after FlowSynced; it may tell of what is known, and a
// FlowDestroyed for a flow with another ID than the known one is to be ignored.
const (
	FlowReset     FlowEventKind = "reset"
	FlowPresent   FlowEventKind = "present"
	FlowSynced    FlowEventKind = "synced"
	FlowNew       FlowEventKind = "new"
	FlowUpdated   FlowEventKind = "updated"
	FlowDestroyed FlowEventKind = "destroyed"
	// FlowRules tells, in a NATWatch, that the rules of nf_tables were changed.
	FlowRules FlowEventKind = "rules"
)

// FlowEvent is a change to conntrack's table.
type FlowEvent struct {
	Kind FlowEventKind
	Flow Flow // not with FlowReset, FlowSynced and FlowRules
	// Time, of WatchNAT, is when the event was taken from the kernel, or before
	// the dump that the flow was found in began.
	Time time.Time
	// Lost counts, with FlowReset, how often the kernel has dropped events since
	// the watch began: 0 for the first one.
	Lost int
}

// The multicast groups of conntrack (NFNLGRP_CONNTRACK_*).
var conntrackGroups = []uint32{1, 2, 3} // new, update, destroy

// watchBuffer is the room in bytes for events that have not been read yet.
const watchBuffer = 8 << 20

// WatchFlows calls f with the changes to conntrack's table in the network
// namespace that nsPath opens, until ctx ends; then it returns nil. It
// subscribes before it dumps: of a flow that starts after FlowSynced every
// event is told, or a FlowReset says that events were lost. While it runs it
// holds one socket in the namespace, and the kernel makes events even where the
// sysctl nf_conntrack_events is 2 (auto). f is called by the goroutine that
// called WatchFlows, and has to be quick. Errors are those of Flows.
func WatchFlows(ctx context.Context, nsPath string, f func(FlowEvent)) error {
	for lost := 0; ; lost++ {
		err := watchOnce(ctx, nsPath, lost, f)
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("watch flows: %w", err)
		}
	}
}

// watchOnce watches until an error; ENOBUFS means that events were lost.
func watchOnce(ctx context.Context, nsPath string, lost int, f func(FlowEvent)) error {
	conn, release, err := dial(ctx, nsPath)
	if err != nil {
		return err
	}
	defer release()
	// What the kernel refuses to an unprivileged user stays at its default: a
	// full buffer is noticed and made good.
	_ = conn.SetReadBuffer(watchBuffer)
	for _, group := range conntrackGroups {
		if err := conn.JoinGroup(group); err != nil {
			return translate(err)
		}
	}
	flows, err := Flows(ctx, nsPath)
	if err != nil {
		return err
	}
	f(FlowEvent{Kind: FlowReset, Lost: lost})
	for _, flow := range flows {
		f(FlowEvent{Kind: FlowPresent, Flow: flow})
	}
	f(FlowEvent{Kind: FlowSynced})
	return receiveFlows(conn, f)
}

func receiveFlows(conn *netlink.Conn, f func(FlowEvent)) error {
	for {
		messages, err := conn.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil {
				return fmt.Errorf("decode event: %w", err)
			}
			if kind, ok := flowEventKind(&e); ok {
				f(FlowEvent{Kind: kind, Flow: newFlow(e.Flow)})
			}
		}
	}
}

func flowEventKind(e *conntrack.Event) (kind FlowEventKind, ok bool) {
	switch e.Type {
	case conntrack.EventNew:
		return FlowNew, e.Flow != nil
	case conntrack.EventUpdate:
		return FlowUpdated, e.Flow != nil
	case conntrack.EventDestroy:
		return FlowDestroyed, e.Flow != nil
	}
	return "", false
}
