package capture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
)

var (
	dnatRule = &RuleRef{NS: "host", Engine: "nft", Family: "ip", Table: "web", Chain: "prerouting", Handle: 9, Text: "tcp dport 8080 dnat to 172.18.0.2:80"}
	snatRule = &RuleRef{NS: "host", Engine: "nft", Family: "ip", Table: "web", Chain: "postrouting", Handle: 12, Text: "ip saddr 172.18.0.0/16 masquerade"}
)

func tuple(protocol, src, dst string) Tuple {
	return Tuple{protocol, netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)}
}

func published() Translation {
	return Translation{NS: "host", ID: 1, DNAT: dnatRule,
		Original: tuple("tcp", "10.10.0.2:45430", "10.10.0.1:8080"),
		Reply:    tuple("tcp", "172.18.0.2:80", "10.10.0.2:45430")}
}

func masqueradedPing(id uint16) Translation {
	at := func(a string, id uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(a), id) }
	return Translation{NS: "host", ID: 2, SNAT: snatRule,
		Original: Tuple{"icmp", at("172.18.0.2", 7), at("10.10.0.2", 7)},
		Reply:    Tuple{"icmp", at("10.10.0.2", id), at("10.10.0.1", id)}}
}

// The four sides of the published port.
func requestOutside(ipID uint16) pkt {
	return pkt{proto: "tcp", src: "10.10.0.2:45430", dst: "10.10.0.1:8080", ttl: 64, ipID: ipID, seq: 100, flags: "S"}
}

func requestInside(ipID uint16) pkt {
	return pkt{proto: "tcp", src: "10.10.0.2:45430", dst: "172.18.0.2:80", ttl: 63, ipID: ipID, seq: 100, flags: "S", mac: 8}
}

func answerInside() pkt {
	return pkt{proto: "tcp", src: "172.18.0.2:80", dst: "10.10.0.2:45430", ttl: 64, seq: 500, ack: 101, flags: "SA", mac: 8}
}

func answerOutside() pkt {
	return pkt{proto: "tcp", src: "10.10.0.1:8080", dst: "10.10.0.2:45430", ttl: 63, seq: 500, ack: 101, flags: "SA"}
}

// story is what a matcher sees, in turn: a *Record, a Translation, or a
// time.Duration after epoch that passes without a packet.
type story []any

// short tells a rewrite in a line: points, microseconds of both sightings,
// direction, flow, changed addresses, rule.
func short(w *Rewrite) string {
	rule := "-"
	if w.Rule != nil {
		rule = w.Rule.Chain
	}
	at := func(r *Record) int64 { return r.Time.Sub(epoch).Microseconds() }
	return fmt.Sprintf("%d %s %s@%d>%s@%d %s %s", w.Flow, w.Direction, w.Before.Point, at(w.BeforeRecord),
		w.After.Point, at(w.AfterRecord), strings.Join(w.Changed, ","), rule)
}

func (s story) play(m *Matcher) []string {
	var out []*Rewrite
	for _, e := range s {
		switch e := e.(type) {
		case *Record:
			out = append(out, m.Add(e)...)
		case Translation:
			out = append(out, m.Translate(e)...)
		case time.Duration:
			out = append(out, m.Advance(epoch.Add(e))...)
		}
	}
	out = append(out, m.Flush()...)
	var lines []string
	for _, w := range out {
		lines = append(lines, short(w))
	}
	return lines
}

