package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"strings"
	"time"
)

// windowBytes is how much of a file is read at once.
const windowBytes = 256 << 10

// window reads a file piece by piece.
type window struct {
	src   source
	buf   []byte
	start int64
}

// peek returns n bytes at off, valid until the next call. At the end of the file
// it returns what there is, and io.EOF.
func (w *window) peek(off int64, n int) ([]byte, error) {
	if off >= w.start && off+int64(n) <= w.start+int64(len(w.buf)) {
		at := int(off - w.start)
		return w.buf[at : at+n], nil
	}
	if size := max(n, windowBytes); cap(w.buf) < size || cap(w.buf) > size && n <= windowBytes {
		w.buf = make([]byte, 0, size)
	}
	got, err := w.src.ReadAt(w.buf[:max(n, windowBytes)], off)
	w.buf, w.start = w.buf[:got], off
	if got >= n {
		return w.buf[:n], nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return w.buf, err
}

// need is peek where a piece must be whole: what is missing is damage of the
// thing that began at begin.
func (w *window) need(begin, off int64, n int, what string) ([]byte, error) {
	b, err := w.peek(off, n)
	switch {
	case err == nil:
		return b, nil
	case errors.Is(err, io.EOF):
		return nil, &DamageError{begin, fmt.Sprintf("the file ends within %s, after %d bytes", what, off+int64(len(b))-begin)}
	}
	return nil, &DamageError{begin, err.Error()}
}

// layout is how numbers are written.
type layout struct {
	binary.ByteOrder
	nano     bool // pcap: times are in nanoseconds
	modified bool // pcap: the longer packet header
}

// addInterface gives an interface its point: its name, as we write it, or
// "file" and the link's name, or its number.
func (s *section) addInterface(i fileInterface, name string) {
	name = clean(name)
	if at := strings.LastIndexByte(name, ':'); at > 0 && at < len(name)-1 {
		i.Point = Point{NS: name[:at], Link: name[at+1:]}
	} else if name != "" {
		i.Point = Point{NS: "file", Link: name}
	} else {
		i.Point = Point{NS: "file", Link: fmt.Sprint(len(s.interfaces))}
	}
	i.Description, i.Filter = clean(i.Description), clean(i.Filter)
	s.interfaces = append(s.interfaces, &i)
}

// timeOf turns units since 1970 into a time.
func (i *fileInterface) timeOf(t uint64) time.Time {
	hi, lo := bits.Mul64(t%i.units, 1e9)
	ns, _ := bits.Div64(hi, lo, i.units) // t%units < units, so it fits
	return time.Unix(int64(t/i.units), int64(ns)).Add(i.offset)
}

// pcapIndexer reads classic pcap files.
type pcapIndexer struct{}

// pcapLayout recognizes the magic number of a pcap file.
func pcapLayout(head []byte) (layout, bool) {
	if len(head) < 4 {
		return layout{}, false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head) {
		case pcapMicro:
			return layout{ByteOrder: order}, true
		case pcapNano:
			return layout{ByteOrder: order, nano: true}, true
		case pcapModified:
			return layout{ByteOrder: order, modified: true}, true
		}
	}
	return layout{}, false
}

// pcapHeader reads the header of the file.
func (f *File) pcapHeader(l layout) error {
	b, err := f.look.peek(0, pcapHeaderBytes)
	if err != nil {
		return fmt.Errorf("no pcap file: it ends within its header, after %d bytes", len(b))
	}
	s := &section{layout: l}
	i := fileInterface{units: 1e6}
	if l.nano {
		i.units = 1e9
	}
	i.Snaplen = int(min(l.Uint32(b[16:]), 1<<30))
	i.LinkType = int(l.Uint32(b[20:]) & 0xffff) // above are the length of the checksum and flags
	s.addInterface(i, "")
	f.sections, f.next = []*section{s}, pcapHeaderBytes
	return nil
}

// headerBytes is the length of a packet's header.
func (l layout) headerBytes() int {
	if l.modified {
		return 24
	}
	return 16
}

// step implements indexer.
func (pcapIndexer) step(f *File) error {
	s := f.sections[0]
	n := s.layout.headerBytes()
	b, err := f.look.peek(f.next, n)
	if err != nil {
		if len(b) == 0 {
			return err
		}
		if _, err = f.look.need(f.next, f.next, n, "the header of a packet"); err != nil {
			return err
		}
	}
	kept := int64(s.layout.Uint32(b[8:]))
	if limit := max(int64(s.interfaces[0].Snaplen), pcapMaxPacket); kept > limit || kept > pcapMaxPacket*16 {
		return &DamageError{f.next, fmt.Sprintf("a packet of %d bytes, more than the %d that there can be", kept, min(limit, pcapMaxPacket*16))}
	}
	end := f.next + int64(n) + kept
	if kept > 0 {
		if _, err := f.look.need(f.next, end-1, 1, "a packet"); err != nil {
			return endsEarly(f, err, end)
		}
	}
	f.offsets = append(f.offsets, f.next)
	f.next = end
	return nil
}

// endsEarly says how long the thing at f.next should be.
func endsEarly(f *File, err error, end int64) error {
	var damage *DamageError
	if errors.As(err, &damage) && strings.HasPrefix(damage.Reason, "the file ends") {
		return &DamageError{f.next, fmt.Sprintf("the file ends within a packet of %d bytes", end-f.next)}
	}
	return err
}

// packet implements indexer.
func (pcapIndexer) packet(f *File, s *section, offset int64) (p filePacket, err error) {
	l := s.layout
	head, err := f.at.need(offset, offset, l.headerBytes(), "the header of a packet")
	if err != nil {
		return p, err
	}
	p.from = s.interfaces[0]
	sec, frac := l.Uint32(head), l.Uint32(head[4:])
	kept, n := int(l.Uint32(head[8:])), l.headerBytes()
	p.length = int(l.Uint32(head[12:]))
	// Some write fractions of a second beyond one: these are taken as they are.
	unit := time.Microsecond
	if l.nano {
		unit = time.Nanosecond
	}
	p.time = time.Unix(int64(sec), 0).Add(time.Duration(frac) * unit)
	p.data, err = f.at.need(offset, offset+int64(n), kept, "a packet")
	p.length = max(p.length, kept)
	return p, err
}
