package modes

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
)

// testWorld is a host with an uplink, a bridge network and Docker's rules.
func testWorld() World {
	return WorldOf(&inventory.Snapshot{Namespaces: []inventory.Namespace{
		{Name: "host", Kind: inventory.KindHost,
			Links: []inventory.Link{
				{Name: "lo", Addrs: []inventory.Addr{{CIDR: "127.0.0.1/8"}, {CIDR: "::1/128"}}},
				{Name: "up0", Addrs: []inventory.Addr{{CIDR: "10.10.0.1/24"}, {CIDR: "fd10:10::1/64"}, {CIDR: "fe80::1/64"}}},
				{Name: "docker0", Addrs: []inventory.Addr{{CIDR: "172.17.0.1/16"}}},
			},
			Routes: []inventory.Route{
				{Table: "main", Dst: "default", Link: "up0"}, {Table: "main", Dst: "10.20.0.0/16", Link: "up0"},
				{Table: "local", Dst: "172.18.0.1", Link: "x"}, {Table: "100", Dst: "192.168.7.0/24", Link: "wg0"},
			},
			Chains: []netfilter.Chain{{Family: "inet", Table: "vethscope-old", Name: "prerouting"}},
			Rules: []netfilter.Rule{
				{Text: "-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8088 -j DNAT --to-destination 172.17.0.2:80",
					NAT: &netfilter.NAT{Kind: "dnat", Addr: "172.17.0.2", Port: "80"}},
				{Text: "fib daddr type local udp dport 53 counter dnat ip to 172.30.0.2:53",
					NAT: &netfilter.NAT{Kind: "dnat", Addr: "172.30.0.2", Port: "53"}},
			},
		},
		{Name: "outside"}, {Name: "db-2"},
	}}, []ops.Entry{
		{Name: "shop", State: ops.StateDone, Made: ops.Made{Containers: []ops.Container{{Name: "shop-1", Addr: "172.29.0.2"}}}},
	})
}

func good() Bridge {
	return Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", Publish: []string{"8080:80"}}
}

// TestBadInput: each wrong setting is refused, under its own name, in words that
// help.
func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		what  string
		spoil func(*Bridge)
		field string
		words string
	}{
		{"no name", func(b *Bridge) { b.Name = "" }, "name", "missing"},
		{"name of a link", func(b *Bridge) { b.Name = "docker0" }, "name", "already a link"},
		{"name of a namespace", func(b *Bridge) { b.Name = "db" }, "name", "namespace db-2"},
		{"name of a table", func(b *Bridge) { b.Name = "old" }, "name", "vethscope-old"},
		{"long name", func(b *Bridge) { b.Name = "twelve-bytes" }, "name", "16 bytes, 15 are allowed"},
		{"long once prefixed", func(b *Bridge) { b.Name = "elevenbytes"; b.Containers = 10 }, "name", "v-elevenbytes-10"},
		{"name with a blank", func(b *Bridge) { b.Name = "a b" }, "name", "only letters"},
		{"name with a quote", func(b *Bridge) { b.Name = `a";x` }, "name", "only letters"},
		{"name that is a path", func(b *Bridge) { b.Name = "../x" }, "name", "only letters"},
		{"no container", func(b *Bridge) { b.Containers = 0 }, "containers", "must be 1 to"},
		{"minus one", func(b *Bridge) { b.Containers = -1 }, "containers", "must be 1 to"},
		{"a bridge's ports", func(b *Bridge) { b.Containers = 1024; b.Subnet = "172.20.0.0/16" }, "containers", "must be 1 to 1023"},
		{"no subnet", func(b *Bridge) { b.Subnet = "" }, "subnet", "missing"},
		{"no CIDR", func(b *Bridge) { b.Subnet = "172.18.0.0" }, "subnet", "CIDR"},
		{"host bits", func(b *Bridge) { b.Subnet = "172.18.0.1/24" }, "subnet", "the subnet is 172.18.0.0/24"},
		{"overlaps an address", func(b *Bridge) { b.Subnet = "10.10.0.128/25" }, "subnet", "overlaps 10.10.0.0/24, which up0 uses"},
		{"contains a subnet", func(b *Bridge) { b.Subnet = "172.16.0.0/12" }, "subnet", "docker0"},
		{"overlaps a route", func(b *Bridge) { b.Subnet = "10.20.30.0/24" }, "subnet", "10.20.0.0/16"},
		{"overlaps a route of another table", func(b *Bridge) { b.Subnet = "192.168.7.0/24" }, "subnet", "wg0"},
		{"loopback", func(b *Bridge) { b.Subnet = "127.1.0.0/16" }, "subnet", "not for hosts"},
		{"multicast", func(b *Bridge) { b.Subnet = "224.0.0.0/24" }, "subnet", "not for hosts"},
		{"everything", func(b *Bridge) { b.Subnet = "0.0.0.0/0" }, "subnet", "not for hosts"},
		{"IPv6 for IPv4", func(b *Bridge) { b.Subnet = "fd00::/64" }, "subnet", "not IPv4"},
		{"too small", func(b *Bridge) { b.Subnet = "172.18.0.0/30" }, "subnet", "too small"},
		{"IPv4 for IPv6", func(b *Bridge) { b.IPv6 = "172.18.0.0/24" }, "ipv6", "not IPv6"},
		{"IPv6 host bits", func(b *Bridge) { b.IPv6 = "fd18::1/64" }, "ipv6", "host bits"},
		{"IPv6 too small", func(b *Bridge) { b.IPv6 = "fd18::/127" }, "ipv6", "too small"},
		{"IPv6 overlaps", func(b *Bridge) { b.IPv6 = "fd10::/16" }, "ipv6", "up0"},
		{"port 0", func(b *Bridge) { b.Publish = []string{"0:80"} }, "publish", `port "0" is not 1 to 65535`},
		{"port 65536", func(b *Bridge) { b.Publish = []string{"8080:65536"} }, "publish", "65536"},
		{"negative port", func(b *Bridge) { b.Publish = []string{"-1:80"} }, "publish", "not 1 to 65535"},
		{"one port", func(b *Bridge) { b.Publish = []string{"8080"} }, "publish", "HOSTPORT:PORT"},
		{"protocol", func(b *Bridge) { b.Publish = []string{"8080:80/sctp"} }, "publish", "tcp or udp"},
		{"container 3 of 2", func(b *Bridge) { b.Publish = []string{"8080:80@3"} }, "publish", "no container 3"},
		{"container 0", func(b *Bridge) { b.Publish = []string{"8080:80@0"} }, "publish", "from 1"},
		{"twice", func(b *Bridge) { b.Publish = []string{"8080:80", "8080:81@2"} }, "publish", "published twice"},
		{"taken by Docker", func(b *Bridge) { b.Publish = []string{"8088:80"} }, "publish", "already published: it leads to 172.17.0.2"},
		{"taken by nft", func(b *Bridge) { b.Publish = []string{"53:53/udp"} }, "publish", "already published"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := good()
			c.spoil(&b)
			_, err := b.Plan(testWorld())
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("error %v, want Errors", err)
			}
			if msg := errs.Of(c.field); !strings.Contains(msg, c.words) {
				t.Errorf("%s: %q, want words %q", c.field, msg, c.words)
			}
			if len(errs) != 1 || strings.Contains(err.Error(), "\n") {
				t.Errorf("want one line about one field: %v", err)
			}
		})
	}
}

