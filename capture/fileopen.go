package capture

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"sync"
	"time"
)

// File is a capture file that is being read: pcap or pcapng, in any byte order,
// also compressed with gzip. It holds an index of where the packets are, 8
// bytes for each, and not the packets. Its methods may be called concurrently.
type File struct {
	path string
	src  source

	mu       sync.Mutex
	format   indexer
	look     window // of the index, which only goes forward
	next     int64  // where the next block or packet begins
	offsets  []int64
	sections []*section
	done     bool
	damage   *DamageError
	at       window // of Record
	decoders map[*fileInterface]*decoder
}

// section is a part of a file with its own byte order and interfaces; a pcap
// file has one.
type section struct {
	start      int64
	comments   []string
	interfaces []*fileInterface
	layout     layout
}

// Interface is where packets of a file were captured.
type Interface struct {
	Point       Point
	Description string
	Filter      string // what was captured only, as the user wrote it
	LinkType    int    // LINKTYPE_ number
	Snaplen     int    // the most that was kept of a packet; 0 when all was
}

type fileInterface struct {
	Interface
	units  uint64        // of time in a second
	offset time.Duration // to be added to times, in whole seconds
}

// DamageError says where a file cannot be read any further. What stands before
// is shown.
type DamageError struct {
	Offset int64 // in bytes from the beginning, after decompression
	Reason string
}

// Error tells both.
func (e *DamageError) Error() string {
	return fmt.Sprintf("damaged at byte %d: %s", e.Offset, e.Reason)
}

// indexer finds packets: that of pcap or of pcapng.
type indexer interface {
	// step reads what begins at f.next and moves f.next behind it.
	step(f *File) error
	// packet reads the packet at an offset that step found.
	packet(f *File, s *section, offset int64) (filePacket, error)
}

// filePacket is a packet as it stands in the file.
type filePacket struct {
	from     *fileInterface
	time     time.Time
	length   int
	data     []byte // valid until the window moves
	outgoing bool
	comment  string
}

// OpenFile opens a capture file and reads its beginning; Index finds its
// packets. It is an error when the file is not one.
func OpenFile(path string) (*File, error) {
	src, err := openSource(path)
	if err != nil {
		return nil, fmt.Errorf("read %w", err)
	}
	f, err := openFrom(path, src)
	if err != nil {
		src.Close()
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return f, nil
}

func openFrom(path string, src source) (*File, error) {
	f := &File{path: path, src: src, decoders: map[*fileInterface]*decoder{}}
	f.look.src, f.at.src = src, src
	return f, f.begin()
}

// begin tells the formats apart.
func (f *File) begin() error {
	head, err := f.look.peek(0, 4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return errors.New("the file is empty")
	case len(head) == 4 && bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return errors.New("compressed with zstd: decompress it first")
	case len(head) == 4 && bytes.Equal(head, []byte{0x04, 0x22, 0x4d, 0x18}):
		return errors.New("compressed with lz4: decompress it first")
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	if len(head) == 4 && le.Uint32(head) == ngSection {
		f.format = ngIndexer{}
		return f.first()
	}
	l, ok := pcapLayout(head)
	if !ok {
		return fmt.Errorf("neither a pcap nor a pcapng file: it begins with %x", head)
	}
	f.format = pcapIndexer{}
	return f.pcapHeader(l)
}

// first reads the section that a pcapng file begins with.
func (f *File) first() error {
	if err := f.format.step(f); err != nil {
		var damage *DamageError
		if errors.As(err, &damage) {
			return fmt.Errorf("no pcapng file: %s", damage.Reason)
		}
		return err
	}
	return nil
}

// Index looks for packets until n are known, all when n is negative, or until
// the end or the damage. It returns how many are known.
func (f *File) Index(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index(n)
}

func (f *File) index(n int) int {
	for !f.done && (n < 0 || len(f.offsets) < n) {
		err := f.format.step(f)
		if err == nil {
			continue
		}
		f.done = true
		var damage *DamageError
		switch {
		case errors.As(err, &damage):
			f.damage = damage
		case !errors.Is(err, io.EOF):
			f.damage = &DamageError{f.next, err.Error()}
		}
	}
	return len(f.offsets)
}

// Len is how many packets are known by now.
func (f *File) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.offsets)
}

// Indexed says that Len is final.
func (f *File) Indexed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// Damage is where the file cannot be read any further, nil if it is whole as
// far as it was indexed.
func (f *File) Damage() *DamageError {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.damage
}

