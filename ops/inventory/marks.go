package inventory

import "sync"

// dirty says what is out of date. Namespaces go by the observer's ids.
type dirty struct {
	links map[int]bool // links, addresses or routes
	rules map[int]bool
	dead  map[int]bool // the namespace has ended
	list  bool         // which namespaces and processes there are
	// allRules: every rule's counter. all: everything; overrun, because the
	// kernel dropped events.
	allRules, all, overrun bool
}

// marks gathers what is out of date between two readings, so that whoever hears
// of a change never waits for a reading to end.
type marks struct {
	mu    sync.Mutex
	dirty dirty
	// some holds one token when there are marks.
	some chan struct{}
}

func newMarks() *marks {
	return &marks{dirty: newDirty(), some: make(chan struct{}, 1)}
}

func newDirty() dirty {
	return dirty{links: map[int]bool{}, rules: map[int]bool{}, dead: map[int]bool{}}
}

// add lets f make marks.
func (m *marks) add(f func(*dirty)) {
	m.mu.Lock()
	f(&m.dirty)
	m.mu.Unlock()
	select {
	case m.some <- struct{}{}:
	default:
	}
}

// take hands the marks over and starts afresh.
func (m *marks) take() dirty {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.dirty
	m.dirty = newDirty()
	return d
}