func TestMatcher(t *testing.T) {
	see := func(us int, at Point, p pkt) *Record { return see(t, us, at, p) }
	out := func(r *Record) *Record { r.Outgoing = true; return r }
	ping := func(src, dst string, seq uint16, typ uint8) pkt {
		return pkt{proto: "icmp", src: src, dst: dst, ipID: 40 + seq, icmp: layers.CreateICMPv4TypeCode(typ, 0), icmpSeq: seq, payload: "0123"}
	}
	const dnat, undo = "dst,ttl,src_mac,dst_mac,ip_checksum,checksum prerouting", "src,ttl,src_mac,dst_mac,ip_checksum,checksum prerouting"
	both := published()
	both.Reply, both.SNAT = tuple("tcp", "172.18.0.2:80", "172.18.0.1:45430"), snatRule
	hairpin := requestInside(1)
	hairpin.src = "172.18.0.1:45430"
	quoted := func(src, dst string) string {
		return string(build(t, pkt{proto: "tcp", src: src, dst: dst, seq: 100, flags: "S"})[14:42])
	}
	tooFar := layers.CreateICMPv4TypeCode(3, 1)
	two, three := []Point{uplink, container}, []Point{uplink, veth, container}
	tests := []struct {
		name      string
		points    []Point
		story     story
		want      []string
		unmatched uint64
	}{
		{"request and answer", two, story{published(),
			see(0, uplink, requestOutside(1)), see(10, container, requestInside(1)),
			see(20, container, answerInside()), see(30, uplink, answerOutside())},
			[]string{"1 original host:up0@0>c1:eth0@10 " + dnat, "1 reply c1:eth0@20>host:up0@30 " + undo}, 0},
		{"translation after the packets", two, story{
			see(0, uplink, requestOutside(1)), see(10, container, requestInside(1)),
			see(20, container, answerInside()), published(), see(30, uplink, answerOutside())},
			[]string{"1 original host:up0@0>c1:eth0@10 " + dnat, "1 reply c1:eth0@20>host:up0@30 " + undo}, 0},
		{"translation between the packets", two, story{
			see(0, uplink, requestOutside(1)), published(), see(10, container, requestInside(1))},
			[]string{"1 original host:up0@0>c1:eth0@10 " + dnat}, 0},
		{"no translation ever", two, story{
			see(0, uplink, requestOutside(1)), see(10, container, requestInside(1))}, nil, 2},
		{"retransmission with another IP id", two, story{published(),
			see(0, uplink, requestOutside(1)), see(10, uplink, requestOutside(2)),
			see(20, container, requestInside(2)), see(30, container, requestInside(1))},
			[]string{"1 original host:up0@10>c1:eth0@20 " + dnat, "1 original host:up0@0>c1:eth0@30 " + dnat}, 0},
		{"the same bytes again: first with first", two, story{published(),
			see(0, uplink, requestOutside(1)), see(10, uplink, requestOutside(1)),
			see(20, container, requestInside(1)), see(30, container, requestInside(1)), see(40, container, requestInside(1))},
			[]string{"1 original host:up0@0>c1:eth0@20 " + dnat, "1 original host:up0@10>c1:eth0@30 " + dnat}, 1},
		{"the same bytes one after the other", two, story{published(),
			see(0, uplink, requestOutside(1)), see(20, container, requestInside(1)),
			see(30, uplink, requestOutside(1)), see(40, container, requestInside(1))},
			[]string{"1 original host:up0@0>c1:eth0@20 " + dnat, "1 original host:up0@30>c1:eth0@40 " + dnat}, 0},
		{"after is never before before", two, story{published(),
			see(0, container, requestInside(1)), see(10, uplink, requestOutside(1))}, nil, 2},
		{"source and destination rewritten", two, story{both,
			see(0, uplink, requestOutside(1)), see(10, container, hairpin)},
			[]string{"1 original host:up0@0>c1:eth0@10 src," + dnat}, 0},
		{"one packet at three points", three, story{published(),
			see(0, uplink, requestOutside(1)), out(see(10, veth, requestInside(1))), see(12, container, requestInside(1))},
			[]string{"1 original host:up0@0>c1:eth0@12 " + dnat}, 0},
		{"three points, told when no more is to come", three, story{published(),
			see(0, uplink, requestOutside(1)), out(see(10, veth, requestInside(1))), time.Second,
			see(2e6, uplink, requestOutside(7))},
			[]string{"1 original host:up0@0>host:veth1@10 " + dnat}, 1},
		{"masqueraded ping with another id", two, story{masqueradedPing(9),
			see(0, container, ping("172.18.0.2:7", "10.10.0.2:7", 1, 8)), out(see(10, uplink, ping("10.10.0.1:9", "10.10.0.2:9", 1, 8))),
			see(20, uplink, ping("10.10.0.2:9", "10.10.0.1:9", 1, 0)), out(see(30, container, ping("10.10.0.2:7", "172.18.0.2:7", 1, 0)))},
			[]string{"1 original c1:eth0@0>host:up0@10 src,id,ip_checksum,checksum postrouting",
				"1 reply host:up0@20>c1:eth0@30 dst,id,ip_checksum,checksum postrouting"}, 0},
		{"forwarded unchanged", two, story{
			out(see(0, container, ping("172.18.0.2:7", "172.18.0.3:7", 1, 8))), see(10, uplink, ping("172.18.0.2:7", "172.18.0.3:7", 1, 8))},
			[]string{"1 original c1:eth0@0>host:up0@10  -"}, 0},
		{"reply seen first", two, story{
			out(see(0, container, ping("172.18.0.2:7", "172.18.0.3:7", 1, 0))), see(10, uplink, ping("172.18.0.2:7", "172.18.0.3:7", 1, 0))},
			[]string{"1 reply c1:eth0@0>host:up0@10  -"}, 0},
		{"one link in and out", []Point{uplink}, story{published(),
			see(0, uplink, requestOutside(1)), out(see(10, uplink, requestInside(1)))},
			[]string{"1 original host:up0@0>host:up0@10 " + dnat}, 0},
		{"an error about a rewritten packet", two, story{published(),
			see(0, container, pkt{proto: "icmp", src: "172.18.0.2:0", dst: "10.10.0.2:0", icmp: tooFar, payload: quoted("10.10.0.2:45430", "172.18.0.2:80")}),
			see(10, uplink, pkt{proto: "icmp", src: "10.10.0.1:0", dst: "10.10.0.2:0", icmp: tooFar, payload: quoted("10.10.0.2:45430", "10.10.0.1:8080")})},
			[]string{"1 reply c1:eth0@0>host:up0@10 src,ip_checksum,checksum prerouting"}, 0},
		{"two flows are numbered as they come", two, story{published(), masqueradedPing(7),
			see(0, container, ping("172.18.0.2:7", "10.10.0.2:7", 1, 8)), out(see(10, uplink, ping("10.10.0.1:7", "10.10.0.2:7", 1, 8))),
			see(20, uplink, requestOutside(1)), see(30, container, requestInside(1))},
			[]string{"1 original c1:eth0@0>host:up0@10 src,ip_checksum postrouting", "2 original host:up0@20>c1:eth0@30 " + dnat}, 0},
		{"other payload", two, story{
			see(0, uplink, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: strings.Repeat("a", 500) + "x"}),
			see(10, container, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: strings.Repeat("a", 500) + "y"})}, nil, 2},
		{"a partner that comes too late", two, story{published(),
			see(0, uplink, requestOutside(1)), see(6e6, container, requestInside(1))}, nil, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, rec := range tt.story { // the same records are seen by each run
				if rec, ok := rec.(*Record); ok {
					Decode(rec)
				}
			}
			m := NewMatcher(tt.points...)
			if got := tt.story.play(m); !slices.Equal(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if m.Unmatched() != tt.unmatched {
				t.Errorf("%d unmatched, want %d", m.Unmatched(), tt.unmatched)
			}
		})
	}
}

