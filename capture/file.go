package capture

import (
	"fmt"
	"io"
	"runtime"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
)

// Writer writes records to a pcapng file with one interface for each point,
// called like the point, timestamps in nanoseconds
// (draft-ietf-opsawg-pcapng). It is for one goroutine.
type Writer struct {
	to    io.Writer
	ng    *pcapgo.NgWriter
	ids   map[interfaceKey]int
	count int
}

// interfaceKey tells interfaces of a file apart: the packets of one have the
// same kind of header.
type interfaceKey struct {
	point    Point
	unframed bool
}

// NewWriter begins a file that has an interface for each of the points,
// whether it will see packets or not.
func NewWriter(to io.Writer, points []Point) (*Writer, error) {
	if len(points) == 0 {
		return nil, fmt.Errorf("write packets: no point given; name at least one NAMESPACE:LINK")
	}
	w := &Writer{to: to, ids: map[interfaceKey]int{}}
	options := pcapgo.NgWriterOptions{SectionInfo: pcapgo.NgSectionInfo{
		Application: "vethscope", OS: runtime.GOOS, Hardware: runtime.GOARCH,
	}}
	var err error
	first := interfaceKey{point: points[0]}
	if w.ng, err = pcapgo.NewNgWriterInterface(to, ngInterface(first), options); err != nil {
		return nil, fmt.Errorf("begin pcapng file: %w", err)
	}
	w.ids[first] = 0
	for _, p := range points[1:] {
		if _, err := w.interfaceOf(interfaceKey{point: p}); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func ngInterface(k interfaceKey) pcapgo.NgInterface {
	ngi := pcapgo.NgInterface{
		Name: k.point.String(), Description: fmt.Sprintf("link %s in namespace %s", k.point.Link, k.point.NS),
		OS: runtime.GOOS, LinkType: layers.LinkTypeEthernet, TimestampResolution: 9,
	}
	if k.unframed {
		ngi.LinkType = layers.LinkTypeRaw
	}
	return ngi
}

// interfaceOf finds the number of an interface in the file, or adds it.
func (w *Writer) interfaceOf(k interfaceKey) (int, error) {
	if id, ok := w.ids[k]; ok {
		return id, nil
	}
	id, err := w.ng.AddInterface(ngInterface(k))
	if err != nil {
		return 0, fmt.Errorf("add interface %s to pcapng file: %w", k.point, err)
	}
	w.ids[k] = id
	return id, nil
}

// Write appends a record. What it writes is buffered until Flush or Close.
func (w *Writer) Write(rec *Record) error {
	id, err := w.interfaceOf(interfaceKey{rec.Point, rec.unframed})
	if err != nil {
		return err
	}
	err = w.ng.WritePacket(gopacket.CaptureInfo{
		Timestamp: rec.Time, CaptureLength: len(rec.Data), Length: rec.Length, InterfaceIndex: id,
	}, rec.Data)
	if err != nil {
		return fmt.Errorf("write packet %d to pcapng file: %w", w.count+1, err)
	}
	w.count++
	return nil
}

// Count is the number of records that were written.
func (w *Writer) Count() int { return w.count }

// Flush hands over what is buffered, so that a reader of the file sees it.
func (w *Writer) Flush() error {
	if err := w.ng.Flush(); err != nil {
		return fmt.Errorf("write pcapng file: %w", err)
	}
	return nil
}

// Close flushes, and closes the file if it can be closed. An error of either
// means that the file is not whole.
func (w *Writer) Close() error {
	err := w.Flush()
	if c, ok := w.to.(io.Closer); ok {
		if cerr := c.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close pcapng file: %w", cerr)
		}
	}
	return err
}
