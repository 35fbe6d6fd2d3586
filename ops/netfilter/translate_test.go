package netfilter

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

func packet(in, out, protocol, src, dst string) Packet {
	own := netip.MustParseAddr(hostAddr)
	return Packet{
		InLink: in, OutLink: out, Protocol: protocol,
		Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst),
		IsLocal: func(a netip.Addr) bool { return a == own },
	}
}

func TestTranslate(t *testing.T) {
	native, docker, more := sandboxtest.NS(t, "tr-native"), sandboxtest.NS(t, "tr-docker"), sandboxtest.NS(t, "tr-more")
	load(t, native, nativeLab)
	restore(t, docker, "iptables-nft-restore", dockerLab)
	restore(t, more, "iptables-nft-restore", iptablesKinds)
	for _, c := range []struct {
		name, ns   string
		packet     Packet
		dnat, snat string // the new address and port, and a part of the rule; "" for no rewrite
		dropped    bool
		unsure     string
	}{
		{"published", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.1:8080"), "172.18.0.2:80 counter", "", false, ""},
		{"not for the host", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.3:8080"), "", "", false, ""},
		{"other protocol", native, packet("up0", "br0", "udp", "10.10.0.2:4000", "10.10.0.1:8080"), "", "", false, ""},
		{"interval in a set", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.7:8090"), "172.18.0.2:80 8085-8090", "", false, ""},
		{"beyond the interval", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.7:8091"), "", "", false, ""},
		{"outside the prefix", native, packet("up0", "br0", "tcp", "10.10.0.17:4000", "10.10.0.1:8082"), "", "", false, ""},
		{"outwards", native, packet("br0", "up0", "icmp", "172.18.0.2:1", "10.10.0.2:1"), "", "*:0 masquerade", false, ""},
		{"chance", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.1:8083"), "172.18.0.2:82 numgen", "", false, "comparison"},
		{"a limit that only counts", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.1:8079"), "", "", false, ""},
		{"one or the other, the same", native, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.1:8084"), "172.18.0.2:0 numgen inc", "", false, "lookup"},
		{"docker", docker, packet("up0", "br0", "tcp", "10.10.0.2:4000", "10.10.0.1:8088"), "172.18.0.2:80 DOCKER", "", false, ""},
		{"docker from its own bridge", docker, packet("br0", "br0", "tcp", "172.18.0.3:4000", "10.10.0.1:8088"), "", "", false, ""},
		{"docker by loopback", docker, packet("", "lo", "tcp", "127.0.0.1:4000", "127.0.0.1:8088"), "", "", false, ""},
		{"ports in a list", more, packet("up0", "", "tcp", "10.0.0.9:1024", "10.10.0.1:8050"), "*:8080 REDIRECT", "", false, ""},
		{"ports in a range", more, packet("up0", "br0", "tcp", "10.0.0.9:1024", "10.10.0.1:85"), "10.0.0.2:8000 web", "", false, ""},
		{"inverted list", more, packet("up0", "br0", "udp", "11.9.0.9:1024", "10.10.0.1:85"), "10.0.0.2:0 --sports 53", "", false, ""},
		{"the list's own port", more, packet("up0", "br0", "udp", "11.9.0.9:53", "10.10.0.1:85"), "", "", false, ""},
		{"prefix to prefix", more, packet("up0", "br0", "sctp", "11.0.0.9:1", "10.5.0.77:85"), "10.6.0.77:0 NETMAP", "", false, ""},
		{"link by its beginning", more, packet("br0", "up7", "tcp", "10.0.0.9:1", "192.0.2.9:1"), "", "192.0.2.1:1024 up+", false, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, c.ns).Translate(c.packet)
			expectRewrite(t, "dnat", got.DNAT, c.dnat)
			expectRewrite(t, "snat", got.SNAT, c.snat)
			if got.Dropped != c.dropped {
				t.Errorf("dropped: %v", got.Dropped)
			}
			if why := strings.Join(got.Unsure, "; "); (why == "") != (c.unsure == "") || !strings.Contains(why, c.unsure) {
				t.Errorf("unsure: %q, want %q", why, c.unsure)
			}
		})
	}
}

func expectRewrite(t *testing.T, what string, got *Rewrite, want string) {
	t.Helper()
	if got == nil || want == "" {
		if got != nil || want != "" {
			t.Errorf("%s: %+v, want %q", what, got, want)
		}
		return
	}
	to, part, _ := strings.Cut(want, " ")
	addr := "kernel's choice"
	if a := got.To.Addr(); a.IsValid() {
		addr = a.String()
	}
	if text := fmt.Sprintf("%s:%d", addr, got.To.Port()); text != strings.Replace(to, "*", "kernel's choice", 1) || !strings.Contains(got.Rule.Text, part) {
		t.Errorf("%s: to %s by %q, want %q", what, text, got.Rule.Text, want)
	}
}

// A rule is not named when another explains the flow as well, when none does,
// or when something that is not understood may have done it.
func TestAttributeNamesNothingUncertain(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		reply       Tuple
	}{
		{"two rules that chance chooses from", `numgen random mod 2 0 dnat to 172.18.0.2:80; dnat to 172.18.0.2:80`, reply("172.18.0.2:80", "10.10.0.2:4000")},
		{"another address", `tcp dport 8080 dnat to 172.18.0.3:80`, reply("172.18.0.2:80", "10.10.0.2:4000")},
		{"another port", `tcp dport 8080 dnat to 172.18.0.2:81`, reply("172.18.0.2:80", "10.10.0.2:4000")},
		{"a source that no rule changes", `counter`, reply("10.10.0.1:8080", "10.10.0.1:4000")},
		{"nothing rewritten", `tcp dport 8080 accept`, reply("10.10.0.1:8080", "10.10.0.2:4000")},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := sandboxtest.NS(t, "uncertain")
			load(t, ns, "table ip t { chain c { type nat hook prerouting priority -100; meta l4proto tcp jump s; }; chain s { "+
				strings.ReplaceAll(c.rules, "dnat", "meta l4proto tcp dnat")+"; }; }")
			f := Flow{Protocol: "tcp", Original: Tuple{addrPort("10.10.0.2:4000"), addrPort("10.10.0.1:8080")}, Reply: c.reply}
			local := func(a netip.Addr) bool { return a.String() == hostAddr }
			dnat, snat := read(t, ns).Attribute(f, "up0", "br0", local)
			if dnat != nil || snat != nil {
				t.Errorf("dnat by %+v, snat by %+v", dnat, snat)
			}
		})
	}
}

// Two tables at one priority: what the kernel did tells which came first.
func TestAttributeBetweenTablesOfOnePriority(t *testing.T) {
	l := newLab(t, "prio")
	load(t, l.host, `table ip one { chain c { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.18.0.2:80; }; }
table ip two { chain c { type nat hook prerouting priority -100; tcp dport 8080 dnat to 172.18.0.2:81; }; }`)
	serve(t, l.container, ":80")
	serve(t, l.container, ":81")
	visit(t, l.outside, hostAddr+":8080")
	f := flowTo(t, l.host, hostAddr+":8080")
	dnat, _ := read(t, l.host).Attribute(f, "up0", "br0", l.local)
	if dnat == nil || !strings.HasSuffix(dnat.Text, f.Reply.Src.String()) {
		t.Errorf("%+v went to %s", dnat, f.Reply.Src)
	}
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func reply(src, dst string) Tuple { return Tuple{Src: addrPort(src), Dst: addrPort(dst)} }