func TestMatcherTellsOnlyWhatWasRewritten(t *testing.T) {
	m := NewMatcher(uplink, veth, container)
	m.OnlyRewritten = true
	ping := pkt{proto: "icmp", src: "172.18.0.2:7", dst: "172.18.0.3:7", icmp: layers.CreateICMPv4TypeCode(8, 0), payload: "0123"}
	got := story{published(), masqueradedPing(9), see(t, 0, uplink, requestOutside(1)), see(t, 5, container, ping), see(t, 10, uplink, ping),
		see(t, 20, container, requestInside(1)),
		see(t, 30, container, pkt{proto: "icmp", src: "172.18.0.2:7", dst: "10.10.0.2:7", icmp: layers.CreateICMPv4TypeCode(8, 0), payload: "0123"}),
		see(t, 40, uplink, pkt{proto: "icmp", src: "10.10.0.1:9", dst: "10.10.0.2:9", icmp: layers.CreateICMPv4TypeCode(8, 0), payload: "0123"})}.play(m)
	if len(got) != 2 || !strings.HasPrefix(got[0], "1 original host:up0@0>c1:eth0@20") || !strings.HasPrefix(got[1], "2 original c1:eth0@30>host:up0@40") || m.Unmatched() != 0 {
		t.Errorf("got %q, %d unmatched", got, m.Unmatched())
	}
}

