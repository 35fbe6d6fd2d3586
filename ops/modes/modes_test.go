package modes

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/steps"
)

// lanWorld is testWorld with links for macvlans and ipvlans to stand on, the
// world outside, and networks of ours.
func lanWorld() World {
	const host, out, other = 1, 2, 3
	onParent := func(name, kind, parent, mode string) inventory.Link {
		return inventory.Link{Name: name, Kind: kind, Detail: &inventory.Detail{Mode: mode}, Peer: &inventory.Peer{Inode: host, Link: parent}}
	}
	return WorldOf(&inventory.Snapshot{Namespaces: []inventory.Namespace{
		{Name: "host", Inode: host, Kind: inventory.KindHost, Links: []inventory.Link{
			{Name: "lo", Kind: "loopback"},
			{Name: "up0", Flags: []string{"UP"}, Addrs: []inventory.Addr{{CIDR: "10.10.0.1/24", Scope: "global"}, {CIDR: "fd10:10::1/64", Scope: "global"}}},
			{Name: "port0", Master: "br0"}, {Name: "mv0", Flags: []string{"UP"}}, {Name: "iv0", Flags: []string{"UP"}}, {Name: "down0"},
		}},
		{Name: "outside", Inode: out, Links: []inventory.Link{{Name: "eth0", Kind: "veth", Peer: &inventory.Peer{Inode: host, Link: "up0"},
			Addrs: []inventory.Addr{{CIDR: "10.10.0.2/24", Scope: "global"}, {CIDR: "fd10:10::2/64", Scope: "global"}}}}},
		{Name: "other", Also: []string{"other2"}, Inode: other, Links: []inventory.Link{onParent("eth0", "macvlan", "mv0", "bridge"), onParent("eth1", "ipvlan", "iv0", "l3")}},
	}}, []ops.Entry{
		{Name: "red", Mode: "overlay", State: ops.StateDone, Made: ops.Made{Underlay: "172.19.0.0/24", VNI: 4097, VXLANPort: 4789, MTU: 1450,
			Hosts: []ops.SimHost{{Name: "red-a", Addr: "172.19.0.2"}, {Name: "red-b", Addr: "172.19.0.3"}}, Containers: []ops.Container{{Name: "red-a1", Addr: "10.0.9.2"}}}},
		{Name: "shop", Mode: "bridge", State: ops.StateDone, Made: ops.Made{Containers: []ops.Container{{Name: "other", Link: "eth0", Addr: "172.29.0.2"}}}},
	})
}

