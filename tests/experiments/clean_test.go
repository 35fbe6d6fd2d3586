package experiments

import "testing"

// TestCleanWithoutJournal: networks of several modes and single actions, whose
// journal is lost, are found by their marks; what is somebody else's stays.
func TestCleanWithoutJournal(t *testing.T) {
	experiment(t, `
		ip netns add web-9; ip netns add theirs; ip -n theirs link set lo alias mine
		ip link add br9 type bridge; ip addr add 10.9.0.1/24 dev br9; ip link set br9 up
		ip link add v-web-9 type veth peer name eth0 netns theirs; ip link set v-web-9 master br9; ip link set v-web-9 alias 'about vethscope:'
		ip route add 10.99.0.0/16 dev br9 proto static
		nft add table inet vethscope; nft add table ip filter
		nft 'add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }'
		nft add rule ip filter FORWARD iifname br9 accept comment '"vethscope rules"'
		ip netns exec theirs nft add table inet theirs
		foreign=$(state; ip netns exec theirs nft list ruleset; ip -n theirs -o link; ip -n theirs route)

		v create bridge web --containers 2 --subnet 172.18.0.0/24 --ipv6 fd18::/64 --publish 8080:80
		v create overlay blue --hosts 2 --subnet 10.0.1.0/24 --vni 4097
		v create macvlan mv --subnet 10.77.0.0/24 --shim
		v create veth cable --subnet 172.28.0.0/24
		v create none alone
		v forward-accept web
		v netns add c1; v netns rename c1 c2
		v link add sw0 type bridge; v addr add 10.5.0.1/24 dev sw0; v link up sw0; v link rename sw0 sw1
		v link add x1 type veth peer eth9 netns theirs; v link up -n theirs eth9; v addr add -n theirs 10.6.0.1/24 dev eth9
		v route add -n theirs 10.7.0.0/16 dev eth9; v route add 10.8.0.0/16 dev sw1; v route add 10.10.99.0/24 type blackhole table 77
		v masquerade 10.5.0.0/24
		rm -rf /run/vethscope/journal; mkdir -p /run/vethscope/journal
		vethscope clean > /run/swept || fail "clean: $(cat /run/swept)"
		: > /run/vethscope/journal/lock
		for what in 'namespace web-1' 'namespace c2' 'namespace alone' 'link sw1' 'link x1' 'nft table vethscope-web' 'rule "vethscope:web"' \
			'route 10.7.0.0/16 in theirs' 'route 10.8.0.0/16' 'route 10.10.99.0/24'; do
			grep -q "removed: $what" /run/swept || fail "clean does not say that it removed $what: $(cat /run/swept)"
		done
		# Nobody can tell who switched on forwarding.
		sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0
		now=$(state; ip netns exec theirs nft list ruleset; ip -n theirs -o link; ip -n theirs route)
		[ "$foreign" = "$now" ] || fail "not as before. Before: $foreign After: $now"
		shows 'nothing of ours' clean

		nft delete table inet vethscope; nft delete table ip filter
		ip link delete v-web-9; ip link delete br9; ip netns delete web-9; ip netns delete theirs`)
}
