package modes

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops"
	"vethscope/ops/modes"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
	"vethscope/ops/steps"
)

// TestC1None: only lo; then wired by hand into a bridge, which is bridge mode.
func TestC1None(t *testing.T) {
	none := create(t, modes.None{Name: "lonely"})
	if got := links(t, "lonely"); len(got) != 1 || !slices.Contains(got["lo"].Flags, "UP") {
		t.Errorf("links %v, want lo alone, up", got)
	}
	if r := routes(t, "lonely"); len(r) != 0 {
		t.Errorf("routes %v, want none", r)
	}
	if rules := sandboxtest.Run(t, "lonely", "nft", "list", "ruleset"); rules != "" {
		t.Errorf("rules of a new namespace:\n%s", rules)
	}
	prove(t, none)

	web := create(t, modes.Bridge{Name: "web", Containers: 1, Subnet: "172.18.0.0/24"})
	subnet := netip.MustParsePrefix("172.18.0.9/24")
	byHand := &ops.Plan{Title: "wire lonely", Name: "cable", With: []string{"web", "lonely"}, Steps: []ops.Step{
		&steps.VethAdd{Name: "v-lonely", PeerNS: "lonely", PeerName: "eth0", Mark: steps.MarkPrefix + "cable"},
		&steps.LinkMaster{Link: "v-lonely", Master: "web"},
		&steps.LinkUp{Link: "v-lonely"},
		&steps.AddrAdd{NS: "lonely", Link: "eth0", Addr: subnet},
		&steps.LinkUp{NS: "lonely", Link: "eth0"},
		&steps.RouteAdd{NS: "lonely", Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr(web.Made.Gateway), Link: "eth0"},
	}}
	if err := executor().Run(t.Context(), byHand); err != nil {
		t.Fatal(err)
	}
	var likeWeb []string
	for _, r := range routes(t, "web-1") {
		likeWeb = append(likeWeb, strings.ReplaceAll(r, "172.18.0.2", "172.18.0.9"))
	}
	if diff := cmp.Diff(likeWeb, routes(t, "lonely")); diff != "" {
		t.Errorf("wired by hand, and not as in bridge mode (-bridge mode +by hand):\n%s", diff)
	}
	for _, to := range []string{web.Made.Gateway, "172.18.0.2", "10.10.0.2"} {
		reach(t, "lonely", to, true, "as a container of the bridge")
	}
	reach(t, "web-1", "172.18.0.9", true, "as a container of the bridge")
}

// TestC2Host: nothing is made; the container's links and ports are the host's.
func TestC2Host(t *testing.T) {
	before := sandboxtest.Run(t, "", "ip", "-j", "addr") + sandboxtest.Run(t, "", "ip", "netns")
	host := create(t, modes.Host{Name: "app"})
	if after := sandboxtest.Run(t, "", "ip", "-j", "addr") + sandboxtest.Run(t, "", "ip", "netns"); after != before {
		t.Errorf("mode host changed something:\n%s\n%s", before, after)
	}
	c := host.Made.Containers[0].Name
	own, err := netns.Inode(netns.Path(c))
	if self, err2 := netns.Inode("/proc/self/ns/net"); err != nil || err2 != nil || own != self {
		t.Errorf("the container's namespace is %d, the host's %d (%v, %v)", own, self, err, err2)
	}
	refused := false
	for _, o := range prove(t, host) {
		refused = refused || o.Kind == "listen" && !o.Through && strings.Contains(o.Detail, "address already in use")
	}
	if !refused {
		t.Error("nothing shows that a second server on the port is refused")
	}
}

