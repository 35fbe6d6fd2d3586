package steps

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops/sandbox/sandboxtest"
)

// lan is a parent for macvlans and ipvlans, with the other end of its wire.
func lan(t *testing.T) {
	t.Helper()
	do(t, &VethAdd{Name: "p0", PeerNS: sandboxtest.NS(t, "lan"), PeerName: "eth0", Mark: MarkPrefix + "t"})
}

func macvlan(ns, name, mode string) *MacvlanAdd {
	return &MacvlanAdd{Parent: "p0", NS: ns, Name: name, Mode: mode, Mark: MarkPrefix + "t"}
}

func TestMacvlan(t *testing.T) {
	lan(t)
	ns := sandboxtest.NS(t, "m1")
	for mode := range macvlanModes {
		s := macvlan(ns, "eth0", mode)
		if mode != "passthru" {
			s.MAC = mac
		}
		takenBack(t, s, func() {
			out := sandboxtest.Run(t, ns, "ip", "-d", "link", "show", "eth0")
			for _, want := range []string{"macvlan mode " + mode, s.MAC, "alias vethscope:t"} {
				if !strings.Contains(out, want) {
					t.Errorf("%s: no %q in\n%s", mode, want, out)
				}
			}
		}, "", ns, "lan")
		shellDoes(t, s, ns, "ip -d link show eth0")
	}
	takenBack(t, macvlan("", "shim0", "bridge"), nil, "")
	shellDoes(t, &MacvlanAdd{Parent: "p0", Name: "shim0", Mode: "bridge", MAC: mac, Mark: "m"}, "", "ip -d link show shim0")
}

// refused checks that each step is refused with all the words, and changes
// nothing.
func refused(t *testing.T, s interface{ Kind() string }, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s %+v was not refused", s.Kind(), s)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %q does not say %q", s.Kind(), err, w)
		}
	}
}

func TestMacvlanRefusals(t *testing.T) {
	lan(t)
	a, b := sandboxtest.NS(t, "m1"), sandboxtest.NS(t, "m2")
	do(t, macvlan(a, "eth0", "bridge"))
	for s, words := range map[*MacvlanAdd][]string{
		macvlan(b, "eth0", "passthru"):                      {"p0", "eth0 in m1", "passthru"},
		macvlan(b, "eth0", "open"):                          {"open", "vepa"},
		macvlan(a, "eth0", "bridge"):                        {"eth0", "m1"},
		{Parent: "p1", NS: b, Name: "eth0", Mode: "bridge"}: {"no link p1", "the host"},
	} {
		refused(t, s, s.Check(t.Context()), words...)
	}
	iv := &IpvlanAdd{Parent: "p0", NS: b, Name: "eth0", Mode: "l2"}
	refused(t, iv, iv.Check(t.Context()), "p0", "macvlan eth0 in m1")
}

func TestMacvlanParentInABridge(t *testing.T) {
	lan(t)
	do(t, &BridgeAdd{Name: "br0", MAC: mac, Mark: MarkPrefix + "t"}, &LinkMaster{Link: "p0", Master: "br0"})
	s := macvlan(sandboxtest.NS(t, "m1"), "eth0", "bridge")
	refused(t, s, s.Check(t.Context()), "p0", "bridge")
}

// hasIpvlan tells whether the kernel has ipvlan. Where it must have it, the lack
// is a failure; where it has not, the error that says so is checked.
func hasIpvlan(t *testing.T, s *IpvlanAdd) bool {
	t.Helper()
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := s.Do(t.Context())
	if err == nil {
		if err := s.Undo(t.Context()); err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getenv("VETHSCOPE_TEST_IPVLAN") == "require" {
		t.Fatalf("this kernel must have ipvlan: %v", err)
	}
	if want := "kernel lacks CONFIG_IPVLAN (type ipvlan not supported)"; err.Error() != want || !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("error %q, want %q, which is EOPNOTSUPP", err, want)
	}
	if err := s.Undo(t.Context()); err != nil {
		t.Error(err)
	}
	return false
}

func TestIpvlan(t *testing.T) {
	lan(t)
	a, b := sandboxtest.NS(t, "m1"), sandboxtest.NS(t, "m2")
	for mode := range ipvlanModes {
		s := &IpvlanAdd{Parent: "p0", NS: a, Name: "eth0", Mode: mode, Mark: MarkPrefix + "t"}
		if !hasIpvlan(t, s) {
			return
		}
		takenBack(t, s, func() {
			if out := sandboxtest.Run(t, a, "ip", "-d", "link", "show", "eth0"); !strings.Contains(out, "ipvlan  mode "+mode) {
				t.Errorf("%s: ip says\n%s", mode, out)
			}
			for other := range ipvlanModes {
				second := &IpvlanAdd{Parent: "p0", NS: b, Name: "eth0", Mode: other, Mark: MarkPrefix + "t"}
				if err := second.Check(t.Context()); other == mode && err != nil {
					t.Errorf("a second one of mode %s: %v", mode, err)
				} else if other != mode {
					refused(t, second, err, "p0", "eth0 in m1", "mode")
				}
			}
			mv := macvlan(b, "eth0", "bridge")
			refused(t, mv, mv.Check(t.Context()), "p0", "ipvlan eth0 in m1")
		}, "", a, "lan")
		shellDoes(t, s, a, "ip -d link show eth0")
	}
}
