package capture

import "github.com/google/gopacket/layers"

// tcpStarts remembers the first sequence number of every direction of a TCP
// connection, so that numbers can be shown counted from there.
type tcpStarts struct {
	// Two generations: when the young one is full it becomes the old one, and
	// what was not asked for since is forgotten.
	young, old map[Tuple]tcpStart
}

// tcpStart is what the first segment of a direction told.
type tcpStart struct {
	seq   uint32
	scale uint8 // of its windows, if scaled
	// scaled says that it offered window scaling, which holds only if both did
	// (RFC 7323, section 2.2).
	scaled bool
}

const tcpStartsLimit = 4096

// relative returns the segment's numbers counted from the start of the
// connection. When the start was not seen, the first segment counts as 1.
func (c *tcpStarts) relative(t Tuple, seg *layers.TCP) (seq, ack uint32) {
	if seg.SYN {
		start := tcpStart{seq: seg.Seq}
		start.scale, start.scaled = windowScale(seg)
		c.set(t, start)
	}
	seq = seg.Seq - c.start(t, seg.Seq).seq
	if seg.ACK {
		ack = seg.Ack - c.start(t.Mirror(), seg.Ack).seq
	}
	return seq, ack
}

// window is the segment's window in bytes, as far as its scale is known.
func (c *tcpStarts) window(t Tuple, seg *layers.TCP) uint32 {
	own, peer := c.find(t), c.find(t.Mirror())
	if seg.SYN || !own.scaled || !peer.scaled {
		return uint32(seg.Window)
	}
	return uint32(seg.Window) << own.scale
}

func windowScale(seg *layers.TCP) (scale uint8, ok bool) {
	for _, o := range seg.Options {
		if o.OptionType == layers.TCPOptionKindWindowScale && len(o.OptionData) == 1 {
			return min(o.OptionData[0], maxWindowScale), true
		}
	}
	return 0, false
}

const maxWindowScale = 14 // RFC 7323, section 2.3

// start is the start of a direction; when it was not seen, the byte before n is
// taken for it.
func (c *tcpStarts) start(t Tuple, n uint32) tcpStart {
	start, ok := c.young[t]
	if !ok {
		if start, ok = c.old[t]; !ok {
			start = tcpStart{seq: n - 1}
		}
		c.set(t, start)
	}
	return start
}

// find is the start of a direction, the zero value if it is not known.
func (c *tcpStarts) find(t Tuple) tcpStart {
	if start, ok := c.young[t]; ok {
		return start
	}
	return c.old[t]
}

func (c *tcpStarts) set(t Tuple, start tcpStart) {
	if len(c.young) >= tcpStartsLimit {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[Tuple]tcpStart)
	}
	c.young[t] = start
}
