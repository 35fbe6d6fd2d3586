package filter

// Display is a filter over packets that were captured already. It has all of
// pcap-filter(7)'s syntax, and the words
//
//	vni N             in VXLAN of that network
//	point NS:LINK     seen there
//	ns NAME           seen on any link of that namespace
//	rewritten         changed by NAT on its way
//	flow N            of the flow with that number
//
// A test holds when any header of the packet passes it: that of the packet
// itself, or one within VXLAN, GENEVE, GRE or IP in IP. So "udp port 4789 and
// icmp" finds pings in a tunnel, and "not tcp" only what has TCP nowhere. The
// length and the direction are those of the whole packet. "vlan" means the
// first tag of a packet, and all other words what is behind it, as with a live
// capture. A Display is immutable and may be used concurrently.
type Display struct {
	check check
}

// Subject is a packet to look at, and what is known of it.
type Subject struct {
	Data       []byte // from the link layer header on, VLAN tags included
	Length     int    // on the wire
	LinkType   LinkType
	Outgoing   bool
	VXLANPorts []uint16 // UDP ports of VXLAN besides 4789 and 8472
	NS, Link   string   // the point where it was seen
	Rewritten  bool
	Flow       int // 0 when it belongs to none that has a number
}

// check is a part of a display filter.
type check func(*sight) bool

// sight is a Subject with what it carries.
type sight struct {
	*Subject
	frames []frame // the outermost first
}

// ParseDisplay reads an expression; an empty one matches everything. What is
// wrong with it is told by an *Error, whose column shows where.
func ParseDisplay(expr string) (d *Display, err error) {
	defer rescue(&err)
	tree := parse(expr, true)
	b := displayBuilder{ether: newGenerator(Options{}), raw: newGenerator(Options{LinkType: RawIP})}
	b.ether.stripped, b.raw.stripped = true, true
	return &Display{check: b.build(tree)}, nil
}

// Match says whether the packet passes.
func (d *Display) Match(s Subject) bool {
	return d.check(&sight{Subject: &s, frames: unpack(s)})
}

// displayBuilder compiles each test of an expression by itself.
type displayBuilder struct {
	ether, raw *generator
}

func (b *displayBuilder) build(e expr) check {
	switch e := e.(type) {
	case andExpr:
		left, right := b.build(e.left), b.build(e.right)
		return func(s *sight) bool { return left(s) && right(s) }
	case orExpr:
		left, right := b.build(e.left), b.build(e.right)
		return func(s *sight) bool { return left(s) || right(s) }
	case notExpr:
		x := b.build(e.x)
		return func(s *sight) bool { return !x(s) }
	case valueExpr:
		return e.check()
	case vxlanExpr:
		return e.check()
	case flagExpr:
		if e.word.text == "rewritten" {
			return func(s *sight) bool { return s.Rewritten }
		}
	}
	return b.headers(e)
}

func (e valueExpr) check() check {
	text, number := e.value.text, e.value.number
	switch e.word.text {
	case "point":
		return func(s *sight) bool { return s.NS+":"+s.Link == text }
	case "ns":
		return func(s *sight) bool { return s.NS == text }
	case "flow":
		return func(s *sight) bool { return s.Flow > 0 && uint64(s.Flow) == uint64(number) }
	}
	return vxlanExpr{vni: e.value}.check()
}

// check looks for a frame that was taken out of VXLAN.
func (e vxlanExpr) check() check {
	return func(s *sight) bool {
		for _, f := range s.frames {
			if f.vxlan && (e.port.kind == tokEnd || uint32(f.port) == e.port.number) && (e.vni.kind == tokEnd || f.vni == e.vni.number) {
				return true
			}
		}
		return false
	}
}

// headers is a test that any frame of the packet may pass.
func (b *displayBuilder) headers(e expr) check {
	ether, err := program(b.ether, e)
	if err != nil {
		panic(err)
	}
	raw, err := program(b.raw, e)
	if err != nil { // such as an Ethernet address: no IP packet passes
		raw = &Program{}
	}
	whole := ofWhole(e)
	return func(s *sight) bool {
		for i, f := range s.frames {
			if whole && i > 0 {
				break
			}
			p := ether
			if f.link == RawIP {
				p = raw
			}
			if p.Run(f.Packet) > 0 {
				return true
			}
		}
		return false
	}
}

// program compiles one test.
func program(g *generator, e expr) (p *Program, bad *Error) {
	defer func() {
		var err error
		rescueFrom(recover(), &err)
		if err != nil {
			bad = err.(*Error)
		}
	}()
	n := simplify(g.tree(e), nil)
	raw, err := assemble(nil, n, 1)
	if err != nil {
		return nil, &Error{Column: 1, Reason: err.Error()}
	}
	return &Program{raw: raw}, nil
}

// ofWhole says that a test is about the packet, not about any header.
func ofWhole(e expr) bool {
	switch e := e.(type) {
	case lengthExpr, flagExpr:
		return true
	case relExpr:
		return !loads(e.left) && !loads(e.right)
	}
	return false
}

func loads(a arith) bool {
	switch a := a.(type) {
	case loadArith:
		return true
	case negArith:
		return loads(a.x)
	case binArith:
		return loads(a.left) || loads(a.right)
	}
	return false
}
