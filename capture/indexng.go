package capture

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
)

// ngIndexer reads pcapng files.
type ngIndexer struct{}

// Lengths of blocks: the shortest, and the longest that we believe.
const (
	ngMinBlock = 12
	ngMaxBlock = 64 << 20
)

// step implements indexer: it reads one block.
func (x ngIndexer) step(f *File) error {
	b, err := f.look.peek(f.next, ngMinBlock)
	if err != nil {
		if len(b) == 0 {
			return err
		}
		if _, err = f.look.need(f.next, f.next, ngMinBlock, "the header of a block"); err != nil {
			return err
		}
	}
	if le.Uint32(b) == ngSection { // the same in both orders
		return x.section(f, b)
	}
	s := f.sections[len(f.sections)-1]
	kind, size := s.layout.Uint32(b), int64(s.layout.Uint32(b[4:]))
	if err := x.whole(f, s.layout, size); err != nil {
		return err
	}
	if err := x.block(f, s, kind, size); err != nil {
		return err
	}
	f.next += size
	return nil
}

// whole checks that the block is all there: its length stands at both ends.
func (ngIndexer) whole(f *File, l layout, size int64) error {
	if size < ngMinBlock || size%4 != 0 || size > ngMaxBlock {
		return &DamageError{f.next, fmt.Sprintf("a block of %d bytes, which there cannot be", size)}
	}
	tail, err := f.look.need(f.next, f.next+size-4, 4, "a block")
	if err != nil {
		return endsEarly(f, err, f.next+size)
	}
	if again := int64(l.Uint32(tail)); again != size {
		return &DamageError{f.next, fmt.Sprintf("a block says that it is %d bytes long, and at its end that it is %d", size, again)}
	}
	return nil
}

// section begins a section; from here on its byte order holds.
func (x ngIndexer) section(f *File, head []byte) error {
	var order binary.ByteOrder
	switch {
	case binary.LittleEndian.Uint32(head[8:]) == ngByteOrder:
		order = binary.LittleEndian
	case binary.BigEndian.Uint32(head[8:]) == ngByteOrder:
		order = binary.BigEndian
	default:
		return &DamageError{f.next, fmt.Sprintf("a section whose byte order %x is none", head[8:12])}
	}
	s := &section{start: f.next, layout: layout{ByteOrder: order}}
	size := int64(order.Uint32(head[4:]))
	if err := x.whole(f, s.layout, size); err != nil {
		return err
	}
	b, err := f.look.need(f.next, f.next, int(size), "a section")
	if err != nil {
		return err
	}
	if len(b) < 28 || order.Uint16(b[12:]) != 1 {
		return &DamageError{f.next, "a section of a version that is not known"}
	}
	eachOption(order, b[24:size-4], func(code uint16, v []byte) {
		if code == ngOptComment {
			s.comments = append(s.comments, cleanLines(string(v)))
		}
	})
	f.sections = append(f.sections, s)
	f.next += size
	return nil
}

// block takes note of what a block holds; those that are not known are passed.
func (x ngIndexer) block(f *File, s *section, kind uint32, size int64) error {
	switch kind {
	case ngInterface:
		return x.addInterface(f, s, size)
	case ngPacket, ngPacketOld, ngPacketBare:
		head, err := f.look.need(f.next, f.next, int(min(size, 32)), "a packet")
		if err != nil {
			return err
		}
		if _, err := x.parse(s, kind, head, size); err != nil {
			return &DamageError{f.next, err.Error()}
		}
		f.offsets = append(f.offsets, f.next)
	}
	return nil
}

func (ngIndexer) addInterface(f *File, s *section, size int64) error {
	b, err := f.look.need(f.next, f.next, int(size), "an interface")
	if err != nil {
		return err
	}
	if size < 20 {
		return &DamageError{f.next, "an interface block that is too short"}
	}
	l := s.layout
	i := fileInterface{units: 1e6}
	i.LinkType, i.Snaplen = int(l.Uint16(b[8:])), int(min(l.Uint32(b[12:]), 1<<30))
	name, known := "", true
	eachOption(l, b[16:size-4], func(code uint16, v []byte) {
		switch {
		case code == ngOptName:
			name = string(v)
		case code == ngOptDescription:
			i.Description = string(v)
		case code == ngOptFilter && len(v) > 1 && v[0] == 0:
			i.Filter = string(v[1:])
		case code == ngOptResolution && len(v) >= 1:
			i.units, known = resolution(v[0])
		case code == ngOptTimeOffset && len(v) == 8:
			i.offset = time.Duration(clamp(int64(l.Uint64(v)))) * time.Second
		}
	})
	if !known {
		return &DamageError{f.next, "an interface whose resolution of time is not known"}
	}
	s.addInterface(i, name)
	return nil
}

