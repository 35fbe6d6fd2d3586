package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// world stands in for the kernel: what fake steps did to it, in order.
var world struct {
	log  []string
	have map[string]string
}

func reset(t *testing.T) {
	t.Helper()
	world.log, world.have = nil, map[string]string{}
}

// fake is a step on world.
type fake struct {
	Name   string `json:"name"`
	Saved  string `json:"saved"` // by Check
	Fail   string `json:"fail"`  // "check", "do", "half" or "undo"
	Shared bool   `json:"shared"`
}

func (f *fake) Kind() string  { return "fake" }
func (f *fake) Why() string   { return "for the test" }
func (f *fake) Shell() string { return "fake " + f.Name }
func (f *fake) Check(context.Context) error {
	if f.Fail == "check" {
		return errors.New("check refused")
	}
	f.Saved = world.have[f.Name]
	return nil
}
func (f *fake) Do(context.Context) error {
	world.log = append(world.log, "do "+f.Name)
	if f.Fail == "do" {
		return errors.New("do failed")
	}
	world.have[f.Name] = "set"
	if f.Fail == "half" {
		return errors.New("do failed half-way")
	}
	return nil
}
func (f *fake) Undo(context.Context) error {
	world.log = append(world.log, "undo "+f.Name)
	if f.Fail == "undo" {
		return errors.New("undo failed")
	}
	if f.Saved == "" {
		delete(world.have, f.Name)
	} else {
		world.have[f.Name] = f.Saved
	}
	return nil
}

// sharedFake is a fake that several plans may want.
type sharedFake struct{ fake }

func (f *sharedFake) Kind() string        { return "shared" }
func (f *sharedFake) Share() string       { return f.Name }
func (f *sharedFake) TakeOver(older Step) { f.Saved = older.(*sharedFake).Saved }

func decodeFake(kind string, data []byte) (Step, error) {
	var s Step
	switch kind {
	case "fake":
		s = &fake{}
	case "shared":
		s = &sharedFake{}
	default:
		return nil, fmt.Errorf("unknown kind %q", kind)
	}
	return s, json.Unmarshal(data, s)
}

func newExecutor(t *testing.T) *Executor {
	reset(t)
	return &Executor{Journal: NewJournal(filepath.Join(t.TempDir(), "journal"), decodeFake)}
}

func plan(name string, steps ...Step) *Plan {
	return &Plan{Title: "make " + name, Name: name, Steps: steps}
}

func noFiles(t *testing.T, j *Journal) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(j.dir, "*.jsonl")); len(left) > 0 {
		t.Errorf("journal still holds %v", left)
	}
}

func TestRunAndUndo(t *testing.T) {
	x := newExecutor(t)
	var phases []string
	x.Observe = func(p Progress) { phases = append(phases, fmt.Sprint(p.Index, " ", p.Phase)) }
	if err := x.Run(t.Context(), plan("net", &fake{Name: "a"}, &fake{Name: "b"})); err != nil {
		t.Fatal(err)
	}
	want := []string{"0 check", "0 do", "0 done", "1 check", "1 do", "1 done"}
	if !slices.Equal(phases, want) {
		t.Errorf("phases %v, want %v", phases, want)
	}
	entries, err := x.Journal.Entries()
	if err != nil || len(entries) != 1 || entries[0].State != StateDone || len(entries[0].Steps) != 2 {
		t.Fatalf("journal has %+v, %v", entries, err)
	}
	undone, err := x.Undo(t.Context(), "")
	if err != nil || len(undone) != 1 || undone[0].Name != "net" {
		t.Fatalf("Undo: %v, %v", undone, err)
	}
	if len(world.have) != 0 || !slices.Equal(world.log[2:], []string{"undo b", "undo a"}) {
		t.Errorf("after undo: %v, log %v", world.have, world.log)
	}
	noFiles(t, x.Journal)
	if _, err := x.Undo(t.Context(), ""); !errors.Is(err, ErrNothing) {
		t.Errorf("second Undo: %v, want ErrNothing", err)
	}
}

func TestFailureUnwinds(t *testing.T) {
	for _, how := range []string{"check", "do", "half"} {
		t.Run(how, func(t *testing.T) {
			x := newExecutor(t)
			err := x.Run(t.Context(), plan("net", &fake{Name: "a"}, &fake{Name: "b", Fail: how}, &fake{Name: "c"}))
			var failed *StepError
			if !errors.As(err, &failed) || failed.Step.(*fake).Name != "b" {
				t.Fatalf("error %v does not name step b", err)
			}
			if len(world.have) != 0 || slices.Contains(world.log, "do c") {
				t.Errorf("left %v, log %v", world.have, world.log)
			}
			noFiles(t, x.Journal)
		})
	}
}

// TestCancelUnwinds: the undo must not be cut short by the context that ended.
func TestCancelUnwinds(t *testing.T) {
	x := newExecutor(t)
	ctx, cancel := context.WithCancel(t.Context())
	x.Observe = func(p Progress) {
		if p.Index == 1 && p.Phase == PhaseDone {
			cancel()
		}
	}
	err := x.Run(ctx, plan("net", &fake{Name: "a"}, &fake{Name: "b"}, &fake{Name: "c"}))
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want Canceled", err)
	}
	if len(world.have) != 0 {
		t.Errorf("left %v", world.have)
	}
}

