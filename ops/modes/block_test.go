package modes

import (
	"errors"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
)

// blockWorld is a host with a bridge network web, made by hand-made plans, and a
// namespace of somebody else's.
func blockWorld() World {
	return WorldOf(&inventory.Snapshot{Namespaces: []inventory.Namespace{
		{Name: "host", Kind: inventory.KindHost,
			Links: []inventory.Link{
				{Name: "lo", Kind: "loopback"},
				{Name: "up0", Kind: "device", MTU: 1400, Addrs: []inventory.Addr{{CIDR: "10.10.0.1/24", Scope: "global"}}},
				{Name: "br0", Kind: "bridge", Alias: "vethscope:br0"},
				{Name: "v1", Kind: "veth", Alias: "vethscope:v1", Master: "br0", Peer: &inventory.Peer{NS: "c1", Link: "eth0"}},
				{Name: "v2", Kind: "veth", Alias: "vethscope:gone", Peer: &inventory.Peer{NS: "theirs", Link: "eth0"}},
			},
			Routes: []inventory.Route{{Table: "main", Dst: "172.10.0.0/16", Link: "br0"}},
			Chains: []netfilter.Chain{
				{Family: "ip", Table: "filter", Name: "FORWARD", Hook: "forward", Policy: "drop"},
				{Family: "ip", Table: "filter", Name: "DOCKER-USER"},
				{Family: "inet", Table: "fw", Name: "fwd", Hook: "forward", Policy: "accept"},
				{Family: "inet", Table: "open", Name: "fwd", Hook: "forward", Policy: "accept"},
				{Family: "inet", Table: "vethscope-x", Name: "forward", Hook: "forward", Policy: "drop"},
			},
			Rules: []netfilter.Rule{{Family: "inet", Table: "fw", Chain: "fwd", Text: `iifname "br0" counter drop`}},
		},
		{Name: "c1", Links: []inventory.Link{{Name: "lo"}, {Name: "eth0", Kind: "veth", Peer: &inventory.Peer{NS: "host", Link: "v1"}}}},
		{Name: "theirs", Links: []inventory.Link{{Name: "lo"}, {Name: "eth0", Kind: "veth", Peer: &inventory.Peer{NS: "host", Link: "v2"}}}},
	}}, []ops.Entry{
		{Name: "c1", Mode: "netns", State: ops.StateDone, Made: ops.Made{Containers: []ops.Container{{Name: "c1"}}}},
		{Name: "br0", Mode: "link", State: ops.StateDone},
		{Name: "v1", Mode: "link", On: "c1", State: ops.StateDone},
		{Name: "c1:eth0:addr:10.0.0.2/24", Mode: "link-addr", On: "c1", State: ops.StateDone},
	})
}

