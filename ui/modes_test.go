package ui

import (
	"errors"
	"strings"
	"testing"

	"vethscope/ops/inventory"
)

func TestEveryModeGoesFromTheMenuToTheResult(t *testing.T) {
	for _, m := range []struct{ key, title, map_ string }{
		{"v", "create veth red", "├───┤"}, {"n", "create none alone", "no other link"}, {"h", "create host app", "lives right here"},
		{"c", "create container side", "one namespace"}, {"o", "create overlay ov", "╞═════╡"}, {"m", "create macvlan mac", "do not hear each other"},
		{"i", "create ipvlan ipv", "ipvlan l2"},
	} {
		t.Run(m.title, func(t *testing.T) {
			d := built(t, 80, 24)
			d.press("esc n " + m.key + " enter")
			d.sees("Nothing is done yet")
			d.press("enter y")
			d.called("run " + m.title)
			d.sees(m.map_, "done. z takes it back")
			d.press("t")
			d.sees("came out as they should", "✓")
			d.press("esc z y")
			d.called("undo ")
		})
	}
}

// TestHelpOfFieldsFits: what is said under a field is not cut on 80 columns.
func TestHelpOfFieldsFits(t *testing.T) {
	for _, keys := range []string{"n b", "n v", "n n", "n h", "n c", "n o", "n m", "n i", "n +", "P", "1 e n", "1 e l", "1 e t", "1 e s",
		"2 j j j e r", "2 j j j e i", "2 j j j e t", "2 j j j e m", "2 j e b", "2 j j j e v", "2 j j j e h", "2 j j j e f", "2 j j j e l", "3 e n", "4 e m", "4 e p"} {
		d := built(t, 80, 24)
		d.press("esc " + keys)
		d.sees("next field")
		for range 13 {
			for _, l := range strings.Split(d.look(), "\n")[6:] {
				if l = strings.TrimSpace(l); strings.HasSuffix(l, "…") && !strings.HasSuffix(l, ", …") {
					t.Errorf("%s: %q is cut", keys, l)
				}
			}
			d.press("tab")
		}
	}
}

// TestTheConfirmationNamesTheSecondLegs: all that an overlay makes, its second legs
// too.
func TestTheConfirmationNamesTheSecondLegs(t *testing.T) {
	d := built(t, 120, 45)
	d.press("esc n o shift+tab shift+tab shift+tab") // up to the gateway leg, from below
	d.sees("Gateway leg", "‹ no ›")
	d.press("right enter enter")
	d.sees("Create overlay ov?", "on each host the bridge gw-ov", "and eth1 172.18.", "v-ov-a1 and g-ov-a1")
}

func TestAProofThatGoesWrongIsSeen(t *testing.T) {
	d := built(t, 80, 24)
	d.b.wrong = 1
	d.press("t")
	d.called("prove 7")
	d.sees("✗ 1 of 7 did not come out as they should", "✗ web-1", "must fail")
	d.b.wrong = 0
	d.press("t")
	d.sees("All 7 came out as they should")
	d.b.fail = errors.New("prove: in web-1: no such namespace")
	d.press("t")
	d.sees("✗ could not be tried to the end", "no such namespace")
}

func TestContainersComeAndGo(t *testing.T) {
	d := built(t, 80, 24)
	d.press("n +")
	d.sees("Add containers", "‹ web ›")
	d.press("tab ctrl+u 2 enter")
	d.sees("18 steps to add web-3 to web-4", "Nothing is done yet", "ip netns add web-3")
	d.press("enter y")
	d.called("run add web-3 to web-4 to network web")
	d.sees("web-4")
	d.press("esc n -")
	d.sees("no container is in two")
	d.press("esc n v enter enter y")
	s := withNetwork(d.b.history[len(d.b.history)-1].Made)
	s.Namespaces = append(s.Namespaces, inventory.Namespace{Inode: 4026532400, Name: "red", Kind: inventory.KindNamed, NSID: -1,
		Links: []inventory.Link{{Index: 1, Name: "lo"}, {Index: 2, Name: "eth0"}}})
	d.send(SnapshotMsg{Snapshot: s})
	d.press("esc n x")
	d.sees("Connect a container", "‹ web ›", "red")
	d.press("enter enter y")
	d.called("run connect red to network web")
	d.press("esc n - enter")
	d.sees("Undo: connect red to network web?", "• link eth1 172.18.0.", "in red, and c-web-1 on the host")
}

func TestALabIsMadeTriedAndTakenBack(t *testing.T) {
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("n l /")
	d.typed("two bridge")
	d.press("enter enter")
	d.sees("make lab two-networks", "Nothing is done yet")
	d.press("enter")
	d.sees("Make lab two-networks?", "[ No ]")
	d.press("y")
	if len(d.b.history) < 2 {
		t.Fatalf("%d networks were made of a lab with two:\n%s", len(d.b.history), d.look())
	}
	d.sees("lab two-networks", "Two bridge networks", "try what it can")
	d.press("t")
	d.sees("proofs of lab two-networks", "came out as they should")
	d.press("esc d y")
	d.called("delete lab two-networks")
	d.sees("lab two-networks is deleted")
}

func TestSuggestionsFollowUntilOneWrites(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc n m tab tab right")
	d.sees("‹ up0 ›", "10.10.0.0/24")
	d.press("right")
	d.seesNot("10.10.0.0/24")
	d.press("tab ctrl+u")
	d.typed("10.9.0.0/24")
	d.press("shift+tab right")
	d.sees("‹ up0 ›", "10.9.0.0/24")
}

func TestSingleActions(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 2 j j j e")
	d.sees("Change link host:v-web-1", "switch the link off", "plug it into a bridge — it is a port of web already")
	d.press("t")
	d.sees("Set the MTU of v-web-1 in host", "1500")
	d.press("ctrl+u 9")
	d.sees("✗ 9 is not 68 to 65535")
	d.press("0 0 0 enter")
	d.sees("ip link set v-web-1 mtu 9000", "1 step")
	d.press("enter y")
	d.called("run set MTU of v-web-1")
	d.sees("Set MTU of v-web-1: done", "NAMESPACE")
	d.press("ctrl+p")
	d.typed("rename the")
	d.sees("e r", "rename the link")
	d.press("enter")
	d.sees("Rename link v-web-1 in host")
}

func TestADirectActionThatCannotBeIsTold(t *testing.T) {
	d := built(t, 120, 30)
	d.press("esc 2 j e w")
	d.sees("✗", "there is nothing to accept it from")
	if len(d.m.stack) != 0 {
		t.Error("a page opened")
	}
	d.press("1 G k k k e r") // pid:4312
	d.seesNot("Rename namespace pid")
}

// That the shell has the terminal is for tests/e2e to see: only Bubble Tea can
// give it.
func TestShellIsOfTheSelectedNamespace(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 1 G x")
	d.called("shell web-2")
}
