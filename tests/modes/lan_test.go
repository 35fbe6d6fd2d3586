package modes

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestC6Macvlan: its own MAC on the parent's LAN, reachable from other machines,
// not from the parent's host.
func TestC6Macvlan(t *testing.T) {
	for _, submode := range []string{"bridge", "private", "vepa", "passthru"} {
		t.Run(submode, func(t *testing.T) {
			p := create(t, modes.Macvlan{Name: "lan", Subnet: "192.168.50.0/24", Submode: submode})
			prove(t, p)
			l := links(t, "lan-1")["eth0"]
			if l.Details.Kind != "macvlan" || l.Details.Data["mode"] != submode || l.Alias != "vethscope:lan" {
				t.Errorf("lan-1's eth0 %+v", l)
			}
			parent := links(t, "")["p-lan"].MAC
			if (l.MAC == parent) != (submode == "passthru") {
				t.Errorf("MAC %s, the parent's is %s", l.MAC, parent)
			}
			if neigh := sandboxtest.Run(t, "lan-lan", "ip", "neigh"); !strings.Contains(neigh, p.Made.Containers[0].Addr+" dev eth0 lladdr "+l.MAC) {
				t.Errorf("the second machine does not know %s by %s:\n%s", p.Made.Containers[0].Addr, l.MAC, neigh)
			}
		})
	}
}

// TestC6Shim: the shim repairs what the host lacks.
func TestC6Shim(t *testing.T) {
	p := create(t, modes.Macvlan{Name: "lan", Subnet: "192.168.50.0/24", IPv6: "fd50::/64", Shim: true})
	repaired := 0
	for _, o := range prove(t, p) {
		if o.From == "host" && o.Want && o.Through {
			repaired++
		}
	}
	if repaired != 3 { // two pings and a request
		t.Errorf("the host got through %d times, want 3", repaired)
	}
}

// TestC6OnALinkThatIsThere: a second machine that we did not make, and whose
// address is not given away.
func TestC6OnALinkThatIsThere(t *testing.T) {
	before := links(t, "")["up0"]
	p := create(t, modes.Macvlan{Name: "lan", Parent: "up0", Subnet: "10.10.0.0/24"})
	prove(t, p)
	if p.Made.Containers[0].Addr != "10.10.0.3" {
		t.Errorf("the first container has %s, want the first free address, 10.10.0.3", p.Made.Containers[0].Addr)
	}
	// A second one beside the first, and what the kernel would refuse.
	prove(t, create(t, modes.Macvlan{Name: "lan2", Parent: "up0", Subnet: "10.10.0.0/24"}))
	for field, s := range map[string]modes.Settings{
		"parent": modes.Macvlan{Name: "lan3", Parent: "up0", Subnet: "10.10.0.0/24", Submode: "passthru"},
		"name":   modes.Macvlan{Name: "lan", Parent: "up0", Subnet: "10.10.0.0/24"},
	} {
		refused(t, s, field)
	}
	refused(t, modes.Ipvlan{Name: "iv", Parent: "up0", Subnets: []string{"10.10.0.0/24"}}, "parent")
	remove(t, "lan2")
	remove(t, "lan")
	if after := links(t, "")["up0"]; !slices.Equal(after.Flags, before.Flags) || after.MAC != before.MAC {
		t.Errorf("the parent was %+v and is %+v", before, after)
	}
}

// refused checks that a setting is at fault.
func refused(t *testing.T, s modes.Settings, field string) {
	t.Helper()
	entries, err := executor().Journal.Entries()
	if err != nil {
		t.Fatal(err)
	}
	var errs modes.Errors
	if _, err := s.Plan(modes.WorldOf(snapshot(t), entries)); !errors.As(err, &errs) || errs.Of(field) == "" {
		t.Errorf("%+v: %v, want %s to be refused", s, err, field)
	}
}

