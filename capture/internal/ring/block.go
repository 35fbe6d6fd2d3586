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
	Offload  bool // the transport checksum is not filled in
	Tagged   bool // the kernel took a VLAN tag off
	TPID     uint16
	TCI      uint16
}

// Where the kernel puts the sockaddr_ll of a packet, and the type in it.
const (
	addressOffset = unix.SizeofTpacket3Hdr
	pkttypeOffset = 10
)

// Each calls f with every packet, in the order of arrival. f must not keep
// the packet.
func (b Block) Each(f func(*Packet)) {
	var pkt Packet
	p := unsafe.Add(b.base, b.first)
	for range b.len {
		h := (*unix.Tpacket3Hdr)(p)
		pkt = Packet{
			Time:     int64(h.Sec)*1e9 + int64(h.Nsec),
			Length:   int(h.Len),
			Data:     unsafe.Slice((*byte)(unsafe.Add(p, uintptr(h.Mac))), int(h.Snaplen)),
			Outgoing: *(*uint8)(unsafe.Add(p, addressOffset+pkttypeOffset)) == unix.PACKET_OUTGOING,
			Offload:  h.Status&unix.TP_STATUS_CSUMNOTREADY != 0,
		}
		if h.Status&unix.TP_STATUS_VLAN_VALID != 0 {
			pkt.Tagged, pkt.TCI, pkt.TPID = true, uint16(h.Hv1.Vlan_tci), unix.ETH_P_8021Q
			if h.Status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
				pkt.TPID = h.Hv1.Vlan_tpid
			}
		}
		f(&pkt)
		p = unsafe.Add(p, uintptr(h.Next_offset))
	}
}
