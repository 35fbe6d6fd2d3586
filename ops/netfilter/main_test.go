package netfilter

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

func TestMain(m *testing.M) { sandboxtest.Main(m) }

// load gives a ruleset to nft(8) inside a namespace.
func load(t testing.TB, ns, ruleset string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ruleset.nft")
	if err := os.WriteFile(file, []byte(ruleset), 0o600); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, ns, "nft", "-f", file)
}

// restore gives a ruleset to iptables-nft-restore or ip6tables-nft-restore.
func restore(t testing.TB, ns, program, ruleset string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ruleset.ipt")
	if err := os.WriteFile(file, []byte(ruleset), 0o600); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, ns, program, file)
}

func read(t testing.TB, ns string) *Ruleset {
	t.Helper()
	rs, err := Read(t.Context(), netns.Path(ns))
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// compareLines reports each line that only one side has, at its place.
func compareLines(t *testing.T, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("rule %d:\n got %s\nwant %s", i+1, g, w)
		}
	}
}

// rulesOf are the lines inside the chains of `nft -s list ruleset`.
func rulesOf(listing string) []string {
	var out []string
	inChain := false
	for line := range strings.Lines(listing) {
		text := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(text, "chain "):
			inChain = true
		case text == "}":
			inChain = false
		case inChain && text != "" && !strings.HasPrefix(text, "type "):
			out = append(out, text)
		}
	}
	return out
}
