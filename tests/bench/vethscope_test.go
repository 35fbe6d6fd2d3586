package bench

import (
	"fmt"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/steps"
)

// vethscope is all that `create` and `delete` do, but for starting a process:
// reading the machine, planning, and running the plan with its journal.
type vethscope struct{ *ops.Executor }

func newVethscope(testing.TB) peer {
	return vethscope{&ops.Executor{Journal: ops.NewJournal(ops.JournalDir, steps.Decode)}}
}

func (v vethscope) setUp(t testing.TB, n int) {
	snap, err := inventory.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// The others have no name server either.
	bridge := modes.Bridge{Name: network, Containers: n, Subnet: subnet, NoDNS: true}
	for i := 1; i <= n; i++ {
		bridge.Publish = append(bridge.Publish, fmt.Sprintf("%d:80@%d", port(i), i))
	}
	p, err := bridge.Plan(modes.WorldOf(snap, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

func (v vethscope) tearDown(t testing.TB, _ int) {
	if _, err := v.Delete(t.Context(), network); err != nil {
		t.Fatal(err)
	}
}
