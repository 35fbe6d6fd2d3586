package bench

import (
	"fmt"
	"strings"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// script is what a tutorial on container networking lets its reader type: one
// ip(8) or iptables(8) after the other.
type script struct{}

func newScript(t testing.TB) peer {
	for _, tool := range []string{"sh", "ip", "iptables", "sysctl"} {
		sandboxtest.Tool(t, tool)
	}
	return script{}
}

func (script) setUp(t testing.TB, n int) {
	lines := []string{
		"ip link add " + network + " type bridge",
		"ip addr add " + gateway + "/24 dev " + network,
		"ip link set " + network + " up",
		"sysctl -qw net.ipv4.ip_forward=1",
		"iptables -t nat -N PUBLISH",
		"iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j PUBLISH",
		"iptables -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j PUBLISH",
		"iptables -t nat -A POSTROUTING -s " + subnet + " ! -o " + network + " -j MASQUERADE",
	}
	for i := 1; i <= n; i++ {
		c, veth := container(i), fmt.Sprintf("veth%d", i)
		lines = append(lines,
			"ip netns add "+c,
			"ip link add "+veth+" type veth peer name eth0 netns "+c,
			"ip link set "+veth+" master "+network,
			"ip link set "+veth+" up",
			"ip -n "+c+" link set lo up",
			"ip -n "+c+" addr add "+address(i)+"/24 dev eth0",
			"ip -n "+c+" link set eth0 up",
			"ip -n "+c+" route add default via "+gateway,
			fmt.Sprintf("iptables -t nat -A PUBLISH -p tcp --dport %d -j DNAT --to-destination %s:80", port(i), address(i)),
		)
	}
	sh(t, lines)
}

func (script) tearDown(t testing.TB, n int) {
	lines := []string{
		"iptables -t nat -D POSTROUTING -s " + subnet + " ! -o " + network + " -j MASQUERADE",
		"iptables -t nat -D OUTPUT -m addrtype --dst-type LOCAL -j PUBLISH",
		"iptables -t nat -D PREROUTING -m addrtype --dst-type LOCAL -j PUBLISH",
		"iptables -t nat -F PUBLISH",
		"iptables -t nat -X PUBLISH",
	}
	for i := 1; i <= n; i++ {
		// The link first: with its namespace it would go, too, but later.
		lines = append(lines, fmt.Sprintf("ip link delete veth%d", i), "ip netns delete "+container(i))
	}
	sh(t, append(lines, "ip link delete "+network, "sysctl -qw net.ipv4.ip_forward=0"))
}

func sh(t testing.TB, lines []string) {
	t.Helper()
	sandboxtest.Run(t, "", "sh", "-ec", strings.Join(lines, "\n"))
}
