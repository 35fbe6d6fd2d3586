package capture

import "time"

// Journey is one packet on its way: where it was seen, and what became of it in
// between. Its JSON form is part of the command line's interface.
type Journey struct {
	Time      time.Time     `json:"time"` // when it was seen first
	Flow      int           `json:"flow"` // numbers the flows of a session from 1
	Direction string        `json:"direction"`
	Protocol  string        `json:"protocol"`
	Matched   bool          `json:"matched"` // it was seen at more than one place
	Elapsed   time.Duration `json:"elapsed_ns"`
	// Quotes says what an ICMP error is about: it belongs to that flow.
	Quotes *Quote `json:"quotes,omitempty"`
	// Repeats is set when the same was sent before.
	Repeats *Repeat `json:"repeats,omitempty"`
	Info    string  `json:"info"` // "" when the packet was not kept
	Hops    []Hop   `json:"hops"` // in the order of time
}

// Rewritten says that addresses, ports or the ICMP identifier were changed on
// the way.
func (j *Journey) Rewritten() bool {
	for i := range j.Hops {
		for _, name := range j.Hops[i].Changed {
			if name == "src" || name == "dst" || name == "id" {
				return true
			}
		}
	}
	return false
}

// Quote is the packet that an ICMP error is about, as the error's first
// sighting quotes it.
type Quote struct {
	Protocol string `json:"protocol"`
	Src      string `json:"src"`
	Dst      string `json:"dst"`
}

// Repeat says how a packet repeats an earlier one, which has a journey of its
// own if it was captured to the end.
type Repeat struct {
	Kind string    `json:"kind"`
	Time time.Time `json:"time"` // of the first, at the point where both were seen
}

// Kinds of a Repeat.
const (
	Retransmission = "retransmission" // TCP sent the same data again
	Duplicate      = "duplicate"      // the same packet came again, with the same IP id or echo number
	Loop           = "loop"           // the same, with a lower TTL: it is routed in a circle
)

// Hop is one sighting of a packet. Of a packet in a tunnel, what is seen is of
// the inner one.
type Hop struct {
	Time     time.Time `json:"time"`
	Outgoing bool      `json:"outgoing"` // the link sent it, otherwise it received it
	Seen
	// Tunnel is what the packet is carried in here.
	Tunnel *Tunnel `json:"tunnel,omitempty"`
	// The others tell what happened since the hop before, and are empty at the
	// first. Changed are the names of Seen's JSON fields that differ.
	Elapsed time.Duration `json:"elapsed_ns"`
	Changed []string      `json:"changed"`
	// Encapsulation is "pushed" when the packet was put into a tunnel, "popped"
	// when it was taken out, "changed" when the tunnel is another one, or its
	// own packet was rewritten.
	Encapsulation string     `json:"encapsulation,omitempty"`
	Rules         []*RuleRef `json:"rules,omitempty"` // that rewrote the packet
	// Comment is what the file that the packet was read from says of it.
	Comment string `json:"comment,omitempty"`

	Serial uint64 `json:"-"` // of the packet in the Store
	// Record is nil but at the first hop when only summaries were seen: Serial
	// finds it in the Store.
	Record *Record `json:"-"`
}

// Tunnel is the packet around a packet.
type Tunnel struct {
	Kind string `json:"kind"` // "vxlan", "geneve", "gre", "ipip"
	VNI  uint32 `json:"vni"`
	Src  string `json:"src"` // the outer packet's, "172.16.0.1:41234"
	Dst  string `json:"dst"`
	TTL  int    `json:"ttl"`
	// Overhead is how many bytes the tunnel takes of the MTU.
	Overhead int `json:"overhead"`
}

// What becomes of a packet's tunnel between two hops.
const (
	Pushed   = "pushed"
	Popped   = "popped"
	Retunnel = "changed"
)

// Journeys puts the sightings of each packet together, at any number of points,
// inside tunnels and outside. It is a Matcher that tells of every hop, and of
// packets that were seen once as well. It is for one goroutine.
type Journeys struct {
	m     Matcher
	sent  repeats
	other uint64
	sink  func(*group) // takes what is complete instead of the caller; nil for none
}

// journeyPatience is less than that of a Matcher: a journey that was seen to
// its end is not to be waited for.
var journeyPatience = [stages]time.Duration{
	alone:     time.Second,
	forwarded: 300 * time.Millisecond, // the translation of a flow may come late
	settling:  50 * time.Millisecond,
}

// NewJourneys makes a Journeys for packets of these points. lookup finds the
// record of a packet that was seen as a Brief, as Store.Record does; it may be
// nil.
func NewJourneys(lookup func(serial uint64) (*Record, bool), points ...Point) *Journeys {
	j := &Journeys{m: Matcher{t: newTracker(nil), Lookup: lookup}, sent: newRepeats()}
	j.m.t.patience = journeyPatience
	for _, p := range points {
		j.AddPoint(p)
	}
	return j
}

