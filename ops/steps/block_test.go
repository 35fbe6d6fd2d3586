package steps

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"vethscope/ops"
	"vethscope/ops/sandbox/sandboxtest"
)

// sh runs a script in the sandbox's own namespace.
func sh(t *testing.T, script string) {
	t.Helper()
	for _, tool := range []string{"ip", "bridge", "nft"} {
		sandboxtest.Tool(t, tool)
	}
	sandboxtest.Run(t, "", "sh", "-ec", script)
}

// dressed is a script that gives the host a bridge br0 with the port v1, and the
// namespace that it names the other end, v2, with all that a link can have.
// accept_dad keeps the addresses from being tentative for a second.
const dressed = `
	sysctl -qw net.ipv6.conf.default.accept_dad=0; ip netns exec c1 sysctl -qw net.ipv6.conf.default.accept_dad=0
	ip link add br0 address 02:42:0a:00:00:01 mtu 1400 type bridge ageing_time 1000; ip link set br0 alias foreign
	ip addr add 10.0.0.1/24 dev br0; ip addr add fd00::1/64 dev br0 nodad
	ip link add v1 index 1001 mtu 1390 type veth peer name v2 index 1002 netns c1 address 02:42:0a:00:00:02 mtu 1390
	ip link set v1 master br0; ip link set br0 up; ip link set v1 up
	bridge link set dev v1 hairpin on isolated on; bridge fdb add 02:00:00:00:00:99 dev v1 master static
	sysctl -qw net.ipv4.conf.v1.proxy_arp=1
	ip -n c1 link set lo up; ip -n c1 link set v2 alias theirs
	ip -n c1 addr add 10.0.0.2/24 dev v2; ip -n c1 addr add 10.0.0.3/24 dev v2 label v2:x; ip -n c1 addr add fd00::2/64 dev v2 nodad
	ip -n c1 link set v2 up
	ip -n c1 route add default via 10.0.0.1; ip -n c1 route add 10.9.0.0/16 via 10.0.0.1 src 10.0.0.3 metric 7
	ip -n c1 route add 10.8.0.0/16 dev v2 table 100; ip -n c1 route add blackhole 10.7.0.0/16
	ip -n c1 -6 route add default via fd00::1; ip -n c1 neigh add 10.0.0.9 lladdr 02:00:00:00:00:09 dev v2 nud permanent
	ip -n c1 neigh add proxy 10.0.0.77 dev v2
	ip netns exec c1 sysctl -qw net.ipv4.conf.v2.rp_filter=2 net.ipv4.ip_forward=1`

// dress runs dressed, and undresses the host at the end of the test.
func dress(t *testing.T) {
	t.Helper()
	sandboxtest.NS(t, "c1")
	sandboxtest.NS(t, "c2")
	sh(t, dressed)
	t.Cleanup(func() {
		sandboxtest.Try(t, "", "ip", "link", "delete", "v1")
		sandboxtest.Run(t, "", "ip", "link", "delete", "br0")
		sandboxtest.Run(t, "", "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=1")
	})
	settle(t)
}

