package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// undoTime bounds the taking back of a failed or interrupted plan, which goes
// on after the caller's context has ended.
const undoTime = time.Minute

// Sharer is a Step whose change serves every plan that wants it, as ip_forward
// does. When a plan is undone while another still wants the same change, the
// change stays, and the other takes over what is needed to undo it last.
type Sharer interface {
	Step
	// Share is equal for steps that want the same change.
	Share() string
	// TakeOver copies what older saved for its Undo.
	TakeOver(older Step)
}

// Executor makes plans true and takes them back. One process at a time works
// on a journal; its methods may be called concurrently and wait for each other.
type Executor struct {
	Journal *Journal
	// Observe is told of every phase of every step; nil for nobody. It is
	// called by the goroutine that runs the plan and must not block.
	Observe func(Progress)
}

// StepError says which step of which plan failed.
type StepError struct {
	Title string
	Step  Step
	Err   error
}

func (e *StepError) Error() string {
	return fmt.Sprintf("%s: %v", e.Title, e.Err)
}

func (e *StepError) Unwrap() error { return e.Err }

// Run makes p true: each step is checked, journalled, done, and journalled as
// done. If a step fails, or ctx ends, all that was done is undone in reverse
// order and nothing stays; the error says which step failed, and whether the
// undo failed too.
func (x *Executor) Run(ctx context.Context, p *Plan) error {
	unlock, err := x.Journal.lock(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Title, err)
	}
	defer unlock()
	now := time.Now()
	p.ID = newID(now)
	r, err := x.Journal.begin(p, now)
	if err != nil {
		return fmt.Errorf("%s: %w", p.Title, err)
	}
	ctx, running := withRunning(ctx)
	defer running.close()
	for i := 0; i < len(p.Steps); {
		group := batch(p.Steps[i:])
		if at, touched, err := x.do(ctx, p, r, running, i, group); err != nil {
			running.close()
			x.tell(p, i+at, PhaseFailed, err)
			return errors.Join(&StepError{p.Title, group[at], err}, x.unwind(ctx, p, r, upTo(i+touched)))
		}
		i += len(group)
	}
	if err := r.write(line{Event: "end"}); err != nil {
		running.close()
		return errors.Join(fmt.Errorf("%s: %w", p.Title, err), x.unwind(ctx, p, r, upTo(len(p.Steps))))
	}
	return r.close()
}

// do makes the steps of a group true, which begins with step i of p. After a
// failure at is the step of the group that failed, and touched how many of its
// steps may have changed the kernel.
func (x *Executor) do(ctx context.Context, p *Plan, r *record, running *running, i int, group []Step) (at, touched int, err error) {
	if at, err := x.check(ctx, p, running, i, group); err != nil {
		x.wait(p, i, group, at)
		return at, 0, err
	}
	if err := r.steps("do", i, group...); err != nil {
		x.wait(p, i, group, 0)
		return 0, 0, err
	}
	for k := range group {
		x.tell(p, i+k, PhaseDo, nil)
	}
	if at, err := doAll(ctx, group); err != nil {
		return at, len(group), err
	}
	if err := r.steps("done", i, group...); err != nil {
		return 0, len(group), err
	}
	for k := range group {
		x.tell(p, i+k, PhaseDone, nil)
	}
	return 0, len(group), nil
}

// check checks the steps of a group, and notes what they make: after a failure
// nothing of it stays. It returns the number of the one that failed.
func (x *Executor) check(ctx context.Context, p *Plan, running *running, i int, group []Step) (at int, err error) {
	for k, s := range group {
		if err := ctx.Err(); err != nil {
			return k, err
		}
		x.tell(p, i+k, PhaseCheck, nil)
		if err := s.Check(ctx); err != nil {
			return k, err
		}
		running.makes(s)
	}
	return 0, nil
}

// wait tells of all steps of a group but one that they were not begun after all.
func (x *Executor) wait(p *Plan, i int, group []Step, but int) {
	for k := range group {
		if k != but {
			x.tell(p, i+k, PhaseWaiting, nil)
		}
	}
}

// upTo is 0, 1, … n-1.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// undoStep undoes s unless another plan still wants what it did. A plan that
// came later found the change already made, so it takes over what to restore.
func (x *Executor) undoStep(ctx context.Context, p *Plan, s Step) error {
	mine, ok := s.(Sharer)
	if !ok {
		return s.Undo(ctx)
	}
	others, err := x.sharers(p.ID, mine)
	if err != nil {
		return err
	}
	if len(others) == 0 {
		return s.Undo(ctx)
	}
	last := others[len(others)-1]
	if last.id < p.ID {
		return nil // all the others came before, and know what to restore
	}
	last.step.TakeOver(mine)
	r, err := x.Journal.reopen(last.id)
	if err != nil {
		return err
	}
	return errors.Join(r.steps("amend", last.index, last.step), r.close())
}

// sharer is a step of another plan, and where its journal has it.
type sharer struct {
	step  Sharer
	index int
	id    string
}

