package pages

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// fileSource is a file as a Source.
type fileSource struct{ *capture.File }

// Record implements Source.
func (f fileSource) Record(serial uint64) (*capture.Record, bool) {
	if serial == 0 || serial > uint64(f.Len()) {
		return nil, false
	}
	rec, err := f.File.Record(int(serial - 1))
	return rec, err == nil
}

// openFile is the file that the page shows instead of a capture.
type openFile struct {
	path   string
	file   *capture.File
	source fileSource
	// What commands have found out so far.
	packets    int
	indexed    bool
	damage     *capture.DamageError
	points     []capture.Point
	interfaces []capture.Interface
	comments   []string

	matcher  *capture.FileMatcher // for the commands that match
	matched  int                  // packets
	matching bool                 // there are more
	fetching bool
}

// Parts of the work on a file take so long, and are then shown.
const (
	indexTime = 50 * time.Millisecond
	matchTime = 80 * time.Millisecond
)

// fileMsg brings a file that was opened, and its first packets.
type fileMsg struct {
	path  string
	file  *capture.File
	first []*capture.Record
	err   error
}

// indexMsg tells how far the index of a file is.
type indexMsg struct {
	file    *capture.File
	packets int
	done    bool
	damage  *capture.DamageError
	facts   fileFacts
}

// matchMsg brings what was rewritten in one more part of a file.
type matchMsg struct {
	file     *capture.File
	matched  int
	rewrites []*capture.Rewrite
	more     bool
}

// recordsMsg brings packets that are about to be drawn.
type recordsMsg struct {
	source  Source
	records []*capture.Record
}

// fileFacts are what a file says of itself.
type fileFacts struct {
	points     []capture.Point
	interfaces []capture.Interface
	comments   []string
}

func factsOf(f *capture.File) fileFacts { return fileFacts{f.Points(), f.Interfaces(), f.Comments()} }

// firstPackets fill a screen.
const firstPackets = 100

// Open shows a file. The file is opened already when the program was started
// with it; the page closes it.
func (p *Capture) Open(path string, file *capture.File) tea.Cmd {
	return func() tea.Msg {
		if file == nil {
			var err error
			if file, err = capture.OpenFile(path); err != nil {
				return fileMsg{path: path, err: err}
			}
		}
		msg := fileMsg{path: path, file: file}
		for i := range file.Index(firstPackets) {
			rec, err := file.Record(i)
			if err != nil || i == firstPackets {
				break
			}
			msg.first = append(msg.first, rec)
		}
		return msg
	}
}

// opened takes a file in place of what was shown.
func (p *Capture) opened(msg fileMsg) tea.Cmd {
	if msg.err != nil {
		return p.app.Toast(kit.Failure, msg.err.Error())
	}
	stop := p.stop()
	p.reset("", nil)
	p.packets.rows.show(nil)
	p.clear()
	p.snaplen = 0
	p.file = &openFile{path: msg.path, file: msg.file, source: fileSource{msg.file}}
	p.all, p.packets.Follow, p.rewrites.Follow = true, false, false
	p.packets.rows.show(p.file.source)
	p.translations = nil
	p.packets.rows.ahead = true
	for _, rec := range msg.first {
		p.packets.rows.remember(rec)
		if p.start.IsZero() {
			p.start = rec.Time
		}
	}
	p.packets.Measure()
	p.packets.Show(&p.packets.rows)
	p.packets.GoFirst()
	p.rewrites.GoFirst()
	return tea.Batch(stop, p.rescan(), p.file.index(), p.app.Goto(TitleCapture))
}

// index finds the packets of the next part.
func (f *openFile) index() tea.Cmd {
	file := f.file
	return func() tea.Msg {
		n := file.Len()
		for until := time.Now().Add(indexTime); !file.Indexed() && time.Now().Before(until); {
			n = file.Index(n + 10_000)
		}
		return indexMsg{file, n, file.Indexed(), file.Damage(), factsOf(file)}
	}
}

// indexedTo takes notice of one more part.
func (p *Capture) indexedTo(msg indexMsg) tea.Cmd {
	f := p.file
	if f == nil || f.file != msg.file {
		return nil
	}
	f.packets, f.indexed, f.damage = msg.packets, msg.done, msg.damage
	f.points, f.interfaces, f.comments = msg.facts.points, msg.facts.interfaces, msg.facts.comments
	for _, i := range f.interfaces {
		p.snaplen = max(p.snaplen, i.Snaplen)
	}
	p.stale = true
	p.sync()
	if !f.indexed {
		return tea.Batch(f.index(), p.scanOn())
	}
	if len(f.points) > 1 {
		f.matcher, f.matching = capture.NewFileMatcher(f.points...), true
		return tea.Batch(f.match(), p.scanOn())
	}
	return p.scanOn()
}

// match finds out what was rewritten in the next part. It is over when as many
// rewrites are known as the page keeps.
func (f *openFile) match() tea.Cmd {
	msg, matcher, end := matchMsg{file: f.file, matched: f.matched}, f.matcher, f.packets
	return func() tea.Msg {
		until := time.Now().Add(matchTime)
		for ; msg.matched < end && (msg.matched%64 != 0 || time.Now().Before(until)); msg.matched++ {
			rec, err := msg.file.Record(msg.matched)
			if err != nil {
				break
			}
			msg.rewrites = append(msg.rewrites, matcher.Add(rec)...)
		}
		if msg.more = msg.matched < end; !msg.more {
			msg.rewrites = append(msg.rewrites, matcher.Flush()...)
		}
		return msg
	}
}

