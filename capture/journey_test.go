package capture

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
)

// trip tells a journey in a line: direction, and of every hop the point, what
// changed since the last, and by what.
func trip(j *Journey) string {
	var b strings.Builder
	b.WriteString(j.Direction)
	for i, h := range j.Hops {
		fmt.Fprintf(&b, " %s", h.Point)
		if h.Tunnel != nil {
			fmt.Fprintf(&b, "(%s %d %s>%s %d)", h.Tunnel.Kind, h.Tunnel.VNI, h.Tunnel.Src, h.Tunnel.Dst, h.Tunnel.Overhead)
		}
		if i == 0 {
			continue
		}
		fmt.Fprintf(&b, "[%s", strings.Join(h.Changed, ","))
		if h.Encapsulation != "" {
			b.WriteString(" " + h.Encapsulation)
		}
		for _, r := range h.Rules {
			b.WriteString(" " + r.Chain)
		}
		b.WriteString("]")
	}
	if !j.Matched {
		b.WriteString(" unmatched")
	}
	return b.String()
}

func trips(all []*Journey) (out []string) {
	for _, j := range all {
		out = append(out, trip(j))
	}
	return out
}

func (s story) journeys(j *Journeys) []string {
	var out []*Journey
	for _, e := range s {
		switch e := e.(type) {
		case *Record:
			out = append(out, j.Add(e)...)
		case Translation:
			out = append(out, j.Translate(e)...)
		case time.Duration:
			out = append(out, j.Advance(epoch.Add(e))...)
		}
	}
	return trips(append(out, j.Flush()...))
}

// inVXLAN is what see makes of p in a tunnel.
func inVXLAN(t *testing.T, us int, at Point, p pkt, vni uint32) *Record {
	rec := &Record{Point: at, Time: epoch.Add(time.Duration(us) * time.Microsecond), Data: vxlan(t, 4789, vni, build(t, p))}
	rec.Length = len(rec.Data)
	Decode(rec)
	return rec
}

