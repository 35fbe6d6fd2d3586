package ops

import "context"

// Batcher is a Step that can be done together with its neighbours, faster than
// one by one.
type Batcher interface {
	Step
	// Batch is the same word for steps that can be done together.
	Batch() string
	// DoAll does what the Dos of all these steps do, in their order; the receiver
	// is the first of them. After a failure any part may have been done, and at
	// is the number of a step that failed.
	DoAll(ctx context.Context, steps []Step) (at int, err error)
}

// BatchUndoer is a Step that can be undone together with its neighbours, faster
// than one by one.
type BatchUndoer interface {
	Step
	// UndoBatch is the same word for steps that can be undone together.
	UndoBatch() string
	// UndoAll does what the Undos of all these steps do, the last of the plan
	// first, and returns the error of each. The receiver is the first of them.
	UndoAll(ctx context.Context, steps []Step) []error
}

// batch is the first of the steps with those after it that can be done together
// with it.
func batch(steps []Step) []Step {
	first, ok := steps[0].(Batcher)
	if !ok {
		return steps[:1]
	}
	n := 1
	for n < len(steps) {
		if b, ok := steps[n].(Batcher); !ok || b.Batch() != first.Batch() {
			break
		}
		n++
	}
	return steps[:n]
}

func doAll(ctx context.Context, group []Step) (at int, err error) {
	if len(group) == 1 {
		return 0, group[0].Do(ctx)
	}
	return group[0].(Batcher).DoAll(ctx, group)
}