// TestC3Bridge: a second network for a running container; the old leg stays, and
// names resolve.
func TestC3Bridge(t *testing.T) {
	web := create(t, modes.Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", Publish: []string{"8080:80", "5353:53/udp@2"}})
	db := create(t, modes.Bridge{Name: "db", Containers: 1, Subnet: "172.19.0.0/24"})
	datagrams := 0
	for _, o := range prove(t, web) {
		if o.Kind == "udp" && strings.Contains(o.Detail, "This is web-2.") {
			datagrams++
		}
	}
	if datagrams != 2 {
		t.Errorf("%d datagrams came through the published port, want one from the host and one from outside", datagrams)
	}
	prove(t, db)
	reach(t, "web-1", "172.19.0.2", false, "another network is another world")
	prove(t, create(t, modes.Connect{Network: "db", Container: "web-1"}))
	prove(t, create(t, modes.Add{Network: "web", Containers: 1}))
	got := links(t, "web-1")
	if len(got) != 3 || !got["eth0"].has("172.18.0.2") || !got["eth1"].has("172.19.0.3") {
		t.Errorf("links of web-1 %v, want lo, eth0 in web and eth1 in db", got)
	}
	reach(t, "web-1", "172.18.0.3", true, "the old leg")
	reach(t, "web-1", "172.19.0.2", true, "the new leg")
	for name, q := range map[string]struct{ server, want string }{
		"web-2": {web.Made.DNS, "172.18.0.3"}, "db-1": {db.Made.DNS, "172.19.0.2"},
	} {
		if addrs, err := resolve(t.Context(), "web-1", q.server, name); err != nil || !slices.Contains(addrs, q.want) {
			t.Errorf("%s says that %s is %v, %v; want %s", q.server, name, addrs, err, q.want)
		}
	}
}

// resolve asks one name server from inside a namespace.
func resolve(ctx context.Context, ns, server, name string) ([]string, error) {
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (conn net.Conn, err error) {
		err = netns.Do(netns.Path(ns), func() error {
			conn, err = (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(server, "53"))
			return err
		})
		return conn, err
	}}
	return r.LookupHost(ctx, name+".") // with the dot, no domain of the machine's is tried
}

// TestC4Container: the same MAC and address; the two talk over 127.0.0.1.
func TestC4Container(t *testing.T) {
	create(t, modes.Bridge{Name: "web", Containers: 1, Subnet: "172.18.0.0/24"})
	side := create(t, modes.Container{Name: "side", With: "web-1"})
	if diff := cmp.Diff(links(t, "web-1"), links(t, "side")); diff != "" {
		t.Errorf("the two do not have the same links:\n%s", diff)
	}
	if l := links(t, "side")["eth0"]; !l.has("172.18.0.2") || l.MAC == "" {
		t.Errorf("side's eth0 %+v, want that of web-1", l)
	}
	prove(t, side)
	// It falls with what it shares.
	remove(t, "web")
	if out := sandboxtest.Run(t, "", "ip", "netns"); strings.TrimSpace(out) != "outside (id: 0)" {
		t.Errorf("left over: %s", out)
	}
}

// TestVeth: B2 and B4, a cable and nothing else.
func TestVeth(t *testing.T) {
	one := create(t, modes.Veth{Name: "netns1", Subnet: "170.10.0.0/24"})
	if l := links(t, "")["v-netns1"]; !l.has("170.10.0.1") || l.Alias != "vethscope:netns1" {
		t.Errorf("the host's end %+v", l)
	}
	for _, o := range prove(t, one) {
		if !o.Want && !strings.Contains(o.Detail, "network is unreachable") {
			t.Errorf("to %s: %s, want \"network is unreachable\"", o.Target, o.Detail)
		}
	}
	before := sandboxtest.Run(t, "", "ip", "-o", "link")
	prove(t, create(t, modes.Veth{Name: "cable", Subnet: "10.0.1.0/24", Between: []string{"network01", "network02"}}))
	if after := sandboxtest.Run(t, "", "ip", "-o", "link"); after != before {
		t.Errorf("both ends must be gone from the host's list:\n%s", after)
	}
	// Between two that are there: a second link, beside their eth0.
	prove(t, create(t, modes.Veth{Name: "direct", Subnet: "10.0.2.0/24", Between: []string{"network01", "netns1"}}))
	remove(t, "netns1")
	if _, there := links(t, "network01")["direct"]; there {
		t.Error("the cable outlived its end")
	}
}
