package ring

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Block is a run of packets that the kernel handed over at once.
type Block struct {
	base  unsafe.Pointer
	first uintptr
	len   int
}

// Len is the number of packets in the block.
func (b Block) Len() int { return b.len }

// Packet is a view into the ring.
type Packet struct {
	Time     int64  // nanoseconds since 1970, when the kernel saw it
	Length   int    // on the link, in bytes, without the tag that the kernel took off
	Data     []byte // valid until Release
	Outgoing bool
	Tagged   bool // the kernel took a VLAN tag off
	TPID     uint16
	TCI      uint16
	// The transport checksum is not filled in. It does not stand beside Outgoing:
	// both would be read at once, right after each was written, and the processor
	// waits then.
	Offload bool
}

// Where the kernel puts the sockaddr_ll of a packet, and the type in it.
const (
	addressOffset = unix.SizeofTpacket3Hdr
	pkttypeOffset = 10
)

// Cursor goes through the packets of a block, in the order of arrival.
type Cursor struct {
	Packet // where the cursor stands, after Next
	next   unsafe.Pointer
	left   int
}

// Packets begins before the first packet.
func (b Block) Packets() Cursor { return Cursor{next: unsafe.Add(b.base, b.first), left: b.len} }

// Next goes to the next packet; it returns false when there is none. Fields are
// set one by one: a Packet that is put together and copied costs more than all
// the rest.
func (c *Cursor) Next() bool {
	if c.left == 0 {
		return false
	}
	p := c.next
	h := (*unix.Tpacket3Hdr)(p)
	c.Time = int64(h.Sec)*1e9 + int64(h.Nsec)
	c.Length = int(h.Len)
	c.Data = unsafe.Slice((*byte)(unsafe.Add(p, uintptr(h.Mac))), int(h.Snaplen))
	c.Outgoing = *(*uint8)(unsafe.Add(p, addressOffset+pkttypeOffset)) == unix.PACKET_OUTGOING
	c.Offload = h.Status&unix.TP_STATUS_CSUMNOTREADY != 0
	c.Tagged = h.Status&unix.TP_STATUS_VLAN_VALID != 0
	if c.Tagged {
		c.TCI, c.TPID = uint16(h.Hv1.Vlan_tci), unix.ETH_P_8021Q
		if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
			c.TPID = h.Hv1.Vlan_tpid
		}
	}
	c.next = unsafe.Add(p, uintptr(h.Next_offset))
	c.left--
	return true
}
