package netfilter

import (
	"strings"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// dockerRuleset is what Docker 20.10 and its kin make for the default bridge
// and a bridge network, with one published port each.
const dockerRuleset = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s 172.18.0.0/16 ! -o br-5f2c -j MASQUERADE
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
-A DOCKER -i br-5f2c -j RETURN
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8088 -j DNAT --to-destination 172.17.0.2:80
-A DOCKER -d 10.10.0.1/32 ! -i br-5f2c -p udp -m udp --dport 53 -j DNAT --to-destination 172.18.0.2:5353
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:DOCKER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
:DOCKER-USER - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -i br-5f2c ! -o br-5f2c -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -o br-5f2c -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
`

// iptablesKinds are the other kinds of rule that people and programs make.
const iptablesKinds = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SVC - [0:0]
:KUBE-SVC2 - [0:0]
-A PREROUTING -p tcp -m tcp --dport 80:90 -m comment --comment "web: it's \"80\"" -j DNAT --to-destination 10.0.0.2-10.0.0.9:8000-8010
-A PREROUTING -p tcp -m multiport --dports 80,443,8000:8100 -j REDIRECT --to-ports 8080
-A PREROUTING -p udp -m multiport ! --sports 53 -j DNAT --to-destination 10.0.0.2 --random --persistent
-A PREROUTING -p tcp -m tcp --dport 9000:9010 -j DNAT --to-destination 10.0.0.2:80-90/9000
-A PREROUTING -d 10.5.0.0/24 -j NETMAP --to 10.6.0.0/24
-A POSTROUTING -s 10.0.0.0/8 -o up+ -p tcp -j SNAT --to-source 192.0.2.1-192.0.2.4:1024-2048 --random-fully
-A POSTROUTING -s 10.0.0.0/8 -p udp -j MASQUERADE --to-ports 1024-65535 --random
-A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
-A KUBE-SVC -p tcp -m comment --comment one -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.0.0.2:80
-A KUBE-SVC -m statistic --mode nth --every 3 --packet 1 -g KUBE-SVC2
COMMIT
*mangle
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A PREROUTING -m connmark ! --mark 0x1/0xff -j MARK --set-xmark 0x1/0xff
-A PREROUTING -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff
-A FORWARD -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu
-A OUTPUT -m owner --uid-owner 0 -j MARK --set-xmark 0x2/0xffffffff
-A POSTROUTING -p udp -m udp --dport 68 -j CHECKSUM --checksum-fill
COMMIT
*raw
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A PREROUTING -i lo -j CT --notrack
-A PREROUTING -m rpfilter --validmark --invert -j DROP
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:LOGGED - [0:0]
-A INPUT -m conntrack --ctstate NEW,RELATED,ESTABLISHED,DNAT -j ACCEPT
-A INPUT -m conntrack --ctstate INVALID -m conntrack ! --ctstatus SEEN_REPLY -j DROP
-A INPUT ! -s 10.0.0.0/255.0.255.0 ! -d 10.0.0.1/32 ! -i eth0 ! -p icmp -j LOGGED
-A INPUT -p icmp -m icmp --icmp-type 8 -m limit --limit 5/sec --limit-burst 7 -j ACCEPT
-A INPUT -p tcp -m tcp --sport 1024:65535 --dport 22 --tcp-flags FIN,SYN,RST,ACK SYN -j ACCEPT
-A INPUT -m iprange --src-range 10.0.0.1-10.0.0.9 -j ACCEPT
-A INPUT -m mac --mac-source 02:00:00:00:00:01 -j ACCEPT
-A INPUT -m pkttype --pkt-type multicast -j DROP
-A INPUT -m physdev ! --physdev-in veth0 --physdev-is-bridged -j DROP
-A INPUT -m length --length 100:200 -j DROP
-A INPUT -f -j DROP
-A INPUT -m addrtype --src-type LOCAL ! --dst-type UNICAST,BROADCAST --limit-iface-in -j DROP
-A LOGGED -j LOG --log-prefix "dropped: " --log-level 6 --log-tcp-options
-A LOGGED -j NFLOG --nflog-prefix x --nflog-group 2
-A LOGGED -p tcp -j REJECT --reject-with tcp-reset
-A LOGGED -j REJECT --reject-with icmp-port-unreachable
-A LOGGED -p gre -j DROP
COMMIT
`

const ip6tablesKinds = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80
-A PREROUTING -d fd00:1::/64 -j DNAT --to-destination fd00::3
-A POSTROUTING -s fd00::/64 ! -o br0 -j MASQUERADE
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT
-A INPUT -s fe80::/10 -j REJECT --reject-with icmp6-adm-prohibited
COMMIT
`

// savedRules are the rules of iptables-save, by table.
func savedRules(listing string) map[string][]string {
	out := map[string][]string{}
	table := ""
	for line := range strings.Lines(listing) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		}
		if strings.HasPrefix(line, "-A ") {
			out[table] = append(out[table], line)
		}
	}
	return out
}

func TestIptablesTextIsWhatIptablesSaves(t *testing.T) {
	for _, c := range []struct{ name, restore, save, ruleset string }{
		{"docker", "iptables-nft-restore", "iptables-nft-save", dockerRuleset},
		{"kinds", "iptables-nft-restore", "iptables-nft-save", iptablesKinds},
		{"ip6", "ip6tables-nft-restore", "ip6tables-nft-save", ip6tablesKinds},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := sandboxtest.NS(t, "ipt-"+c.name)
			restore(t, ns, c.restore, c.ruleset)
			got := map[string][]string{}
			for _, r := range read(t, ns).Rules {
				got[r.Table] = append(got[r.Table], r.Text)
				if r.Engine != EngineIptables || len(r.Unknown) > 0 {
					t.Errorf("%s: engine %s, not decoded: %v", r.Text, r.Engine, r.Unknown)
				}
			}
			want := savedRules(sandboxtest.Run(t, ns, c.save))
			if len(want) != strings.Count(c.ruleset, "\nCOMMIT") {
				t.Fatalf("iptables-save shows %d tables", len(want))
			}
			for table, lines := range want {
				t.Run(table, func(t *testing.T) { compareLines(t, got[table], lines) })
			}
		})
	}
}
