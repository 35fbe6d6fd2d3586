package capture

import (
	"bytes"
	"net/netip"
	"slices"
	"time"
)

// invariants is what no NAT and no router changes in a packet.
type invariants struct {
	flow     uint64
	hash     uint64 // of the beginning of the payload
	seq, ack uint32
	length   int32 // of the payload
	ipID     uint16
	icmpSeq  uint16
	protocol uint8
	flags    uint8
	icmpType uint8
	icmpCode uint8
	reply    bool
}

func invariantsOf(b *Brief) invariants {
	h := b.Innermost()
	return invariants{
		hash: b.Hash, seq: h.TCPSeq, ack: h.TCPAck, length: h.Payload, ipID: h.IPID, icmpSeq: h.ICMPSeq,
		protocol: h.Key.Protocol, flags: h.TCPFlags, icmpType: h.ICMPType, icmpCode: h.ICMPCode,
	}
}

// fixedPayload says that the payload must be the same before and after: NAT
// rewrites the packet that an ICMP error quotes.
func fixedPayload(rec *Record) bool { return rec.quoted.Protocol == "" }

// tupleOf is the tuple by which conntrack knows the packet. An ICMP error
// belongs to the flow of the packet that it quotes and goes the other way.
func tupleOf(rec *Record) (Tuple, bool) {
	rec = inmost(rec)
	s := &rec.Summary
	switch s.Protocol {
	case "tcp", "udp", "ip":
		return Tuple{s.Protocol, s.Src, s.Dst}, true
	case "icmp", "icmp6":
		if !fixedPayload(rec) {
			return rec.quoted.Mirror(), true
		}
		return Tuple{s.Protocol, netip.AddrPortFrom(s.Src.Addr(), s.ICMPID),
			netip.AddrPortFrom(s.Dst.Addr(), s.ICMPID)}, true
	}
	return Tuple{}, false
}

// sighting is one packet at one point.
type sighting struct {
	Brief
	rec     *Record // nil when only the summary was seen
	rank    int
	repeats repeated // what was seen here before
}

// group gathers the sightings of one packet.
type group struct {
	flow    *flow
	reply   bool
	key     invariants
	seen    []sighting // in the order of time
	emitted bool       // to be told; stays a while, so that late sightings begin no new group
	told    bool
	over    bool // waits for nothing more
	stage   stage

	next           *group // with the same invariants, in the order in which they began
	row            row    // of all of these, at the first
	nextOf, prevOf *group // of the same flow
	newer, older   *group // in the same stage
}

// row is what is known of the groups with the same invariants together. A flood
// of packets that are all alike makes long rows.
type row struct {
	last   *group
	length int
	mixed  bool // not all of them are single sightings at the same place
}

// samePlace says that both were seen at the same point, on the same way.
func (s *sighting) samePlace(o *sighting) bool {
	return o.Point == s.Point && o.Outgoing == s.Outgoing && (o.Tunnel != NoTunnel) == (s.Tunnel != NoTunnel)
}

// refuses says that no group of the row that g is the first of accepts s, as far
// as that is known without looking at them.
func (g *group) refuses(s *sighting) bool { return !g.row.mixed && s.samePlace(&g.seen[0]) }

// accepts says whether s can be one more sighting of the group's packet:
// nothing is seen twice in the same place, and never before it was rewritten
// once it was seen after.
func (g *group) accepts(s *sighting) bool {
	for i := range g.seen {
		o := &g.seen[i]
		if s.samePlace(o) {
			return false
		}
		if o.rank < s.rank && s.Time < o.Time || o.rank > s.rank && o.Time < s.Time {
			return false
		}
	}
	first := g.seen[0].rec
	return s.isError() || s.Innermost().part.kind != wholePacket || first == nil || s.rec == nil || samePayload(first, s.rec)
}

// samePayload compares as much as was kept of both.
func samePayload(a, b *Record) bool {
	x, y := inmost(a).payload, inmost(b).payload
	n := min(len(x), len(y))
	return bytes.Equal(x[:n], y[:n])
}

// inmost is the packet that rec is about.
func inmost(rec *Record) *Record {
	if rec.inner != nil { // as deep as a Brief looks
		return rec.inner
	}
	return rec
}

func (g *group) add(s *sighting) {
	at := len(g.seen)
	for at > 0 && s.before(&g.seen[at-1]) {
		at--
	}
	g.seen = slices.Insert(g.seen, at, *s)
}

// before says that s, which came after o, is to stand before it. The kernel
// leaves a packet its time of arrival when it takes it out of a tunnel, so that
// both sightings are of the same moment.
func (s *sighting) before(o *sighting) bool {
	switch {
	case s.Time != o.Time:
		return s.Time < o.Time
	case s.rank != o.rank:
		return s.rank < o.rank
	case s.Outgoing || o.Outgoing:
		return s.Outgoing && o.Outgoing && s.Tunnel == NoTunnel && o.Tunnel != NoTunnel
	}
	return s.Tunnel != NoTunnel && o.Tunnel == NoTunnel
}

func (g *group) last() int64 { return g.seen[len(g.seen)-1].Time }

// unchanged says that the packet was only forwarded.
func (g *group) unchanged() bool {
	return g.seen[0].Innermost().Key == g.seen[len(g.seen)-1].Innermost().Key
}

// rewritten says that the packet was seen on both sides of a rewriting.
func (g *group) rewritten() bool { return g.seen[0].rank != g.seen[len(g.seen)-1].rank }

// spread is the number of points that saw the packet, counted up to 2.
func (g *group) spread() int {
	for i := range g.seen {
		if g.seen[i].Point != g.seen[0].Point {
			return 2
		}
	}
	return 1
}

// stage is how far a group has come; each stage has its patience.
type stage int

const (
	alone     stage = iota // seen once
	forwarded              // seen several times, unchanged so far
	settling               // seen before and after; further points may follow
	stages
)

// patience is how long, in packet time, a group waits behind its last sighting.
var patience = [stages]time.Duration{
	alone: 5 * time.Second,
	// The translation of a flow arrives on another path than its packets.
	forwarded: 500 * time.Millisecond,
	settling:  50 * time.Millisecond,
}

func (g *group) stageNow() stage {
	switch {
	case g.emitted || g.rewritten():
		return settling
	case len(g.seen) > 1:
		return forwarded
	}
	return alone
}

// queue is a list of groups, by when they came.
type queue struct{ newest, oldest *group }

func (q *queue) push(g *group) {
	g.older, g.newer = q.newest, nil
	if g.older != nil {
		g.older.newer = g
	} else {
		q.oldest = g
	}
	q.newest = g
}

func (q *queue) remove(g *group) {
	if g.newer != nil {
		g.newer.older = g.older
	} else {
		q.newest = g.older
	}
	if g.older != nil {
		g.older.newer = g.newer
	} else {
		q.oldest = g.newer
	}
}