// TestBadSettings: each wrong setting of each mode is refused, under its own name,
// in words that help.
func TestBadSettings(t *testing.T) {
	ov := func(f func(*Overlay)) Overlay {
		o := Overlay{Name: "blue", Hosts: 2, Subnet: "10.0.1.0/24", VNI: 4097}
		f(&o)
		return o
	}
	mv := func(f func(*Macvlan)) Macvlan {
		m := Macvlan{Name: "lan", Subnet: "192.168.50.0/24"}
		f(&m)
		return m
	}
	iv := func(f func(*Ipvlan)) Ipvlan {
		v := Ipvlan{Name: "lan", Subnets: []string{"192.168.50.0/24"}, Submode: "l2"}
		f(&v)
		return v
	}
	for _, c := range []struct {
		settings Settings
		field    string
		words    string
	}{
		{None{}, "name", "missing"},
		{None{Name: "outside"}, "name", "namespace outside exists"},
		{None{Name: "other2"}, "name", "namespace other2 exists"},
		{None{Name: "red"}, "name", "in use"},
		{Host{Name: "a b"}, "name", "only letters"},
		{Container{Name: "x"}, "with", "missing"},
		{Container{Name: "x", With: "nowhere"}, "with", "nowhere"},
		{Container{Name: "x", With: "host"}, "with", "create host x"},
		{Veth{Name: "x"}, "subnet", "missing"},
		{Veth{Name: "twelve-bytes-x", Subnet: "10.1.0.0/24"}, "name", "15 are allowed"},
		{Veth{Name: "x", Subnet: "10.10.0.0/24"}, "subnet", "overlaps"},
		{Veth{Name: "x", Subnet: "10.1.0.0/32"}, "subnet", "too small"},
		{Veth{Name: "x", Subnet: "10.1.0.0/24", Between: []string{"a"}}, "between", "two different"},
		{Veth{Name: "x", Subnet: "10.1.0.0/24", Between: []string{"a", "a"}}, "between", "two different"},
		{Veth{Name: "x", Subnet: "10.1.0.0/24", Between: []string{"a", "b/c"}}, "between", "b/c"},
		{Veth{Name: "x", Subnet: "10.1.0.0/24", IPv6: "10.2.0.0/24"}, "ipv6", "not IPv6"},
		{ov(func(o *Overlay) { o.Hosts = 1 }), "hosts", "2 to 26"},
		{ov(func(o *Overlay) { o.Hosts = 27 }), "hosts", "2 to 26"},
		{ov(func(o *Overlay) { o.VNI = 0 }), "vni", "16777215"},
		{ov(func(o *Overlay) { o.VNI = 1 << 24 }), "vni", "16777215"},
		{ov(func(o *Overlay) { o.Port = 65536 }), "port", "65535"},
		{ov(func(o *Overlay) { o.Port = -1 }), "port", "65535"},
		{ov(func(o *Overlay) { o.Subnet = "10.0.1.1/24" }), "subnet", "host bits"},
		{ov(func(o *Overlay) { o.Subnet = "10.0.1.0/30" }), "subnet", "too small"},
		{ov(func(o *Overlay) { o.GwBridge = true; o.Subnet = "10.10.0.0/24" }), "subnet", "overlaps"},
		{ov(func(o *Overlay) { o.Underlay = "10.0.0.0/16" }), "underlay", "overlaps"},
		{ov(func(o *Overlay) { o.Underlay = "10.9.0.0/30" }), "underlay", "too small"},
		{ov(func(o *Overlay) { o.UnderlayMTU = 1000 }), "underlay_mtu", "1330"},
		{ov(func(o *Overlay) { o.Learning = "gossip" }), "learning", "multicast"},
		{ov(func(o *Overlay) { o.Containers = 100 }), "containers", "99"},
		{ov(func(o *Overlay) { o.Name = "elevenbytes" }), "name", "v-elevenbytes-a1"},
		{ov(func(o *Overlay) { o.Join = "nothing" }), "join", "nothing"},
		{ov(func(o *Overlay) { o.Join = "red" }), "vni", "red's"},
		{ov(func(o *Overlay) { o.Join = "red"; o.VNI = 1; o.GwBridge = true }), "gwbridge", "joins"},
		{mv(func(m *Macvlan) { m.Parent = "nolink" }), "parent", "nolink"},
		{mv(func(m *Macvlan) { m.Parent = "lo" }), "parent", "nowhere"},
		{mv(func(m *Macvlan) { m.Parent = "port0" }), "parent", "br0"},
		{mv(func(m *Macvlan) { m.Parent = "iv0" }), "parent", "ipvlan eth1 in other"},
		{mv(func(m *Macvlan) { m.Parent = "mv0"; m.Submode = "passthru" }), "parent", "one only"},
		{mv(func(m *Macvlan) { m.Submode = "l2" }), "submode", "vepa"},
		{mv(func(m *Macvlan) { m.Submode = "private"; m.Shim = true }), "shim", "bridge only"},
		{mv(func(m *Macvlan) { m.Submode = "passthru"; m.Containers = 2 }), "containers", "must be 1"},
		{mv(func(m *Macvlan) { m.Containers = -1 }), "containers", "1 to"},
		{mv(func(m *Macvlan) { m.Subnet = "192.168.50.0/29"; m.Containers = 5 }), "subnet", "too small"},
		{mv(func(m *Macvlan) { m.Subnet = "10.10.0.0/24" }), "subnet", "up0"},
		{mv(func(m *Macvlan) { m.Gateway = "10.1.1.1" }), "gateway", "not in"},
		{mv(func(m *Macvlan) { m.First = "10.1.1.1" }), "first", "not in"},
		{mv(func(m *Macvlan) { m.First = "192.168.50.254" }), "subnet", "too small"},
		{iv(func(v *Ipvlan) { v.Submode = "bridge" }), "submode", "l3s"},
		{iv(func(v *Ipvlan) { v.Subnets = nil }), "subnet", "missing"},
		{iv(func(v *Ipvlan) { v.Subnets = []string{"10.0.1.0/24", "10.0.2.0/24"} }), "subnet", "l3"},
		{iv(func(v *Ipvlan) { v.Router = true }), "router", "l3"},
		{iv(func(v *Ipvlan) { v.Parent = "mv0" }), "parent", "macvlan eth0 in other"},
		{iv(func(v *Ipvlan) { v.Parent = "iv0" }), "submode", "mode l3"},
		{iv(func(v *Ipvlan) { v.Submode = "l3"; v.Parent = "up0"; v.Router = true }), "router", "not ours"},
		{iv(func(v *Ipvlan) { v.Submode = "l3"; v.Gateway = "192.168.50.1" }), "gateway", "no gateway"},
		{iv(func(v *Ipvlan) { v.Submode = "l3"; v.Subnets = []string{"10.10.0.0/24"} }), "subnet", "up0"},
		{iv(func(v *Ipvlan) { v.Submode = "l3"; v.Subnets = []string{"10.0.0.0/16", "10.0.1.0/24"} }), "subnet", "another"},
		{iv(func(v *Ipvlan) {
			v.Submode, v.Subnets, v.Containers = "l3", []string{"10.0.1.0/24", "10.0.2.0/24"}, 1
		}), "containers", "each"},
	} {
		plan, err := c.settings.Plan(lanWorld())
		var errs Errors
		if !errors.As(err, &errs) || plan != nil || !strings.Contains(errs.Of(c.field), c.words) {
			t.Errorf("%T %+v: %v; want %s to be refused with %q", c.settings, c.settings, err, c.field, c.words)
		}
	}
}