// sharers finds the steps of other plans that want the same change as mine,
// oldest plan first, except that the first one younger than id comes last.
func (x *Executor) sharers(id string, mine Sharer) ([]sharer, error) {
	entries, err := x.Journal.others(id)
	if err != nil {
		return nil, err
	}
	var out []sharer
	for _, e := range entries {
		for i, s := range e.Steps {
			if other, ok := s.(Sharer); ok && other.Share() == mine.Share() {
				out = append(out, sharer{other, e.numbers[i], e.ID})
				if e.ID > id {
					return out, nil
				}
			}
		}
	}
	return out, nil
}

func (x *Executor) tell(p *Plan, i int, phase Phase, err error) {
	if x.Observe != nil {
		x.Observe(Progress{Plan: p, Index: i, Phase: phase, Err: err})
	}
}

// ErrNothing says that there is nothing to undo.
var ErrNothing = errors.New("nothing of ours is there")

// Undo takes back the plan with the given id, "" for the newest, and before it
// every plan that was built on it. It returns the plans that were taken back,
// in that order, and ErrNothing when there is none.
func (x *Executor) Undo(ctx context.Context, id string) ([]Entry, error) {
	return x.undoWhere(ctx, func(all []Entry) []Entry {
		if id == "" && len(all) > 0 {
			return all[len(all)-1:]
		}
		return filter(all, func(e Entry) bool { return e.ID == id })
	})
}

// Delete takes back every plan that made or changed the object called name.
func (x *Executor) Delete(ctx context.Context, name string) ([]Entry, error) {
	return x.undoWhere(ctx, func(all []Entry) []Entry {
		return filter(all, func(e Entry) bool { return e.Name == name })
	})
}

// Clean takes back every plan, also those that a crash interrupted.
func (x *Executor) Clean(ctx context.Context) ([]Entry, error) {
	return x.undoWhere(ctx, func(all []Entry) []Entry { return all })
}

// CleanThen is Clean, after which rest removes what no journal knows of, while no
// other process changes anything. It is called whatever came of Clean; ErrNothing
// is not an error here.
func (x *Executor) CleanThen(ctx context.Context, rest func(context.Context) error) ([]Entry, error) {
	unlock, err := x.Journal.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	undone, err := x.undoLocked(ctx, func(all []Entry) []Entry { return all })
	if errors.Is(err, ErrNothing) {
		err = nil
	}
	return undone, errors.Join(err, rest(ctx))
}

func filter(all []Entry, keep func(Entry) bool) []Entry {
	var out []Entry
	for _, e := range all {
		if keep(e) {
			out = append(out, e)
		}
	}
	return out
}

// undoWhere undoes, newest first, the plans that choose picks and those built on
// them.
func (x *Executor) undoWhere(ctx context.Context, choose func([]Entry) []Entry) ([]Entry, error) {
	unlock, err := x.Journal.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return x.undoLocked(ctx, choose)
}

// undoLocked is undoWhere for the holder of the lock.
func (x *Executor) undoLocked(ctx context.Context, choose func([]Entry) []Entry) ([]Entry, error) {
	all, err := x.Journal.Entries()
	if err != nil {
		return nil, err
	}
	chosen := withDependants(all, choose(all))
	if len(chosen) == 0 {
		return nil, ErrNothing
	}
	var undone []Entry
	var failed []error
	for i := len(chosen) - 1; i >= 0; i-- {
		newest := i == len(chosen)-1
		if err := x.undoEntry(ctx, &chosen[i], newest); err != nil {
			failed = append(failed, fmt.Errorf("undo %q: %w", chosen[i].Title, err))
			continue
		}
		undone = append(undone, chosen[i])
	}
	return undone, errors.Join(failed...)
}

// withDependants adds to chosen the entries of all that were built on them,
// keeping the order of all.
func withDependants(all, chosen []Entry) []Entry {
	ids, names := map[string]bool{}, map[string]bool{}
	for _, e := range chosen {
		ids[e.ID] = true
		names[e.Name] = true
	}
	return filter(all, func(e Entry) bool {
		fallsWith := func(name string) bool { return name != "" && names[name] }
		if !ids[e.ID] && (fallsWith(e.On) || slices.ContainsFunc(e.With, fallsWith)) {
			ids[e.ID] = true
			names[e.Name] = true // what was built on this follows it in all
		}
		return ids[e.ID]
	})
}

// undoEntry undoes e, which may have been amended since it was read, unless
// nothing was undone meanwhile.
func (x *Executor) undoEntry(ctx context.Context, e *Entry, current bool) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !current {
		if e, err = x.Journal.Find(e.ID); err != nil {
			return err
		}
	}
	r, err := x.Journal.reopen(e.ID)
	if err != nil {
		return err
	}
	p := &Plan{ID: e.ID, Title: "undo " + e.Title, Name: e.Name, On: e.On, With: e.With, Mode: e.Mode, Steps: e.Steps, Made: e.Made}
	return x.unwind(ctx, p, r, e.numbers)
}