func TestMatcherTellsAtOnceWithTwoPoints(t *testing.T) {
	m := NewMatcher(uplink, container)
	m.Translate(published())
	m.Add(see(t, 0, uplink, requestOutside(1)))
	if got := m.Add(see(t, 10, container, requestInside(1))); len(got) != 1 {
		t.Fatalf("%d rewrites with the second sighting, want 1", len(got))
	}
	if got := m.Flush(); len(got) != 0 {
		t.Errorf("told again: %s", short(got[0]))
	}
}

func TestMatcherLearnsRulesAndNewConnections(t *testing.T) {
	m := NewMatcher(uplink, container)
	tr := published()
	tr.DNAT = nil
	pair := func(us int, id uint16) *Rewrite {
		m.Add(see(t, us, uplink, requestOutside(id)))
		got := m.Add(see(t, us+10, container, requestInside(id)))
		if len(got) != 1 {
			t.Fatalf("%d rewrites, want 1", len(got))
		}
		return got[0]
	}
	m.Translate(tr)
	if w := pair(0, 1); w.Rule != nil || w.Flow != 1 {
		t.Errorf("rule %v, flow %d; want none, 1", w.Rule, w.Flow)
	}
	m.Translate(published())
	if w := pair(100, 2); w.Rule != dnatRule || w.Flow != 1 {
		t.Errorf("rule %v, flow %d; want the one that was told, 1", w.Rule, w.Flow)
	}
	tr.ID = 77
	m.Translate(tr)
	if w := pair(200, 3); w.Flow != 2 {
		t.Errorf("flow %d for a new connection with the same ports, want 2", w.Flow)
	}
}

// A masqueraded port is given to another container once it is free.
func TestMatcherReusedPort(t *testing.T) {
	m := NewMatcher(container, uplink)
	first := Translation{NS: "host", ID: 1, SNAT: snatRule, Original: tuple("udp", "172.18.0.2:5000", "10.10.0.2:53"), Reply: tuple("udp", "10.10.0.2:53", "10.10.0.1:5000")}
	second := Translation{NS: "host", ID: 2, SNAT: snatRule, Original: tuple("udp", "172.18.0.3:5000", "10.10.0.2:53"), Reply: first.Reply}
	inside := func(us int, host string) *Record {
		return see(t, us, container, pkt{proto: "udp", src: host + ":5000", dst: "10.10.0.2:53", payload: "q"})
	}
	outside := func(us int) *Record {
		return see(t, us, uplink, pkt{proto: "udp", src: "10.10.0.1:5000", dst: "10.10.0.2:53", payload: "q"})
	}
	for _, s := range []story{
		{first, inside(0, "172.18.0.2"), outside(10)},
		{inside(100, "172.18.0.3"), outside(110), second}, // told late
	} {
		if got := s.play(m); len(got) != 1 || !strings.Contains(got[0], "src,ip_checksum,checksum postrouting") {
			t.Errorf("got %q", got)
		}
	}
}

