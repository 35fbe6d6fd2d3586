package steps

import (
	"net/netip"
	osexec "os/exec"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestBlockRefusals: what could not be taken back, or is not there, is refused in
// one line that says what and why, and nothing is changed.
func TestBlockRefusals(t *testing.T) {
	dress(t)
	sh(t, `ip -n c2 link add mv0 type bridge
		ip -n c2 link add link mv0 name mv1 type macvlan mode bridge
		ip netns exec c2 nft add table inet foreign
		ip -n c2 tuntap add dev tap0 mode tap
		ip -n c2 link add q0 type veth peer name q1
		ip netns exec c2 tc qdisc add dev q0 root handle 7: pfifo
		ip -n c2 link add shared type veth peer name elsewhere netns c1`)
	addr := netip.MustParsePrefix
	for _, c := range []struct {
		step  ops.Step
		words []string
	}{
		{&LinkDelete{Link: "nothing"}, []string{"nothing", "the host"}},
		{&LinkDelete{Link: "lo"}, []string{"lo", "part of the namespace"}},
		{&LinkDelete{NS: "c2", Link: "tap0"}, []string{"tap0", "kind tun", "could not be restored"}},
		{&LinkDelete{NS: "c2", Link: "mv0"}, []string{"mv0", "carries mv1 in c2"}},
		{&LinkDelete{NS: "c2", Link: "q0"}, []string{"q0", "queueing discipline pfifo"}},
		{&LinkDelete{NS: "c2", Link: "q1"}, []string{"q0", "queueing discipline pfifo"}},
		{&LinkMove{Link: "br0", To: "c1"}, []string{"br0", "belongs to its namespace"}},
		{&LinkMove{NS: "c1", Link: "elsewhere", To: "gone"}, []string{"gone"}},
		{&LinkRename{Link: "v1", To: "br0"}, []string{"br0", "already"}},
		{&LinkRelease{Link: "br0"}, []string{"br0", "no port"}},
		{&LinkMAC{NS: "c2", Link: "nothing", MAC: mac}, []string{"nothing", "c2"}},
		{&AddrDelete{Link: "br0", Addr: addr("9.9.9.9/32")}, []string{"br0", "9.9.9.9/32"}},
		{&RouteDelete{Dst: addr("9.9.9.0/24")}, []string{"no such route", "9.9.9.0/24"}},
		{&RouteAdd{NS: "c1", Dst: addr("0.0.0.0/0"), Via: netip.MustParseAddr("10.0.0.1")}, []string{"already has a route", "metric"}},
		{&RouteAdd{NS: "c1", Dst: addr("1.0.0.0/8"), Link: "nothing"}, []string{"nothing", "c1"}},
		{&NetnsDelete{Name: "nothing"}, []string{"no namespace nothing"}},
		{&NetnsDelete{Name: "c2"}, []string{"c2", "nft table foreign"}},
		{&NetnsRename{Name: "c1", To: "c2"}, []string{"c2", "already exists"}},
		{&NetnsRename{Name: "c1", To: "a/b"}, []string{"a/b"}},
		{&ForwardAccept{Family: "ip", Table: "filter", Chain: "FORWARD", Link: "br0", Comment: MarkPrefix + "x"}, []string{"no chain FORWARD"}},
	} {
		before := wholeState(t)
		refused(t, c.step, c.step.Check(t.Context()), c.words...)
		if diff := cmp.Diff(before, wholeState(t)); diff != "" {
			t.Errorf("%s changed something (-before +after):\n%s", c.step.Kind(), diff)
		}
	}
}

// TestNetnsDeleteRefusesTheInhabited: with a process in it a namespace would live
// on without a name.
func TestNetnsDeleteRefusesTheInhabited(t *testing.T) {
	ns := sandboxtest.NS(t, "c1")
	cmd := osexec.Command(sandboxtest.Tool(t, "sleep"), "60")
	if err := netns.Do(netns.Path(ns), cmd.Start); err != nil {
		t.Fatal(err)
	}
	s := &NetnsDelete{Name: ns}
	refused(t, s, s.Check(t.Context()), "c1", "1 processes", "sleep")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// TestUndoLeavesOthersAlone: what someone made meanwhile in the place of what a
// step deleted is not touched, and the undo says so.
func TestUndoLeavesOthersAlone(t *testing.T) {
	dress(t)
	s := &LinkDelete{Link: "v1"}
	for _, err := range []error{s.Check(t.Context()), s.Do(t.Context())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	sh(t, "ip link add v1 type bridge")
	refused(t, s, s.Undo(t.Context()), "v1", "another link of that name")
	sh(t, "ip -d link show v1 | grep -q bridge; ip link delete v1")
	if err := s.Undo(t.Context()); err != nil {
		t.Errorf("undo once the name is free: %v", err)
	}
	settle(t)
}

// TestNetnsAddIsFoundAfterItsDeletionWasUndone: the namespace that the undo of a
// deletion makes is the plan's own.
func TestNetnsAddIsFoundAfterItsDeletionWasUndone(t *testing.T) {
	add, del := &NetnsAdd{Name: "c7"}, &NetnsDelete{Name: "c7"}
	for _, f := range []func() error{
		func() error { return add.Check(t.Context()) }, func() error { return add.Do(t.Context()) },
		func() error { return del.Check(t.Context()) }, func() error { return del.Do(t.Context()) },
		func() error { return del.Undo(t.Context()) }, func() error { return add.Undo(t.Context()) },
	} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := netns.Inode(netns.Path("c7")); err == nil {
		t.Error("the namespace is still there")
	}
	// One without the mark, that only has the name, is not.
	again := &NetnsAdd{Name: "c7", Inode: add.Inode + 1}
	sandboxtest.NS(t, "c7")
	if err := again.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := netns.Inode(netns.Path("c7")); err != nil {
		t.Errorf("a foreign namespace was deleted: %v", err)
	}
}

// TestForwardAccept: the rule stands at the top of another's chain, and exactly it
// is taken back.
func TestForwardAccept(t *testing.T) {
	sh(t, `nft add table ip filter; nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
		nft 'add rule ip filter FORWARD iifname "br0" counter accept comment "vethscope:other"'
		nft 'add rule ip filter FORWARD iifname "br0" counter accept'`)
	t.Cleanup(func() { sh(t, "nft delete table ip filter") })
	rules := func() string { return sandboxtest.Run(t, "", "nft", "list", "ruleset") }
	before := rules()
	for _, out := range []bool{false, true} {
		s := &ForwardAccept{Family: "ip", Table: "filter", Chain: "FORWARD", Link: "br0", Out: out, Comment: MarkPrefix + "br0"}
		if err := s.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		journalled := reread(t, s)
		if err := journalled.Undo(t.Context()); err != nil || rules() != before {
			t.Errorf("undone before it was done: %v\n%s", err, rules())
		}
		if err := s.Do(t.Context()); err != nil {
			t.Fatal(err)
		}
		ours := rules()
		refused(t, s, s.Check(t.Context()), "FORWARD", "accepts br0 already")
		for range 2 {
			if err := journalled.Undo(t.Context()); err != nil || rules() != before {
				t.Errorf("undone: %v\n%s", err, rules())
			}
		}
		sh(t, s.Shell())
		if rules() != ours || ours == before {
			t.Errorf("the shell line makes\n%sand we\n%s", rules(), ours)
		}
		if err := journalled.Undo(t.Context()); err != nil || rules() != before {
			t.Errorf("the shell's rule, undone: %v\n%s", err, rules())
		}
	}
}
