package experiments

import (
	"os"
	"os/exec"
	"testing"
)

// twoOnABridge are two namespaces on a bridge with an address.
const twoOnABridge = switchOf + `
		plugin netns1 172.10.0.10/16; plugin netns2 172.10.0.20/16
		v addr add 172.10.0.1/16 dev br0`

// TestB7: frames that only cross a bridge are shown to the FORWARD chain, whose
// policy drops them; both repairs.
func TestB7(t *testing.T) {
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil {
		t.Skipf("this kernel has not loaded br_netfilter: %v", err)
	}
	if _, err := exec.LookPath("iptables-nft"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	experiment(t, twoOnABridge+`
		v sysctl set net.bridge.bridge-nf-call-iptables=1
		ping -n netns1 172.10.0.20
		iptables-nft -P FORWARD DROP
		noping 'answered' -n netns1 172.10.0.20
		ping 172.10.0.20 # the host itself does not forward
		# Repair 1: the bridge's frames are no longer shown to iptables.
		v sysctl set net.bridge.bridge-nf-call-iptables=0
		ping -n netns1 172.10.0.20
		v undo
		noping 'answered' -n netns1 172.10.0.20
		# Repair 2: FORWARD accepts what crosses the bridge.
		rules=$(iptables-nft -S)
		v forward-accept br0
		ping -n netns1 172.10.0.20
		iptables-nft -S FORWARD >/run/said 2>&1 || fail "iptables cannot read its table any more: $(cat /run/said)"
		grep -q -e '-i br0.*ACCEPT' /run/said || fail "iptables does not see the rule: $(cat /run/said)"
		v undo
		noping 'answered' -n netns1 172.10.0.20
		[ "$rules" = "$(iptables-nft -S)" ] || fail "the rules are not as before: $(iptables-nft -S)"
		nft delete table ip filter`)
}

// TestB8: the way out needs a default route, forwarding and masquerading; the
// outside sees the host.
func TestB8(t *testing.T) {
	experiment(t, twoOnABridge+`
		noping 'network is unreachable' -n netns1 10.10.0.2
		v route add -n netns1 default via 172.10.0.1
		noping 'answered\|unreachable' -n netns1 10.10.0.2
		v sysctl set net.ipv4.ip_forward=1
		noping 'answered' -n netns1 10.10.0.2 # there is no way back
		v masquerade 172.10.0.0/16 except br0
		ping -n netns1 10.10.0.2
		shows 'masquerade' ls rules
		vethscope serve -n outside 80 >/run/asked & server=$!
		for i in 1 2 3 4 5 6 7 8 9 10; do vethscope get -n netns1 http://10.10.0.2/ >/dev/null 2>&1 && break; sleep 0.2; done
		kill $server; wait $server
		grep -q '^10.10.0.1:' /run/asked || fail "outside does not see the host's address: $(cat /run/asked)"
		! grep -q '172.10' /run/asked || fail "outside sees the container's address: $(cat /run/asked)"`)
}

// TestB9: a published port leads from outside, and from the host itself, into the
// container, which sees who calls.
func TestB9(t *testing.T) {
	experiment(t, twoOnABridge+`
		v route add -n netns1 default via 172.10.0.1
		v sysctl set net.ipv4.ip_forward=1
		vethscope serve -n netns1 80 >/run/asked & server=$!
		for i in 1 2 3 4 5 6 7 8 9 10; do vethscope get http://172.10.0.10/ >/dev/null 2>&1 && break; sleep 0.2; done
		fails 'refused' get -n outside http://10.10.0.1:8080/
		v publish 172.10.0.10 8080:80
		works get -n outside http://10.10.0.1:8080/
		works get http://10.10.0.1:8080/
		shows 'addr-type\|daddr type local' ls rules
		fails 'already published' publish 172.10.0.20 8080:80
		v undo
		fails 'refused' get -n outside http://10.10.0.1:8080/
		kill $server; wait $server
		grep -q '^10.10.0.2:' /run/asked || fail "the container does not see the client: $(cat /run/asked)"`)
}
