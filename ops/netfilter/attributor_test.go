package netfilter

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// madeUpRoutes are those of the lab.
type madeUpRoutes struct{ asked int }

var ownAddrs = map[string]bool{hostAddr: true, gatewayAddr: true, "10.10.0.7": true, "127.0.0.1": true, "192.0.2.1": true}

func (*madeUpRoutes) Local(a netip.Addr) bool { return ownAddrs[a.String()] }

func (r *madeUpRoutes) Link(a netip.Addr) (string, bool) {
	r.asked++
	switch {
	case r.Local(a):
		return "", true
	case netip.MustParsePrefix("172.18.0.0/24").Contains(a):
		return "br0", true
	case netip.MustParsePrefix("172.19.0.0/16").Contains(a):
		return "nosuch0", true
	}
	return "up0", true
}

// flowsLike makes flows as the rules would rewrite them: random packets, of
// addresses and ports that the rules ask for, and others.
func flowsLike(rs *Ruleset, routes Routes, n int) (out []Flow) {
	rng := rand.New(rand.NewPCG(7, 7))
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	for range n {
		src := pick("10.10.0.2", "10.10.0.3", "10.10.0.17", "172.18.0.2", "172.18.0.3", "172.19.0.2", hostAddr, "127.0.0.1", "10.0.0.9",
			fmt.Sprintf("%d.%d.%d.%d", 1+rng.IntN(220), rng.IntN(256), rng.IntN(256), rng.IntN(256)))
		dst := pick(hostAddr, hostAddr, "10.10.0.7", gatewayAddr, "127.0.0.1", "10.10.0.2", "172.18.0.2", "10.5.0.77", "192.0.2.9",
			fmt.Sprintf("%d.%d.%d.%d", 1+rng.IntN(220), rng.IntN(256), rng.IntN(256), rng.IntN(256)))
		dport := pick("80", "81", "85", "443", "8050", "8080", "8081", "8082", "8084", "8086", "8088", "8090", "8091", "9005", fmt.Sprint(rng.IntN(65536)))
		sport := pick("53", "80", fmt.Sprint(1024+rng.IntN(60000)))
		f := Flow{Protocol: pick("tcp", "tcp", "udp", "sctp"),
			Original: Tuple{netip.MustParseAddrPort(src + ":" + sport), netip.MustParseAddrPort(dst + ":" + dport)}}
		in, _ := routes.Link(f.Original.Src.Addr())
		f.Reply = Tuple{f.Original.Dst, f.Original.Src}
		for range 2 { // the link depends on where it goes
			out, _ := routes.Link(f.Reply.Src.Addr())
			t := rs.Translate(Packet{InLink: in, OutLink: out, Protocol: f.Protocol, Src: f.Original.Src, Dst: f.Original.Dst, IsLocal: routes.Local})
			f.Reply = Tuple{rewrittenTo(f.Original.Dst, t.DNAT), rewrittenTo(f.Original.Src, t.SNAT)}
		}
		if f.ChangesDestination() || f.ChangesSource() {
			out = append(out, f)
		}
	}
	return out
}

func rewrittenTo(from netip.AddrPort, r *Rewrite) netip.AddrPort {
	if r == nil {
		return from
	}
	addr, port := r.To.Addr(), r.To.Port()
	if !addr.IsValid() {
		addr = netip.MustParseAddr(hostAddr)
	}
	if port == 0 {
		port = from.Port()
	}
	return netip.AddrPortFrom(addr, port)
}

// TestAttributorNamesWhatAttributeNames: what is remembered never makes a
// difference, and where no link is asked for none is needed.
func TestAttributorNamesWhatAttributeNames(t *testing.T) {
	for _, c := range []struct {
		name string
		load func(ns string)
	}{
		{"native", func(ns string) { load(t, ns, nativeLab) }},
		{"docker", func(ns string) { restore(t, ns, "iptables-nft-restore", dockerLab) }},
		{"iptables", func(ns string) { restore(t, ns, "iptables-nft-restore", iptablesKinds) }},
		{"marks", func(ns string) { restore(t, ns, "iptables-nft-restore", kubeLab) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			ns := sandboxtest.NS(t, "attr-"+c.name)
			c.load(ns)
			rs, routes := read(t, ns), &madeUpRoutes{}
			flows := flowsLike(rs, routes, 40000)
			a := rs.Attributor(routes)
			named := 0
			routes.asked = 0
			for i := range flows {
				f := &flows[i]
				in, _ := (&madeUpRoutes{}).Link(f.Original.Src.Addr())
				out, _ := (&madeUpRoutes{}).Link(f.Reply.Src.Addr())
				dnat, snat := rs.Attribute(*f, in, out, routes.Local)
				gotD, gotS := a.Attribute(f)
				if gotD != dnat || gotS != snat {
					t.Fatalf("%+v: %v and %v, want %v and %v", *f, ruleName(gotD), ruleName(gotS), ruleName(dnat), ruleName(snat))
				}
				if dnat != nil || snat != nil {
					named++
				}
			}
			if named < len(flows)/3 {
				t.Errorf("only %d of %d flows have a rule", named, len(flows))
			}
			t.Logf("%d flows, %d with a rule, %d answers of %d kinds, %d links asked for", len(flows), named, a.count, len(a.kinds), routes.asked)
			if c.name == "docker" && a.count > len(flows)/20 { // its rules compare, and look nothing up
				t.Errorf("%d answers for %d flows", a.count, len(flows))
			}
		})
	}
}

func ruleName(r *Rule) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("%s %d %q", r.Chain, r.Handle, r.Text)
}

// BenchmarkAttribute is what naming the rules of a flow costs, of flows that
// were not seen before.
func BenchmarkAttribute(b *testing.B) {
	ns := sandboxtest.NS(b, "attr-bench")
	restore(b, ns, "iptables-nft-restore", dockerLab)
	rs := read(b, ns)
	routes := &madeUpRoutes{}
	flows := flowsLike(rs, routes, 1<<17)
	b.Run("each", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			f := flows[i%len(flows)]
			in, _ := routes.Link(f.Original.Src.Addr())
			out, _ := routes.Link(f.Reply.Src.Addr())
			rs.Attribute(f, in, out, routes.Local)
		}
	})
	b.Run("remembered", func(b *testing.B) {
		a := rs.Attributor(routes)
		for i := 0; b.Loop(); i++ {
			a.Attribute(&flows[i%len(flows)])
		}
	})
}