// goodSettings are one of every mode, and of every way that it has.
func goodSettings() []Settings {
	return []Settings{
		None{Name: "n"}, Host{Name: "h"}, Container{Name: "c", With: "other"},
		Veth{Name: "v", Subnet: "10.1.0.0/24", IPv6: "fd01::/64"},
		Veth{Name: "v", Subnet: "10.10.0.0/24", Between: []string{"left", "other"}}, // the host has no part in it
		Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", IPv6: "fd18::/64", Publish: []string{"8080:80"}},
		Overlay{Name: "tenbytes10", VNI: 1, Subnet: "10.0.1.0/24", IPv6: "fd01::/64", GwBridge: true},
		Overlay{Name: "blue", Hosts: 26, Containers: 2, VNI: 1<<24 - 1, Port: 65535, Subnet: "10.0.1.0/24", Learning: "multicast", UnderlayMTU: 9000},
		Overlay{Name: "blue", Join: "red", VNI: 4098, Subnet: "10.10.0.0/24"},
		Macvlan{Name: "lan", Subnet: "192.168.50.0/24", IPv6: "fd50::/64", Shim: true},
		Macvlan{Name: "lan", Parent: "up0", Subnet: "10.10.0.0/24", First: "10.10.0.100", Gateway: "10.10.0.2"},
		Macvlan{Name: "lan", Parent: "down0", Subnet: "192.168.50.0/24", Submode: "passthru"},
		Ipvlan{Name: "lan", Subnets: []string{"192.168.50.0/24"}},
		Ipvlan{Name: "lan", Parent: "iv0", Subnets: []string{"192.168.50.0/24"}, Submode: "l3"},
		Ipvlan{Name: "deep", Subnets: []string{"10.0.1.0/24", "10.0.2.0/24", "fd01::/64"}, Submode: "l3s", Router: true},
	}
}

// TestPlans: whatever the mode, the plan's names fit, nobody has an address twice,
// what is made bears our mark, the settings survive JSON, and there are proofs.
func TestPlans(t *testing.T) {
	for _, s := range goodSettings() {
		plan, err := s.Plan(lanWorld())
		if err != nil {
			t.Errorf("%T %+v: %v", s, s, err)
			continue
		}
		what := fmt.Sprintf("%s %+v", plan.Mode, s)
		if len(plan.Made.Proofs) == 0 || plan.Name == "" || !strings.Contains(plan.Title, plan.Name) {
			t.Errorf("%s: name %q, title %q, %d proofs", what, plan.Name, plan.Title, len(plan.Made.Proofs))
		}
		again := New(plan.Mode)
		data, err := json.Marshal(plan.Settings)
		if err == nil {
			err = json.Unmarshal(data, again)
		}
		if got := reflect.ValueOf(again).Elem().Interface(); err != nil || !reflect.DeepEqual(got, s) {
			t.Errorf("%s: settings come back as %+v, %v", what, got, err)
		}
		checkSteps(t, what, plan)
	}
}

