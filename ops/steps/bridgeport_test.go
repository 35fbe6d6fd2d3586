package steps

import (
	"net/netip"
	"testing"

	"vethscope/ops"
	"vethscope/ops/sandbox/sandboxtest"
)

// port gives the sandbox a bridge br7 with the port p7.
func port(t *testing.T) {
	t.Helper()
	sh(t, "ip link add br7 type bridge; ip link add p7 type veth peer name q7; ip link set p7 master br7")
	t.Cleanup(func() { sandboxtest.Run(t, "", "sh", "-ec", "ip link delete p7; ip link delete br7") })
}

func TestPortHairpin(t *testing.T) {
	port(t)
	mode := "bridge -d link show dev p7"
	s := &PortHairpin{Link: "p7"}
	shellDoes(t, s, "", mode)
	before := sandboxtest.Run(t, "", "sh", "-c", mode)
	same := func(when string) {
		t.Helper()
		if now := sandboxtest.Run(t, "", "sh", "-c", mode); now != before {
			t.Errorf("%s:\n%swant\n%s", when, now, before)
		}
	}
	do(t, s)
	for range 2 {
		if err := reread(t, s).Undo(t.Context()); err != nil {
			t.Error(err)
		}
		same("undone")
	}
	sh(t, "bridge link set dev p7 hairpin on")
	before = sandboxtest.Run(t, "", "sh", "-c", mode)
	s = &PortHairpin{Link: "p7"}
	do(t, s)
	if err := s.Undo(t.Context()); err != nil {
		t.Error(err)
	}
	same("what was on before stays on")
	for link, words := range map[string]string{"nosuch7": "no link", "q7": "not the port of a bridge"} {
		s := &PortHairpin{Link: link}
		refused(t, s, s.Check(t.Context()), words)
	}
}

// TestForwardRules: nft sees the rules as the shell line would have made them,
// and they go without a trace.
func TestForwardRules(t *testing.T) {
	sh(t, `nft add table inet t7; nft add chain inet t7 post '{ type nat hook postrouting priority 100; }'
		nft add chain inet t7 ahead '{ type filter hook forward priority 0; }'`)
	t.Cleanup(func() { sandboxtest.Run(t, "", "nft", "delete table inet t7") })
	for _, s := range []ops.Step{
		&NftHairpin{Table: "t7", Chain: "post", Subnet: netip.MustParsePrefix("172.18.0.0/24"), Bridge: "br7", Comment: "four"},
		&NftHairpin{Table: "t7", Chain: "post", Subnet: netip.MustParsePrefix("fd18::/60"), Bridge: "br7", Comment: "six"},
		&NftIsolate{Table: "t7", Chain: "ahead", Bridge: "br7", Comment: "apart"},
	} {
		shellDoes(t, s, "", "nft list ruleset")
		sandboxtest.Run(t, "", "nft", "flush table inet t7")
		before := sandboxtest.Run(t, "", "nft", "list ruleset")
		do(t, s)
		if sandboxtest.Run(t, "", "nft", "list ruleset") == before {
			t.Errorf("%s: no rule", s.Kind())
		}
		if again := reread(t, s); again.Check(t.Context()) == nil {
			t.Errorf("%s: a second rule of that name was allowed", s.Kind())
		}
		for range 2 {
			if err := reread(t, s).Undo(t.Context()); err != nil {
				t.Error(err)
			}
			if now := sandboxtest.Run(t, "", "nft", "list ruleset"); now != before {
				t.Errorf("%s: not as before:\n%s", s.Kind(), now)
			}
		}
	}
}
