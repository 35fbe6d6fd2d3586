package ops

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sys/unix"
)

// running is what lasts for as long as a plan runs, or is taken back. Its steps find
// it in their context.
type running struct {
	made map[string]bool
	kept map[any]io.Closer
}

type runningKey struct{}

func withRunning(ctx context.Context) (context.Context, *running) {
	r := &running{made: map[string]bool{}, kept: map[any]io.Closer{}}
	return context.WithValue(ctx, runningKey{}, r), r
}

// makes notes what a step makes.
func (r *running) makes(s Step) {
	if m, ok := s.(Maker); ok {
		for _, what := range m.Makes() {
			r.made[what] = true
		}
	}
}

// JustMade says whether a step of the plan that runs under ctx has made what any
// of the words names (see Maker). A Check need not look for what others may have
// put there before.
func JustMade(ctx context.Context, words ...string) bool {
	r, ok := ctx.Value(runningKey{}).(*running)
	if !ok {
		return false
	}
	for _, w := range words {
		if r.made[w] {
			return true
		}
	}
	return false
}

// maxKept bounds what a plan keeps open: half of the files that the process may
// open, and at most so many.
var maxKept = sync.OnceValue(func() int {
	const most = 1024
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return most / 2
	}
	return int(min(limit.Cur/2, most))
})

// Kept returns what open opens or, where an earlier step of the plan that runs
// under ctx did so with the same key, what that opened. The caller calls release
// with its own error when it has done: after a failure, and outside of a plan,
// that closes it; otherwise it is closed with the end of the plan at the latest.
// The Dos and Checks of a plan share what is kept, and so do its Undos, which get
// nothing of theirs. An Undo must not keep what holds a namespace that goes away.
func Kept[T io.Closer](ctx context.Context, key any, open func() (T, error)) (v T, release func(error), err error) {
	r, ok := ctx.Value(runningKey{}).(*running)
	if ok && r.kept[key] != nil {
		v = r.kept[key].(T)
	} else if v, err = open(); err != nil {
		return v, nil, err
	}
	if !ok {
		return v, func(error) { v.Close() }, nil
	}
	r.keep(key, v)
	return v, func(err error) {
		if err != nil {
			v.Close()
			delete(r.kept, key)
		}
	}, nil
}

// Keep lets the steps of the plan that runs under ctx have v by Kept, which may have
// nothing under that key yet. Outside of a plan it closes v.
func Keep(ctx context.Context, key any, v io.Closer) {
	if r, ok := ctx.Value(runningKey{}).(*running); ok {
		r.keep(key, v)
	} else {
		v.Close()
	}
}

func (r *running) keep(key any, v io.Closer) {
	if len(r.kept) >= maxKept() && r.kept[key] == nil {
		r.close()
	}
	r.kept[key] = v
}

// close closes all that is kept: an open socket would keep its namespace alive.
func (r *running) close() {
	for key, v := range r.kept {
		v.Close()
		delete(r.kept, key)
	}
}
