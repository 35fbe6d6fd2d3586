package capture

import (
	"encoding/binary"
	"errors"
	"math"
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// linkHeader is what the Data of a record begins with. Rings have only the
// first; files have others.
type linkHeader uint8

const (
	linkEthernet linkHeader = iota
	linkLoopback            // the address family in 4 bytes, in any byte order
	linkSLL                 // Linux cooked capture: LINKTYPE_LINUX_SLL
	linkSLL2                // its second version: LINKTYPE_LINUX_SLL2
	linkOther               // one that we do not know
)

// size of the header in bytes; of one that we do not know it is more than any
// packet's.
func (l linkHeader) size() int {
	switch l {
	case linkEthernet:
		return 14
	case linkLoopback:
		return 4
	case linkSLL:
		return 16
	case linkSLL2:
		return sll2Bytes
	}
	return math.MaxInt
}

// vlanTags are 802.1Q tags, one behind the other.
type vlanTags struct {
	layers.Dot1Q
	outer uint16 // the first one's number, other than 0
}

// DecodeFromBytes implements gopacket.DecodingLayer.
func (v *vlanTags) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	err := v.Dot1Q.DecodeFromBytes(data, df)
	if err == nil && v.outer == 0 {
		v.outer = v.VLANIdentifier
	}
	return err
}

// outerIPv4 stops at a packet within the packet: the summary is of the outer.
type outerIPv4 struct{ layers.IPv4 }

// NextLayerType implements gopacket.DecodingLayer.
func (ip *outerIPv4) NextLayerType() gopacket.LayerType { return notIP(ip.IPv4.NextLayerType()) }

// outerIPv6 is to IPv6 what outerIPv4 is to IPv4.
type outerIPv6 struct{ layers.IPv6 }

// DecodeFromBytes implements gopacket.DecodingLayer. gopacket counts the
// padding of a short frame as payload when there are Hop-by-Hop options.
func (ip *outerIPv6) DecodeFromBytes(data []byte, df gopacket.DecodeFeedback) error {
	return ip.IPv6.DecodeFromBytes(unpadded6(data), df)
}

func unpadded6(data []byte) []byte {
	if len(data) < 40 {
		return data
	}
	if n := int(binary.BigEndian.Uint16(data[4:])); n > 0 && 40+n < len(data) {
		return data[:40+n]
	}
	return data
}

// NextLayerType implements gopacket.DecodingLayer.
func (ip *outerIPv6) NextLayerType() gopacket.LayerType { return notIP(ip.IPv6.NextLayerType()) }

func notIP(t gopacket.LayerType) gopacket.LayerType {
	if t == layers.LayerTypeIPv4 || t == layers.LayerTypeIPv6 {
		return gopacket.LayerTypePayload
	}
	return t
}

// outerUDP leaves its payload to us: gopacket keeps the meaning of ports in a
// global table, and which of them are VXLAN's is a matter of the namespace.
type outerUDP struct{ layers.UDP }

// NextLayerType implements gopacket.DecodingLayer.
func (*outerUDP) NextLayerType() gopacket.LayerType { return gopacket.LayerTypePayload }

// extension6 passes over IPv6 extension headers, and stops at a packet within.
type extension6 struct{ layers.IPv6ExtensionSkipper }

// NextLayerType implements gopacket.DecodingLayer.
func (e *extension6) NextLayerType() gopacket.LayerType {
	return notIP(e.IPv6ExtensionSkipper.NextLayerType())
}

// fragment6 is the IPv6 fragment header, behind which nothing can be decoded
// until the packet is whole again. gopacket has it only as a Layer.
type fragment6 struct {
	layers.IPv6ExtensionSkipper
	next   layers.IPProtocol
	offset int // in bytes
	more   bool
	id     uint32
}

// CanDecode implements gopacket.DecodingLayer.
func (*fragment6) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPv6Fragment }

// DecodeFromBytes implements gopacket.DecodingLayer (RFC 8200, section 4.5).
func (f *fragment6) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	if len(data) < 8 {
		return errors.New("IPv6 fragment header too short")
	}
	at := binary.BigEndian.Uint16(data[2:])
	f.next, f.offset, f.more, f.id = layers.IPProtocol(data[0]), int(at&^7), at&1 != 0, binary.BigEndian.Uint32(data[4:])
	f.BaseLayer = layers.BaseLayer{Contents: data[:8], Payload: data[8:]}
	return nil
}

// NextLayerType implements gopacket.DecodingLayer. A packet that was not cut
// can have the header all the same (RFC 6946).
func (f *fragment6) NextLayerType() gopacket.LayerType {
	if f.offset == 0 && !f.more {
		return notIP(f.next.LayerType())
	}
	return gopacket.LayerTypeFragment
}

// authHeader is IPsec's authentication header, which leaves what follows to
// be read. gopacket has it only as a Layer.
type authHeader struct {
	layers.BaseLayer
	next     layers.IPProtocol
	spi, seq uint32
}

// CanDecode implements gopacket.DecodingLayer.
func (*authHeader) CanDecode() gopacket.LayerClass { return layers.LayerTypeIPSecAH }

// DecodeFromBytes implements gopacket.DecodingLayer (RFC 4302, section 2).
func (a *authHeader) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	if len(data) < 12 || len(data) < (int(data[1])+2)*4 {
		return errors.New("IPsec authentication header too short")
	}
	n := max((int(data[1])+2)*4, 12)
	a.next, a.spi, a.seq = layers.IPProtocol(data[0]), binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])
	a.BaseLayer = layers.BaseLayer{Contents: data[:n], Payload: data[n:]}
	return nil
}

// NextLayerType implements gopacket.DecodingLayer.
func (a *authHeader) NextLayerType() gopacket.LayerType { return notIP(a.next.LayerType()) }

const sll2Bytes = 20

// sll2 is the header of LINKTYPE_LINUX_SLL2, which gopacket does not know.
type sll2 struct {
	protocol layers.EthernetType
	ifindex  uint32
	kind     uint8
	addr     net.HardwareAddr
	payload  []byte
}

func decodeSLL2(data []byte) (h sll2, err error) {
	if len(data) < sll2Bytes {
		return h, errors.New("cooked header (v2) of Linux too short")
	}
	return sll2{
		protocol: layers.EthernetType(binary.BigEndian.Uint16(data)),
		ifindex:  binary.BigEndian.Uint32(data[4:]),
		kind:     data[10],
		addr:     net.HardwareAddr(data[12 : 12+min(data[11], 8)]),
		payload:  data[sll2Bytes:],
	}, nil
}

// afterSLL2 begins behind the cooked header; the sender's address in there is
// kept as Ethernet's would be. There is no parser for what is none of ours.
func (d *decoder) afterSLL2(rec *Record) (*gopacket.DecodingLayerParser, []byte, error) {
	h, err := decodeSLL2(rec.Data)
	if err != nil {
		return nil, nil, err
	}
	rec.Summary.SrcMAC = d.mac(h.addr)
	switch h.protocol {
	case layers.EthernetTypeIPv4:
		return d.ip4first, h.payload, nil
	case layers.EthernetTypeIPv6:
		return d.ip6first, h.payload, nil
	case layers.EthernetTypeARP:
		return d.arpfirst, h.payload, nil
	}
	return nil, nil, nil
}
