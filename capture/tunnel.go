package capture

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// UDP ports of tunnels.
const (
	vxlanPort       = 4789 // RFC 7348, section 8
	vxlanKernelPort = 8472 // of a vxlan link that was given none
	genevePort      = 6081 // RFC 8926, section 3.3
)

// maxDepth bounds how many packets within packets are looked for: a crafted
// one could hold thousands.
const maxDepth = 64

// carrier is the header between a packet and the packet within.
type carrier struct {
	kind string
	vni  uint32
	size int // of the header
	// what the inner packet begins with: Ethernet or, unframed, IP
	unframed bool
}

// tunnel finds the packet within the packet, to be decoded. It is nil when
// there is none, or when its beginning was not kept.
func (d *decoder) tunnel(rec *Record) (*Record, error) {
	c, ok, err := d.carrier(rec)
	if !ok || err != nil {
		return nil, err
	}
	s := &rec.Summary
	s.Tunnel, s.VNI = c.kind, c.vni
	data := rec.payload[c.size:]
	if len(data) == 0 {
		return nil, errors.New("nothing in the tunnel")
	}
	return &Record{
		Point: rec.Point, Time: rec.Time, Outgoing: rec.Outgoing,
		Length: s.Payload - c.size, Data: data, unframed: c.unframed,
	}, nil
}

// carrier reads the header of the tunnel, if the packet is one's.
func (d *decoder) carrier(rec *Record) (c carrier, ok bool, err error) {
	switch last := d.decoded[len(d.decoded)-1]; last {
	case layers.LayerTypeUDP:
		return d.udpCarrier(rec)
	case layers.LayerTypeTCP, layers.LayerTypeICMPv4, layers.LayerTypeICMPv6, layers.LayerTypeARP:
		return c, false, nil
	}
	protocol, whole := d.ipPayload()
	if !whole {
		return c, false, nil
	}
	switch protocol {
	case layers.IPProtocolIPv4, layers.IPProtocolIPv6:
		return carrier{kind: "ipip", unframed: true}, true, nil
	case layers.IPProtocolGRE:
		c, err = greCarrier(rec.payload)
		return c, err == nil && c.kind != "", err
	}
	return c, false, nil
}

// ipPayload is the protocol behind the last of the IP headers; whole is false
// for a fragment, behind which there is no header.
func (d *decoder) ipPayload() (protocol layers.IPProtocol, whole bool) {
	switch d.decoded[len(d.decoded)-1] {
	case layers.LayerTypeIPv4:
		return d.ip4.Protocol, d.ip4.FragOffset == 0 && d.ip4.Flags&layers.IPv4MoreFragments == 0
	case layers.LayerTypeIPv6:
		if d.ip6.HopByHop != nil {
			return d.ip6.HopByHop.NextHeader, true
		}
		return d.ip6.NextHeader, true
	case layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Routing, layers.LayerTypeIPv6Destination:
		return d.skip.NextHeader, true
	case layers.LayerTypeIPSecAH:
		return d.auth.next, true
	case layers.LayerTypeIPv6Fragment:
		return d.frag6.next, d.frag6.offset == 0 && !d.frag6.more
	}
	return 0, false
}

func (d *decoder) udpCarrier(rec *Record) (c carrier, ok bool, err error) {
	port := rec.Summary.Dst.Port()
	switch {
	case slices.Contains(d.vxlanPorts, port):
		var v layers.VXLAN
		if err = v.DecodeFromBytes(rec.payload, gopacket.NilDecodeFeedback); err != nil {
			return c, false, err
		}
		if !v.ValidIDFlag {
			return c, false, nil // something else on the port, or nothing that a VXLAN endpoint takes
		}
		return carrier{kind: "vxlan", vni: v.VNI, size: len(v.Contents)}, true, nil
	case port == genevePort:
		c, err = geneveCarrier(rec.payload)
		return c, err == nil && c.kind != "", err
	}
	return c, false, nil
}

// geneveCarrier is without a kind when what is carried is no packet.
func geneveCarrier(b []byte) (c carrier, err error) {
	var g layers.Geneve
	if err = guarded(func() error { return g.DecodeFromBytes(b, gopacket.NilDecodeFeedback) }); err != nil {
		return c, err
	}
	c = carrier{kind: "geneve", vni: g.VNI, size: len(g.Contents)}
	return carried(c, g.Protocol), nil
}

// greCarrier is without a kind when what is carried is no packet.
func greCarrier(b []byte) (c carrier, err error) {
	if len(b) < 4 {
		return c, errors.New("GRE header too short")
	}
	if b[1]&7 != 0 {
		return c, nil // version 1 is PPTP's, with another header (RFC 2637)
	}
	var g layers.GRE
	if err = guarded(func() error { return g.DecodeFromBytes(b, gopacket.NilDecodeFeedback) }); err != nil {
		return c, errors.New("GRE header too short")
	}
	return carried(carrier{kind: "gre", size: len(g.Contents)}, g.Protocol), nil
}

// carried completes c by the type of what is inside.
func carried(c carrier, t layers.EthernetType) carrier {
	switch t {
	case layers.EthernetTypeTransparentEthernetBridging:
		return c
	case layers.EthernetTypeIPv4, layers.EthernetTypeIPv6:
		c.unframed = true
		return c
	}
	return carrier{}
}

var tunnelTitles = map[string]string{"vxlan": "VXLAN", "geneve": "GENEVE", "gre": "GRE", "ipip": "IP in IP"}

// tunnelInfo tells what a tunnel's packet carries.
func tunnelInfo(outer, inner *Summary) string {
	var b strings.Builder
	b.WriteString(tunnelTitles[outer.Tunnel])
	if outer.Tunnel == "vxlan" || outer.Tunnel == "geneve" {
		b.WriteString(" VNI ")
		b.WriteString(strconv.FormatUint(uint64(outer.VNI), 10))
	}
	b.WriteString(": ")
	if inner.Src.Addr().IsValid() && inner.Protocol != "arp" {
		b.WriteString(inner.Src.Addr().String())
		b.WriteString(" → ")
		b.WriteString(inner.Dst.Addr().String())
		b.WriteByte(' ')
	}
	b.WriteString(inner.Info)
	return b.String()
}
