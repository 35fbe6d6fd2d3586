package capture

import "github.com/google/gopacket/layers"

// tcpStarts remembers the first sequence number of every direction of a TCP
// connection, so that numbers can be shown counted from there.
type tcpStarts struct {
	// Two generations: when the young one is full it becomes the old one, and
	// what was not asked for since is forgotten.
	young, old map[Tuple]uint32
}

const tcpStartsLimit = 4096

// relative returns the segment's numbers counted from the start of the
// connection. When the start was not seen, the first segment counts as 1.
func (c *tcpStarts) relative(t Tuple, seg *layers.TCP) (seq, ack uint32) {
	if seg.SYN {
		c.set(t, seg.Seq)
	}
	seq = c.since(t, seg.Seq)
	if seg.ACK {
		ack = c.since(t.Mirror(), seg.Ack)
	}
	return seq, ack
}

func (c *tcpStarts) since(t Tuple, n uint32) uint32 {
	start, ok := c.young[t]
	if !ok {
		if start, ok = c.old[t]; !ok {
			start = n - 1
		}
		c.set(t, start)
	}
	return n - start
}

func (c *tcpStarts) set(t Tuple, start uint32) {
	if len(c.young) >= tcpStartsLimit {
		c.old, c.young = c.young, nil
	}
	if c.young == nil {
		c.young = make(map[Tuple]uint32)
	}
	c.young[t] = start
}
