package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
)

// box is a fake that other steps can lie in.
type box struct{ fake }

func (b *box) Makes() []string { return []string{"box " + b.Name} }

// content lies in a box.
type content struct {
	fake
	In []string
}

func (c *content) Within() []string { return c.In }

// TestInnerFallsWithMaker: what lies in something that the plan made is not
// undone for itself, what lies elsewhere is; and the observer hears of all.
func TestInnerFallsWithMaker(t *testing.T) {
	x := newExecutor(t)
	p := plan("net", &fake{Name: "z"}, &box{fake{Name: "a"}},
		&content{fake{Name: "inside"}, []string{"box x", "box a"}}, &content{fake{Name: "outside"}, []string{"box x"}})
	if err := x.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r, err := x.Journal.reopen(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	var heard []int
	x.Observe = func(p Progress) {
		if p.Phase == PhaseUndone {
			heard = append(heard, p.Index)
		}
	}
	world.log = nil
	if err := x.unwind(t.Context(), p, r, upTo(4)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"undo outside", "undo a", "undo z"}; !slices.Equal(world.log, want) {
		t.Errorf("log %v, want %v", world.log, want)
	}
	if want := []int{3, 1, 2, 0}; !slices.Equal(heard, want) {
		t.Errorf("heard of %v, want %v", heard, want)
	}
	noFiles(t, x.Journal)
}

// TestInnerOfFailedMaker: what lies in something that could not be taken away
// stays in the journal with it, and what lay in something that is gone does not.
func TestInnerOfFailedMaker(t *testing.T) {
	x := newExecutor(t)
	p := plan("net", &box{fake{Name: "a", Fail: "undo"}}, &content{fake{Name: "in-a"}, []string{"box a"}},
		&box{fake{Name: "b"}}, &content{fake{Name: "in-b"}, []string{"box b"}})
	if err := x.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r, err := x.Journal.reopen(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.unwind(t.Context(), p, r, upTo(4)); err == nil {
		t.Fatal("the failure was not told")
	}
	left, err := x.Journal.Entries()
	if err != nil || len(left) != 1 || !slices.Equal(left[0].numbers, []int{0, 1}) {
		t.Errorf("journal keeps %+v, %v; want steps 0 and 1", left, err)
	}
}

// several is a fake that is done and undone together with its neighbours.
type several struct{ fake }

func (s *several) Batch() string     { return "several" }
func (s *several) UndoBatch() string { return "several" }

func (s *several) DoAll(ctx context.Context, steps []Step) (int, error) {
	world.log = append(world.log, fmt.Sprint("together ", len(steps)))
	for i, step := range steps {
		if err := step.Do(ctx); err != nil {
			return i, err
		}
	}
	return 0, nil
}

func (s *several) UndoAll(ctx context.Context, steps []Step) []error {
	world.log = append(world.log, fmt.Sprint("undo together ", len(steps)))
	errs := make([]error, len(steps))
	for i, step := range steps {
		errs[i] = step.Undo(ctx)
	}
	return errs
}

// TestBatch: neighbours are done together, and undone together, last first; the
// observer hears of each.
func TestBatch(t *testing.T) {
	x := newExecutor(t)
	var heard []string
	x.Observe = func(p Progress) { heard = append(heard, fmt.Sprint(p.Index, " ", p.Phase)) }
	p := plan("net", &fake{Name: "z"}, &several{fake: fake{Name: "a"}}, &several{fake: fake{Name: "b"}}, &fake{Name: "y"}, &several{fake: fake{Name: "c"}})
	if err := x.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if want := []string{"do z", "together 2", "do a", "do b", "do y", "do c"}; !slices.Equal(world.log, want) {
		t.Errorf("log %v, want %v", world.log, want)
	}
	if want := []string{"1 check", "2 check", "1 do", "2 do", "1 done", "2 done"}; !slices.Equal(heard[3:9], want) {
		t.Errorf("heard %v, want %v", heard[3:9], want)
	}
	r, err := x.Journal.reopen(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	world.log = nil
	if err := x.unwind(t.Context(), p, r, upTo(5)); err != nil {
		t.Fatal(err)
	}
	if want := []string{"undo c", "undo y", "undo together 2", "undo b", "undo a", "undo z"}; !slices.Equal(world.log, want) {
		t.Errorf("log %v, want %v", world.log, want)
	}
}

// TestBatchFails: the error names the step at fault, wherever in the batch it is,
// and nothing of the batch stays; what cannot be undone stays in the journal.
func TestBatchFails(t *testing.T) {
	for _, how := range []string{"check", "do", "half"} {
		x := newExecutor(t)
		var phases [4]Phase
		x.Observe = func(p Progress) { phases[p.Index] = p.Phase }
		err := x.Run(t.Context(), plan("net", &fake{Name: "z"}, &several{fake: fake{Name: "a"}},
			&several{fake: fake{Name: "b", Fail: how}}, &several{fake: fake{Name: "c"}}))
		want := [4]Phase{PhaseUndone, PhaseUndone, PhaseUndone, PhaseUndone}
		if how == "check" {
			want = [4]Phase{PhaseUndone, PhaseWaiting, PhaseFailed, PhaseWaiting}
		}
		if phases != want {
			t.Errorf("%s: at last %q, want %q", how, phases, want)
		}
		var failed *StepError
		if !errors.As(err, &failed) || failed.Step.(*several).Name != "b" {
			t.Errorf("%s: error %v does not name step b", how, err)
		}
		if len(world.have) != 0 {
			t.Errorf("%s: left %v", how, world.have)
		}
		noFiles(t, x.Journal)
	}
	x := newExecutor(t)
	p := plan("net", &several{fake: fake{Name: "a"}}, &several{fake: fake{Name: "b", Fail: "undo"}})
	if err := x.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r, err := x.Journal.reopen(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.unwind(t.Context(), p, r, upTo(2)); err == nil {
		t.Error("the failure was not told")
	}
	left, err := x.Journal.Entries()
	if err != nil || len(left) != 1 || !slices.Equal(left[0].numbers, []int{1}) {
		t.Errorf("journal keeps %+v, %v; want step 1", left, err)
	}
}

// closer counts how often it was closed.
type closer struct{ closed int }

func (c *closer) Close() error {
	c.closed++
	return nil
}

// TestKept: within a plan one thing serves many steps, and it is closed with the
// plan, after a failure, and when there are too many; without a plan, at once.
func TestKept(t *testing.T) {
	opened := []*closer{}
	get := func(ctx context.Context, key any, failed error) {
		t.Helper()
		_, release, err := Kept(ctx, key, func() (*closer, error) {
			c := &closer{}
			opened = append(opened, c)
			return c, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		release(failed)
	}
	closed := func() (n int) {
		for _, c := range opened {
			if c.closed > 1 {
				t.Error("closed twice")
			}
			n += c.closed
		}
		return n
	}
	want := func(what string, o, c int) {
		t.Helper()
		if len(opened) != o || closed() != c {
			t.Errorf("%s: opened %d, closed %d; want %d, %d", what, len(opened), closed(), o, c)
		}
	}
	get(t.Context(), "a", nil)
	want("without a plan", 1, 1)
	ctx, r := withRunning(t.Context())
	get(ctx, "a", nil)
	get(ctx, "a", nil)
	want("twice in a plan", 2, 1)
	get(ctx, "a", errors.New("failed"))
	want("after a failure", 2, 2)
	most := maxKept()
	for i := range most + 1 {
		get(ctx, i, nil)
	}
	want("too many", 2+most+1, 2+most)
	r.close()
	want("at the end", 2+most+1, 2+most+1)
	given := &closer{}
	Keep(ctx, "given", given)
	get(ctx, "given", nil)
	want("given", 2+most+1, 2+most+1)
	if r.close(); given.closed != 1 {
		t.Errorf("what was given was closed %d times", given.closed)
	}
	if Keep(t.Context(), "given", given); given.closed != 2 {
		t.Error("given without a plan, and not closed")
	}
	_, _, err := Kept(ctx, "b", func() (*closer, error) { return nil, errors.New("cannot") })
	if err == nil || len(r.kept) != 0 {
		t.Errorf("failed to open: %v, kept %v", err, r.kept)
	}
}
