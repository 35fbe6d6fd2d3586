package inventory

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// richTopology makes one of each: a veth across namespaces and one within, a
// bridge, macvlans here and elsewhere, vxlans here and elsewhere, addresses and
// routes of every kind.
func richTopology(t *testing.T) (blue, red string) {
	blue, red = sandboxtest.NS(t, "blue"), sandboxtest.NS(t, "red")
	for _, line := range []string{
		"link add br0 type bridge", "link set br0 up", "addr add 172.18.0.1/24 dev br0",
		"link add vb type veth peer name eth0 netns blue", "link set vb master br0 up", "link set vb alias to-blue",
		"link add in0 type veth peer name in1", "link set in0 up", // in1 is down: no carrier, M-DOWN
		"link add mv0 link br0 type macvlan mode bridge",
		"link add mv1 link br0 type macvlan mode private", "link set mv1 netns red",
		"link add vx0 type vxlan id 4097 dstport 4789 local 172.18.0.1 dev br0",
		"link add vx1 type vxlan id 4098 dstport 4789 dev br0", "link set vx1 netns red",
		"link add vx2 type vxlan id 4099 dstport 8472",
		"addr add 10.7.0.1/24 dev in0", "addr add 10.7.0.2/24 dev in0", // the second is secondary
		"addr add 10.8.0.1 peer 10.8.0.2/32 dev in0",
		"addr add 10.9.0.1/32 dev lo scope host",
		"-6 addr add fd00:1::1/64 dev br0 nodad",
		"-6 addr add fd00:2::1/64 dev br0 nodad valid_lft 1000 preferred_lft 0",
		"route add 10.20.0.0/16 via 172.18.0.11 src 172.18.0.1 metric 50 proto static",
		"route add blackhole 10.21.0.0/16", "route add unreachable 10.22.0.0/16 proto 186",
		"route add 10.23.0.0/16 nexthop via 172.18.0.11 weight 3 nexthop via 172.18.0.12",
		"route add default via 172.18.0.254 table 100", "route add 10.24.0.1/32 dev br0 table 100 scope link",
		"route add 10.25.0.0/16 via inet6 fd00:1::9 dev br0",
		"-6 route add fd00:9::/64 via fd00:1::2 metric 77",
		"-6 route add fd00:a::/64 nexthop via fd00:1::2 nexthop via fd00:1::3",
		"-6 route add blackhole fd00:b::/64", "-6 route add default via fd00:1::4",
	} {
		ip(t, "", strings.Fields(line)...)
	}
	t.Cleanup(func() {
		for _, link := range []string{"vx0", "vx2", "mv0", "in0", "vb", "br0"} {
			ip(t, "", "link", "del", link)
		}
		ip(t, "", "addr", "del", "10.9.0.1/32", "dev", "lo")
		ip(t, "", "route", "flush", "table", "main")
		ip(t, "", "-6", "route", "flush", "type", "blackhole")
	})
	ip(t, blue, "link", "set", "eth0", "up")
	ip(t, blue, "addr", "add", "172.18.0.11/24", "dev", "eth0")
	ip(t, red, "link", "set", "mv1", "up")
	return blue, red
}

func TestCollectEqualsIP(t *testing.T) {
	blue, red := richTopology(t)
	for _, name := range []string{netns.Host, blue, red} {
		t.Run(name, func(t *testing.T) {
			// Duplicate address detection changes flags on its own time: what
			// ip says must be the same before and after.
			for range 50 {
				before := askIP(t, name)
				snap := collect(t)
				if after := askIP(t, name); !reflect.DeepEqual(before, after) {
					continue
				}
				compare(t, snap.Namespace(name), before)
				return
			}
			t.Fatal("the namespace does not come to rest")
		})
	}
}

// said is what ip(8) says of a namespace.
type said struct {
	links  []ipLink
	addrs  map[string][]Addr
	routes []Route
}

type ipLink struct {
	Ifindex   int      `json:"ifindex"`
	Ifname    string   `json:"ifname"`
	Flags     []string `json:"flags"`
	MTU       int      `json:"mtu"`
	Operstate string   `json:"operstate"`
	Address   string   `json:"address"`
	Master    string   `json:"master"`
	Ifalias   string   `json:"ifalias"`
	LinkType  string   `json:"link_type"`
	Linkinfo  struct {
		Kind string `json:"info_kind"`
		Data struct {
			ID    int    `json:"id"`
			Port  int    `json:"port"`
			Local string `json:"local"`
			Mode  string `json:"mode"`
		} `json:"info_data"`
	} `json:"linkinfo"`
}

