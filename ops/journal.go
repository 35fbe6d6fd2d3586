package ops

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// JournalDir is where the journal lies unless a caller says otherwise: under
// /run, because what it describes ends with the kernel that runs, too.
const JournalDir = "/run/vethscope/journal"

// Decode makes the Step that kind names out of its JSON. An unknown kind is an
// error that says so.
type Decode func(kind string, data []byte) (Step, error)

// Journal keeps one file per plan under a directory. Every line of a file is
// one fact, written and synced before the fact becomes true (what is going to
// be done) or right after (what is done). A plan that has been undone whole has
// no file. Only the holder of the Executor's lock writes.
type Journal struct {
	dir    string
	decode Decode
}

// NewJournal is the journal under dir; decode reads its steps back. Nothing is
// created until a plan is written.
func NewJournal(dir string, decode Decode) *Journal {
	return &Journal{dir: dir, decode: decode}
}

// State says how far a journalled plan came.
type State string

// The states of an Entry.
const (
	StateDone    State = "done"    // every step is done
	StatePartial State = "partial" // it was interrupted while being done or undone
)

// Entry is one plan as the journal knows it.
type Entry struct {
	ID    string    `json:"id"`
	Title string    `json:"title"`
	Name  string    `json:"name"`
	On    string    `json:"on,omitempty"`
	With  []string  `json:"with,omitempty"`
	Mode  string    `json:"mode"`
	Time  time.Time `json:"time"`
	State State     `json:"state"`
	// Settings are those of the Plan, as JSON; nil without.
	Settings json.RawMessage `json:"settings,omitempty"`
	Lab      string          `json:"lab,omitempty"`
	Made     Made            `json:"made"`
	// Steps are those that may have touched the kernel, in order, as they were
	// last written.
	Steps []Step `json:"-"`
	// numbers are the places of Steps in the plan; a step whose undo failed may
	// be left between others that are gone.
	numbers []int
}

// line is one line of a journal file. Event is "plan", "do", "done", "undone",
// "amend" or "end"; the other fields belong to some of them.
type line struct {
	Event string          `json:"event"`
	Index int             `json:"index,omitempty"`
	Kind  string          `json:"kind,omitempty"`
	Step  json.RawMessage `json:"step,omitempty"`
	Plan  *header         `json:"plan,omitempty"`
}

type header struct {
	ID       string          `json:"id"`
	Title    string          `json:"title"`
	Name     string          `json:"name"`
	On       string          `json:"on,omitempty"`
	With     []string        `json:"with,omitempty"`
	Mode     string          `json:"mode"`
	Time     time.Time       `json:"time"`
	Made     Made            `json:"made"`
	Settings json.RawMessage `json:"settings,omitempty"`
	Lab      string          `json:"lab,omitempty"`
}

// Entries reads all plans, oldest first. A torn last line, as a crash leaves
// it, is passed over: what it was to announce has not happened. A file that
// cannot be read or understood is an error that names it.
func (j *Journal) Entries() ([]Entry, error) { return j.others("") }

