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

// mayChange refuses a change to the real machine that was not asked for.
func (g *global) mayChange() error {
	if g.host || sandbox.Inside() {
		return nil
	}
	return refusedError{errors.New("this would change the machine itself: run it inside `vethscope sandbox`, or say --host")}
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
