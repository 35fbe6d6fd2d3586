package inventory

import (
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestWatchOwnChange: the kernel does not echo a change to the port that it came
// from, and a process's first socket in any namespace has the process's id as
// its port. What this very process changes must be seen all the same.
func TestWatchOwnChange(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	f := watch(t, NewWatcher())
	f.quiet()
	err := netns.Do(netns.Path(blue), func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: "own"})
		chain := c.AddChain(&nftables.Chain{Table: table, Name: "own"})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{&expr.Counter{}}})
		return c.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	f.until(t, "our own rule", func(s *Snapshot) bool { return len(s.Namespace(blue).Rules) == 1 })
	// The same transaction again, rule alone: only the rule's event tells of it.
	err = netns.Do(netns.Path(blue), func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := &nftables.Table{Family: nftables.TableFamilyIPv4, Name: "own"}
		c.AddRule(&nftables.Rule{Table: table, Chain: &nftables.Chain{Table: table, Name: "own"}, Exprs: []expr.Any{&expr.Counter{}}})
		return c.Flush()
	})
	if err != nil {
		t.Fatal(err)
	}
	f.until(t, "our second rule", func(s *Snapshot) bool { return len(s.Namespace(blue).Rules) == 2 })
}