// TestBlocksBadInput: each wrong setting is refused, under its own name, in words
// that help.
func TestBlocksBadInput(t *testing.T) {
	for _, c := range []struct {
		block Settings
		field string
		words string
	}{
		{NetnsAdd{}, "name", "missing"},
		{NetnsAdd{"a b"}, "name", "only letters"},
		{NetnsAdd{"host"}, "name", "host's own"},
		{NetnsAdd{"c1"}, "name", "already exists"},
		{NetnsAdd{"br0"}, "name", "delete br0"},
		{NetnsDelete{"host"}, "name", "no name"},
		{NetnsDelete{"nope"}, "name", "no namespace"},
		{NetnsRename{"c1", "theirs"}, "to", "already exists"},
		{LinkAdd{Link: "sixteen-bytes-xx", Type: "bridge"}, "link", "16 bytes, 15 are allowed"},
		{LinkAdd{Link: "up0", Type: "bridge"}, "link", "already"},
		{LinkAdd{Link: "x", Type: "wire"}, "type", "bridge"},
		{LinkAdd{Link: "x", Type: "bridge", MAC: "01:00:00:00:00:00"}, "mac", "group"},
		{LinkAdd{Link: "x", Type: "bridge", MTU: 9}, "mtu", "68 to"},
		{LinkAdd{Link: "x", Type: "veth"}, "peer", "missing"},
		{LinkAdd{Link: "x", Type: "veth", Peer: "x"}, "peer", "another"},
		{LinkAdd{Link: "x", Type: "veth", Peer: "eth0", PeerNS: "c1"}, "peer", "already in c1"},
		{LinkAdd{Link: "x", Type: "veth", Peer: "y", PeerNS: "nope"}, "peer_namespace", "no namespace"},
		{LinkAdd{Link: "x", Type: "macvlan", Parent: "nope"}, "parent", "no link"},
		{LinkAdd{Link: "x", Type: "macvlan", Parent: "up0", Mode: "l2"}, "mode", "vepa"},
		{LinkAdd{Link: "x", Type: "vxlan", Parent: "up0"}, "vni", "1 to 16777215"},
		{LinkAdd{Link: "x", Type: "vxlan", VNI: 1, Port: 65536}, "port", "65535"},
		{LinkAdd{NS: "nope", Link: "x", Type: "bridge"}, "namespace", "no namespace"},
		{LinkDelete{Link: "nope"}, "link", "no link"},
		{LinkDelete{Link: "lo"}, "link", "part of its namespace"},
		{LinkDelete{NS: "c1", Link: "up0"}, "link", "in c1"},
		{LinkMove{Link: "v1"}, "to", "missing"},
		{LinkMove{Link: "v1", To: "host"}, "to", "there already"},
		{LinkRename{Link: "v1", To: "v2"}, "to", "already"},
		{LinkMaster{Link: "v2", Bridge: "up0"}, "bridge", "no bridge"},
		{LinkMaster{Link: "v1", Bridge: "br0"}, "link", "release it first"},
		{LinkRelease{Link: "v2"}, "link", "no port"},
		{AddrAdd{Link: "up0", Addr: "10.0.0.256/24"}, "address", "prefix length"},
		{AddrDelete{Link: "up0", Addr: "10.10.0.2/24"}, "address", "no address"},
		{RouteAdd{Dst: "default"}, "via", "missing"},
		{RouteAdd{Dst: "10.0.0.1/8", Link: "up0"}, "destination", "the network is 10.0.0.0/8"},
		{RouteAdd{Dst: "10.0.0.0/8", Via: "fd00::1"}, "via", "one family"},
		{RouteAdd{Dst: "10.0.0.0/8", Type: "blackhole", Link: "up0"}, "via", "nowhere"},
		{RouteAdd{Dst: "10.0.0.0/8", Type: "hole"}, "type", "blackhole"},
		{RouteAdd{Dst: "10.0.0.0/8", Link: "up0", Metric: -1}, "metric", "less than 0"},
		{RouteDelete{Dst: "nonsense"}, "destination", "prefix length"},
		{Neigh{Link: "up0", Addr: "x", MAC: "02:00:00:00:00:01"}, "address", "not an IP address"},
		{Neigh{Link: "up0", Addr: "10.0.0.1", MAC: "02"}, "mac", "not a MAC"},
		{FDB{Link: "up0", MAC: "02:00:00:00:00:01"}, "link", "neither a vxlan nor a port"},
		{FDB{Link: "v1", MAC: "02:00:00:00:00:01", Dst: "10.0.0.1"}, "destination", "only a vxlan"},
		{Sysctl{Key: "kernel.hostname", Value: "x"}, "key", "net.ipv4.ip_forward"},
		{Sysctl{Key: "net.ipv4.ip_forward; reboot", Value: "1"}, "key", "not a parameter"},
		{Sysctl{Key: "net.ipv4.ip_forward", Value: "1; reboot"}, "value", "not a value"},
		{Sysctl{Key: "net.ipv4.ip_forward"}, "value", "is missing: give a value"},
		{AddrAdd{Link: "up0"}, "address", "is missing: give an address with a prefix length"},
		{Neigh{Link: "up0", MAC: "02:00:00:00:00:01"}, "address", "is missing: give an IP address"},
		{LinkMove{Link: "br0", To: "c1"}, "link", "belong to their namespace"},
		{LinkMove{Link: "lo", To: "c1"}, "link", "belong to their namespace"},
		{Masquerade{Subnet: "172.10.0.1/16"}, "subnet", "not a subnet"},
		{Masquerade{Subnet: "172.11.0.0/16"}, "except", "name the one"},
		{Masquerade{Subnet: "172.10.0.0/16", Except: "nope"}, "except", "no link"},
		{PublishTo{Addr: "x", Port: "1:1"}, "address", "not an IP address"},
		{PublishTo{Addr: "172.10.0.2", Port: "0:1"}, "publish", "1 to 65535"},
		{ForwardAccept{Link: "nope"}, "link", "no link"},
		{ForwardAccept{NS: "c1", Link: "eth0"}, "link", "nothing to accept"},
	} {
		p, err := c.block.Plan(blockWorld())
		var errs Errors
		if !errors.As(err, &errs) || p != nil {
			t.Errorf("%T%+v: %v, want an error of a field", c.block, c.block, err)
			continue
		}
		if !strings.Contains(errs.Of(c.field), c.words) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%T%+v: %v; want %q to say %q", c.block, c.block, err, c.field, c.words)
		}
	}
}