// TestFailedUndo: what could not be undone stays in the journal, and the rest
// is undone all the same.
func TestFailedUndo(t *testing.T) {
	x := newExecutor(t)
	bad := &fake{Name: "b", Fail: "undo"}
	err := x.Run(t.Context(), plan("net", &fake{Name: "a"}, bad, &fake{Name: "c", Fail: "do"}))
	if err == nil || !strings.Contains(err.Error(), "undo failed") {
		t.Fatalf("error %v does not tell of the undo", err)
	}
	if _, left := world.have["a"]; left {
		t.Error("a was not undone")
	}
	entries, err := x.Journal.Entries()
	if err != nil || len(entries) != 1 || entries[0].State != StatePartial {
		t.Fatalf("journal has %+v, %v; want one partial entry", entries, err)
	}
	if steps := entries[0].Steps; len(steps) != 1 || steps[0].(*fake).Name != "b" {
		t.Errorf("journal still wants to undo %v, want b alone", steps)
	}
	// Once b can be undone, the rest goes.
	fixed := NewJournal(x.Journal.dir, func(string, []byte) (Step, error) { return &fake{Name: "b"}, nil })
	if _, err := (&Executor{Journal: fixed}).Clean(t.Context()); err != nil {
		t.Fatal(err)
	}
	noFiles(t, x.Journal)
}

// TestTornLine: a crash in the middle of a write leaves half a line.
func TestTornLine(t *testing.T) {
	x := newExecutor(t)
	if err := x.Run(t.Context(), plan("net", &fake{Name: "a"})); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(x.Journal.dir, "*.jsonl"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(data) {
		if err := os.WriteFile(files[0], data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		entries, err := x.Journal.Entries()
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(data), err)
		}
		whole := strings.Count(string(data[:cut]), "\n")
		if want := min(1, whole); len(entries) != want {
			t.Errorf("cut at %d: %d entries, want %d", cut, len(entries), want)
		}
		if want := whole >= 2; len(entries) == 1 && (len(entries[0].Steps) == 1) != want {
			t.Errorf("cut at %d: steps %v, want one: %v", cut, entries[0].Steps, want)
		}
	}
}

// TestTornLineAndFailedUndo: what is written after a torn line does not join it.
func TestTornLineAndFailedUndo(t *testing.T) {
	x := newExecutor(t)
	if err := x.Run(t.Context(), plan("net", &fake{Name: "a", Fail: "undo"}, &fake{Name: "b"})); err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(x.Journal.dir, "*.jsonl"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(files[0], data[:len(data)-3], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Undo(t.Context(), ""); err == nil {
		t.Fatal("the failed undo was not told")
	}
	entries, err := x.Journal.Entries()
	if err != nil || len(entries) != 1 || !slices.Equal(entries[0].numbers, []int{0}) {
		t.Errorf("journal has %+v, %v; want step 0", entries, err)
	}
}

func TestDamagedJournal(t *testing.T) {
	x := newExecutor(t)
	if err := os.MkdirAll(x.Journal.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"nonsense\n", `{"event":"do","kind":"fake"}` + "\n",
		`{"event":"plan","plan":{"id":"x"}}` + "\n" + `{"event":"do","kind":"other"}` + "\n"} {
		if err := os.WriteFile(filepath.Join(x.Journal.dir, "x.jsonl"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := x.Journal.Entries(); err == nil || !strings.Contains(err.Error(), "x.jsonl") {
			t.Errorf("%q: error %v does not name the file", text, err)
		}
	}
}

// TestShared: two plans want the same setting; whichever order they are undone
// in, the last one restores what was there before both.
func TestShared(t *testing.T) {
	for _, order := range [][]string{{"one", "two"}, {"two", "one"}} {
		x := newExecutor(t)
		world.have["forward"] = "off"
		for _, name := range []string{"one", "two"} {
			if err := x.Run(t.Context(), plan(name, &sharedFake{fake{Name: "forward"}})); err != nil {
				t.Fatal(err)
			}
		}
		for i, name := range order {
			if _, err := x.Delete(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			if want := []string{"set", "off"}[i]; world.have["forward"] != want {
				t.Errorf("order %v: after %s it is %q, want %q", order, name, world.have["forward"], want)
			}
		}
		noFiles(t, x.Journal)
	}
}

// TestDependants: a network is deleted with what was built on it, and nothing
// else.
func TestDependants(t *testing.T) {
	x := newExecutor(t)
	port := plan("net:80", &fake{Name: "port"})
	port.On = "net"
	for _, p := range []*Plan{plan("net", &fake{Name: "net"}), plan("other", &fake{Name: "other"}), port} {
		if err := x.Run(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	undone, err := x.Delete(t.Context(), "net")
	if err != nil || len(undone) != 2 || undone[0].Name != "net:80" || undone[1].Name != "net" {
		t.Fatalf("undone %+v, %v; want the port, then the network", undone, err)
	}
	if len(world.have) != 1 || world.have["other"] == "" {
		t.Errorf("left %v, want other alone", world.have)
	}
	if _, err := x.Delete(t.Context(), "net"); !errors.Is(err, ErrNothing) {
		t.Errorf("deleting it again: %v, want ErrNothing", err)
	}
	if undone, err := x.Clean(t.Context()); err != nil || len(undone) != 1 {
		t.Errorf("Clean: %v, %v", undone, err)
	}
}

// TestLock: a second executor waits for the first, and gives up with its
// context.
func TestLock(t *testing.T) {
	x := newExecutor(t)
	unlock, err := x.Journal.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Run(ctx, plan("net", &fake{Name: "a"})); !errors.Is(err, context.Canceled) {
		t.Errorf("Run beside another: %v, want Canceled", err)
	}
	unlock()
	if err := x.Run(t.Context(), plan("net", &fake{Name: "a"})); err != nil {
		t.Error(err)
	}
}
