package netfilter

import (
	"context"
	"errors"
	"testing"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// libraryWatch tells what a library makes of conntrack's events of new flows,
// behind the flows that there are, until ctx ends.
func libraryWatch(ctx context.Context, t *testing.T, ns string, f func(FlowEvent)) {
	conn, release, err := dial(ctx, netns.Path(ns))
	if err != nil {
		t.Error(err)
		return
	}
	defer release()
	if err := conn.JoinGroup(unix.NFNLGRP_CONNTRACK_NEW); err != nil {
		t.Error(err)
		return
	}
	flows, err := Flows(ctx, netns.Path(ns))
	if err != nil {
		t.Error(err)
		return
	}
	for _, flow := range flows {
		f(FlowEvent{Kind: FlowPresent, Flow: flow})
	}
	f(FlowEvent{Kind: FlowSynced})
	for {
		messages, err := conn.Receive()
		if err != nil {
			if ctx.Err() == nil || errors.Is(err, unix.ENOBUFS) {
				t.Error(err)
			}
			return
		}
		for _, m := range messages {
			var e conntrack.Event
			if err := e.Unmarshal(m); err != nil {
				t.Error(err)
			} else if e.Flow != nil {
				f(FlowEvent{Kind: FlowNew, Flow: newFlow(e.Flow)})
			}
		}
	}
}
