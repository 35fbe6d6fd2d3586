package e2e

import (
	"strings"
	"testing"
	"time"
)

// makes goes from the menu of what can be made to the result: key chooses, edit
// are the keys for the form, and map is what the result's map must show.
func (s *terminal) makes(key string, edit []string, result ...string) {
	s.t.Helper()
	s.keys("n")
	s.waitFor("Make what?", "overlay", "macvlan")
	s.keys(key)
	s.waitFor("Nothing is changed before you have seen them")
	s.keys(edit...)
	s.keys("enter")
	s.waitFor("Nothing is done yet")
	s.keys("enter")
	s.waitFor("[ No ]")
	time.Sleep(500 * time.Millisecond) // the dialog ignores keys at first
	s.keys("y")
	s.waitFor(append(result, "done. z takes it back")...)
}

// TestTUIOverlay builds a network across two hosts from the menu, proves it, and
// sees a ping inside the packets between the hosts.
func TestTUIOverlay(t *testing.T) {
	s := open(t, 80, 24)
	s.waitFor("sandbox", "outside", "10.10.0.2")
	s.makes("o", nil, "ov-a1", "ov-b1", "╞═════╡", "VXLAN 4097 in UDP port 4789, MTU 1450")
	s.keys("t")
	s.waitFor("came out as they should", "VXLAN carries the frames", "must fail")
	s.keys("esc")
	s.waitFor("╞═════╡")
	s.keys("i")
	s.waitFor("VXLAN VNI 4", "ov-a1:eth0", "ov-b:eth0", "answered in")
	s.keys("/", "i", "c", "m", "p", "enter") // not what the links say by themselves
	s.waitFor("8 of 8")
	s.keys("l") // the ladder of the ping
	s.waitFor("◆ in a tunnel", "+ into VXLAN 4097", "− out of VXLAN 4097", "Echo (ping) reply", "packet 2 of 2, following")
	s.keys("k", "e")
	s.waitFor("outer packet, 148 bytes at ov-a:eth0", "inner packet, 98 bytes", "vni 4097", "14 = 50 bytes", "1500 of ov-a:eth0 − 50 = 1450",
		"ov-a:vx-ov has MTU 1450: as it must be")
	s.keys("v", "tab", "G")
	s.waitFor("▸ bytes", "at 147 in Data")
	s.keys("esc", "esc", "esc")
	s.waitGone("in a tunnel")
	s.keys("esc") // the filter
	s.keys("z")
	s.waitFor("Undo: create overlay ov?")
	time.Sleep(500 * time.Millisecond)
	s.keys("y")
	s.waitFor("2 namespaces · 4 links")
	s.keys("q")
	if got := s.status(); got != 0 {
		t.Errorf("q: exit status %d", got)
	}
	s.tidy()
}

// TestTUIMacvlan shows what a macvlan cannot do, and the shim that repairs it.
func TestTUIMacvlan(t *testing.T) {
	s := open(t, 160, 45)
	s.waitFor("sandbox", "outside", "10.10.0.2")
	s.makes("m", nil, "mac-lan", "p-mac", "mac-2", "the host and its containers do not hear each other")
	s.keys("t")
	s.waitFor("All 6 came out as they should", "never up to the parent's own host", "must fail")
	// The second one stands on up0, whose LAN is that of the machine outside.
	s.makes("m", []string{"tab", "tab", "right", "tab", "tab", "tab", "tab", "right"}, "s-mac2", "outside  10.10.0.2", "the shim")
	s.keys("t")
	s.waitFor("came out as they should", "The host reaches its containers' servers through the shim")
	s.keys("ctrl+c")
	if got := s.status(); got != 0 && got != 130 {
		t.Errorf("ctrl+c: exit status %d", got)
	}
	s.tidy()
}

// TestTUISingleActions renames a link and takes it back, and opens a shell in a
// namespace, whose interrupts are its own.
func TestTUISingleActions(t *testing.T) {
	t.Setenv("SHELL", "/bin/sh")
	s := open(t, 100, 30)
	s.waitFor("outside", "10.10.0.2")
	s.keys("2")
	s.waitFor("up0")
	s.keys("j", "e")
	s.waitFor("Change link host:up0")
	s.keys("r")
	s.waitFor("Rename link up0 in host")
	s.keys("ctrl+u", "w", "a", "n", "0", "enter")
	s.waitFor("ip link set up0", "name wan0")
	s.keys("enter")
	s.waitFor("[ No ]")
	time.Sleep(500 * time.Millisecond)
	s.keys("y")
	s.waitFor("wan0", "z takes it back", "outside:eth0")
	s.keys("1", "j")
	s.waitFor("2 of 2")
	s.keys("x")
	s.waitFor("A shell in namespace outside")
	s.keys("echo $((6 * 7)) $(grep -o eth0 /proc/net/dev)", "enter")
	s.waitFor("42 eth0")
	s.keys("sleep 100", "enter")
	time.Sleep(300 * time.Millisecond)
	s.keys("ctrl+c")
	s.keys("echo alive $((1 + 1))", "enter")
	s.waitFor("alive 2")
	s.keys("exit", "enter")
	s.waitFor("2 Links", "outside", "2 namespaces")
	s.keys("q")
	if got := s.status(); got != 0 {
		t.Errorf("q: exit status %d", got)
	}
	s.tidy()
}

// TestTUILab makes one of the labs, two networks and a container in both, tries
// all that it shows, and takes it back.
func TestTUILab(t *testing.T) {
	s := open(t, 80, 24)
	s.waitFor("outside", "10.10.0.2")
	s.keys("n")
	s.waitFor("Make what?")
	s.keys("l")
	s.waitFor("two-networks", "What it makes")
	s.keys("/")
	s.keys(strings.Split("kept apart", "")...)
	s.waitFor("1 of 12")
	s.keys("enter", "enter")
	s.waitFor("make lab two-networks", "Nothing is done yet")
	s.keys("enter")
	s.waitFor("[ No ]")
	time.Sleep(500 * time.Millisecond)
	s.keys("y")
	s.waitFor("lab two-networks", "front-1", "proofs, all at once")
	s.keys("t")
	s.waitFor("came out as they should")
	s.keys("esc")
	s.waitFor("front-1")
	s.keys("d")
	s.waitFor("Delete lab two-networks")
	time.Sleep(500 * time.Millisecond)
	s.keys("y")
	s.waitFor("2 namespaces · 4 links · 0 rules")
	s.keys("q")
	if got := s.status(); got != 0 {
		t.Errorf("q: exit status %d", got)
	}
	s.tidy()
}