func TestJourneys(t *testing.T) {
	see := func(us int, at Point, p pkt) *Record { return see(t, us, at, p) }
	out := func(r *Record) *Record { r.Outgoing = true; return r }
	router, far := Point{NS: "router", Link: "wan"}, Point{NS: "far", Link: "eth0"}
	ping := func(src, dst string, ttl uint8) pkt {
		return pkt{proto: "icmp", src: src, dst: dst, ttl: ttl, ipID: 7, icmp: layers.CreateICMPv4TypeCode(8, 0), icmpSeq: 1, payload: "0123"}
	}
	masq := func(ns, src, as string, rule *RuleRef) Translation {
		return Translation{NS: ns, SNAT: rule,
			Original: Tuple{"icmp", tuple("", src, "9.9.9.9:7").Src, tuple("", src, "9.9.9.9:7").Dst},
			Reply:    Tuple{"icmp", tuple("", "9.9.9.9:7", as).Src, tuple("", "9.9.9.9:7", as).Dst}}
	}
	inner, outer := &RuleRef{Chain: "inner"}, &RuleRef{Chain: "outer"}
	twice := story{
		see(0, container, ping("172.18.0.2:7", "9.9.9.9:7", 64)),
		out(see(10, uplink, ping("10.10.0.1:7", "9.9.9.9:7", 63))),
		out(see(20, router, ping("1.1.1.1:7", "9.9.9.9:7", 62))),
		see(30, far, ping("1.1.1.1:7", "9.9.9.9:7", 62)),
	}
	twiceWant := []string{"original c1:eth0 host:up0[src,ttl,ip_checksum inner] router:wan[src,ttl,ip_checksum outer] far:eth0[]"}
	first, second := masq("host", "172.18.0.2:7", "10.10.0.1:7", inner), masq("router", "10.10.0.1:7", "1.1.1.1:7", outer)
	back := story{first, second,
		see(0, far, pkt{proto: "icmp", src: "9.9.9.9:7", dst: "1.1.1.1:7", icmpSeq: 1}),
		see(5, router, pkt{proto: "icmp", src: "9.9.9.9:7", dst: "1.1.1.1:7", icmpSeq: 1}),
		see(10, uplink, pkt{proto: "icmp", src: "9.9.9.9:7", dst: "10.10.0.1:7", icmpSeq: 1}),
		see(20, container, pkt{proto: "icmp", src: "9.9.9.9:7", dst: "172.18.0.2:7", icmpSeq: 1}),
	}
	plain := pkt{proto: "udp", src: "10.0.1.2:5000", dst: "10.0.1.3:53", ipID: 3, payload: "question"}
	tests := []struct {
		name  string
		story story
		want  []string
	}{
		{"rewritten by two hosts, told before", append(story{first, second}, twice...), twiceWant},
		{"told in the other order", append(story{second, first}, twice...), twiceWant},
		{"told after", append(slices.Clone(twice), second, first), twiceWant},
		{"told in between", append(append(slices.Clone(twice[:2]), first, twice[2], second), twice[3]), twiceWant},
		{"and the way back", back,
			[]string{"reply far:eth0 router:wan[] host:up0[dst,ip_checksum outer] c1:eth0[dst,ip_checksum inner]"}},
		{"through a tunnel", story{
			see(0, container, plain), out(see(1, veth, plain)), out(inVXLAN(t, 5, uplink, plain, 42)),
			inVXLAN(t, 9, router, plain, 42), see(12, far, plain)},
			[]string{"original c1:eth0 host:veth1[] host:up0(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50)[length pushed]" +
				" router:wan(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50)[] far:eth0[length popped]"}},
		{"out of a tunnel at the same moment", story{
			see(9, veth, plain), inVXLAN(t, 9, uplink, plain, 42)},
			[]string{"original host:up0(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50) host:veth1[length popped]"}},
		{"into a tunnel at the same moment", story{
			out(inVXLAN(t, 9, uplink, plain, 42)), out(see(9, veth, plain))},
			[]string{"original host:veth1 host:up0(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50)[length pushed]"}},
		{"from one tunnel into another", story{
			inVXLAN(t, 5, uplink, plain, 42), inVXLAN(t, 9, router, plain, 43)},
			[]string{"original host:up0(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50) router:wan(vxlan 43 192.0.2.1:54321>192.0.2.2:4789 50)[ changed]"}},
		{"seen once", story{see(0, container, plain)}, []string{"original c1:eth0 unmatched"}},
		{"the same bytes twice, one lost", story{
			see(0, container, plain), see(10, uplink, plain), see(20, container, plain)},
			[]string{"original c1:eth0 host:up0[]", "original c1:eth0 unmatched"}},
		{"arp belongs to no flow", story{
			&Record{Point: uplink, Time: epoch, Data: make([]byte, 60), Length: 60}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.story.journeys(NewJourneys(nil))
			if !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func TestJourneyOfAnError(t *testing.T) {
	j := NewJourneys(nil)
	j.Translate(published())
	quoted := func(src, dst string) string {
		return string(build(t, pkt{proto: "tcp", src: src, dst: dst, seq: 100, flags: "S"})[14:42])
	}
	tooFar := layers.CreateICMPv4TypeCode(3, 1)
	j.Add(see(t, 0, uplink, requestOutside(1)))
	j.Add(see(t, 1, container, pkt{proto: "icmp", src: "172.18.0.2:0", dst: "10.10.0.2:0", icmp: tooFar, payload: quoted("10.10.0.2:45430", "172.18.0.2:80")}))
	j.Add(see(t, 2, uplink, pkt{proto: "icmp", src: "10.10.0.1:0", dst: "10.10.0.2:0", icmp: tooFar, payload: quoted("10.10.0.2:45430", "10.10.0.1:8080")}))
	all := j.Flush()
	if len(all) != 2 || all[0].Quotes != nil || all[1].Quotes == nil {
		t.Fatalf("got %q", trips(all))
	}
	if got := *all[1].Quotes; got != (Quote{"tcp", "10.10.0.2:45430", "172.18.0.2:80"}) || all[0].Flow != all[1].Flow || all[1].Direction != Reply {
		t.Errorf("%+v of flow %d, want flow %d", got, all[1].Flow, all[0].Flow)
	}
}

// TestJourneyOfAnErrorAboutATunnel: what is said of a tunnel's packet is said of
// the one within.
func TestJourneyOfAnErrorAboutATunnel(t *testing.T) {
	inner := pkt{proto: "udp", src: "10.0.1.2:5000", dst: "10.0.1.3:53", ipID: 3, payload: "too long a question"}
	tooLong := func(quoted []byte) *Record {
		return see(t, 20, uplink, pkt{proto: "icmp", src: "192.0.2.254:0", dst: "192.0.2.1:0", icmp: layers.CreateICMPv4TypeCode(3, 4), payload: string(quoted)})
	}
	carrier := inVXLAN(t, 5, uplink, inner, 42)
	for name, tt := range map[string]struct {
		quoted []byte
		want   Quote
	}{
		"much is quoted":   {carrier.Data[14:], Quote{"udp", "10.0.1.2:5000", "10.0.1.3:53"}},
		"no more than due": {carrier.Data[14:42], Quote{"udp", "192.0.2.1:54321", "192.0.2.2:4789"}},
		"without ports":    {carrier.Data[14 : 14+20+8+8+14+20], Quote{"udp", "192.0.2.1:54321", "192.0.2.2:4789"}},
	} {
		j := NewJourneys(nil)
		j.Add(see(t, 0, container, inner))
		j.Add(carrier)
		j.Add(tooLong(tt.quoted))
		all := j.Flush()
		if len(all) != 2 || all[1].Quotes == nil || *all[1].Quotes != tt.want {
			t.Fatalf("%s: %q, quotes %+v", name, trips(all), all[len(all)-1].Quotes)
		}
		if same := all[0].Flow == all[1].Flow; same != (tt.want.Protocol == "udp" && tt.want.Dst == "10.0.1.3:53") || same && all[1].Direction != Reply {
			t.Errorf("%s: flows %d and %d, %s", name, all[0].Flow, all[1].Flow, all[1].Direction)
		}
	}
}

// Identical packets are given up when there are too many, and cost no time.
func TestFloodOfTheSame(t *testing.T) {
	j := NewJourneys(nil, uplink, container)
	b := j.m.t.brief(see(t, 0, uplink, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2"}))
	told := 0
	for range 100_000 {
		b.Time++
		told += len(j.See(&b))
	}
	if told != 100_000-maxAlike || j.m.t.count != maxAlike {
		t.Errorf("%d told, %d wait", told, j.m.t.count)
	}
}

// The JSON form is part of the command line's interface.
func TestJourneyJSON(t *testing.T) {
	j := NewJourneys(nil)
	j.Translate(published())
	var all []*Journey
	for _, rec := range []*Record{
		see(t, 0, uplink, requestOutside(1)), see(t, 10, container, requestInside(1)), inVXLAN(t, 20, veth, requestInside(1), 7),
	} {
		all = append(all, j.Add(rec)...)
	}
	all = append(all, j.Flush()...)
	for _, w := range all {
		w.Time = w.Time.UTC()
		for i := range w.Hops {
			w.Hops[i].Time = w.Hops[i].Time.UTC()
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/journeys.json"
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != strings.TrimSpace(string(want)) {
		t.Errorf("%s differs; got\n%s", golden, text)
	}
}
