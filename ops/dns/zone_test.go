package dns

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func testZone() *Zone {
	return &Zone{
		Network:  "web",
		Prefixes: []netip.Prefix{netip.MustParsePrefix("172.18.0.0/24"), netip.MustParsePrefix("fd18::/64")},
		Hosts: []Host{
			{Names: []string{"web-1"}, Addrs: []netip.Addr{netip.MustParseAddr("172.18.0.2"), netip.MustParseAddr("fd18::2")}},
			{Names: []string{"db-1", "db", "my.shop"}, Addrs: []netip.Addr{netip.MustParseAddr("172.18.0.3")}},
		},
	}
}

// ask is the answer in short: the code and the records' data.
func ask(z *Zone, client, name, qtype string) string {
	req := new(dns.Msg)
	req.SetQuestion(dns.Fqdn(name), dns.StringToType[qtype])
	m := z.answer(netip.MustParseAddr(client), req)
	out := []string{dns.RcodeToString[m.Rcode]}
	for _, rr := range m.Answer {
		if rr.Header().Name != dns.Fqdn(name) {
			out = append(out, "for "+rr.Header().Name)
		}
		out = append(out, strings.TrimPrefix(rr.String(), rr.Header().String()))
	}
	return strings.Join(out, " ")
}

func TestAnswers(t *testing.T) {
	const inside = "172.18.0.9"
	for _, c := range []struct{ client, name, qtype, want string }{
		{inside, "web-1", "A", "NOERROR 172.18.0.2"},
		{inside, "web-1", "AAAA", "NOERROR fd18::2"},
		{inside, "web-1", "ANY", "NOERROR 172.18.0.2 fd18::2"},
		{inside, "WEB-1.Web", "A", "NOERROR 172.18.0.2"},
		{"fd18::9", "web-1", "A", "NOERROR 172.18.0.2"},
		{"::ffff:172.18.0.9", "web-1", "A", "NOERROR 172.18.0.2"},
		{inside, "db", "A", "NOERROR 172.18.0.3"},
		{inside, "db.web", "A", "NOERROR 172.18.0.3"},
		{inside, "my.shop", "A", "NOERROR 172.18.0.3"},
		{inside, "db", "AAAA", "NOERROR"}, // it exists, without such an address
		{inside, "db", "MX", "NOERROR"},
		{inside, "web-3", "A", "REFUSED"},
		{inside, "web-3.web", "A", "NXDOMAIN"},
		{inside, "a.b.web", "A", "NXDOMAIN"},
		{inside, "example.org", "A", "REFUSED"},
		{inside, ".", "NS", "REFUSED"},
		{inside, "2.0.18.172.in-addr.arpa", "PTR", "NOERROR web-1.web."},
		{inside, "3.0.18.172.in-addr.arpa", "PTR", "NOERROR db-1.web."},
		{inside, "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.d.f.ip6.arpa", "PTR", "NOERROR web-1.web."},
		{inside, "2.0.18.172.in-addr.arpa", "A", "NOERROR"},
		{inside, "77.0.18.172.in-addr.arpa", "PTR", "NXDOMAIN"},
		{inside, "8.8.8.8.in-addr.arpa", "PTR", "REFUSED"},
		{inside, "x.8.8.8.in-addr.arpa", "PTR", "REFUSED"},
		{"172.19.0.2", "web-1", "A", "REFUSED"}, // another network's container
	} {
		if got := ask(testZone(), c.client, c.name, c.qtype); got != c.want {
			t.Errorf("%s asks for %s %s: %s, want %s", c.client, c.name, c.qtype, got, c.want)
		}
	}
}

func TestStrangeRequests(t *testing.T) {
	client := netip.MustParseAddr("172.18.0.9")
	for what, c := range map[string]struct {
		spoil func(*dns.Msg)
		want  int
	}{
		"an update":     {func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }, dns.RcodeNotImplemented},
		"no question":   {func(m *dns.Msg) { m.Question = nil }, dns.RcodeFormatError},
		"two questions": {func(m *dns.Msg) { m.Question = append(m.Question, m.Question...) }, dns.RcodeFormatError},
		"another class": {func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }, dns.RcodeRefused},
	} {
		req := new(dns.Msg)
		req.SetQuestion("web-1.", dns.TypeA)
		c.spoil(req)
		if m := testZone().answer(client, req); m.Rcode != c.want || len(m.Answer) != 0 || m.Id != req.Id {
			t.Errorf("%s: %s, want %s", what, dns.RcodeToString[m.Rcode], dns.RcodeToString[c.want])
		}
	}
}

// TestArgs: what a plan writes on the command line is what the server reads.
func TestArgs(t *testing.T) {
	z := testZone()
	c := Config{Zone: *z, Listen: []netip.Prefix{netip.MustParsePrefix("172.18.0.1/24"), netip.MustParsePrefix("fd18::1/64")}}
	args := c.Args()
	got, ready, err := Parse(args[1:])
	if err != nil || ready != nil || args[0] != "dns" || got.Link != "web" || got.Zone.Network != "web" {
		t.Fatalf("%v became %+v, %v, %v", args, got, ready, err)
	}
	if !slices.Equal(got.Listen, c.Listen) || !slices.Equal(got.Zone.Prefixes, z.Prefixes) || len(got.Zone.Hosts) != 2 ||
		!slices.Equal(got.Zone.Hosts[1].Names, z.Hosts[1].Names) || !slices.Equal(got.Zone.Hosts[0].Addrs, z.Hosts[0].Addrs) {
		t.Errorf("%v became %+v", args, got)
	}
	for _, bad := range []string{"", "--listen 10.0.0.1/24", "web", "web --listen 10.0.0.1", "web --listen 10.0.0.1/24 more",
		"web --listen 10.0.0.1/24 --record x", "web --listen 10.0.0.1/24 --record x=y", "web --unknown"} {
		if _, _, err := Parse(strings.Fields(bad)); err == nil {
			t.Errorf("%q was understood", bad)
		}
	}
}
