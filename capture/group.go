package capture

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"slices"
	"time"
)

// invariants is what no NAT and no router changes in a packet.
type invariants struct {
	direction string
	protocol  string
	ipID      uint16
	seq, ack  uint32
	flags     string
	icmpSeq   uint16
	icmpType  uint8
	icmpCode  uint8
	length    int    // of the payload
	hash      uint64 // of its beginning
}

func invariantsOf(rec *Record, direction string, seed maphash.Seed) invariants {
	s := &rec.Summary
	inv := invariants{
		direction: direction, protocol: s.Protocol, ipID: s.IPID,
		seq: s.TCPSeq, ack: s.TCPAck, flags: s.TCPFlags,
		icmpSeq: s.ICMPSeq, icmpType: s.ICMPType, icmpCode: s.ICMPCode, length: s.Payload,
	}
	if fixedPayload(rec) {
		inv.hash = maphash.Bytes(seed, rec.payload[:min(len(rec.payload), hashedBytes)])
	}
	return inv
}

// fixedPayload says that the payload must be the same before and after: NAT
// rewrites the packet that an ICMP error quotes.
func fixedPayload(rec *Record) bool { return rec.quoted.Protocol == "" }

// sighting is one packet at one point.
type sighting struct {
	rec  *Record
	rank int
}

// group gathers the sightings of one packet.
type group struct {
	flow    *flow
	key     invariants
	seen    []sighting // in the order of time
	emitted bool       // stays a while, so that late sightings begin no new group
	stage   stage
	waiting *list.Element // in Matcher.waiting[stage]
}

// accepts says whether rec can be one more sighting of the group's packet:
// nothing is seen twice in the same place, and never before it was rewritten
// once it was seen after.
func (g *group) accepts(rec *Record, rank int) bool {
	for _, s := range g.seen {
		if s.rec.Point == rec.Point && s.rec.Outgoing == rec.Outgoing {
			return false
		}
		if s.rank < rank && rec.Time.Before(s.rec.Time) || s.rank > rank && s.rec.Time.Before(rec.Time) {
			return false
		}
	}
	return !fixedPayload(rec) || samePayload(g.seen[0].rec, rec)
}

func samePayload(a, b *Record) bool {
	n := min(len(a.payload), len(b.payload))
	return bytes.Equal(a.payload[:n], b.payload[:n])
}

func (g *group) add(rec *Record, rank int) {
	at, _ := slices.BinarySearchFunc(g.seen, rec, func(s sighting, rec *Record) int {
		if rec.Time.Before(s.rec.Time) {
			return 1
		}
		return -1 // the later comer of two at the same moment goes behind
	})
	g.seen = slices.Insert(g.seen, at, sighting{rec, rank})
}

func (g *group) last() time.Time { return g.seen[len(g.seen)-1].rec.Time }

// rewritten says that the packet was seen on both sides of the rewriting.
func (g *group) rewritten() bool { return g.seen[0].rank != g.seen[len(g.seen)-1].rank }

// spread is the number of points that saw the packet, counted up to 2.
func (g *group) spread() int {
	for _, s := range g.seen {
		if s.rec.Point != g.seen[0].rec.Point {
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