// A masqueraded port is given again, and conntrack has told of it before the
// packets of the flow that had it are looked at.
func TestMatcherPortReusedAhead(t *testing.T) {
	at := func(us int) time.Time { return epoch.Add(time.Duration(us) * time.Microsecond) }
	first := Translation{NS: "host", ID: 1, SNAT: snatRule, Time: at(5), Original: tuple("udp", "172.18.0.2:5000", "10.10.0.2:53"), Reply: tuple("udp", "10.10.0.2:53", "10.10.0.1:5000")}
	second := Translation{NS: "host", ID: 2, SNAT: snatRule, Time: at(95), Original: tuple("udp", "172.18.0.3:5000", "10.10.0.2:53"), Reply: first.Reply}
	third := second
	third.Original, third.ID, third.Time = first.Original, 3, at(195)
	inside := func(us int, host string) *Record {
		return see(t, us, container, pkt{proto: "udp", src: host + ":5000", dst: "10.10.0.2:53", payload: "q"})
	}
	outside := func(us int) *Record {
		return see(t, us, uplink, pkt{proto: "udp", src: "10.10.0.1:5000", dst: "10.10.0.2:53", payload: "q"})
	}
	packets := story{
		inside(0, "172.18.0.2"), outside(10), inside(90, "172.18.0.3"), outside(100), inside(190, "172.18.0.2"), outside(200),
	}
	const how = " src,ip_checksum,checksum postrouting"
	want := []string{"1 original c1:eth0@0>host:up0@10" + how, "2 original c1:eth0@90>host:up0@100" + how, "3 original c1:eth0@190>host:up0@200" + how}
	for name, s := range map[string]story{
		"ahead":             append(story{first, second, third}, packets...),
		"in time":           {first, packets[0], packets[1], second, packets[2], packets[3], third, packets[4], packets[5]},
		"a dump comes late": {first, packets[0], packets[1], second, first, packets[2], packets[3], third, packets[4], packets[5]},
		"behind":            {packets[0], packets[1], first, packets[2], packets[3], second, packets[4], packets[5], third},
	} {
		m := NewMatcher(container, uplink)
		if got := s.play(m); !slices.Equal(got, want) || m.Unmatched() != 0 {
			t.Errorf("%s: got\n%s\n%d unmatched", name, strings.Join(got, "\n"), m.Unmatched())
		}
	}
}

func TestMatcherMemoryIsBounded(t *testing.T) {
	m := NewMatcher(uplink, container)
	rec := see(t, 0, uplink, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2"})
	b := m.t.brief(rec)
	for i := range maxGroups + maxGroups/2 {
		b.Time++
		b.Outer.Key.Src = [16]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}
		m.See(&b)
	}
	if m.t.count > maxGroups || m.t.flows.plain.count > maxFlows || len(m.t.flows.byKey) > maxFlows {
		t.Errorf("%d groups, %d flows, %d keys are kept", m.t.count, m.t.flows.plain.count, len(m.t.flows.byKey))
	}
	if m.Unmatched() != maxGroups/2 {
		t.Errorf("%d unmatched, want %d", m.Unmatched(), maxGroups/2)
	}
	m.Flush()
	if m.t.count != 0 || len(m.t.groups) != 0 {
		t.Errorf("%d groups are left after Flush", m.t.count)
	}
}