func askIP(t *testing.T, ns string) said {
	t.Helper()
	var s said
	decode(t, ip(t, ns, "-j", "-d", "link"), &s.links)
	s.addrs = askAddrs(t, ns)
	s.routes = askRoutes(t, ns)
	return s
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

func askAddrs(t *testing.T, ns string) map[string][]Addr {
	t.Helper()
	var links []struct {
		Ifname string           `json:"ifname"`
		Addrs  []map[string]any `json:"addr_info"`
	}
	decode(t, ip(t, ns, "-j", "addr"), &links)
	addrs := map[string][]Addr{}
	for _, l := range links {
		for _, a := range l.Addrs {
			length := fmt.Sprint(a["prefixlen"])
			addr := Addr{CIDR: a["local"].(string) + "/" + length, Scope: a["scope"].(string)}
			if peer, ok := a["address"].(string); ok {
				addr.CIDR, addr.Peer = a["local"].(string)+"/32", peer+"/"+length
			}
			for key, value := range a {
				if value == true { // the flags are the keys with this value
					addr.Flags = append(addr.Flags, key)
				}
			}
			slices.Sort(addr.Flags)
			addrs[l.Ifname] = append(addrs[l.Ifname], addr)
		}
	}
	return addrs
}

func askRoutes(t *testing.T, ns string) []Route {
	t.Helper()
	type hop struct {
		Gateway string
		Via     struct{ Host string }
		Dev     string
		Weight  int
	}
	var routes []Route
	for _, family := range []string{"-4", "-6"} {
		var raw []struct {
			hop
			Type, Dst, Table, Protocol, Scope, Prefsrc string
			Metric                                     int
			Nexthops                                   []hop
		}
		// -d makes ip say type, scope and protocol of each.
		decode(t, ip(t, ns, family, "-j", "-d", "route", "show", "table", "all"), &raw)
		for _, r := range raw {
			route := Route{
				Family: map[string]string{"-4": "ip", "-6": "ip6"}[family], Table: cmp.Or(r.Table, "main"),
				Type: r.Type, Dst: r.Dst, Gateway: cmp.Or(r.Gateway, r.Via.Host), Link: r.Dev,
				Source: r.Prefsrc, Protocol: r.Protocol, Scope: r.Scope, Metric: r.Metric,
			}
			for _, h := range r.Nexthops {
				route.NextHops = append(route.NextHops, NextHop{Gateway: cmp.Or(h.Gateway, h.Via.Host), Link: h.Dev, Weight: h.Weight})
			}
			routes = append(routes, route)
		}
	}
	return routes
}

func compare(t *testing.T, n *Namespace, want said) {
	t.Helper()
	if len(n.Links) != len(want.links) {
		t.Errorf("%d links, ip says %d", len(n.Links), len(want.links))
	}
	for _, w := range want.links {
		l := n.Link(w.Ifname)
		if l == nil {
			t.Errorf("link %s is missing", w.Ifname)
			continue
		}
		compareLink(t, *l, w)
		got := slices.Clone(l.Addrs)
		for i := range got {
			got[i].Flags = slices.Sorted(slices.Values(got[i].Flags))
		}
		equal(t, "addresses of "+l.Name, got, want.addrs[l.Name])
	}
	equal(t, "routes", n.Routes, want.routes)
}

func compareLink(t *testing.T, l Link, w ipLink) {
	t.Helper()
	kind := cmp.Or(w.Linkinfo.Kind, w.LinkType) // lo has no kind
	got := Link{Index: l.Index, Name: l.Name, Kind: l.Kind, Flags: l.Flags, State: l.State, MTU: l.MTU, MAC: l.MAC,
		Master: l.Master, Alias: l.Alias, Detail: l.Detail}
	want := Link{Index: w.Ifindex, Name: w.Ifname, Kind: kind, Flags: w.Flags, State: w.Operstate, MTU: w.MTU,
		MAC: w.Address, Master: w.Master, Alias: w.Ifalias}
	if d := w.Linkinfo.Data; kind == "vxlan" || kind == "macvlan" {
		want.Detail = &Detail{VNI: d.ID, Port: d.Port, Local: d.Local, Mode: d.Mode}
	}
	equal(t, "link "+l.Name, got, want)
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		g, _ := json.MarshalIndent(got, "", " ")
		w, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("%s: got %s\nip says %s", what, g, w)
	}
}

// The peers cannot be taken from ip, which knows the other namespace's number
// only: the topology says what they are.
func TestCollectPeers(t *testing.T) {
	richTopology(t)
	snap := collect(t)
	for _, c := range []struct{ ns, link, peerNS, peerLink string }{
		{"host", "vb", "blue", "eth0"},
		{"blue", "eth0", "host", "vb"},
		{"host", "in0", "host", "in1"},
		{"host", "in1", "host", "in0"},
		{"host", "mv0", "host", "br0"},
		{"red", "mv1", "host", "br0"},
		{"host", "vx0", "host", "br0"},
		{"red", "vx1", "host", "br0"},
	} {
		p := snap.Namespace(c.ns).Link(c.link).Peer
		if p == nil {
			t.Errorf("%s:%s has no peer, want %s:%s", c.ns, c.link, c.peerNS, c.peerLink)
			continue
		}
		other := snap.Namespace(c.peerNS)
		if p.NS != c.peerNS || p.Link != c.peerLink || p.Inode != other.Inode || p.Index != other.Link(c.peerLink).Index {
			t.Errorf("%s:%s has the peer %+v, want %s:%s", c.ns, c.link, *p, c.peerNS, c.peerLink)
		}
	}
	for _, name := range []string{"lo", "br0", "vx2"} {
		if p := snap.Host().Link(name).Peer; p != nil {
			t.Errorf("%s has the peer %+v, want none", name, *p)
		}
	}
}

