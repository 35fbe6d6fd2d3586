package capture

import (
	"encoding/hex"
	"fmt"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Layers is everything in the packet, header by header, for the detail pane:
// also the packets within it, to any depth. The names of layers and fields are
// fixed, so that two sightings of one packet can be laid side by side. What
// cannot be decoded is shown raw.
func (r *Record) Layers() []Layer {
	w := walk{root: r.Data}
	for in := r; in != nil; in = in.inner {
		w.record(in)
	}
	return w.out
}

// walk gathers the layers of a record.
type walk struct {
	root []byte // the Data of the outermost record
	r    *Record
	out  []Layer
	rest []byte // behind the last header that was shown
}

// record shows one packet and, if it is a tunnel's, the header before the
// packet within.
func (w *walk) record(r *Record) {
	w.r, w.rest = r, r.Data
	for t := w.first(); t != gopacket.LayerTypeZero; {
		next := gopacket.LayerTypeZero
		if guarded(func() error { next = w.header(t, w.rest); return nil }) != nil {
			break
		}
		t = next
	}
	if r.Summary.Malformed != "" {
		w.out = append(w.out, Layer{Name: "Malformed", Offset: w.at(r.Data), Length: len(r.Data), Fields: []Field{
			{Name: "reason", Value: r.Summary.Malformed},
			{Name: "raw", Value: hex.EncodeToString(r.Data[:min(len(r.Data), shownBytes)])},
		}})
	}
	if r.inner != nil {
		w.carrier(r.payload[:len(r.payload)-len(r.inner.Data)])
		return
	}
	w.out = r.appendPayload(w.out, w.rest, w.at(w.rest))
}

// first is what the packet begins with. Linux's second cooked header is shown
// at once, as gopacket does not know it.
func (w *walk) first() gopacket.LayerType {
	r := w.r
	switch {
	case r.unframed && len(r.Data) > 0 && r.Data[0]>>4 == 6:
		return layers.LayerTypeIPv6
	case r.unframed:
		return layers.LayerTypeIPv4
	case r.link == linkLoopback:
		return layers.LayerTypeLoopback
	case r.link == linkSLL:
		return layers.LayerTypeLinuxSLL
	case r.link == linkSLL2:
		return w.cooked2()
	case r.link == linkOther:
		return gopacket.LayerTypeZero
	}
	return layers.LayerTypeEthernet
}

// at is where b, a part of root, begins in it. Nobody cuts a capacity.
func (w *walk) at(b []byte) int { return max(cap(w.root)-cap(b), 0) }

// show adds a header, with the places of its fields.
func (w *walk) show(l Layer, contents, payload []byte) {
	l.Offset, l.Length = w.at(contents), len(contents)
	for i, f := range l.Fields {
		span, ok := spans[l.Name][f.Name]
		if f.Name == "options" && len(contents) > 20 { // of IPv4 and TCP: what is left
			span, ok = [2]int{20, len(contents) - 20}, true
		}
		if ok && span[0]+span[1] <= len(contents) {
			l.Fields[i].Offset, l.Fields[i].Length = l.Offset+span[0], span[1]
		}
	}
	w.out = append(w.out, l)
	w.rest = payload
}

// decodable is what gopacket's headers have in common.
type decodable interface {
	gopacket.Layer
	gopacket.DecodingLayer
}

// take decodes l from b; false when it is not all there.
func take(l decodable, b []byte) bool {
	return l.DecodeFromBytes(b, gopacket.NilDecodeFeedback) == nil
}

// header shows the header of type t that b begins with, and returns the type
// of the next; LayerTypeZero when what follows is no header to be shown.
func (w *walk) header(t gopacket.LayerType, b []byte) gopacket.LayerType {
	switch t {
	case layers.LayerTypeEthernet, layers.LayerTypeLoopback, layers.LayerTypeLinuxSLL, layers.LayerTypeDot1Q, layers.LayerTypeARP:
		return w.linkHeader(t, b)
	case layers.LayerTypeIPv4:
		return w.ip4(b)
	case layers.LayerTypeIPv6:
		return w.ip6(b)
	case layers.LayerTypeIPv6HopByHop, layers.LayerTypeIPv6Destination, layers.LayerTypeIPv6Routing,
		layers.LayerTypeIPv6Fragment, layers.LayerTypeIPSecAH:
		return w.extension(t, b)
	}
	return w.transport(t, b)
}

func (w *walk) linkHeader(t gopacket.LayerType, b []byte) gopacket.LayerType {
	var l decodable
	var shown Layer
	switch t {
	case layers.LayerTypeEthernet:
		h := new(layers.Ethernet)
		if l = h; take(l, b) {
			shown = layer("Ethernet", "dst", h.DstMAC, "src", h.SrcMAC, "type", etherType(h.EthernetType))
		}
	case layers.LayerTypeLoopback:
		h := new(layers.Loopback)
		if l = h; take(l, b) {
			shown = layer("Loopback", "family", h.Family)
		}
	case layers.LayerTypeLinuxSLL:
		h := new(layers.LinuxSLL)
		if l = h; take(l, b) {
			shown = layer("Linux cooked", "packet_type", h.PacketType, "src", h.Addr, "type", etherType(h.EthernetType))
		}
	case layers.LayerTypeDot1Q:
		h := new(layers.Dot1Q)
		if l = h; take(l, b) {
			shown = layer("802.1Q", "priority", h.Priority, "drop_eligible", h.DropEligible, "id", h.VLANIdentifier,
				"type", etherType(h.Type))
		}
	case layers.LayerTypeARP:
		h := new(layers.ARP)
		if l = h; take(l, b) {
			w.show(arpLayer(h), h.Contents, nil) // there is only padding behind
		}
		return gopacket.LayerTypeZero
	}
	if shown.Name == "" {
		return gopacket.LayerTypeZero
	}
	w.show(shown, l.LayerContents(), l.LayerPayload())
	return l.NextLayerType()
}

// cooked2 shows the header of LINKTYPE_LINUX_SLL2.
func (w *walk) cooked2() gopacket.LayerType {
	h, err := decodeSLL2(w.rest)
	if err != nil {
		return gopacket.LayerTypeZero
	}
	w.show(layer("Linux cooked v2", "type", etherType(h.protocol), "ifindex", h.ifindex,
		"packet_type", layers.LinuxSLLPacketType(h.kind), "src", h.addr), w.rest[:sll2Bytes], h.payload)
	return h.protocol.LayerType()
}

func (w *walk) ip4(b []byte) gopacket.LayerType {
	l := new(outerIPv4)
	if !take(l, b) {
		return gopacket.LayerTypeZero
	}
	w.show(ip4Layer("IPv4", &l.IPv4), l.Contents, l.Payload)
	return l.NextLayerType()
}

func ip4Layer(name string, l *layers.IPv4) Layer {
	return layer(name, "header_length", int(l.IHL)*4, "dscp", l.TOS>>2, "ecn", l.TOS&3, "length", l.Length,
		"id", hex16(l.Id), "flags", ipFlags(l.Flags), "offset", int(l.FragOffset)*8, "ttl", l.TTL,
		"protocol", ipProtocol(l.Protocol), "checksum", hex16(l.Checksum),
		"src", l.SrcIP, "dst", l.DstIP, "options", len(l.Options))
}

func (w *walk) ip6(b []byte) gopacket.LayerType {
	l := new(outerIPv6)
	if !take(l, b) {
		return gopacket.LayerTypeZero
	}
	w.show(ip6Layer("IPv6", &l.IPv6), l.Contents, unpadded6(b)[40:])
	// gopacket takes the Hop-by-Hop options for a part of this header.
	return notIP(l.NextHeader.LayerType())
}

func ip6Layer(name string, l *layers.IPv6) Layer {
	return layer(name, "traffic_class", l.TrafficClass, "flow_label", fmt.Sprintf("0x%05x", l.FlowLabel),
		"length", l.Length, "next_header", ipProtocol(l.NextHeader), "hop_limit", l.HopLimit,
		"src", l.SrcIP, "dst", l.DstIP)
}

func (w *walk) extension(t gopacket.LayerType, b []byte) gopacket.LayerType {
	switch t {
	case layers.LayerTypeIPv6Fragment:
		f := new(fragment6)
		if f.DecodeFromBytes(b, nil) != nil {
			return gopacket.LayerTypeZero
		}
		w.show(layer("IPv6 Fragment", "next_header", ipProtocol(f.next), "offset", f.offset, "more", f.more,
			"id", fmt.Sprintf("0x%08x", f.id)), f.Contents, f.Payload)
		return f.NextLayerType()
	case layers.LayerTypeIPSecAH:
		a := new(authHeader)
		if a.DecodeFromBytes(b, nil) != nil {
			return gopacket.LayerTypeZero
		}
		w.show(layer("IPsec AH", "next_header", ipProtocol(a.next), "spi", fmt.Sprintf("0x%08x", a.spi), "seq", a.seq), a.Contents, a.Payload)
		return a.NextLayerType()
	}
	e := new(extension6)
	if e.DecodeFromBytes(b, gopacket.NilDecodeFeedback) != nil {
		return gopacket.LayerTypeZero
	}
	name := map[gopacket.LayerType]string{layers.LayerTypeIPv6HopByHop: "IPv6 Hop-by-Hop Options",
		layers.LayerTypeIPv6Destination: "IPv6 Destination Options", layers.LayerTypeIPv6Routing: "IPv6 Routing"}[t]
	l := layer(name, "next_header", ipProtocol(e.NextHeader), "length", len(e.Contents))
	if t == layers.LayerTypeIPv6Routing {
		l = layer(name, "next_header", ipProtocol(e.NextHeader), "type", e.Contents[2], "segments_left", e.Contents[3])
	}
	w.show(l, e.Contents, e.Payload)
	return e.NextLayerType()
}