func checkSteps(t *testing.T, what string, plan *ops.Plan) {
	t.Helper()
	taken := map[string]bool{}
	once := func(kind string, parts ...any) {
		if key := kind + fmt.Sprint(parts...); taken[key] {
			t.Errorf("%s: %s twice", what, key)
		} else {
			taken[key] = true
		}
	}
	link := func(ns, name, mark string) {
		once("link ", ns, " ", name)
		if len(name) > maxName {
			t.Errorf("%s: link %s has %d bytes", what, name, len(name))
		}
		if mark != "" && mark != steps.MarkPrefix+plan.Name {
			t.Errorf("%s: link %s bears the mark %q", what, name, mark)
		}
	}
	for _, s := range plan.Steps {
		if s.Why() == "" || s.Shell() == "" {
			t.Errorf("%s: %s without a reason or a shell line", what, s.Kind())
		}
		switch s := s.(type) {
		case *steps.NetnsAdd:
			once("namespace ", s.Name)
		case *steps.BridgeAdd:
			link(s.NS, s.Name, s.Mark)
		case *steps.VethAdd:
			link(s.NS, s.Name, s.Mark)
			link(s.PeerNS, s.PeerName, "")
		case *steps.VxlanAdd:
			link(s.NS, s.Name, s.Mark)
		case *steps.MacvlanAdd:
			link(s.NS, s.Name, s.Mark)
		case *steps.IpvlanAdd:
			link(s.NS, s.Name, s.Mark)
		case *steps.AddrAdd:
			if s.NS == "" || !strings.HasPrefix(s.Link, "gw-") && s.Link != "eth1" { // each host has a gateway network of its own
				once("address ", s.Addr.Addr())
			}
		}
	}
}

// TestAddressesAreFree: on a LAN that is there, nobody's address is given away.
func TestAddressesAreFree(t *testing.T) {
	plan, err := Macvlan{Name: "lan", Parent: "up0", Subnet: "10.10.0.0/24", Containers: 3}.Plan(lanWorld())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"10.10.0.3", "10.10.0.4", "10.10.0.5"} {
		if got := plan.Made.Containers[i].Addr; got != want {
			t.Errorf("container %d has %s, want %s: the host and outside have the first two", i+1, got, want)
		}
	}
	if plan.Made.ParentAddr != "10.10.0.1" || len(plan.Notes) == 0 {
		t.Errorf("parent's address %q, notes %q", plan.Made.ParentAddr, plan.Notes)
	}
}

// TestOverlayEntries: every host is told of every container on the others, and of
// none of its own.
func TestOverlayEntries(t *testing.T) {
	plan, err := Overlay{Name: "blue", Hosts: 3, Containers: 2, VNI: 7, Subnet: "10.0.1.0/24"}.Plan(lanWorld())
	if err != nil {
		t.Fatal(err)
	}
	home := map[string]string{}
	vtep := map[string]netip.Addr{}
	for _, c := range plan.Made.Containers {
		home[macOf(netip.MustParseAddr(c.Addr))] = c.Host
	}
	for _, h := range plan.Made.Hosts {
		vtep[h.Name] = netip.MustParseAddr(h.Addr)
	}
	n := 0
	for _, s := range plan.Steps {
		if f, ok := s.(*steps.FdbAdd); ok {
			n++
			if h := home[f.MAC]; h == "" || h == f.NS || f.Dst != vtep[h] {
				t.Errorf("%s is told that %s, which is on %q, is behind %s", f.NS, f.MAC, h, f.Dst)
			}
		}
	}
	if n != 3*4 {
		t.Errorf("%d entries, want 12", n)
	}
}

// TestFallsWith: what is built on another's is taken back with it.
func TestFallsWith(t *testing.T) {
	for want, s := range map[string]Settings{
		"shop": Container{Name: "c", With: "other"},
		"red":  Overlay{Name: "blue", Join: "red", VNI: 4098, Subnet: "10.0.1.0/24"},
	} {
		plan, err := s.Plan(lanWorld())
		if err != nil || len(plan.With) != 1 || plan.With[0] != want {
			t.Errorf("%T: %v, falls with %v, want %s", s, err, plan, want)
		}
	}
}
