package pages

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// saving is what is to be written to a file: apart from the page, for a command.
type saving struct {
	source   Source
	serials  []uint64 // nil for all from first up to end
	first    uint64
	end      uint64
	comments map[uint64]string // what became of packets that were rewritten
	about    []string
	snaplen  int
}

// savedMsg tells what became of it.
type savedMsg struct {
	path    string
	packets int
	gone    int // let go of before they were written
	err     error
}

func (s *saving) count() int {
	if s.serials != nil {
		return len(s.serials)
	}
	return int(s.end - s.first)
}

// chooseSaved are the marked packets, or else those of the list: of all there
// are, or those that pass the filter.
func (p *Capture) chooseSaved() (s saving, which string) {
	r := &p.packets.rows
	s = saving{source: r.source, first: r.first, end: r.end, snaplen: p.snaplen}
	switch marks := p.packets.Marks(); {
	case len(marks) > 0:
		s.serials = marks
		slices.Sort(s.serials)
		which = "marked "
	case r.filtered:
		s.serials = append([]uint64{}, r.matches...)
		which = "filtered "
	}
	s.about = []string{"saved by vethscope out of the packets that it kept"}
	if p.file != nil {
		s.about = append([]string{"saved by vethscope out of " + p.file.path}, p.file.comments...)
	}
	s.comments = map[uint64]string{}
	for serial, w := range p.known {
		if text := w.Comment(); text != "" {
			s.comments[serial] = text
		}
	}
	return s, which
}

// save asks where packets are to be written, and writes them.
func (p *Capture) save() tea.Cmd {
	s, which := p.chooseSaved()
	p.askPath(fmt.Sprintf("write %d %spackets to", s.count(), which), "", func(path string) tea.Cmd {
		ctx := p.app.Context
		return func() tea.Msg {
			msg := savedMsg{path: path}
			msg.packets, msg.gone, msg.err = s.write(ctx, path)
			return msg
		}
	})
	return nil
}

// write is for commands. A file that is there already is left alone.
func (s *saving) write(ctx context.Context, path string) (packets, gone int, err error) {
	if _, err := os.Lstat(path); err == nil {
		return 0, 0, fmt.Errorf("write %s: it exists; give another name", path)
	}
	w, err := capture.CreateFile(path, s.source.Points(), capture.FileOptions{WriterOptions: capture.WriterOptions{
		Format: capture.FormatOf(path), Comments: s.about, Snaplen: s.snaplen}})
	if err != nil {
		return 0, 0, err
	}
	s.each(ctx, func(rec *capture.Record) (more bool) {
		var comments []string
		for _, text := range []string{rec.Comment, s.comments[rec.Serial]} {
			if text != "" && !slices.Contains(comments, text) {
				comments = append(comments, text)
			}
		}
		err = w.Write(rec, comments...)
		return err == nil
	})
	packets = w.Count()
	return packets, s.count() - packets, errors.Join(err, ctx.Err(), w.Close())
}

// each hands out the packets that are still there.
func (s *saving) each(ctx context.Context, see func(*capture.Record) (more bool)) {
	more := true
	scan := func(from uint64, most int, wanted func(uint64) bool) (next uint64) {
		next, _ = s.source.Scan(from, most, func(rec *capture.Record) {
			if more && wanted(rec.Serial) {
				more = see(rec)
			}
		})
		return next
	}
	for _, serial := range s.serials {
		if !more || ctx.Err() != nil {
			return
		}
		scan(serial, 1, func(n uint64) bool { return n == serial })
	}
	for at := s.first; s.serials == nil && more && at < s.end && ctx.Err() == nil; {
		at = max(at+1, scan(at, int(min(1024, s.end-at)), func(n uint64) bool { return n < s.end }))
	}
}

// saved tells what became of it.
func (p *Capture) saved(msg savedMsg) tea.Cmd {
	if msg.err != nil {
		return p.app.Toast(kit.Failure, msg.err.Error())
	}
	text := fmt.Sprintf("wrote %s to %s", plural(msg.packets, "packet"), msg.path)
	if msg.gone > 0 {
		return p.app.Toast(kit.Info, fmt.Sprintf("%s; %d had been let go", text, msg.gone))
	}
	return p.app.Toast(kit.Success, text)
}