// others is Entries without the one with the given id.
func (j *Journal) others(id string) ([]Entry, error) {
	names, err := filepath.Glob(filepath.Join(j.dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var entries []Entry
	for _, name := range names {
		if name == j.path(id) {
			continue
		}
		e, err := j.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // undone by another process just now
		}
		if err != nil {
			return nil, fmt.Errorf("read journal %s: %w", name, err)
		}
		if e != nil {
			entries = append(entries, *e)
		}
	}
	return entries, nil
}

// Find is the entry with the given id; it fails with fs.ErrNotExist.
func (j *Journal) Find(id string) (*Entry, error) {
	e, err := j.read(j.path(id))
	if err == nil && e == nil {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("journal entry %s: %w", id, err)
	}
	return e, nil
}

func (j *Journal) path(id string) string { return filepath.Join(j.dir, id+".jsonl") }

// read replays one file. It returns nil for a file without a whole first line:
// its plan never began.
func (j *Journal) read(name string) (*Entry, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var e *Entry
	steps := map[int]line{}
	in := bufio.NewReader(bytes.NewReader(data))
	for n := 1; ; n++ {
		text, err := in.ReadBytes('\n')
		if err != nil {
			break // the end, or a torn line
		}
		l, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e, err = j.replay(e, steps, l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if e == nil {
		return nil, nil
	}
	e.numbers = slices.Sorted(maps.Keys(steps))
	for _, i := range e.numbers {
		s, err := j.decode(steps[i].Kind, steps[i].Step)
		if err != nil {
			return nil, fmt.Errorf("step %d: %w", i, err)
		}
		e.Steps = append(e.Steps, s)
	}
	return e, nil
}

// parseLine reads one line. It leaves the step to who decodes it, and so does not
// read through it twice.
func parseLine(text []byte) (l line, err error) {
	var step []byte
	head := bytes.TrimSpace(text)
	if at := bytes.Index(head, []byte(stepField)); at > 0 && !bytes.HasPrefix(head, []byte(planEvent)) {
		step = head[at+len(stepField) : len(head)-1]
		head = append(slices.Clone(head[:at]), '}')
	}
	err = json.Unmarshal(head, &l)
	l.Step = step
	return l, err
}

// What parseLine looks for. In the line of a plan, settings may have any field.
const (
	stepField = `,"step":`
	planEvent = `{"event":"plan"`
)

// replay applies one line to what is known so far.
func (j *Journal) replay(e *Entry, steps map[int]line, l line) (*Entry, error) {
	if l.Event == "plan" && l.Plan != nil {
		p := l.Plan
		return &Entry{ID: p.ID, Title: p.Title, Name: p.Name, On: p.On, With: p.With, Mode: p.Mode, Time: p.Time,
			Settings: p.Settings, Lab: p.Lab, Made: p.Made, State: StatePartial}, nil
	}
	if e == nil {
		return nil, errors.New("does not begin with the plan")
	}
	switch l.Event {
	case "do", "done", "amend":
		if l.Event != "done" || l.Step != nil {
			steps[l.Index] = l
		}
	case "undone":
		delete(steps, l.Index)
		e.State = StatePartial
	case "end":
		e.State = StateDone
	default:
		return nil, fmt.Errorf("unknown event %q", l.Event)
	}
	return e, nil
}

// record is the open file of one plan.
type record struct {
	f    *os.File
	path string
	size int64          // of the file
	last map[int][]byte // the steps as they were last written, by number
}

// begin makes the file of p; it must not exist yet.
func (j *Journal) begin(p *Plan, now time.Time) (*record, error) {
	f, err := os.OpenFile(j.path(p.ID), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	r := &record{f: f, path: f.Name(), last: map[int][]byte{}}
	h := &header{ID: p.ID, Title: p.Title, Name: p.Name, On: p.On, With: p.With, Mode: p.Mode, Time: now, Made: p.Made, Lab: p.Lab}
	if p.Settings != nil {
		if h.Settings, err = json.Marshal(p.Settings); err != nil {
			return nil, errors.Join(fmt.Errorf("journal %s: %w", p.Name, err), r.remove())
		}
	}
	if err := r.write(line{Event: "plan", Plan: h}); err != nil {
		return nil, errors.Join(err, r.remove())
	}
	return r, nil
}

// reopen opens the file of an entry to write on, without what a crash left of a
// last line: the next one must not join it.
func (j *Journal) reopen(id string) (*record, error) {
	data, err := os.ReadFile(j.path(id))
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(j.path(id), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	size := int64(bytes.LastIndexByte(data, '\n') + 1)
	if err := f.Truncate(size); err != nil {
		return nil, errors.Join(fmt.Errorf("journal entry %s: %w", id, err), f.Close())
	}
	return &record{f: f, path: f.Name(), size: size, last: map[int][]byte{}}, nil
}

// steps writes a line about each of several steps, of which index is the number of
// the first: with the step itself unless the last such line about it has just that.
// All are synced at once.
func (r *record) steps(event string, index int, list ...Step) error {
	var text []byte
	for k, s := range list {
		data, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("journal %s: %w", s.Kind(), err)
		}
		// By hand: encoding/json would read through all of data once more.
		text = fmt.Appendf(text, `{"event":%q`, event)
		if index+k != 0 {
			text = fmt.Appendf(text, `,"index":%d`, index+k)
		}
		if event != "undone" && !bytes.Equal(r.last[index+k], data) {
			text = fmt.Appendf(text, `,"kind":%q`+stepField+`%s`, s.Kind(), data)
			r.last[index+k] = data
		}
		text = append(text, "}\n"...)
	}
	return r.append(text)
}

// write appends l whole and synced, or leaves the file as it was.
func (r *record) write(l line) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return r.append(append(data, '\n'))
}

func (r *record) append(text []byte) error {
	if _, err := r.f.Write(text); err != nil {
		// A full disk may have taken half a line; a later line must not join it.
		return fmt.Errorf("write journal: %w", errors.Join(err, r.f.Truncate(r.size)))
	}
	r.size += int64(len(text))
	if err := r.f.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

func (r *record) close() error { return r.f.Close() }

func (r *record) remove() error { return errors.Join(r.f.Close(), os.Remove(r.path)) }

// lock waits until no other process works on the journal, or ctx ends.
func (j *Journal) lock(ctx context.Context) (unlock func(), err error) {
	if err := os.MkdirAll(j.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make journal directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(j.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock journal: %w", err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another vethscope is changing this host: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// newID is unique under the lock and sorts by time.
func newID(now time.Time) string {
	return strings.ReplaceAll(now.UTC().Format("20060102-150405.000000000"), ".", "-")
}
