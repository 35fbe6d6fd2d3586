package capture

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"
)

// Format is the format of a capture file.
type Format string

// The formats that a Writer writes.
const (
	FormatPCAPNG Format = "pcapng" // an interface for each point, comments
	FormatPCAP   Format = "pcap"   // for old programs: points are not told apart
)

// FormatOf is the format that a file's name asks for: pcap for .pcap and .cap,
// pcapng for all others.
func FormatOf(path string) Format {
	name := strings.ToLower(path)
	if strings.HasSuffix(name, ".pcap") || strings.HasSuffix(name, ".cap") {
		return FormatPCAP
	}
	return FormatPCAPNG
}

// WriterOptions says what a Writer writes besides packets; the zero value is a
// pcapng file without comments.
type WriterOptions struct {
	Format   Format   // pcapng by default
	Comments []string // about the whole file; not in pcap
	Filter   string   // what was captured only, as the user wrote it; not in pcap
	Snaplen  int      // the most that was kept of a packet; 0 when all was
}

// Writer writes records to a pcapng file with one interface for each point,
// called like the point, timestamps in nanoseconds
// (draft-ietf-opsawg-pcapng), or to a classic pcap file. It is for one
// goroutine.
type Writer struct {
	to      io.Writer
	buf     *bufio.Writer
	format  Format
	encoder interface {
		begin(b []byte, points []Point) ([]byte, error)
		packet(b []byte, rec *Record, comments []string) ([]byte, error)
		// open makes an interface known, where it is not yet.
		open(b []byte, k interfaceKey) (_ []byte, id int, err error)
	}
	scratch []byte
	count   int
	size    int64
}

// interfaceKey tells interfaces of a file apart: the packets of one have the
// same kind of header.
type interfaceKey struct {
	point    Point
	unframed bool
	link     linkHeader
}

// NewWriter begins a pcapng file that has an interface for each of the points,
// whether it will see packets or not.
func NewWriter(to io.Writer, points []Point) (*Writer, error) {
	return NewWriterWith(to, points, WriterOptions{})
}

// NewWriterWith is NewWriter with options.
func NewWriterWith(to io.Writer, points []Point, o WriterOptions) (*Writer, error) {
	if len(points) == 0 {
		return nil, fmt.Errorf("write packets: no point given; name at least one NAMESPACE:LINK")
	}
	w := &Writer{to: to, buf: bufio.NewWriterSize(to, 1<<18), format: o.Format}
	switch o.Format {
	case FormatPCAP:
		w.encoder = &pcapEncoder{options: o}
	case FormatPCAPNG, "":
		w.format, w.encoder = FormatPCAPNG, &ngEncoder{options: o}
	default:
		return nil, fmt.Errorf("write packets: unknown format %q; formats are pcapng and pcap", o.Format)
	}
	b, err := w.encoder.begin(nil, points)
	if err != nil {
		return nil, fmt.Errorf("begin %s file: %w", w.format, err)
	}
	return w, w.put(b)
}

// put writes what was encoded.
func (w *Writer) put(b []byte) error {
	n, err := w.buf.Write(b)
	w.size += int64(n)
	if err != nil {
		return fmt.Errorf("write %s file: %w", w.format, err)
	}
	return nil
}

// Write appends a record, with comments where the format can hold them. What
// it writes is buffered until Flush or Close.
func (w *Writer) Write(rec *Record, comments ...string) error {
	var err error
	if w.scratch, err = w.encoder.packet(w.scratch[:0], rec, comments); err != nil {
		return fmt.Errorf("write packet %d to %s file: %w", w.count+1, w.format, err)
	}
	if err := w.put(w.scratch); err != nil {
		return err
	}
	w.count++
	return nil
}

// longRun bytes are written as they lie there, and not put together with others.
const longRun = 32 << 10

// writeFrames appends n frames of one interface that lie behind each other in b,
// and may change b.
func (w *Writer) writeFrames(k interfaceKey, b []byte, n int) error {
	head, id, err := w.encoder.open(w.scratch[:0], k)
	if err != nil {
		return fmt.Errorf("write packet %d to %s file: %w", w.count+1, w.format, err)
	}
	if w.scratch = head; len(head) > 0 {
		if err := w.put(head); err != nil {
			return err
		}
	}
	if w.format == FormatPCAPNG {
		for at := 0; at < len(b) && frameInterface(b[at:]) != id; at += ngFrame.length(b[at:]) {
			setInterface(b[at:], id)
		}
	}
	w.count += n
	if len(b) < longRun {
		return w.put(b)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	m, err := w.to.Write(b)
	w.size += int64(m)
	if err != nil {
		return fmt.Errorf("write %s file: %w", w.format, err)
	}
	return nil
}

// WriteStats appends the counts of the points, where the format can hold them;
// they stand behind the packets.
func (w *Writer) WriteStats(all []Stats) error {
	e, ok := w.encoder.(*ngEncoder)
	if !ok {
		return nil
	}
	return w.put(e.stats(nil, all, uint64(time.Now().UnixNano())))
}

// Count is the number of records that were written.
func (w *Writer) Count() int { return w.count }

// Size is the number of bytes that were written, those in the buffer included.
func (w *Writer) Size() int64 { return w.size }

// Flush hands over what is buffered, so that a reader of the file sees it.
func (w *Writer) Flush() error {
	if err := w.buf.Flush(); err != nil {
		return fmt.Errorf("write %s file: %w", w.format, err)
	}
	return nil
}

// Close flushes, and closes the file if it can be closed. An error of either
// means that the file is not whole.
func (w *Writer) Close() error {
	var err error
	if e, ok := w.encoder.(*pcapEncoder); ok {
		err = w.put(e.end(nil))
	}
	if ferr := w.Flush(); err == nil {
		err = ferr
	}
	if c, ok := w.to.(io.Closer); ok {
		if cerr := c.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close %s file: %w", w.format, cerr)
		}
	}
	return err
}
