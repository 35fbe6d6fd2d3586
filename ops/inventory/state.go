package inventory

import (
	"context"
	"reflect"
	"slices"

	"vethscope/ops/netns"
)

// state is what a Watcher knows. One goroutine uses it.
type state struct {
	observer *observer
	order    []uint64 // inodes as netns.List orders them
	spaces   map[uint64]*watched
	warnings []string // of the last listing
	warning  string   // of the watcher itself
	// lost says that a namespace could not be found where it was listed: it
	// ended, or the process did through which it was reached.
	lost bool
}

// watched is a namespace under watch. Its space is replaced when read anew, for
// snapshots share what is in it.
type watched struct {
	*space
	id int // the observer's
}

// update reads what d says is out of date, and tells whether anything differs
// from before. It fails only when ctx ends.
func (st *state) update(ctx context.Context, d dirty) (bool, error) {
	changed := st.bury(d.dead)
	st.lost = false
	if d.all {
		// A lost event may have been that of an id taken back.
		for _, w := range st.spaces {
			w.id = st.identify(w.found)
		}
	}
	work := map[*watched]part{}
	if d.all || d.list || len(d.dead) > 0 {
		fresh, listed := st.list()
		changed = changed || listed
		for _, w := range fresh {
			work[w] = readLinksPart | readRulesPart
		}
	}
	grown := len(work) > 0
	for _, w := range st.spaces {
		if p := d.parts(w); p != 0 {
			work[w] |= p
		}
	}
	differ, err := st.read(ctx, work)
	if err != nil {
		return false, err
	}
	changed = changed || differ
	if err := st.resolve(ctx, work, grown, &changed); err != nil {
		return false, err
	}
	return changed, nil
}

// reads tells whether any namespace is to be read.
func (d *dirty) reads() bool {
	return d.all || d.allRules || len(d.links) > 0 || len(d.rules) > 0
}

// parts says what of w is out of date.
func (d *dirty) parts(w *watched) part {
	if d.all {
		return readLinksPart | readRulesPart
	}
	var p part
	if d.links[w.id] {
		p |= readLinksPart
	}
	if d.rules[w.id] || d.allRules && len(w.rules.Rules) > 0 {
		p |= readRulesPart
	}
	return p
}

// bury forgets the namespaces whose ids the kernel took back. Their inodes may
// serve new namespaces already, which the next listing then finds.
func (st *state) bury(dead map[int]bool) bool {
	buried := false
	for inode, w := range st.spaces {
		if dead[w.id] {
			st.forget(inode)
			buried = true
		}
	}
	return buried
}

func (st *state) forget(inode uint64) {
	delete(st.spaces, inode)
	st.order = slices.DeleteFunc(st.order, func(i uint64) bool { return i == inode })
	for _, w := range st.spaces {
		for id, other := range w.ids {
			if other == inode {
				delete(w.ids, id)
			}
		}
	}
}

// list finds the namespaces anew, and returns those that were not there before.
func (st *state) list() (fresh []*watched, changed bool) {
	found, warnings := netns.List()
	changed = !slices.Equal(warnings, st.warnings)
	st.warnings = warnings
	order := make([]uint64, len(found))
	for i, f := range found {
		order[i] = f.Inode
		w := st.spaces[f.Inode]
		switch {
		case w == nil:
			w = st.watch(f)
			fresh = append(fresh, w)
		case !reflect.DeepEqual(w.found, f):
			s := *w.space
			s.found = f
			w.space = &s
		default:
			continue
		}
		changed = true
	}
	for inode := range st.spaces {
		if !slices.Contains(order, inode) {
			st.forget(inode)
			changed = true
		}
	}
	st.order = order
	return fresh, changed
}

// watch subscribes to the namespace before it is read, so that no change falls
// in between. One that cannot be subscribed to cannot be read either, most
// often, and reading it says why.
func (st *state) watch(f netns.Found) *watched {
	w := &watched{space: &space{found: f}, id: st.identify(f)}
	st.spaces[f.Inode] = w
	return w
}

// unheard is the id of a namespace that sends no events. It is none of the
// kernel's, which start at 0.
const unheard = -2

func (st *state) identify(f netns.Found) int {
	if st.observer.control == nil && f.Kind != netns.FoundSelf {
		return unheard
	}
	id, err := st.observer.identify(f)
	if err != nil {
		return unheard
	}
	return id
}

// read reads the parts of each namespace in work, and tells whether any differs.
func (st *state) read(ctx context.Context, work map[*watched]part) (bool, error) {
	olds := map[*space]*space{} // by the one that replaces it
	spaces := make([]*space, 0, len(work))
	parts := map[*space]part{}
	for w, p := range work {
		s := *w.space
		olds[&s] = w.space
		w.space = &s
		parts[&s] = p
		spaces = append(spaces, &s)
	}
	if err := each(ctx, spaces, func(s *space) { s.read(ctx, parts[s]) }); err != nil {
		return false, err
	}
	differ := false
	for _, s := range spaces {
		if s.gone {
			st.forget(s.found.Inode)
			st.lost = true
		}
		differ = differ || s.gone || !s.equal(olds[s])
	}
	return differ, nil
}

// equal tells whether a and b show the same.
func (s *space) equal(o *space) bool {
	return s.unreadable() == o.unreadable() &&
		reflect.DeepEqual(s.links, o.links) &&
		reflect.DeepEqual(s.routes, o.routes) &&
		reflect.DeepEqual(s.rules, o.rules)
}

// resolve finds the namespaces behind the ids of those whose links were read,
// and, when namespaces came, of those that still look for one.
func (st *state) resolve(ctx context.Context, work map[*watched]part, grown bool, changed *bool) error {
	var todo, all []*space
	before := map[*space]map[int]uint64{}
	for _, inode := range st.order {
		w := st.spaces[inode]
		if w == nil {
			continue
		}
		all = append(all, w.space)
		self := w.found.Kind == netns.FoundSelf
		if work[w]&readLinksPart != 0 || grown && (self || w.unresolved()) {
			todo = append(todo, w.space)
			before[w.space] = w.ids
		}
	}
	if err := resolveIDs(ctx, todo, all); err != nil {
		return err
	}
	for s, ids := range before {
		*changed = *changed || !reflect.DeepEqual(ids, s.ids)
	}
	return nil
}

// snapshot makes a snapshot of what is known now.
func (st *state) snapshot(serial uint64) *Snapshot {
	spaces := make([]*space, 0, len(st.order))
	for _, inode := range st.order {
		if w := st.spaces[inode]; w != nil {
			spaces = append(spaces, w.space)
		}
	}
	var warnings []string
	if st.warning != "" {
		warnings = append(warnings, st.warning)
	}
	snap := assemble(spaces, append(warnings, st.warnings...))
	snap.Serial = serial
	return snap
}
