package crash

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/steps"
)

// smallDisk is a file system of its own for a journal.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// fill leaves no room on the disk but what is left of pages in use.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		return // not even a file's name fits any more
	}
	defer f.Close()
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestDiskFull: the journal's disk fills up before each step. What cannot be
// written down is not done, and what was done is taken back, on a full disk too.
func TestDiskFull(t *testing.T) {
	forEach(t, func(t *testing.T, s subject, before map[string]string) {
		failed := 0
		for i := range mustPlan(t, s.settings).Steps {
			dir := smallDisk(t)
			x := &ops.Executor{Journal: ops.NewJournal(filepath.Join(dir, "journal"), steps.Decode)}
			x.Observe = func(p ops.Progress) {
				if p.Index == i && p.Phase == ops.PhaseCheck {
					fill(t, dir)
				}
			}
			err := x.Run(t.Context(), mustPlan(t, s.settings))
			switch {
			case errors.Is(err, unix.ENOSPC):
				failed++
			case err != nil:
				t.Fatalf("step %d: %v", i, err)
			default: // the last lines fitted into the page in use
				if _, err := x.Clean(t.Context()); err != nil {
					t.Fatalf("clean after step %d: %v", i, err)
				}
			}
			unchanged(t, before)
		}
		if len(mustPlan(t, s.settings).Steps) > 10 && failed == 0 {
			t.Error("the disk was never full")
		}
	})
}
