package ops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
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

// waiter is a fake whose Undo waits until all have begun theirs.
type waiter struct {
	fake
	all *sync.WaitGroup
}

func (w *waiter) Parallel() string { return "wait" }

func (w *waiter) Undo(context.Context) error {
	w.all.Done()
	met := make(chan struct{})
	go func() { w.all.Wait(); close(met) }()
	select {
	case <-met:
		return nil
	case <-time.After(10 * time.Second):
		return errors.New("the others were not undone at the same time")
	}
}

func TestParallelUndo(t *testing.T) {
	x := newExecutor(t)
	var all sync.WaitGroup
	var steps []Step
	for i := range 5 {
		all.Add(1)
		steps = append(steps, &waiter{fake{Name: fmt.Sprint(i)}, &all})
	}
	p := plan("net", steps...)
	if err := x.Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	r, err := x.Journal.reopen(p.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.unwind(t.Context(), p, r, upTo(5)); err != nil {
		t.Error(err)
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
	for i := range maxKept + 1 {
		get(ctx, i, nil)
	}
	want("too many", 2+maxKept+1, 2+maxKept)
	r.close()
	want("at the end", 2+maxKept+1, 2+maxKept+1)
	_, _, err := Kept(ctx, "b", func() (*closer, error) { return nil, errors.New("cannot") })
	if err == nil || len(r.kept) != 0 {
		t.Errorf("failed to open: %v, kept %v", err, r.kept)
	}
}
