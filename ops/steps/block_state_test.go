package steps

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/sandbox/sandboxtest"
)

// what changes by itself, or cannot be had again: timers, and the number of a
// namespace in another.
var fleeting = regexp.MustCompile(`"(hello_timer|tcn_timer|topology_change_timer|gc_timer|hold_timer|message_age_timer|forward_delay_timer|link_netnsid|topology_change|topology_change_detected)":[^,}]*,?`)

// views show all that a step may change. Where the kernel's order says nothing,
// or cannot be had again, the lines are sorted.
var views = []string{
	"ip -j -d link", "ip -j addr", "ip -4 route show table all", "ip -6 route show table all | sort",
	"ip neigh show nud permanent | sort", "ip neigh show proxy", "bridge fdb | grep -E 'static|permanent' | sort || true",
	"bridge -d link", "nft list ruleset", "cd /proc/sys/net && grep -rs . ipv4 ipv6 bridge | grep -v stable_secret | sort",
}

// wholeState is what the views show of all namespaces.
func wholeState(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{"names": sandboxtest.Run(t, "", "sh", "-c", "ls /run/netns")}
	for _, ns := range []string{"", "c1", "c2"} {
		for _, v := range views {
			out[ns+": "+v] = fleeting.ReplaceAllString(sandboxtest.Run(t, ns, "sh", "-c", v), "")
		}
	}
	return out
}

// takenBackSettled is takenBack for steps that take links down.
func takenBackSettled(t *testing.T, s ops.Step) {
	t.Helper()
	before := wholeState(t)
	same := func(when string) {
		t.Helper()
		settle(t)
		if diff := cmp.Diff(before, wholeState(t)); diff != "" {
			t.Fatalf("%s: not as before (-before +after):\n%s", when, diff)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Check(t.Context()))
	journalled := reread(t, s) // as a crash before Do, or in it, finds it
	must(journalled.Undo(t.Context()))
	same("undone before it was done")
	must(s.Do(t.Context()))
	must(journalled.Undo(t.Context()))
	same("undone with what was known before")
	again := reread(t, s)
	must(again.Check(t.Context()))
	must(again.Do(t.Context()))
	for range 2 {
		must(reread(t, again).Undo(t.Context()))
		same("undone")
	}
}