// A connection that is rewritten is not forgotten for others that are not, nor
// for fewer than conntrack holds.
func TestMatcherRemembersRewrittenFlows(t *testing.T) {
	m := NewMatcher(uplink, container)
	m.Translate(published())
	other := m.t.brief(see(t, 0, uplink, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2"}))
	tr := Translation{NS: "host", SNAT: snatRule, Original: tuple("udp", "172.18.0.2:1", "10.10.0.2:2"), Reply: tuple("udp", "10.10.0.2:2", "10.10.0.1:1")}
	flood := func(n int) {
		for i := range n {
			other.Time++
			other.Outer.Key.Src = [16]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}
			m.See(&other)
			a := netip.AddrPortFrom(netip.AddrFrom4([4]byte{12, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
			tr.ID, tr.Original.Src, tr.Reply.Dst = uint32(i), a, netip.AddrPortFrom(a.Addr().Next(), 2)
			m.Translate(tr)
		}
	}
	flood(maxRewritten - 1)
	m.Add(see(t, 1000, uplink, requestOutside(1)))
	if got := m.Add(see(t, 1010, container, requestInside(1))); len(got) != 1 || got[0].Rule != dnatRule || m.Forgotten() != 0 {
		t.Errorf("%d rewrites, %d flows forgotten", len(got), m.Forgotten())
	}
	flood(2 * maxRewritten)
	if f := &m.t.flows; f.rewritten.count > maxRewritten || f.plain.count > maxFlows || len(f.byKey) > 2*maxRewritten+maxFlows || m.Forgotten() == 0 {
		t.Errorf("%d and %d flows, %d keys are kept, %d forgotten", f.rewritten.count, f.plain.count, len(f.byKey), m.Forgotten())
	}
}

func TestOffloadedChecksumIsNotAChange(t *testing.T) {
	m := NewMatcher(uplink, container)
	m.Translate(published())
	m.Add(see(t, 0, uplink, requestOutside(1)))
	after := see(t, 10, container, requestInside(1))
	after.Offload = true
	w := m.Add(after)
	if len(w) != 1 || slices.Contains(w[0].Changed, "checksum") || !w[0].After.Offload {
		t.Errorf("got %+v", w)
	}
}

// The JSON form is part of the command line's interface.
func TestRewriteJSON(t *testing.T) {
	m := NewMatcher(uplink, container)
	m.Translate(published())
	m.Translate(masqueradedPing(9))
	var got []*Rewrite
	for _, rec := range []*Record{
		see(t, 0, uplink, requestOutside(1)), see(t, 10, container, requestInside(1)),
		see(t, 20, container, pkt{proto: "icmp", src: "172.18.0.2:7", dst: "10.10.0.2:7", icmp: layers.CreateICMPv4TypeCode(8, 0), icmpSeq: 1}),
		see(t, 30, uplink, pkt{proto: "icmp", src: "10.10.0.1:9", dst: "10.10.0.2:9", icmp: layers.CreateICMPv4TypeCode(8, 0), icmpSeq: 1}),
	} {
		rec.Time = rec.Time.UTC()
		got = append(got, m.Add(rec)...)
	}
	text, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/rewrites.json"
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != strings.TrimSpace(string(want)) {
		t.Errorf("%s differs; got\n%s", golden, text)
	}
}

// AppendJSON is encoding/json, faster.
func TestAppendJSON(t *testing.T) {
	for _, w := range []*Rewrite{
		{},
		{Time: epoch, Flow: 7, Direction: Reply, Protocol: "udp", Changed: []string{"src", "ttl"}, Elapsed: 12345, Rule: dnatRule, Info: "a \"b\" \\ é \u2028 <c> \xff \n",
			Before: Seen{Point: "host:up0", Src: "10.0.0.1:1", Dst: "10.0.0.2:2", TTL: 64, ID: 5, SrcMAC: "02:00:00:00:00:01", DstMAC: "02:00:00:00:00:02", IPChecksum: "0x0001", Checksum: "0x0002", Offload: true, Length: 99}},
		{Time: epoch.Add(123 * time.Nanosecond), Changed: []string{}, Elapsed: -1, Rule: &RuleRef{NS: "a'b", Text: `comment "x"`}},
	} {
		if w.Changed == nil {
			w.Changed = []string{} // as the Matcher makes it
		}
		var want strings.Builder
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(w); err != nil {
			t.Fatal(err)
		}
		if got := string(w.AppendJSON(nil)) + "\n"; got != want.String() {
			t.Errorf("got  %swant %s", got, want.String())
		}
	}
}