// Interfaces are the interfaces of all sections, as far as they are known.
func (f *File) Interfaces() []Interface {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []Interface
	for _, s := range f.sections {
		for _, i := range s.interfaces {
			out = append(out, i.Interface)
		}
	}
	return out
}

// Comments are what the writer says of the sections, control characters other
// than the ends of lines removed.
func (f *File) Comments() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, s := range f.sections {
		out = append(out, s.comments...)
	}
	return out
}

// Record reads and decodes packet i, counted from 0, indexing as far as that.
// Its Serial is i+1. The error is io.EOF when there are not so many packets.
//
// TCP numbers are counted from the start of the connection if that was read
// before, from the first packet that was read otherwise.
func (f *File) Record(i int) (*Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i < 0 || i >= f.index(i+1) {
		return nil, io.EOF
	}
	offset := f.offsets[i]
	s := f.sectionAt(offset)
	p, err := f.format.packet(f, s, offset)
	if err != nil {
		return nil, fmt.Errorf("read packet %d of %s: %w", i+1, f.path, err)
	}
	rec := &Record{
		Serial: uint64(i + 1), Point: p.from.Point, Time: p.time, Outgoing: p.outgoing,
		Length: p.length, Data: bytes.Clone(p.data), Comment: clean(p.comment),
	}
	if rec.Data == nil {
		rec.Data = []byte{}
	}
	rec.setLink(p.from.LinkType)
	d := f.decoders[p.from]
	if d == nil {
		d = newDecoder()
		f.decoders[p.from] = d
	}
	d.decode(rec)
	for in := rec; in != nil; in = in.inner {
		in.Offload = leftToHardware(in)
	}
	return rec, nil
}

// setLink says what Data begins with, and which way the packet went where that
// stands in there.
func (r *Record) setLink(linkType int) {
	switch linkType {
	case linkTypeEthernet:
	case linkTypeRaw, 12, 14, linkTypeIPv4, linkTypeIPv6: // 12 and 14 are old names of "raw"
		r.unframed = true
	case linkTypeNull, linkTypeLoop:
		r.link = linkLoopback
	case linkTypeSLL:
		r.link = linkSLL
		r.Outgoing = r.Outgoing || len(r.Data) > 1 && r.Data[1] == packetOutgoing
	case linkTypeSLL2:
		r.link = linkSLL2
		r.Outgoing = r.Outgoing || len(r.Data) > 10 && r.Data[10] == packetOutgoing
	default:
		r.link = linkOther
	}
}

// packetOutgoing is PACKET_OUTGOING of linux/if_packet.h.
const packetOutgoing = 4

func (f *File) sectionAt(offset int64) *section {
	i := sort.Search(len(f.sections), func(i int) bool { return f.sections[i].start > offset })
	return f.sections[i-1]
}

// Close closes the file.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.src.Close()
}

// source is the bytes of a file, as they are after decompression.
type source interface {
	io.ReaderAt
	io.Closer
}

// openSource opens a file, compressed or not. Its errors begin with the path.
func openSource(path string) (source, error) {
	f, err := os.Open(path)
	if err != nil {
		var perr *os.PathError
		if errors.As(err, &perr) {
			err = fmt.Errorf("%s: %w", path, perr.Err)
		}
		return nil, err
	}
	head := make([]byte, 2)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if n < 2 || head[0] != 0x1f || head[1] != 0x8b {
		return f, nil
	}
	s, err := newUnzipped(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: gzip: %w", path, err)
	}
	return s, nil
}

// unzipped decompresses a file as far as it is asked for, into a temporary file
// without a name.
type unzipped struct {
	mu   sync.Mutex
	from *os.File
	zip  *gzip.Reader
	temp *os.File
	size int64
	err  error // why it goes no further; io.EOF at the end
}

func newUnzipped(f *os.File) (*unzipped, error) {
	zip, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	temp, err := os.CreateTemp("", "vethscope-*.pcap")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(temp.Name()); err != nil {
		temp.Close()
		return nil, err
	}
	return &unzipped{from: f, zip: zip, temp: temp}, nil
}

// ReadAt implements io.ReaderAt.
func (u *unzipped) ReadAt(b []byte, off int64) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for u.err == nil && u.size < off+int64(len(b)) {
		n, err := io.CopyN(u.temp, u.zip, 1<<20)
		u.size += n
		u.err = err
	}
	n, err := u.temp.ReadAt(b, off)
	if errors.Is(err, io.EOF) && u.err != nil {
		err = u.err
		if !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("gzip: %w", err)
		}
	}
	return n, err
}

// Close implements io.Closer.
func (u *unzipped) Close() error { return errors.Join(u.temp.Close(), u.from.Close()) }
