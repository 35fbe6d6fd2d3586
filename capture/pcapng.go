package capture

import (
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"unicode/utf8"
)

// Block types, option codes and the like of pcapng (draft-ietf-opsawg-pcapng).
const (
	ngSection    = 0x0a0d0d0a
	ngInterface  = 1
	ngPacketOld  = 2
	ngPacketBare = 3
	ngStatistics = 5
	ngPacket     = 6

	ngByteOrder = 0x1a2b3c4d

	ngOptEnd         = 0
	ngOptComment     = 1
	ngOptHardware    = 2
	ngOptOS          = 3
	ngOptApplication = 4

	ngOptName        = 2
	ngOptDescription = 3
	ngOptResolution  = 9
	ngOptFilter      = 11
	ngOptTimeOffset  = 14

	ngOptFlags    = 2
	ngOptReceived = 4
	ngOptOSDrop   = 7

	ngInbound, ngOutbound = 1, 2
)

// Link types as they are numbered in files (tcpdump.org/linktypes.html).
const (
	linkTypeNull     = 0
	linkTypeEthernet = 1
	linkTypeRaw      = 101
	linkTypeLoop     = 108
	linkTypeSLL      = 113
	linkTypeIPv4     = 228
	linkTypeIPv6     = 229
	linkTypeSLL2     = 276
)

// linkTypeOf is the link type of a record.
func linkTypeOf(k interfaceKey) (uint16, error) {
	switch {
	case k.unframed:
		return linkTypeRaw, nil
	case k.link == linkLoopback:
		return linkTypeNull, nil
	case k.link == linkSLL:
		return linkTypeSLL, nil
	case k.link == linkSLL2:
		return linkTypeSLL2, nil
	case k.link == linkOther:
		return 0, fmt.Errorf("%s: its link type is not known", k.point)
	}
	return linkTypeEthernet, nil
}

var le = binary.LittleEndian

// ngEncoder appends blocks to byte slices, in little endian order and with
// timestamps in nanoseconds.
type ngEncoder struct {
	options WriterOptions
	ids     map[interfaceKey]int
	keys    []interfaceKey // by number
}

// begin is the section with an interface for each point.
func (e *ngEncoder) begin(b []byte, points []Point) ([]byte, error) {
	b, start := openBlock(b, ngSection)
	b = le.AppendUint32(b, ngByteOrder)
	b = le.AppendUint16(b, 1) // version 1.0
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, math.MaxUint64) // length of the section: not known
	for _, text := range e.options.Comments {
		for _, part := range chunks(text) {
			b = appendOption(b, ngOptComment, []byte(part))
		}
	}
	b = appendOption(b, ngOptHardware, []byte(runtime.GOARCH))
	b = appendOption(b, ngOptOS, []byte(runtime.GOOS))
	b = appendOption(b, ngOptApplication, []byte("vethscope"))
	b = closeBlock(appendOption(b, ngOptEnd, nil), start)
	e.ids, e.keys = map[interfaceKey]int{}, nil
	for _, p := range points {
		var err error
		if b, err = e.addInterface(b, interfaceKey{point: p}); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (e *ngEncoder) addInterface(b []byte, k interfaceKey) ([]byte, error) {
	linkType, err := linkTypeOf(k)
	if err != nil {
		return b, err
	}
	e.ids[k] = len(e.keys)
	e.keys = append(e.keys, k)
	b, start := openBlock(b, ngInterface)
	b = le.AppendUint16(b, linkType)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(e.options.Snaplen)) // 0: no limit
	b = appendOption(b, ngOptName, []byte(k.point.String()))
	b = appendOption(b, ngOptDescription, fmt.Appendf(nil, "link %s in namespace %s", k.point.Link, k.point.NS))
	if e.options.Filter != "" {
		b = appendOption(b, ngOptFilter, append([]byte{0}, e.options.Filter...)) // 0: as text
	}
	b = appendOption(b, ngOptResolution, []byte{9})
	return closeBlock(appendOption(b, ngOptEnd, nil), start), nil
}

// open is the number of an interface, and its block when it is new.
func (e *ngEncoder) open(b []byte, k interfaceKey) (_ []byte, id int, err error) {
	id, ok := e.ids[k]
	if !ok {
		if b, err = e.addInterface(b, k); err != nil {
			return b, 0, err
		}
		id = e.ids[k]
	}
	return b, id, nil
}

// packet is an Enhanced Packet Block, behind the block of its interface when
// that is new.
func (e *ngEncoder) packet(b []byte, rec *Record, comments []string) ([]byte, error) {
	b, id, err := e.open(b, interfaceKey{rec.Point, rec.unframed, rec.link})
	if err != nil {
		return b, err
	}
	b, start := openBlock(b, ngPacket)
	b = le.AppendUint32(b, uint32(id))
	ns := uint64(0)
	if !rec.Time.IsZero() {
		ns = uint64(rec.Time.UnixNano())
	}
	b = le.AppendUint32(b, uint32(ns>>32))
	b = le.AppendUint32(b, uint32(ns))
	b = le.AppendUint32(b, uint32(len(rec.Data)))
	b = le.AppendUint32(b, uint32(rec.Length))
	b = pad4(append(b, rec.Data...), len(rec.Data))
	for _, text := range comments {
		if parts := chunks(text); len(parts) > 0 {
			b = appendOption(b, ngOptComment, []byte(parts[0]))
		}
	}
	way := uint32(ngInbound)
	if rec.Outgoing {
		way = ngOutbound
	}
	b = le.AppendUint32(b, ngOptFlags|4<<16) // code and length
	b = le.AppendUint32(b, way)
	return closeBlock(appendOption(b, ngOptEnd, nil), start), nil
}

// stats is an Interface Statistics Block for each point.
func (e *ngEncoder) stats(b []byte, all []Stats, ns uint64) []byte {
	for _, s := range all {
		id, ok := e.ids[interfaceKey{point: s.Point}]
		if !ok {
			continue
		}
		var start int
		b, start = openBlock(b, ngStatistics)
		b = le.AppendUint32(b, uint32(id))
		b = le.AppendUint32(b, uint32(ns>>32))
		b = le.AppendUint32(b, uint32(ns))
		b = appendOption(b, ngOptReceived, le.AppendUint64(nil, s.Packets+s.Dropped))
		b = appendOption(b, ngOptOSDrop, le.AppendUint64(nil, s.Dropped))
		b = closeBlock(appendOption(b, ngOptEnd, nil), start)
	}
	return b
}

// openBlock begins a block; closeBlock gives it its length.
func openBlock(b []byte, kind uint32) (_ []byte, start int) {
	start = len(b)
	b = le.AppendUint32(b, kind)
	return le.AppendUint32(b, 0), start
}

func closeBlock(b []byte, start int) []byte {
	n := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], n)
	return le.AppendUint32(b, n)
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(value)))
	return pad4(append(b, value...), len(value))
}

// pad4 fills up to whole words behind n bytes.
func pad4(b []byte, n int) []byte {
	for range -n & 3 {
		b = append(b, 0)
	}
	return b
}

// maxOption is the longest value of an option.
const maxOption = math.MaxUint16

// chunks cuts text into parts that fit an option each, at the ends of lines
// where there are any.
func chunks(text string) []string {
	var out []string
	for len(text) > maxOption {
		at := maxOption
		for i := at; i > at/2; i-- {
			if text[i-1] == '\n' {
				at = i
				break
			}
		}
		for !utf8.RuneStart(text[at]) {
			at--
		}
		out = append(out, text[:at])
		text = text[at:]
	}
	if text != "" {
		out = append(out, text)
	}
	return out
}
