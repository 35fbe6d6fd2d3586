package experiments

import "testing"

// TestB1: a new namespace is empty, and does not even reach itself.
func TestB1(t *testing.T) {
	experiment(t, `
		v netns add netns1
		shows '"lo"' ls links -n netns1 -o json
		shows '"DOWN"' ls links -n netns1 -o json
		shows '^\[\]$' ls routes -n netns1 -o json
		shows '^\[\]$' ls rules -n netns1 -o json
		noping 'unreachable' -n netns1 127.0.0.1
		v link up -n netns1 lo
		ping -n netns1 127.0.0.1`)
}

// TestB2: a cable between the host and a namespace. The route comes with the
// address, and leads no further.
func TestB2(t *testing.T) {
	experiment(t, `
		v netns add netns1
		v link add veth1 type veth peer veth1p netns netns1
		v link up veth1; v link up -n netns1 veth1p
		hides '170.10.0.0/24' ls routes -n netns1
		v addr add 170.10.0.11/24 dev veth1
		v addr add -n netns1 170.10.0.10/24 dev veth1p
		shows '170.10.0.0/24' ls routes -n netns1
		ping 170.10.0.10
		ping -n netns1 170.10.0.11
		noping 'network is unreachable' -n netns1 10.2.1.1`)
}

// twoCables are two cables into the same subnet.
const twoCables = `
		for i in 1 2; do
			v netns add netns$i
			v link add veth$i type veth peer eth0 netns netns$i
			v link up veth$i; v link up -n netns$i eth0
			v addr add 170.10.0.${i}1/24 dev veth$i
			v addr add -n netns$i 170.10.0.${i}0/24 dev eth0
		done`

// TestB3: of two equal routes the first is used, whichever namespace is behind it.
func TestB3(t *testing.T) {
	experiment(t, twoCables+`
		shows 'veth1' ls routes -n host; shows 'veth2' ls routes -n host
		routes() { ip -4 route show 170.10.0.0/24; }
		both=$(routes); [ $(echo "$both" | wc -l) = 2 ] || fail "not two equal routes: $both"
		ping 170.10.0.10
		noping 'answered\|unreachable' 170.10.0.20
		v route delete 170.10.0.0/24 dev veth1
		ping 170.10.0.20
		noping 'answered\|unreachable' 170.10.0.10
		v undo
		[ "$both" = "$(routes)" ] || fail "undo: not in their order: $(routes)"
		ping 170.10.0.10
		fails '2 such routes' route delete 170.10.0.0/24`)
}

// TestB4: a cable between two namespaces; the host has no part in it.
func TestB4(t *testing.T) {
	experiment(t, `
		v netns add network01; v netns add network02
		v link add veth1 type veth peer veth2
		shows 'veth1' ls links -n host; shows 'veth2' ls links -n host
		v link move veth1 network01; v link move veth2 network02
		hides 'veth1 \|veth2 ' ls links -n host
		for i in 1 2; do v addr add -n network0$i 10.0.1.$i/24 dev veth$i; v link up -n network0$i veth$i; done
		ping -n network01 10.0.1.2
		ping -n network02 10.0.1.1`)
}

// switchOf is a bridge br0 with the namespaces that are numbered.
const switchOf = `
		plugin() { # NAMESPACE ADDRESS
			v netns add $1
			v link add $1-h type veth peer eth0 netns $1
			v link master $1-h br0; v link up $1-h
			v addr add -n $1 $2 dev eth0; v link up -n $1 eth0
		}
		v link add br0 type bridge; v link up br0`

// TestB5: a bridge joins its ports; the host is no port until the bridge has an
// address.
func TestB5(t *testing.T) {
	experiment(t, switchOf+`
		plugin netns1 172.10.0.10/16; plugin netns2 172.10.0.20/16
		v sysctl set net.bridge.bridge-nf-call-iptables=0 2>/dev/null
		ping -n netns1 172.10.0.20
		ping -n netns2 172.10.0.10
		noping 'answered\|unreachable' -n netns1 172.10.0.1
		v addr add 172.10.0.1/16 dev br0
		ping -n netns1 172.10.0.1
		ping 172.10.0.20`)
}

// TestB6: three namespaces on a bridge, and the tutorial's slip: one of them is in
// another subnet than the others, and the bridge has the network's own address.
func TestB6(t *testing.T) {
	experiment(t, switchOf+`
		for i in 1 2 3; do
			v netns add network0$i
			v link add veth0$i type veth peer veth0${i}p netns network0$i
			v link rename -n network0$i veth0${i}p eth0
			v link up -n network0$i eth0
			v link master veth0$i br0; v link up veth0$i
		done
		v addr add -n network01 10.0.1.1/24 dev eth0
		v addr add -n network02 10.220.1.2/24 dev eth0
		v addr add -n network03 10.220.1.3/24 dev eth0
		shows 'network.s own address' addr add 10.220.1.0/24 dev br0
		ping -n network02 10.220.1.3
		# The fault: the others are not in network01's subnet.
		noping 'network is unreachable' -n network01 10.220.1.2
		noping 'network is unreachable' -n network02 10.0.1.1
		shows '10.0.1.1/24' ls links -n network01
		v addr delete -n network01 10.0.1.1/24 dev eth0
		v addr add -n network01 10.220.1.1/24 dev eth0
		for i in 1 2 3; do for j in 1 2 3; do [ $i = $j ] || ping -n network0$i 10.220.1.$j; done; done
		# Nor has the host an address of the subnet to be reached by.
		v addr delete 10.220.1.0/24 dev br0
		v addr add 10.220.1.254/24 dev br0
		ping -n network01 10.220.1.254`)
}

// TestB10: who deletes one end of a cable deletes the other, and who deletes a
// namespace, what is in it.
func TestB10(t *testing.T) {
	experiment(t, twoCables+`
		v netns delete netns1
		hides 'veth1' ls links -n host
		hides 'netns1' ls namespaces
		v link delete -n netns2 eth0
		hides 'veth2' ls links -n host
		hides 'eth0' ls links -n netns2
		v undo; v undo
		shows 'veth1' ls links -n host; shows 'veth2' ls links -n host
		ping 170.10.0.10
		v netns delete netns2
		v delete veth2
		v delete netns1
		hides 'netns1\|veth1\|veth2' ls links`)
}
