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
	count    int
	kept     []*capture.Record // by the page, although the source may let them go
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

// chooseSaved are the marked packets, or else those of the list: of all there
// are, or those that pass the filter.
func (p *Capture) chooseSaved() (s saving, which string) {
	r := &p.packets.rows
	s = saving{source: r.source, first: r.first, end: r.end, count: r.Len(), kept: r.kept, snaplen: p.snaplen}
	if r.gone > 0 {
		s.first = r.held[0].Serial
	}
	switch marks := p.packets.Marks(); {
	case len(marks) > 0:
		s.serials, s.count = marks, len(marks)
		slices.Sort(s.serials)
		which = "marked "
	case r.filtered:
		for i := range r.Len() {
			s.serials = append(s.serials, r.serial(i))
		}
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
	p.askPath(fmt.Sprintf("write %d %spackets to", s.count, which), "", func(path string) tea.Cmd {
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
	return packets, s.count - packets, errors.Join(err, ctx.Err(), w.Close())
}

// each hands out the packets that are still there.
func (s *saving) each(ctx context.Context, see func(*capture.Record) (more bool)) {
	more := true
	put := func(rec *capture.Record) {
		if more {
			more = see(rec)
		}
	}
	for _, serial := range s.serials {
		if !more || ctx.Err() != nil {
			return
		}
		s.source.Scan(serial, 1, func(rec *capture.Record) {
			if rec.Serial == serial {
				put(rec)
			}
		})
		s.eachKept(serial, serial+1, put)
	}
	for at := s.first; s.serials == nil && more && at < s.end && ctx.Err() == nil; {
		s.eachKept(at, s.end, put)
		first, _ := s.source.Span()
		at = max(at, first)
		next, _ := s.source.Scan(at, int(min(1024, s.end-min(at, s.end))), func(rec *capture.Record) {
			if rec.Serial < s.end {
				put(rec)
			}
		})
		at = max(at+1, next)
	}
}

// eachKept hands out those from a serial up to end that the page keeps and the
// source does not.
func (s *saving) eachKept(from, end uint64, put func(*capture.Record)) {
	first, _ := s.source.Span()
	for _, rec := range s.kept[before(s.kept, from):before(s.kept, max(from, min(first, end)))] {
		put(rec)
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
