package steps

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestHalves: steps of several changes, cut off between any two of them, both on
// their way there and on their way back.
func TestHalves(t *testing.T) {
	for name, half := range map[string]struct {
		step   ops.Step
		script string // what was done of it
	}{
		"netns delete: the links are gone": {&NetnsDelete{Name: "c1"}, "ip -n c1 link delete v2"},
		"netns delete: back to the name":   {&NetnsDelete{Name: "c1"}, "ip netns delete c1; while ip link show v1 >/dev/null 2>&1; do sleep 0.01; done; ip netns add c1"},
		"netns delete: a stub is left":     {&NetnsDelete{Name: "c1"}, "ip netns delete c1; while ip link show v1 >/dev/null 2>&1; do sleep 0.01; done; touch /run/netns/c1"},
		"netns delete: back to bare links": {&NetnsDelete{Name: "c1"}, "ip -n c1 link delete v2; ip link add v1 index 1001 address $MAC mtu 1390 type veth peer name v2 index 1002 address 02:42:0a:00:00:02 mtu 1390 netns c1"},
		"netns rename: only the new file":  {&NetnsRename{Name: "c1", To: "c9"}, "touch /run/netns/c9"},
		"netns rename: both names":         {&NetnsRename{Name: "c1", To: "c9"}, "touch /run/netns/c9; mount --bind /run/netns/c1 /run/netns/c9"},
		"netns rename: the old file stays": {&NetnsRename{Name: "c1", To: "c9"}, "touch /run/netns/c9; mount --bind /run/netns/c1 /run/netns/c9; umount /run/netns/c1"},
		"link delete: back to a bare link": {&LinkDelete{Link: "br0"}, "ip link delete br0; ip link add br0 index $INDEX address 02:42:0a:00:00:01 mtu 1390 type bridge ageing_time 1000"},
		"link move: back, but bare":        {&LinkMove{NS: "c1", Link: "v2", To: "c2"}, "ip -n c1 link set v2 netns c2; ip -n c2 link set v2 netns c1"},
		"link down: up, but bare":          {&LinkDown{NS: "c1", Link: "v2"}, "ip -n c1 link set v2 down; ip -n c1 link set v2 up"},
	} {
		t.Run(name, func(t *testing.T) {
			dress(t)
			before := wholeState(t)
			s := half.step
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			sandboxtest.Run(t, "", "sh", "-ec", "INDEX=$(ip -o link show br0 | cut -d: -f1); MAC=$(ip -o link show v1 | sed 's/.*ether //; s/ .*//'); "+half.script)
			if err := reread(t, s).Undo(t.Context()); err != nil {
				t.Fatal(err)
			}
			settle(t)
			if diff := cmp.Diff(before, wholeState(t)); diff != "" {
				t.Errorf("not as before (-before +after):\n%s", diff)
			}
		})
	}
}
