package ops

import (
	"context"
	"errors"
	"fmt"
)

// Maker is a Step that makes something which other steps work on, and whose Undo
// takes it away with all that it holds.
type Maker interface {
	Step
	// Makes names what is made, in words that the steps agree on.
	Makes() []string
}

// Inner is a Step whose change is part of something else and is gone with it, as
// an address is with its link and a rule with its table. Where the same plan made
// that, the step needs no Undo of its own.
type Inner interface {
	Step
	// Within names what the change is part of; with any of these it is gone.
	Within() []string
}

// unwinding takes back the first steps of a plan.
type unwinding struct {
	*Executor
	plan    *Plan
	record  *record
	numbers []int // what the journal calls the steps
	// inner has for a step, by number in plan, those that are gone with it.
	inner map[int][]int
}

// unwind undoes the first steps of p, last first, and forgets the plan; numbers
// are those that the journal knows the steps by. It goes on after a failure, and
// when ctx has ended: half a network is worse.
func (x *Executor) unwind(ctx context.Context, p *Plan, r *record, numbers []int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	ctx, running := withRunning(ctx)
	defer running.close()
	u := unwinding{x, p, r, numbers, map[int][]int{}}
	var failed []error
	var gone []int
	for _, group := range u.groups() {
		for k, err := range u.undo(ctx, group) {
			i := group[k]
			if err != nil {
				x.tell(p, i, PhaseUndo, err)
				failed = append(failed, fmt.Errorf("undo %s: %w", p.Steps[i].Kind(), err))
				continue
			}
			u.undone(i)
			for _, inner := range u.inner[i] {
				x.tell(p, inner, PhaseUndone, nil)
			}
			gone = append(gone, u.inner[i]...)
		}
	}
	if len(failed) == 0 {
		return r.remove()
	}
	for _, i := range gone {
		_ = r.steps("undone", numbers[i], p.Steps[i])
	}
	return errors.Join(errors.Join(failed...), r.close())
}

// undone notes that step i is taken back. If that cannot be written the step is
// undone once more later, which Undo allows.
func (u *unwinding) undone(i int) {
	_ = u.record.steps("undone", u.numbers[i], u.plan.Steps[i])
	u.tell(u.plan, i, PhaseUndone, nil)
}

// groups are the numbers of the steps to undo, in that order; those of one group
// can be undone together. Steps that are gone with another are left out,
// and listed in inner.
func (u *unwinding) groups() [][]int {
	owners := u.owners()
	var groups [][]int
	for i := len(u.numbers) - 1; i >= 0; i-- {
		if owner, ok := owners[i]; ok {
			u.inner[owner] = append(u.inner[owner], i)
			continue
		}
		if last := len(groups) - 1; last >= 0 && u.together(i, groups[last][0]) {
			groups[last] = append(groups[last], i)
		} else {
			groups = append(groups, []int{i})
		}
	}
	return groups
}

// owners has, for each step that is gone with an earlier one, the number of that.
func (u *unwinding) owners() map[int]int {
	makers, owners := map[string]int{}, map[int]int{}
	for i, s := range u.plan.Steps[:len(u.numbers)] {
		if inner, ok := s.(Inner); ok {
			for _, what := range inner.Within() {
				if maker, ok := makers[what]; ok {
					owners[i] = maker
					break
				}
			}
		}
		if m, ok := s.(Maker); ok {
			for _, what := range m.Makes() {
				makers[what] = i
			}
		}
	}
	return owners
}

// together says whether steps i and j can be undone together.
func (u *unwinding) together(i, j int) bool {
	a, ok := u.plan.Steps[i].(BatchUndoer)
	b, too := u.plan.Steps[j].(BatchUndoer)
	return ok && too && a.UndoBatch() == b.UndoBatch()
}

// undo undoes the steps of a group and returns their errors in the same order.
func (u *unwinding) undo(ctx context.Context, group []int) []error {
	steps := make([]Step, len(group))
	for k, i := range group {
		u.tell(u.plan, i, PhaseUndo, nil)
		steps[k] = u.plan.Steps[i]
	}
	if len(steps) == 1 {
		return []error{u.undoStep(ctx, u.plan, steps[0])}
	}
	return steps[0].(BatchUndoer).UndoAll(ctx, steps)
}
