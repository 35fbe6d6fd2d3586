package netfilter

import (
	"context"
	"errors"
	"testing"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestFindRule: the handle is the one that Read tells, and only the right
// family, table, chain and comment find it.
func TestFindRule(t *testing.T) {
	ns := sandboxtest.NS(t, "find")
	load(t, ns, `table inet a {
	chain one { counter comment "first"; counter comment "second"; counter; counter comment "second"; }
	chain two { counter comment "third"; }
}
table ip a { chain one { counter comment "fourth"; }; }`)
	for _, r := range read(t, ns).Rules {
		if r.Comment == "" || r.Comment == "second" && r.Position != 2 {
			continue
		}
		got, err := FindRule(t.Context(), netns.Path(ns), r.Family, r.Table, r.Chain, r.Comment)
		if err != nil || got != r.Handle || got == 0 {
			t.Errorf("%s %s %s %q: handle %d, %v; want %d", r.Family, r.Table, r.Chain, r.Comment, got, err, r.Handle)
		}
	}
	for _, where := range [][4]string{
		{"inet", "a", "one", "third"}, {"inet", "a", "one", "fourth"}, {"ip", "a", "one", "first"},
		{"inet", "b", "one", "first"}, {"inet", "a", "three", "first"}, {"ip6", "a", "one", "first"},
	} {
		got, err := FindRule(t.Context(), netns.Path(ns), where[0], where[1], where[2], where[3])
		if err != nil || got != 0 {
			t.Errorf("%v: handle %d, %v; want none", where, got, err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := FindRule(ended, netns.Path(ns), "inet", "a", "one", "first"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}