// clamp keeps seconds within what a Duration can hold.
func clamp(sec int64) int64 {
	const most = math.MaxInt64 / int64(time.Second)
	return max(min(sec, most), -most)
}

// resolution is how many units of time a second has: a power of ten, or of two
// when the highest bit is set.
func resolution(v byte) (units uint64, known bool) {
	exp := v & 0x7f
	if v&0x80 != 0 {
		return 1 << min(exp, 63), exp < 64
	}
	units = 1
	for range min(exp, 19) {
		units *= 10
	}
	return units, exp <= 19
}

// ngBody is where the parts of a packet block are.
type ngBody struct {
	from         *fileInterface
	time         uint64
	timed        bool
	kept, length uint32
	data         int64 // where the packet begins in the block
}

// parse reads the fixed part of a packet block.
func (ngIndexer) parse(s *section, kind uint32, b []byte, size int64) (p ngBody, err error) {
	l, id := s.layout, uint32(0)
	if len(b) < 32 && kind != ngPacketBare || size < 16 {
		return p, fmt.Errorf("a packet block of %d bytes is too short", size)
	}
	switch kind {
	case ngPacket, ngPacketOld:
		id = l.Uint32(b[8:])
		if kind == ngPacketOld {
			id = uint32(l.Uint16(b[8:])) // the other half counts drops
		}
		p.time, p.timed = uint64(l.Uint32(b[12:]))<<32|uint64(l.Uint32(b[16:])), true
		p.kept, p.length, p.data = l.Uint32(b[20:]), l.Uint32(b[24:]), 28
	default:
		p.length, p.data = l.Uint32(b[8:]), 12
		p.kept = uint32(min(int64(p.length), size-16))
	}
	if int(id) >= len(s.interfaces) {
		return p, fmt.Errorf("a packet of interface %d, of which the file has not told", id)
	}
	p.from = s.interfaces[id]
	if snap := p.from.Snaplen; !p.timed && snap > 0 {
		p.kept = min(p.kept, uint32(snap))
	}
	if p.data+int64(p.kept)+4 > size {
		return p, fmt.Errorf("a packet of %d bytes in a block of %d", p.kept, size)
	}
	return p, nil
}

// packet implements indexer.
func (x ngIndexer) packet(f *File, s *section, offset int64) (p filePacket, err error) {
	head, err := f.at.need(offset, offset, ngMinBlock, "a packet")
	if err != nil {
		return p, err
	}
	kind, size := s.layout.Uint32(head), int64(s.layout.Uint32(head[4:]))
	if size > ngMaxBlock { // the file was changed behind our back
		return p, io.ErrUnexpectedEOF
	}
	b, err := f.at.need(offset, offset, int(size), "a packet")
	if err != nil {
		return p, err
	}
	body, err := x.parse(s, kind, b[:min(size, 32)], size)
	if err != nil {
		return p, &DamageError{offset, err.Error()}
	}
	p.from, p.length = body.from, int(max(body.length, body.kept))
	p.data = b[body.data : body.data+int64(body.kept)]
	if body.timed {
		p.time = body.from.timeOf(body.time)
	}
	if rest := body.data + int64(body.kept+3)&^3; kind != ngPacketBare && rest < size-4 {
		eachOption(s.layout, b[rest:size-4], func(code uint16, v []byte) {
			switch {
			case code == ngOptComment && p.comment == "":
				p.comment = string(v)
			case code == ngOptComment:
				p.comment += "; " + string(v)
			case code == ngOptFlags && len(v) == 4:
				p.outgoing = s.layout.Uint32(v)&3 == ngOutbound
			}
		})
	}
	return p, nil
}

// eachOption calls f with the options in b, as far as they are whole.
func eachOption(order binary.ByteOrder, b []byte, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := order.Uint16(b), int(order.Uint16(b[2:]))
		if b = b[4:]; code == ngOptEnd || n > len(b) {
			return
		}
		f(code, b[:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// cleanLines is clean for text of several lines.
func cleanLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = clean(strings.ReplaceAll(l, "\t", "    "))
	}
	return strings.Join(lines, "\n")
}
