package capture

import (
	"container/list"

	"github.com/google/gopacket/layers"
)

// flow is a connection, with the two tuples of each direction when NAT
// rewrites it.
type flow struct {
	number      int // given with its first rewrite; 0 before
	original    Tuple
	translation *Translation // nil while none is known
	pending     map[invariants][]*group
	used        *list.Element // in flows.used
}

// place says where in which flow a tuple stands.
type place struct {
	flow      *flow
	direction string
	rank      int // 0 before the rewriting, 1 after it
}

// tuples lists the tuples of all the flow's packets with their places.
func (f *flow) tuples() map[Tuple]place {
	t := f.translation
	if t == nil {
		return map[Tuple]place{
			f.original:          {f, Original, 0},
			f.original.Mirror(): {f, Reply, 0},
		}
	}
	return map[Tuple]place{
		t.Original:          {f, Original, 0},
		t.Reply.Mirror():    {f, Original, 1},
		t.Reply:             {f, Reply, 0},
		t.Original.Mirror(): {f, Reply, 1},
	}
}

// rule names the rule behind what was changed. The destination of a flow is
// the source of its replies, so there a DNAT rule shows in the source.
func (f *flow) rule(direction string, src, dst bool) *RuleRef {
	t := f.translation
	if t == nil {
		return nil
	}
	dnat, snat := dst, src
	if direction == Reply {
		dnat, snat = src, dst
	}
	switch {
	case dnat && t.DNAT != nil:
		return t.DNAT
	case snat:
		return t.SNAT
	}
	return nil
}

// flows finds the flow of a tuple. It holds a bounded number of flows: the one
// that was not used for longest makes room.
type flows struct {
	byTuple map[Tuple]place
	used    list.List // of *flow, the latest at the back
	limit   int
}

// find returns the place of rec's tuple, in a new flow if there is none.
func (fs *flows) find(t Tuple, rec *Record) place {
	if p, ok := fs.byTuple[t]; ok {
		fs.used.MoveToBack(p.flow.used)
		return p
	}
	f := &flow{original: t}
	if answers(&rec.Summary) {
		f.original = t.Mirror()
	}
	fs.add(f)
	return fs.byTuple[t]
}

// answers says that the packet cannot be the first of its flow.
func answers(s *Summary) bool {
	switch s.Protocol {
	case "tcp":
		return s.TCPFlags == "SYN ACK"
	case "icmp":
		return s.ICMPType == layers.ICMPv4TypeEchoReply
	case "icmp6":
		return s.ICMPType == layers.ICMPv6TypeEchoReply
	}
	return false
}

// add makes f the owner of its tuples; a former owner keeps its others.
func (fs *flows) add(f *flow) {
	for t, p := range f.tuples() {
		fs.byTuple[t] = p
	}
	f.used = fs.used.PushBack(f)
	for fs.used.Len() > fs.limit {
		fs.remove(fs.used.Front().Value.(*flow))
	}
}

// remove forgets f. Its packets that wait for their partners stay with the
// matcher until their time is over.
func (fs *flows) remove(f *flow) {
	for t := range f.tuples() {
		if fs.byTuple[t].flow == f {
			delete(fs.byTuple, t)
		}
	}
	fs.used.Remove(f.used)
	f.used = nil
}