// matchedTo takes the rewrites of one more part.
func (p *Capture) matchedTo(msg matchMsg) tea.Cmd {
	f := p.file
	if f == nil || f.file != msg.file {
		return nil
	}
	stuck := msg.more && msg.matched == f.matched
	f.matched = msg.matched
	for _, r := range msg.rewrites {
		if len(p.rewrites.rows) < keep {
			p.found(r)
		}
	}
	f.matching = msg.more && !stuck && len(p.rewrites.rows) < keep
	p.stale = true
	p.sync()
	if f.matching {
		return f.match()
	}
	f.matcher = nil
	return nil
}

// Fetch reads the packets of a file that are about to be drawn, and closes files
// that are shown no more.
func (p *Capture) Fetch() tea.Cmd {
	if len(p.left) > 0 {
		left := p.left
		p.left = nil
		return tea.Batch(p.Fetch(), func() tea.Msg {
			for _, f := range left {
				_ = f.Close() // it was only read
			}
			return nil
		})
	}
	f, r := p.file, &p.packets.rows
	if f == nil || f.fetching || !p.all {
		return nil
	}
	first, end := p.packets.InView()
	margin := max(end-first, firstPackets/2)
	var want []uint64
	for i := max(0, first-margin); i < min(end+margin, r.Len()); i++ {
		if serial := r.serial(i); !r.near(serial) {
			want = append(want, serial)
		}
	}
	if len(want) == 0 {
		return nil
	}
	f.fetching = true
	source := f.source
	return func() tea.Msg {
		return recordsMsg{source, recordsAt(source, want)}
	}
}

// fetched takes them.
func (p *Capture) fetched(msg recordsMsg) {
	if p.file == nil || p.source() != msg.source {
		return
	}
	p.file.fetching = false
	for _, rec := range msg.records {
		p.packets.rows.remember(rec)
	}
	if len(msg.records) == 0 {
		p.file.fetching = true // they cannot be read: do not try for ever
	}
}

// leaveFile shows the file no more.
func (p *Capture) leaveFile() {
	if p.file == nil {
		return
	}
	p.left = append(p.left, p.file.file)
	p.file = nil
	p.packets.Follow, p.rewrites.Follow = true, true
}

// fileHead says what file is shown, and how much of it is known.
func (p *Capture) fileHead(th *kit.Theme, w int) []string {
	f := p.file
	var parts []string
	if f.indexed {
		parts = append(parts, plural(f.packets, "packet"))
	} else {
		parts = append(parts, fmt.Sprintf("indexing %d…", f.packets))
	}
	for i, pt := range f.points {
		if i == 4 {
			parts = append(parts, fmt.Sprintf("and %d more points", len(f.points)-i))
			break
		}
		parts = append(parts, kit.Safe(pt.String()))
	}
	switch {
	case f.matching:
		parts = append(parts, fmt.Sprintf("looking for rewrites %d %%", 100*f.matched/max(f.packets, 1)))
	case f.matched > 0 && f.matched < f.packets:
		parts = append(parts, fmt.Sprintf("rewrites of the first %d packets", f.matched))
	}
	head := th.Accent.Render("■ file") + " " + th.Text.Render(kit.Safe(filepath.Base(f.path))) + "  " + th.Dim.Render(strings.Join(parts, "  ·  "))
	lines := []string{"  " + kit.Cut(head, w-3)}
	if f.damage != nil {
		lines = append(lines, "  "+th.Warn.Render(kit.Cut("! "+kit.Safe(f.damage.Error())+"; what stands before is shown", w-3)))
	}
	return lines
}

// about is what a file says of itself.
func (p *Capture) about() tea.Cmd {
	f := p.file
	p.app.Ask(&kit.Reader{Name: "About " + kit.Safe(filepath.Base(f.path)), Lines: func(th *kit.Theme, w int) []string {
		list := []kit.Section{{Title: "File", Facts: []kit.Fact{{Label: "path", Value: f.path}, {Label: "packets", Value: fmt.Sprint(f.packets)}}}}
		for _, i := range f.interfaces {
			s := kit.Section{Title: "Interface " + i.Point.String(), Facts: []kit.Fact{{Label: "link type", Value: fmt.Sprint(i.LinkType)}}}
			for _, fact := range []kit.Fact{{Label: "described as", Value: i.Description}, {Label: "filter", Value: i.Filter}} {
				if fact.Value != "" {
					s.Facts = append(s.Facts, fact)
				}
			}
			if i.Snaplen > 0 {
				s.Facts = append(s.Facts, kit.Fact{Label: "kept of each", Value: plural(i.Snaplen, "byte")})
			}
			list = append(list, s)
		}
		lines := kit.Sections(th, min(w, 109), list)
		if len(f.comments) == 0 {
			return append(lines, "", th.Dim.Render("It has no comment."))
		}
		lines = append(lines, "", th.Accent.Render("What its writer says"))
		for _, l := range strings.Split(strings.Join(f.comments, ""), "\n") { // long ones were cut into parts
			lines = append(lines, th.Text.Render(kit.Cut(kit.Safe(l), w)))
		}
		return lines
	}})
	return nil
}
