package main

import (
	"context"
	"errors"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/sandbox"
	"vethscope/ops/steps"
)

// mayChange refuses a change to the real machine that was not asked for, or that
// cannot be.
func (g *global) mayChange() error {
	switch {
	case sandbox.Inside():
		return nil
	case !g.host:
		return refusedError{errors.New("this would change the machine itself: run it inside `vethscope sandbox`, or say --host")}
	case !canChange():
		return refusedError{errors.New("changes to the machine need CAP_NET_ADMIN: run it as root, or without --host inside `vethscope sandbox`")}
	}
	return nil
}

// journal is that of the world that the process is in: a sandbox has a /run of
// its own.
func journal() *ops.Journal { return ops.NewJournal(ops.JournalDir, steps.Decode) }

// world reads what a plan has to fit into.
func world(ctx context.Context) (modes.World, error) {
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return modes.World{}, err
	}
	entries, err := journal().Entries()
	if err != nil {
		return modes.World{}, err
	}
	return modes.WorldOf(snap, entries), nil
}
