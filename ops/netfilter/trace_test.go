package netfilter

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// tracer has the kernel tell of every rule that the first packet of a flow
// meets. It stands behind conntrack (-200) and before NAT (-100).
const tracer = `table inet tracer {
	chain prerouting { type filter hook prerouting priority -150; ct state new meta nftrace set 1; }
	chain output { type filter hook output priority -150; ct state new meta nftrace set 1; }
}
`

// tracing is `nft monitor trace` in the lab's host.
type tracing struct {
	t      *testing.T
	lab    *lab
	lines  chan string
	marker int
}

func newTracing(t *testing.T, l *lab) *tracing {
	t.Helper()
	load(t, l.host, tracer)
	cmd := exec.Command(sandboxtest.Tool(t, "nft"), "-a", "monitor", "trace")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := netns.Do(netns.Path(l.host), cmd.Start); err != nil {
		t.Fatal(err)
	}
	tr := &tracing{t: t, lab: l, lines: make(chan string), marker: 20000}
	go func() {
		defer close(tr.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			tr.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		for range tr.lines {
		}
		cmd.Wait()
	})
	tr.collect() // now the monitor listens
	return tr
}

// collect is everything that was told up to now. The kernel tells in order, so
// it sends a packet of its own and waits until that is told of.
func (tr *tracing) collect() []string {
	tr.t.Helper()
	var out []string
	deadline := time.After(20 * time.Second)
	resend := time.NewTicker(200 * time.Millisecond) // until the monitor listens
	defer resend.Stop()
	first := tr.marker + 1
	tr.sendMarker()
	for {
		select {
		case line, ok := <-tr.lines:
			if !ok {
				tr.t.Fatal("nft monitor trace ended")
			}
			for port := first; port <= tr.marker; port++ {
				if strings.Contains(line, fmt.Sprintf("udp dport %d", port)) {
					return out
				}
			}
			out = append(out, line)
		case <-resend.C:
			tr.sendMarker()
		case <-deadline:
			tr.t.Fatalf("nft monitor trace tells nothing: %q", out)
		}
	}
}