// TestBlocksFallWithTheirMaker: a plan that changes what another made is undone
// before it, and one that keeps all of an object, before all that is on it.
func TestBlocksFallWithTheirMaker(t *testing.T) {
	for _, c := range []struct {
		block Settings
		name  string
		falls string // On and With
	}{
		{NetnsAdd{"new"}, "new", ""},
		{LinkAdd{Link: "x", Type: "bridge"}, "x", ""},
		{LinkAdd{Link: "x", Type: "veth", Peer: "y", PeerNS: "c1"}, "x", "c1"},
		{LinkAdd{Link: "x", Type: "macvlan", Parent: "br0"}, "x", "br0"},
		{AddrAdd{Link: "br0", Addr: "10.0.0.1/24"}, "br0:addr:10.0.0.1/24", "br0"},
		{AddrAdd{Link: "up0", Addr: "10.0.0.1/24"}, "up0:addr:10.0.0.1/24", ""},
		{AddrAdd{NS: "c1", Link: "eth0", Addr: "10.0.0.1/24"}, "c1:eth0:addr:10.0.0.1/24", "c1"},
		{AddrAdd{NS: "theirs", Link: "eth0", Addr: "10.0.0.1/24"}, "theirs:eth0:addr:10.0.0.1/24", ""},
		{LinkUp{Link: "v2"}, "v2:up", ""}, // its mark names a plan that is no more
		{LinkMaster{Link: "v2", Bridge: "br0"}, "v2:master", "br0"},
		{LinkDelete{Link: "v1"}, "v1:delete", "c1 c1:eth0:addr:10.0.0.2/24 v1"},
		{NetnsDelete{"c1"}, "c1:delete", "c1 c1:eth0:addr:10.0.0.2/24 v1"},
		{NetnsRename{"c1", "c9"}, "c9:rename", "c1 c1:eth0:addr:10.0.0.2/24 v1"},
		{Masquerade{Subnet: "172.10.0.0/16"}, "masquerade:172.10.0.0/16", "br0"},
		{PublishTo{Addr: "172.10.0.2", Port: "8080:80"}, "publish:8080/tcp", "br0"},
		{ForwardAccept{Link: "br0"}, "br0:forward-accept", "br0"},
		{Sysctl{Key: "net.ipv4.ip_forward", Value: "1"}, "host:net.ipv4.ip_forward", ""},
	} {
		p, err := c.block.Plan(blockWorld())
		if err != nil {
			t.Errorf("%T%+v: %v", c.block, c.block, err)
			continue
		}
		falls := strings.TrimSpace(p.On + " " + strings.Join(p.With, " "))
		if p.Name != c.name || falls != c.falls {
			t.Errorf("%T%+v: %q falls with %q, want %q with %q", c.block, c.block, p.Name, falls, c.name, c.falls)
		}
		if p.Title == "" || len(p.Steps) == 0 {
			t.Errorf("%T: no title or no step", c.block)
		}
		for _, s := range p.Steps {
			if s.Why() == "" || s.Shell() == "" {
				t.Errorf("%T: step %s lacks a reason or a shell line", c.block, s.Kind())
			}
		}
	}
}

// TestForwardAcceptStandsWhereItDrops: in every chain of others that drops what is
// forwarded, and with Docker in the one that it leaves to people.
func TestForwardAcceptStandsWhereItDrops(t *testing.T) {
	p, err := ForwardAccept{Link: "br0"}.Plan(blockWorld())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range p.Steps {
		lines = append(lines, s.Shell())
	}
	all := strings.Join(lines, "\n")
	for _, want := range []string{"ip filter DOCKER-USER iifname", "ip filter DOCKER-USER oifname", "inet fw fwd iifname", "inet fw fwd oifname"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	if len(lines) != 4 {
		t.Errorf("%d rules, want 4:\n%s", len(lines), all)
	}
}

func TestUnusualAddresses(t *testing.T) {
	for addr, want := range map[string]string{"10.0.0.0/24": "10.0.0.1", "10.0.0.255/24": "broadcast", "10.0.0.1/24": "", "10.0.0.0/31": "", "fd00::/64": ""} {
		p, err := AddrAdd{Link: "up0", Addr: addr}.Plan(blockWorld())
		if err != nil {
			t.Fatal(err)
		}
		if notes := strings.Join(p.Notes, "\n"); !strings.Contains(notes, want) || (want == "") != (notes == "") {
			t.Errorf("%s: notes %q, want %q", addr, notes, want)
		}
	}
}