// TestAllFaultsAtOnce: a form shows every message, not one at a time.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := Bridge{Name: "a b", Subnet: "x", IPv6: "y", Publish: []string{"z"}}.Plan(testWorld())
	var errs Errors
	if !errors.As(err, &errs) {
		t.Fatal(err)
	}
	for _, field := range []string{"name", "containers", "subnet", "ipv6", "publish"} {
		if errs.Of(field) == "" {
			t.Errorf("nothing about %s in %v", field, err)
		}
	}
}

// TestFits: what is just allowed is allowed.
func TestFits(t *testing.T) {
	for _, b := range []Bridge{
		{Name: "elevenbytes", Containers: 1, Subnet: "172.18.0.0/30"},
		{Name: "web", Containers: 1023, Subnet: "172.20.0.0/16"},
		{Name: "web", Containers: 1, Subnet: "172.18.0.0/24", IPv6: "fd18::/126"},
		{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", Publish: []string{"1:65535", "65535:1/udp@2", "53:53", "8088:80/udp"}},
	} {
		p, err := b.Plan(testWorld())
		if err != nil {
			t.Errorf("%+v: %v", b, err)
			continue
		}
		subnet := netip.MustParsePrefix(b.Subnet)
		for _, c := range p.Made.Containers {
			if a := netip.MustParseAddr(c.Addr); !subnet.Contains(a) || a == lastAddr(subnet) {
				t.Errorf("%s has %s, not a host's address of %s", c.Name, a, subnet)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	w := testWorld()
	w.Links["web"] = true
	b := DefaultBridge(w)
	if _, err := b.Plan(w); err != nil || b.Name == "web" {
		t.Errorf("%+v does not fit: %v", b, err)
	}
}

func TestPublish(t *testing.T) {
	w := testWorld()
	p, err := Publish{"shop", "8080:80"}.Plan(w)
	if err != nil {
		t.Fatal(err)
	}
	if p.On != "shop" || len(p.Steps) != 2 || p.Made.Published[0].Container != "shop-1" {
		t.Errorf("plan %+v", p)
	}
	for _, bad := range []Publish{{"nothing", "8080:80"}, {"shop", "8080:80@2"}, {"shop", "8088:80"}} {
		if _, err := bad.Plan(w); err == nil {
			t.Errorf("%+v was allowed", bad)
		}
	}
}

// TestEveryStepExplainsItself: a preview without a reason or a line teaches
// nothing.
func TestEveryStepExplainsItself(t *testing.T) {
	b := good()
	b.IPv6 = "fd18::/64"
	p, err := b.Plan(testWorld())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range p.Steps {
		if s.Why() == "" || s.Shell() == "" || strings.Contains(s.Shell(), "\n") {
			t.Errorf("step %d %s: why %q, shell %q", i, s.Kind(), s.Why(), s.Shell())
		}
	}
}