func (tr *tracing) sendMarker() {
	tr.t.Helper()
	tr.marker++
	err := netns.Do(netns.Path(tr.lab.host), func() error {
		c, err := (&net.Dialer{}).DialContext(tr.t.Context(), "udp", fmt.Sprintf("%s:%d", outsideAddr, tr.marker))
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("x"))
		return err
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

var traceLine = regexp.MustCompile(`^trace id (\w+) (\S+ \S+ \S+) (packet|rule)(.*)$`)
var traceHandle = regexp.MustCompile(`# handle (\d+) \(verdict accept\)`)

// accepted are the rules that ended a chain for the packets that packet
// describes; but for the table filter they are, in this lab, those that rewrite.
func accepted(lines []string, packet string) []string {
	var out []string
	ids := map[string]bool{}
	for _, line := range lines {
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[3] == "packet" && strings.Contains(m[4], packet) {
			ids[m[1]] = true
		}
		if h := traceHandle.FindStringSubmatch(m[4]); h != nil && m[3] == "rule" && ids[m[1]] && !strings.Contains(m[2], " filter ") {
			out = append(out, m[2]+" "+h[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nativeLab is a ruleset as vethscope makes it, with more for what it does not:
// jumps, maps, both rewrites at once, and a rule that chance decides.
const nativeLab = `
table ip lab {
	map ports { type inet_service : verdict; elements = { 8082 : goto published } }
	chain prerouting {
		type nat hook prerouting priority -105; policy accept;
		iifname "nosuch" fib daddr type local tcp dport 8080 counter dnat to 172.18.0.99:80
		fib daddr type local tcp dport 8080 counter dnat to 172.18.0.2:80
		fib daddr type local tcp dport 8081 dnat to 172.18.0.2:81
		fib daddr type local tcp dport vmap @ports
		tcp dport 8083 limit rate 1/day burst 1 packets counter
		tcp dport 8083 numgen random mod 2 0 dnat to 172.18.0.2:82
		tcp dport 8083 dnat to 172.18.0.2:80
		tcp dport 8084 dnat to numgen inc mod 2 map { 0 : 172.18.0.2, 1 : 172.18.0.2 }
		ip daddr 10.10.0.7 tcp dport { 443, 8085-8090 } dnat to 172.18.0.2:80
	}
	chain published {
		meta l4proto != tcp return
		meta l4proto tcp ct state new ip saddr 10.10.0.0/28 dnat to 172.18.0.2:80
	}
	chain output {
		type nat hook output priority -100; policy accept;
		oifname "lo" fib daddr type local tcp dport 8080 dnat to 172.18.0.2:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.18.0.0/24 oifname != "br0" counter masquerade
		ct status dnat oifname "br0" tcp dport 81 masquerade
		ip saddr 172.18.0.2 ip daddr 172.18.0.2 masquerade
	}
}
table inet both {
	chain prerouting {
		type nat hook prerouting priority -95; policy accept;
		fib daddr type local tcp dport 8091 dnat ip6 to [fd00:18::2]:80
		fib daddr type local tcp dport 8091 dnat ip to 172.18.0.2:80
	}
}
table ip6 lab {
	chain prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local tcp dport 8080 dnat to [fd00:18::2]:80
	}
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip6 saddr fd00:18::/64 oifname != "br0" masquerade
	}
}
`

// dockerLab is Docker's ruleset for the lab's bridge and container.
var dockerLab = strings.NewReplacer("docker0", "br0", "br-5f2c", "nosuch0", "172.18.0.0/16", "172.19.0.0/16",
	"172.18.0.2", "172.19.0.2", "172.17.0.0/16", "172.18.0.0/24", "172.17.0.2", "172.18.0.2").Replace(dockerRuleset)

// kubeLab marks in one chain what another masquerades, and spreads by chance.
const kubeLab = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:SVC - [0:0]
:MARKED - [0:0]
-A PREROUTING -p tcp -m multiport --dports 8080,8081 -m comment --comment "service" -j SVC
-A OUTPUT -p tcp -m multiport --dports 8080,8081 -m addrtype --dst-type LOCAL -j SVC
-A SVC -j MARKED
-A SVC -m statistic --mode random --probability 0.50000000000 -p tcp -j DNAT --to-destination 172.18.0.2:80
-A SVC -p tcp -j DNAT --to-destination 172.18.0.2:81
-A MARKED -j MARK --set-xmark 0x4000/0x4000
-A POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A POSTROUTING -m conntrack --ctstate DNAT -m comment --comment "marked" -j MASQUERADE
COMMIT
`

// traced is a flow, what its first packet looks like to the tracer, and what
// the rules that rewrite it say.
type traced struct {
	name, from, to string // to: an address with a port, or without one for a ping
	in, out        string
	packet         string
	dnat, snat     string // parts of the rules' texts, "" for none
}

func (c traced) ns(l *lab) string {
	return map[string]string{"outside": l.outside, "container": l.container, "host": l.host}[c.from]
}

func runTraced(t *testing.T, l *lab, cases []traced) {
	for _, ns := range []string{l.container, l.outside} {
		serve(t, ns, ":80")
		serve(t, ns, ":81")
		serve(t, ns, ":82")
	}
	tr := newTracing(t, l)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			tr.t = t
			if _, err := netip.ParseAddrPort(c.to); err == nil {
				visit(t, c.ns(l), c.to)
			} else {
				ping(t, c.ns(l), c.to)
			}
			kernel := accepted(tr.collect(), c.packet)
			rs := read(t, l.host)
			dnat, snat := rs.Attribute(flowTo(t, l.host, c.to), c.in, c.out, l.local)
			expectRule(t, "dnat", dnat, c.dnat)
			expectRule(t, "snat", snat, c.snat)
			var ours []string
			for _, r := range []*Rule{dnat, snat} {
				if r != nil {
					ours = append(ours, fmt.Sprintf("%s %s %s %d", r.Family, r.Table, r.Chain, r.Handle))
				}
			}
			slices.Sort(ours)
			if !slices.Equal(ours, kernel) {
				t.Errorf("evaluator names %q, the kernel's trace %q", ours, kernel)
			}
		})
	}
}

func expectRule(t *testing.T, what string, r *Rule, part string) {
	t.Helper()
	text := ""
	if r != nil {
		text = r.Text
	}
	if (r == nil) != (part == "") || !strings.Contains(text, part) {
		t.Errorf("%s by rule %q, want one with %q", what, text, part)
	}
}

func TestAttributionAgreesWithTraceNative(t *testing.T) {
	l := newLab(t, "native")
	sandboxtest.Run(t, l.host, "ip", "link", "set", "veth1", "type", "bridge_slave", "hairpin", "on")
	sandboxtest.Run(t, l.host, "ip", "addr", "add", "10.10.0.7/24", "dev", "up0")
	load(t, l.host, nativeLab)
	runTraced(t, l, []traced{
		{"dnat", "outside", hostAddr + ":8080", "up0", "br0", "tcp dport 8080", "to 172.18.0.2:80", ""},
		{"masquerade", "container", outsideAddr + ":80", "br0", "up0", "ip daddr 10.10.0.2", "", `oifname != "br0"`},
		{"dnat and masquerade", "outside", hostAddr + ":8081", "up0", "br0", "tcp dport 8081", "to 172.18.0.2:81", "dport 81"},
		{"verdict map", "outside", hostAddr + ":8082", "up0", "br0", "tcp dport 8082", "10.10.0.0/28", ""},
		{"chance", "outside", hostAddr + ":8083", "up0", "br0", "tcp dport 8083", "dport 8083", ""},
		{"set with interval", "outside", "10.10.0.7:8086", "up0", "br0", "tcp dport 8086", "8085-8090", ""},
		{"host itself", "host", hostAddr + ":8080", "", "br0", `tcp dport 8080`, `oifname "lo"`, ""},
		{"hairpin", "container", gatewayAddr + ":8080", "br0", "br0", "ip daddr 172.18.0.1", "to 172.18.0.2:80", "ip daddr 172.18.0.2"},
		{"ping", "container", outsideAddr, "br0", "up0", "icmp", "", `oifname != "br0"`},
		{"inet for 4", "outside", hostAddr + ":8091", "up0", "br0", "tcp dport 8091", "dnat ip to", ""},
		{"inet for 6", "outside", "[" + hostAddr6 + "]:8091", "up0", "br0", "tcp dport 8091", "dnat ip6 to", ""},
		{"dnat 6", "outside", "[" + hostAddr6 + "]:8080", "up0", "br0", "tcp dport 8080", "[fd00:18::2]:80", ""},
		{"masquerade 6", "container", "[" + outsideAddr6 + "]:80", "br0", "up0", "ip6 daddr fd00:10::2", "", "fd00:18::/64"},
	})
}

func TestAttributionAgreesWithTraceDocker(t *testing.T) {
	l := newLab(t, "docker")
	restore(t, l.host, "iptables-nft-restore", dockerLab)
	runTraced(t, l, []traced{
		{"published", "outside", hostAddr + ":8088", "up0", "br0", "tcp dport 8088", "--to-destination 172.18.0.2:80", ""},
		{"host itself", "host", hostAddr + ":8088", "", "br0", "tcp dport 8088", "--to-destination 172.18.0.2:80", ""},
		{"outwards", "container", outsideAddr + ":80", "br0", "up0", "ip daddr 10.10.0.2", "", "-s 172.18.0.0/24 ! -o br0"},
	})
}

func TestAttributionAgreesWithTraceKube(t *testing.T) {
	l := newLab(t, "kube")
	restore(t, l.host, "iptables-nft-restore", kubeLab)
	runTraced(t, l, []traced{
		{"service", "outside", hostAddr + ":8080", "up0", "br0", "tcp dport 8080", "--to-destination 172.18.0.2", "marked"},
		{"from the host", "host", hostAddr + ":8081", "", "br0", "tcp dport 8081", "--to-destination 172.18.0.2", "marked"},
	})
}
