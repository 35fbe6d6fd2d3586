package capture

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// journeysOf follows all that s sees, from summaries alone, with what the
// router's conntrack tells, until stop is called, which returns the journeys.
func journeysOf(t *testing.T, s *Session, router bool) (stop func() []*Journey) {
	j := NewJourneys(s.Store().Record, s.Points()...)
	take := func() []Translation { return nil }
	if router {
		take = listen(t).take
	}
	var all []*Journey
	var done sync.WaitGroup
	done.Go(func() {
		rows := make([]Brief, 256)
		for serial := uint64(0); s.Store().Wait(t.Context(), serial); {
			n := s.Store().View(serial+1, rows)
			for _, tr := range take() {
				all = append(all, j.Translate(tr)...)
			}
			for i := range rows[:n] {
				all = append(all, j.See(&rows[i])...)
			}
			serial = rows[n-1].Serial
		}
	})
	return func() []*Journey {
		settle()
		s.Stop()
		done.Wait()
		return append(all, j.Flush()...)
	}
}

// TestJourneyThroughNAT: one row a sighting, through a DNAT network with four
// points.
func TestJourneyThroughNAT(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	s := open(t, Options{Snaplen: 256}, Point{NS: "outside", Link: "eth0"}, routerUp, routerIn, insidePoint)
	stop := journeysOf(t, s, true)
	for i := range 200 {
		exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), fmt.Sprintf("request %06d", i))
	}
	exchange(t, dial(t, "outside", "tcp", "10.10.0.1:8080"), "over tcp")
	told := map[string]int{}
	for _, w := range stop() {
		if w.Protocol != "udp" {
			continue
		}
		told[trip(w)]++
		for i := 1; i < len(w.Hops); i++ {
			if w.Hops[i].Elapsed < 0 {
				t.Errorf("%s: hop %d is earlier than the one before", trip(w), i)
			}
		}
	}
	want := map[string]int{
		"original outside:eth0 router:up0[] router:in0[dst,ttl,src_mac,dst_mac,ip_checksum prerouting] inside:eth0[]": 200,
		"reply inside:eth0 router:in0[] router:up0[src,ttl,src_mac,dst_mac,ip_checksum prerouting] outside:eth0[]":    200,
	}
	for line, n := range told {
		if want[line] != n {
			t.Errorf("%d times %s", n, line)
		}
	}
	if len(told) != len(want) {
		t.Errorf("%d kinds of journeys, want %d", len(told), len(want))
	}
}

// TestJourneyThroughVXLAN: two simulated hosts, one container on each, on one
// overlay.
func TestJourneyThroughVXLAN(t *testing.T) {
	for _, ns := range []string{"hosta", "hostb", "ca", "cb"} {
		sandboxtest.NS(t, ns)
		sysctl(t, ns, "net/ipv6/conf/default/disable_ipv6", "1")
	}
	ip(t, "hosta", "link add eth0 address 02:00:00:00:01:0a type veth peer name eth0 netns hostb")
	for i, h := range []string{"a", "b"} {
		host, other := "host"+h, 2-i
		ip(t, host, fmt.Sprintf("addr add 172.16.0.%d/24 dev eth0", i+1))
		ip(t, host, "link set eth0 up")
		ip(t, host, fmt.Sprintf("link add vx type vxlan id 4097 remote 172.16.0.%d dstport 4789 dev eth0", other))
		ip(t, host, "link add br0 type bridge")
		ip(t, host, "link add veth0 type veth peer name eth0 netns c"+h)
		for _, l := range []string{"vx", "veth0"} {
			ip(t, host, "link set "+l+" master br0 up")
		}
		ip(t, host, "link set br0 up")
		ip(t, "c"+h, fmt.Sprintf("addr add 10.0.1.%d/24 dev eth0", i+2))
		ip(t, "c"+h, "link set eth0 mtu 1450 up")
	}
	points := []Point{{NS: "ca", Link: "eth0"}, {NS: "hosta", Link: "veth0"}, {NS: "hosta", Link: "vx"}, {NS: "hosta", Link: "eth0"},
		{NS: "hostb", Link: "eth0"}, {NS: "hostb", Link: "vx"}, {NS: "hostb", Link: "veth0"}, {NS: "cb", Link: "eth0"}}
	s := open(t, Options{Snaplen: 256}, points...)
	stop := journeysOf(t, s, false)
	echo(t, "ca", "10.0.1.3")
	var told []string
	for _, w := range stop() {
		if w.Protocol != "icmp" {
			continue
		}
		line := trip(w)
		for _, h := range w.Hops {
			if h.Tunnel != nil { // its source port is the kernel's choice
				line = strings.ReplaceAll(line, h.Tunnel.Src, strings.Split(h.Tunnel.Src, ":")[0])
			}
		}
		told = append(told, line)
	}
	want := []string{
		"original ca:eth0 hosta:veth0[] hosta:vx[] hosta:eth0(vxlan 4097 172.16.0.1>172.16.0.2:4789 50)[length pushed]" +
			" hostb:eth0(vxlan 4097 172.16.0.1>172.16.0.2:4789 50)[] hostb:vx[length popped] hostb:veth0[] cb:eth0[]",
		"reply cb:eth0 hostb:veth0[] hostb:vx[] hostb:eth0(vxlan 4097 172.16.0.2>172.16.0.1:4789 50)[length pushed]" +
			" hosta:eth0(vxlan 4097 172.16.0.2>172.16.0.1:4789 50)[] hosta:vx[length popped] hosta:veth0[] ca:eth0[]",
	}
	if !slices.Equal(told, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}