// settle waits until carriers are noticed and addresses have been tried.
func settle(t *testing.T) {
	t.Helper()
	for range 250 {
		out := sandboxtest.Run(t, "", "ip", "-d", "addr") + sandboxtest.Run(t, "c1", "ip", "-d", "addr")
		if !strings.Contains(out, "tentative") && strings.Count(out, "state UP") >= 3 && strings.Count(out, "fe80::") >= 3 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the links do not come up")
}

// blocks are the steps that change what is there, and what to look at to see that
// the shell line does the same.
func blocks() map[string]struct {
	step ops.Step
	ns   string
	show []string
} {
	type block = struct {
		step ops.Step
		ns   string
		show []string
	}
	addr := netip.MustParsePrefix
	via := netip.MustParseAddr
	// Timers run, and carriers are noticed in the kernel's own time.
	const still = " | sed -E 's/@[^:]*//; s/[a-z_]+_timer +[0-9.]+//g; s/NO-CARRIER,|,LOWER_UP|linkdown //g; s/state [A-Z]+//' | sort"
	links := []string{"ip -d -o link" + still, "ip -o addr", "ip route show table all" + still, "bridge link" + still, "ip neigh show nud permanent"}
	return map[string]block{
		"link delete bridge":  {&LinkDelete{Link: "br0"}, "", links},
		"link delete veth":    {&LinkDelete{Link: "v1"}, "", links},
		"link delete inside":  {&LinkDelete{NS: "c1", Link: "v2"}, "", links},
		"link move":           {&LinkMove{NS: "c1", Link: "v2", To: "c2"}, "c2", links},
		"link move to host":   {&LinkMove{NS: "c1", Link: "v2"}, "c1", links},
		"link move port":      {&LinkMove{Link: "v1", To: "c2"}, "", links},
		"link rename":         {&LinkRename{NS: "c1", Link: "v2", To: "eth0"}, "c1", links},
		"link down":           {&LinkDown{NS: "c1", Link: "v2"}, "c1", links},
		"link down bridge":    {&LinkDown{Link: "br0"}, "", links},
		"link mtu":            {&LinkMTU{NS: "c1", Link: "v2", MTU: 1300}, "c1", links},
		"link mtu below IPv6": {&LinkMTU{NS: "c1", Link: "v2", MTU: 1000}, "c1", links},
		"link mac":            {&LinkMAC{NS: "c1", Link: "v2", MAC: "02:00:00:00:00:02"}, "c1", []string{links[0]}},
		"link promisc":        {&LinkPromisc{NS: "c1", Link: "v2", On: true}, "c1", []string{links[0]}},
		"link release":        {&LinkRelease{Link: "v1"}, "", links},
		"addr delete":         {&AddrDelete{NS: "c1", Link: "v2", Addr: addr("10.0.0.2/24")}, "c1", links},
		"addr delete second":  {&AddrDelete{NS: "c1", Link: "v2", Addr: addr("10.0.0.3/24")}, "c1", links},
		"addr delete 6":       {&AddrDelete{NS: "c1", Link: "v2", Addr: addr("fd00::2/64")}, "c1", links},
		"route delete":        {&RouteDelete{NS: "c1", Dst: addr("0.0.0.0/0")}, "c1", links},
		"route delete conn":   {&RouteDelete{NS: "c1", Dst: addr("10.0.0.0/24"), Link: "v2"}, "c1", links},
		"route delete table":  {&RouteDelete{NS: "c1", Dst: addr("10.8.0.0/16"), Table: 100}, "c1", links},
		"route delete 6":      {&RouteDelete{NS: "c1", Dst: addr("::/0"), Via: via("fd00::1")}, "c1", links},
		"route add metric":    {&RouteAdd{NS: "c1", Dst: addr("10.9.0.0/16"), Via: via("10.0.0.1"), Metric: 9, Table: 100}, "c1", links},
		"route add blackhole": {&RouteAdd{NS: "c1", Dst: addr("10.6.0.0/16"), Type: "blackhole"}, "c1", links},
		"route add on host":   {&RouteAdd{Dst: addr("10.5.0.0/16"), Via: via("10.0.0.2")}, "", links},
		"route add 6":         {&RouteAdd{NS: "c1", Dst: addr("fd05::/64"), Type: "unreachable"}, "c1", links},
		"netns add":           {&NetnsAdd{Name: "c3", Reason: "x"}, "", []string{"ip netns", "ip -n c3 link show lo"}},
		"netns rename":        {&NetnsRename{Name: "c1", To: "c9"}, "", []string{"ip netns | sed 's/ .*//' | sort", "ip -n c9 -o addr", "ls /run/netns"}},
		"netns delete":        {&NetnsDelete{Name: "c1"}, "", append(links[:3:3], "ls /run/netns")},
	}
}

// TestBlocks: each step, done and undone at any moment, leaves everything as it
// was.
func TestBlocks(t *testing.T) {
	for name, b := range blocks() {
		t.Run(name, func(t *testing.T) {
			dress(t)
			takenBackSettled(t, b.step)
		})
	}
}

// TestBlockShells: the shell line makes what Do makes.
func TestBlockShells(t *testing.T) {
	for name, b := range blocks() {
		t.Run(name, func(t *testing.T) {
			dress(t)
			if _, ok := b.step.(*NetnsDelete); ok {
				// The kernel deletes what ip leaves to it in its own time.
				b.show = append([]string{"while ip link show v1 >/dev/null 2>&1; do sleep 0.01; done"}, b.show...)
			}
			shellDoes(t, b.step, b.ns, b.show...)
		})
	}
}