// Add takes the next record, in the order of time, and returns the journeys
// that are complete by then, in the order of their beginnings.
func (j *Journeys) Add(rec *Record) []*Journey {
	return j.see(&sighting{Brief: j.m.t.brief(rec), rec: rec})
}

// See is Add for a packet that was not decoded. Its Point is an index into the
// points that Journeys was made for, and AddPoint.
func (j *Journeys) See(b *Brief) []*Journey {
	return j.see(&sighting{Brief: *b})
}

// Other is the number of packets that have no journey, as they belong to no
// flow: ARP, and what is not IP.
func (j *Journeys) Other() uint64 { return j.other }

func (j *Journeys) see(s *sighting) []*Journey {
	if _, ok := flowKey(&s.Brief); !ok {
		j.other++
	}
	s.repeats = j.sent.see(&s.Brief)
	j.m.t.see(s)
	return j.tell()
}

// AddPoint tells of one more point, whose index is next, also when it is one
// that was opened before.
func (j *Journeys) AddPoint(p Point) {
	t := &j.m.t
	if _, ok := t.numbered[p]; !ok {
		t.numbered[p] = uint16(len(t.points))
	}
	t.points = append(t.points, p)
	t.names = append(t.names, p.String())
}

// Translate tells of a flow that NAT rewrites, as Matcher's does.
func (j *Journeys) Translate(t Translation) []*Journey {
	j.m.t.translate(t)
	return j.tell()
}

// Advance tells that it is now past this time.
func (j *Journeys) Advance(now time.Time) []*Journey {
	j.m.t.expire(now.UnixNano())
	return j.tell()
}

// Flush returns all journeys that were still waiting for further hops.
func (j *Journeys) Flush() []*Journey {
	j.m.t.flush()
	return j.tell()
}

func (j *Journeys) tell() (out []*Journey) {
	j.m.t.tell(func(g *group) {
		if j.sink != nil {
			j.sink(g)
			return
		}
		out = append(out, j.journey(g))
	})
	return out
}

func (j *Journeys) journey(g *group) *Journey {
	first, last := &g.seen[0], &g.seen[len(g.seen)-1]
	w := &Journey{
		Time: first.When(), Flow: j.m.t.numberOf(g), Direction: place{reply: g.reply}.direction(),
		Protocol: first.Innermost().Name(), Matched: len(g.seen) > 1, Elapsed: time.Duration(last.Time - first.Time),
	}
	if first.isError() {
		src, dst := first.Quoted.Addrs()
		w.Quotes = &Quote{first.Quoted.name(), first.Quoted.endpoint(src), first.Quoted.endpoint(dst)}
	}
	w.Repeats = g.repeats()
	w.Hops = make([]Hop, len(g.seen))
	for i := range g.seen {
		w.Hops[i] = j.hop(g, i)
		if i > 0 {
			w.Hops[i].since(&w.Hops[i-1], g, i)
		}
	}
	if rec := j.m.record(first); rec != nil {
		w.Hops[0].Record = rec
		w.Info = inmost(rec).Summary.Info
	}
	return w
}

func (j *Journeys) hop(g *group, i int) Hop {
	s := &g.seen[i]
	h := Hop{
		Time: s.When(), Outgoing: s.Outgoing, Seen: j.m.t.seenOf(s), Changed: []string{},
		Serial: s.Serial, Record: s.rec,
	}
	if s.rec != nil {
		h.Comment = s.rec.Comment
	}
	if s.Tunnel == NoTunnel {
		return h
	}
	outer := &s.Outer.Key
	src, dst := outer.Addrs()
	h.Tunnel = &Tunnel{
		Kind: TunnelName(s.Tunnel), VNI: s.VNI, Src: outer.endpoint(src), Dst: outer.endpoint(dst), TTL: int(s.Outer.TTL),
		Overhead: s.overhead(),
	}
	return h
}

// overhead is what stands before the inner packet's IP header, without an
// Ethernet header, which the packet would have had anyway.
func (b *Brief) overhead() int {
	const ethernet = 14
	n := int(b.InnerAt)
	if b.Outer.framed {
		n -= ethernet
	}
	if b.Inner.framed {
		n += ethernet
	}
	return n
}

// since fills in what happened after the hop before.
func (h *Hop) since(before *Hop, g *group, i int) {
	h.Elapsed = h.Time.Sub(before.Time)
	h.Changed = changed(&before.Seen, &h.Seen)
	h.Rules = g.flow.rules(g.reply, g.seen[i-1].rank, g.seen[i].rank, before.Src != h.Src, before.Dst != h.Dst)
	switch {
	case before.Tunnel == nil && h.Tunnel != nil:
		h.Encapsulation = Pushed
	case before.Tunnel != nil && h.Tunnel == nil:
		h.Encapsulation = Popped
	case h.Tunnel != nil && *before.Tunnel != *h.Tunnel:
		h.Encapsulation = Retunnel
	}
}
