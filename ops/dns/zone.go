// Package dns answers questions about the names of one network's containers, as
// Docker's embedded server does for user-defined networks. It answers A, AAAA
// and PTR for them with authority (RFC 1035), and forwards nothing: what would lie
// in the network's own domain or subnet does not exist (NXDOMAIN), and all else is
// refused (REFUSED). After a refusal a client goes on to its next server, as that
// of a second network, which NXDOMAIN would keep it from.
package dns

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// ttl is how many seconds an answer may be kept: containers come and go.
const ttl = 5

// Host is a container with its names, the first of which is the canonical one,
// and its addresses.
type Host struct {
	Names []string
	Addrs []netip.Addr
}

// Zone is what a network's server knows.
type Zone struct {
	Network  string         // also the domain: web-1 is web-1.web as well
	Prefixes []netip.Prefix // who may ask, and whose PTR records it has
	Hosts    []Host
}

// answer is the reply to one request of a client.
func (z *Zone) answer(client netip.Addr, req *dns.Msg) *dns.Msg {
	m := new(dns.Msg)
	m.SetReply(req)
	m.RecursionAvailable = false
	switch {
	case req.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case len(req.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	case !z.contains(client) || req.Question[0].Qclass != dns.ClassINET:
		m.Rcode = dns.RcodeRefused
	default:
		z.resolve(m, req.Question[0])
	}
	return m
}

func (z *Zone) contains(a netip.Addr) bool {
	return slices.ContainsFunc(z.Prefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

func (z *Zone) resolve(m *dns.Msg, q dns.Question) {
	name := strings.TrimSuffix(strings.ToLower(q.Name), ".")
	if addr, ok := reverse(name); ok {
		z.pointer(m, q, addr)
		return
	}
	short, ours := strings.CutSuffix(name, "."+strings.ToLower(z.Network))
	i := slices.IndexFunc(z.Hosts, func(h Host) bool { return h.called(name) || ours && h.called(short) })
	switch {
	case i >= 0:
		m.Authoritative = true
		m.Answer = addresses(q, z.Hosts[i].Addrs)
	case ours:
		m.Authoritative = true
		m.Rcode = dns.RcodeNameError
	default:
		m.Rcode = dns.RcodeRefused
	}
}

func (h Host) called(name string) bool {
	return slices.ContainsFunc(h.Names, func(n string) bool { return strings.EqualFold(n, name) })
}

// addresses are the records of the type that was asked for; none is an answer,
// too: the name exists.
func addresses(q dns.Question, addrs []netip.Addr) []dns.RR {
	var out []dns.RR
	for _, a := range addrs {
		head := dns.RR_Header{Name: q.Name, Class: dns.ClassINET, Ttl: ttl}
		switch {
		case a.Is4() && (q.Qtype == dns.TypeA || q.Qtype == dns.TypeANY):
			head.Rrtype = dns.TypeA
			out = append(out, &dns.A{Hdr: head, A: a.AsSlice()})
		case a.Is6() && (q.Qtype == dns.TypeAAAA || q.Qtype == dns.TypeANY):
			head.Rrtype = dns.TypeAAAA
			out = append(out, &dns.AAAA{Hdr: head, AAAA: a.AsSlice()})
		}
	}
	return out
}

// pointer answers which name an address has.
func (z *Zone) pointer(m *dns.Msg, q dns.Question, addr netip.Addr) {
	if !z.contains(addr) {
		m.Rcode = dns.RcodeRefused
		return
	}
	m.Authoritative = true
	i := slices.IndexFunc(z.Hosts, func(h Host) bool { return slices.Contains(h.Addrs, addr) })
	switch {
	case i < 0:
		m.Rcode = dns.RcodeNameError
	case q.Qtype == dns.TypePTR || q.Qtype == dns.TypeANY:
		m.Answer = []dns.RR{&dns.PTR{
			Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypePTR, Class: dns.ClassINET, Ttl: ttl},
			Ptr: dns.Fqdn(z.Hosts[i].Names[0] + "." + z.Network),
		}}
	}
}

// reverse reads the address in a name such as 2.0.18.172.in-addr.arpa (RFC
// 1035) or one of 32 nibbles under ip6.arpa (RFC 3596).
func reverse(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		labels := strings.Split(rest, ".")
		slices.Reverse(labels)
		a, err := netip.ParseAddr(strings.Join(labels, "."))
		return a, err == nil && a.Is4()
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	nibbles := strings.Split(rest, ".")
	if !ok || len(nibbles) != 32 {
		return netip.Addr{}, false
	}
	slices.Reverse(nibbles)
	var b strings.Builder
	for i, n := range nibbles {
		if i > 0 && i%4 == 0 {
			b.WriteByte(':')
		}
		b.WriteString(n)
	}
	a, err := netip.ParseAddr(b.String())
	return a, err == nil
}
