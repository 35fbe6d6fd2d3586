package capture

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// FileOptions says how files are written; the zero value is one pcapng file
// without comments.
type FileOptions struct {
	WriterOptions
	// RotateSize begins a new file before one gets longer than so many bytes; 0
	// writes one file only.
	RotateSize int64
	// RotateCount is how many files are kept, the latest; 0 keeps all.
	RotateCount int
}

// FileWriter writes records to a file, or to one after the other: with
// rotation the files of NAME.pcapng are NAME_00001.pcapng, NAME_00002.pcapng
// and so on, each of them complete. It is for one goroutine.
type FileWriter struct {
	path   string
	points []Point
	o      FileOptions
	w      *Writer
	number int
	files  []string // that are there, the oldest first
	count  int
}

// CreateFile begins the file at path, or the first of its files. A file that
// is there is overwritten.
func CreateFile(path string, points []Point, o FileOptions) (*FileWriter, error) {
	if o.RotateSize < 0 || o.RotateCount < 0 {
		return nil, fmt.Errorf("write %s: rotation by %d bytes and %d files: give positive numbers", path, o.RotateSize, o.RotateCount)
	}
	if o.RotateCount > 0 && o.RotateSize == 0 {
		return nil, fmt.Errorf("write %s: %d files are to be kept, but none ever begins: give a size, too", path, o.RotateCount)
	}
	if o.Format == "" {
		o.Format = FormatOf(path)
	}
	w := &FileWriter{path: path, points: points, o: o}
	return w, w.next()
}

// name is the path of the file that is begun now.
func (w *FileWriter) name() string {
	if w.o.RotateSize == 0 {
		return w.path
	}
	ext := filepath.Ext(w.path)
	return fmt.Sprintf("%s_%05d%s", strings.TrimSuffix(w.path, ext), w.number, ext)
}

// next begins a file and removes those that are too many by then.
func (w *FileWriter) next() error {
	w.number++
	path := w.name()
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write packets: %w", err)
	}
	if w.w, err = NewWriterWith(f, w.points, w.o.WriterOptions); err != nil {
		f.Close()
		return err
	}
	w.files = append(w.files, path)
	for w.o.RotateCount > 0 && len(w.files) > w.o.RotateCount {
		if err := os.Remove(w.files[0]); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("rotate %s: %w", w.path, err)
		}
		w.files = w.files[1:]
	}
	return nil
}

// Write appends a record with comments, to the next file if it does not fit
// into this one any more.
func (w *FileWriter) Write(rec *Record, comments ...string) error {
	if w.over(roomFor(rec, comments)) && w.w.Count() > 0 {
		if err := w.turn(); err != nil {
			return err
		}
	}
	w.count++
	return w.w.Write(rec, comments...)
}

// over says that n more bytes are too many for this file.
func (w *FileWriter) over(n int64) bool {
	return w.o.RotateSize > 0 && w.w.Size()+n > w.o.RotateSize
}

// turn goes on to the next file.
func (w *FileWriter) turn() error {
	if err := w.w.Close(); err != nil {
		return err
	}
	return w.next()
}

// writeFrames is Writer.writeFrames, in as many files as it takes.
func (w *FileWriter) writeFrames(k interfaceKey, b []byte, n int) error {
	w.count += n
	for {
		fit, size := w.fitting(b, n)
		if err := w.w.writeFrames(k, b[:size], fit); err != nil {
			return err
		}
		if b, n = b[size:], n-fit; n == 0 {
			return nil
		}
		if err := w.turn(); err != nil {
			return err
		}
	}
}

// fitting is how many of n frames still belong into this file, and their size:
// none, or at least one when it is empty.
func (w *FileWriter) fitting(b []byte, n int) (fit, size int) {
	if !w.over(int64(len(b))) {
		return n, len(b)
	}
	for fit < n {
		next := w.o.Format.framing().length(b[size:])
		if w.over(int64(size+next)) && (fit > 0 || w.w.Count() > 0) {
			break
		}
		size += next
		fit++
	}
	return fit, size
}

// roomFor is the most that a record takes in a file.
func roomFor(rec *Record, comments []string) int64 {
	n := len(rec.Data) + 64
	for _, c := range comments {
		n += min(len(c), maxOption) + 8
	}
	return int64(n)
}

// WriteStats appends the counts of the points to the last file.
func (w *FileWriter) WriteStats(all []Stats) error { return w.w.WriteStats(all) }

// Count is the number of records that were written to all files.
func (w *FileWriter) Count() int { return w.count }

// Files are the files that are there, the oldest first.
func (w *FileWriter) Files() []string { return w.files }

// Flush hands over what is buffered, so that a reader of the file sees it.
func (w *FileWriter) Flush() error { return w.w.Flush() }

// Close ends the last file. An error means that it is not whole.
func (w *FileWriter) Close() error { return w.w.Close() }

// Comment says in one line what was rewritten, for a packet in a file.
func (r *Rewrite) Comment() string {
	var parts []string
	for _, f := range []struct{ name, before, after string }{
		{"src", r.Before.Src, r.After.Src}, {"dst", r.Before.Dst, r.After.Dst},
	} {
		if f.before != f.after {
			parts = append(parts, fmt.Sprintf("%s %s -> %s", f.name, f.before, f.after))
		}
	}
	if r.Before.ID != r.After.ID {
		parts = append(parts, fmt.Sprintf("id %d -> %d", r.Before.ID, r.After.ID))
	}
	if len(parts) == 0 {
		return ""
	}
	text := fmt.Sprintf("rewritten: %s between %s and %s", strings.Join(parts, ", "), r.Before.Point, r.After.Point)
	if r.Rule != nil {
		by := "by rule"
		if r.Direction == Reply {
			by = "undoing rule"
		}
		text += fmt.Sprintf(", %s %s %s %s, chain %s, handle %d: %s", by, r.Rule.Engine, r.Rule.Family, r.Rule.Table,
			r.Rule.Chain, r.Rule.Handle, r.Rule.Text)
	}
	return text
}
