package netfilter

import (
	"strings"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// nftRuleset has the kinds of rule that vethscope makes, and those that people
// write beside them.
const nftRuleset = `
table ip vethscope {
	set peers { type ipv4_addr; flags interval; elements = { 10.1.0.0/16, 10.2.0.1-10.2.0.9, 192.0.2.1 } }
	map targets { type inet_service : ipv4_addr . inet_service; elements = { 8080 : 10.0.0.2 . 80, 8081 : 10.0.0.3 . 80 } }
	chain prerouting {
		type nat hook prerouting priority -105; policy accept;
		fib daddr type local tcp dport 8080 counter dnat to 172.18.0.11:80 comment "web: 8080 -> 80"
		fib daddr type local udp dport 53 dnat to 172.18.0.11
		iifname "up0" tcp dport 9000-9010 dnat to 10.0.0.2-10.0.0.9:80
		iifname != "br*" ip daddr 10.10.0.1 tcp dport { 80, 443 } dnat to 10.0.0.4
		meta l4proto { tcp, udp } th dport 5353 redirect to :53
		dnat ip addr . port to tcp dport map @targets
		tcp dport 7000 dnat to numgen inc mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }
		redirect
	}
	chain output {
		type nat hook output priority -100; policy accept;
		oifname "lo" fib daddr type local tcp dport 8080 dnat to 172.18.0.11:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.18.0.0/24 oifname != "br0" counter packets 7 bytes 588 masquerade comment "out"
		ip saddr 172.16.0.0/12 masquerade random,persistent
		ip saddr 10.0.0.0/8 meta l4proto tcp masquerade to :1024-65535
		ct status dnat ip saddr @peers snat to 10.10.0.1
		ip saddr 10.7.0.0/31 snat to 192.0.2.1-192.0.2.7 fully-random
	}
	chain sub {
		ct state established,related accept
		ct state new meta mark set 0x00000011 return
		meta mark 0x00000011 drop
		meta mark & 0x000000ff == 0x00000001 jump other
		goto other
	}
	chain other {
		log prefix "seen: " level info
		log prefix "x" group 3
		limit rate 10/second burst 7 packets accept
		limit rate over 2 mbytes/minute burst 9 kbytes drop
		ip protocol icmp accept
		icmp type echo-request accept
		icmp type { echo-reply, echo-request } counter packets 0 bytes 0 accept
		ip ttl 64 reject
		tcp dport 22 reject with tcp reset
		ip dscp cs1 tcp flags syn tcp sport 1024-65535 accept
		udp sport 68 udp dport 67 accept
		ip saddr != 10.0.0.0/24 ip daddr { 10.0.0.1, 10.0.0.2 } drop
		ip saddr . tcp dport { 10.0.0.1 . 80, 10.0.0.2 . 81 } accept
		ct original ip daddr 10.10.0.1 ct direction reply accept
		ct mark 0x00000005 accept
		ct mark set meta mark
		ct state vmap { established : accept, related : accept, new : jump third }
		tcp dport vmap { 80 : accept, 81-90 : drop }
		iif "lo" accept
		ip length 100-200 accept
		ip daddr 224.0.0.0/4 meta pkttype multicast accept
		notrack
		ct count over 10 drop
		update @peers2 { ip saddr timeout 60s }
	}
	chain third {
		accept
	}
	set peers2 { type ipv4_addr; flags dynamic,timeout; size 65535; }
}
table ip6 vethscope {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip6 saddr fd00:1::/64 oifname != "br0" masquerade
		tcp dport 80 dnat to [fd00:1::2]:8080
	}
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local tcp dport 8080 counter packets 0 bytes 0 dnat to [fd00:1::2]:80
		icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
		ip6 daddr fd00::1 accept
		reject
	}
}
table inet lab {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local tcp dport 8088 dnat ip to 172.18.0.2:80
		fib daddr type local tcp dport 8088 dnat ip6 to [fd00::2]:80
		meta nfproto ipv4 tcp dport 81 redirect to :8081
	}
	chain forward {
		type filter hook forward priority filter; policy drop;
		ip saddr 10.0.0.0/24 accept
		ip6 saddr fd00::/64 accept
		meta nfproto ipv6 drop
		meta l4proto tcp counter packets 0 bytes 0 accept
		icmp type echo-request accept
		icmpv6 type echo-request accept
		iifname { "br0", "br1" } oifname "up0" accept
		iifname . oifname { "a" . "b" } accept
		ip daddr 10.0.0.1 tcp dport { 80, 443 } ct state new accept
	}
}
table bridge lab {
	chain forward {
		type filter hook forward priority filter; policy accept;
		ether saddr 02:00:00:00:00:01 drop
		ether type arp accept
		ip daddr 10.0.0.1 drop
	}
}
`

func TestNFTTextIsWhatNFTLists(t *testing.T) {
	ns := sandboxtest.NS(t, "nfttext")
	load(t, ns, strings.Replace(nftRuleset, "		tcp dport 80 dnat to [fd00:1::2]:8080\n", "", 1))
	rs := read(t, ns)
	var got []string
	for _, r := range rs.Rules {
		got = append(got, r.Text)
		if len(r.Unknown) > 0 {
			t.Errorf("not decoded in %q: %v", r.Text, r.Unknown)
		}
		if r.Engine != EngineNFT {
			t.Errorf("engine of %q: %s", r.Text, r.Engine)
		}
	}
	compareLines(t, got, rulesOf(sandboxtest.Run(t, ns, "nft", "-s", "list", "ruleset")))
}
