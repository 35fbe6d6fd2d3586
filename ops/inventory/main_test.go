package inventory

import (
	"os"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(envUnprivileged) != "" {
		unprivileged()
	}
	sandboxtest.Main(m)
}

// ip runs ip(8) in the namespace called ns, "" for the own one.
func ip(t testing.TB, ns string, args ...string) string {
	t.Helper()
	return sandboxtest.Run(t, ns, "ip", args...)
}

// collect takes a snapshot, which must come without warnings.
func collect(t testing.TB) *Snapshot {
	t.Helper()
	snap, err := Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Warnings) != 0 {
		t.Errorf("warnings %q, want none", snap.Warnings)
	}
	return snap
}