// Every pair of a chain of namespaces is resolved, though neither end is here.
func TestCollectPeersOfChain(t *testing.T) {
	const length = 12
	for i := range length {
		sandboxtest.NS(t, "c"+strconv.Itoa(i))
	}
	for i := range length - 1 {
		a, b := "c"+strconv.Itoa(i), "c"+strconv.Itoa(i+1)
		ip(t, a, "link", "add", "right", "type", "veth", "peer", "name", "left", "netns", b)
	}
	snap := collect(t)
	for i := range length - 1 {
		a, b := "c"+strconv.Itoa(i), "c"+strconv.Itoa(i+1)
		if p := snap.Namespace(a).Link("right").Peer; p.NS != b || p.Link != "left" {
			t.Errorf("%s:right has the peer %+v, want %s:left", a, *p, b)
		}
		if p := snap.Namespace(b).Link("left").Peer; p.NS != a || p.Link != "right" {
			t.Errorf("%s:left has the peer %+v, want %s:right", b, *p, a)
		}
	}
}

func TestCollectNSID(t *testing.T) {
	blue, red := sandboxtest.NS(t, "blue"), sandboxtest.NS(t, "red")
	ip(t, "", "netns", "set", blue, "7")
	snap := collect(t)
	if id := snap.Namespace(blue).NSID; id != 7 {
		t.Errorf("blue has the id %d, want 7", id)
	}
	if id := snap.Namespace(red).NSID; id != -1 {
		t.Errorf("red has the id %d, want -1", id)
	}
}

func TestCollectRules(t *testing.T) {
	blue := sandboxtest.NS(t, "blue")
	sandboxtest.Run(t, blue, "nft", "add table ip nat; add chain ip nat pre { type nat hook prerouting priority -100; }; "+
		"add rule ip nat pre tcp dport 8080 counter dnat to 172.18.0.2:80")
	n := collect(t).Namespace(blue)
	if len(n.Chains) != 1 || n.Chains[0].Name != "pre" {
		t.Errorf("chains %+v, want pre", n.Chains)
	}
	if len(n.Rules) != 1 || n.Rules[0].NAT == nil || n.Rules[0].NAT.Addr != "172.18.0.2" || n.Rules[0].NAT.Port != "80" {
		t.Errorf("rules %+v, want the DNAT to 172.18.0.2:80", n.Rules)
	}
}

func TestCollectHeldByProcess(t *testing.T) {
	cmd := exec.Command(sandboxtest.Tool(t, "sleep"), "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	name := "pid:" + strconv.Itoa(cmd.Process.Pid)
	n := collect(t).Namespace(name)
	if n == nil || n.Kind != KindProcess || n.Link("lo") == nil || len(n.Processes) != 1 || n.Processes[0].Command != "sleep" {
		t.Errorf("%s is %+v, want lo and sleep in it", name, n)
	}
}

func TestCollectEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if snap, err := Collect(ctx); !errors.Is(err, context.Canceled) || snap != nil {
		t.Errorf("got %v, %v after the context ended", snap, err)
	}
}

func TestCollectMany(t *testing.T) {
	const many = 60
	for i := range many {
		name := sandboxtest.NS(t, "many"+strconv.Itoa(i))
		ip(t, "", "link", "add", "m"+strconv.Itoa(i), "type", "veth", "peer", "name", "eth0", "netns", name)
	}
	snap := collect(t)
	for i := range many {
		name, link := "many"+strconv.Itoa(i), "m"+strconv.Itoa(i)
		if p := snap.Host().Link(link).Peer; p.NS != name || p.Link != "eth0" {
			t.Errorf("%s has the peer %+v, want %s:eth0", link, *p, name)
		}
	}
}

func TestDumpGivesUp(t *testing.T) {
	calls := 0
	_, err := dump(func() ([]int, error) { calls++; return nil, netlink.ErrDumpInterrupted })
	if !errors.Is(err, netlink.ErrDumpInterrupted) || calls != dumpTries {
		t.Errorf("%d calls, error %v; want %d calls and the interruption", calls, err, dumpTries)
	}
	out, err := dump(func() ([]int, error) { return []int{1}, nil })
	if err != nil || !slices.Equal(out, []int{1}) {
		t.Errorf("got %v, %v from a whole dump", out, err)
	}
}

// The kinds of link that this kernel cannot make, and addresses of tunnels.
func TestHardwareAddr(t *testing.T) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		encap string
		addr  net.HardwareAddr
		want  string
	}{
		{"ether", mac, "02:00:00:00:00:01"},
		{"loopback", nil, "00:00:00:00:00:00"},
		{"ipip", nil, "0.0.0.0"},
		{"sit", net.HardwareAddr{10, 0, 0, 1}, "10.0.0.1"},
		{"none", nil, ""},
	} {
		if got := hardwareAddr(&netlink.LinkAttrs{EncapType: c.encap, HardwareAddr: c.addr}); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.encap, c.addr, got, c.want)
		}
	}
}