// ipvlan makes an ipvlan network. Where the kernel has none, the one-line error is
// checked, and that nothing stays, and the result is nil; with
// VETHSCOPE_TEST_IPVLAN=require that is a failure. These tests need no other
// program, so that they run in a bare virtual machine.
func ipvlan(t *testing.T, s modes.Ipvlan) *ops.Plan {
	t.Helper()
	before := snapshot(t)
	p := plan(t, s)
	err := executor().Run(t.Context(), p)
	if err == nil {
		t.Cleanup(func() { remove(t, p.Name) })
		return p
	}
	if os.Getenv("VETHSCOPE_TEST_IPVLAN") == "require" {
		t.Fatalf("this kernel must have ipvlan: %v", err)
	}
	want := "create ipvlan " + s.Name + ": kernel lacks CONFIG_IPVLAN (type ipvlan not supported)"
	if err.Error() != want || !errors.Is(err, unix.EOPNOTSUPP) {
		t.Fatalf("error %q, want %q, which is EOPNOTSUPP", err, want)
	}
	after := snapshot(t)
	if len(after.Namespaces) != len(before.Namespaces) || len(after.Host().Links) != len(before.Host().Links) {
		t.Errorf("half a network was left: %d namespaces, %d links", len(after.Namespaces), len(after.Host().Links))
	}
	return nil
}

func link(t *testing.T, snap *inventory.Snapshot, ns, name string) *inventory.Link {
	t.Helper()
	n := snap.Namespace(ns)
	if n == nil || n.Link(name) == nil {
		t.Fatalf("no link %s in %s", name, ns)
	}
	return n.Link(name)
}

// TestC7IpvlanL2: the parent's MAC, its own address, the same LAN.
func TestC7IpvlanL2(t *testing.T) {
	p := ipvlan(t, modes.Ipvlan{Name: "iv", Subnets: []string{"192.168.50.0/24"}, Submode: "l2"})
	if p == nil {
		return
	}
	prove(t, p)
	snap := snapshot(t)
	parent := link(t, snap, "host", "p-iv")
	for _, c := range p.Made.Containers {
		l := link(t, snap, c.Name, "eth0")
		if l.Kind != "ipvlan" || l.MAC != parent.MAC || l.Addrs[0].CIDR != c.Addr+"/24" || l.Detail == nil || l.Detail.Mode != "l2" {
			t.Errorf("%s: %+v; want an ipvlan with the parent's MAC %s", c.Name, l, parent.MAC)
		}
	}
	refused(t, modes.Ipvlan{Name: "iv2", Parent: "p-iv", Subnets: []string{"10.0.1.0/24"}, Submode: "l3"}, "submode")
	refused(t, modes.Macvlan{Name: "mv", Parent: "p-iv", Subnet: "192.168.50.0/24"}, "parent")
	// A second network of the same mode is no conflict, nor is a second mode on
	// another parent.
	second := plan(t, modes.Ipvlan{Name: "iv2", Parent: "p-iv", Subnets: []string{"192.168.50.0/24"}, Submode: "l2"})
	if err := executor().Run(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	remove(t, "iv2")
	prove(t, p)
}

// TestC8IpvlanL3: two subnets on one parent reach each other without ARP; the world
// outside reaches them only after the router has routes to them.
func TestC8IpvlanL3(t *testing.T) {
	for _, submode := range []string{"l3", "l3s"} {
		t.Run(submode, func(t *testing.T) {
			s := modes.Ipvlan{Name: "deep", Subnets: []string{"10.0.1.0/24", "10.0.2.0/24"}, Submode: submode}
			p := ipvlan(t, s)
			if p == nil {
				return
			}
			unreached := 0
			for _, o := range prove(t, p) {
				if o.From == "deep-lan" && !o.Through {
					unreached++
				}
			}
			if unreached != 2 {
				t.Errorf("%d of the subnets cannot be reached from outside, want both", unreached)
			}
			snap := snapshot(t)
			for i, want := range []string{"10.0.1.2/24", "10.0.2.2/24"} {
				l := link(t, snap, p.Made.Containers[i].Name, "eth0")
				if l.Addrs[0].CIDR != want || !slices.Contains(l.Flags, "NOARP") || l.Detail == nil || l.Detail.Mode != submode {
					t.Errorf("%s: %+v; want %s, NOARP", p.Made.Containers[i].Name, l, want)
				}
			}
			remove(t, "deep")
			s.Router = true
			prove(t, ipvlan(t, s))
		})
	}
}
