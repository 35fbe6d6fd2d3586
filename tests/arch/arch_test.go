// Package arch holds the structure: which package may import which, and what
// stands at the top.
package arch

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root   = "../.."
	module = "vethscope"
)

// allowed says which packages of ours each package may import; a name covers
// the packages below it that are not named themselves. Imports run one way:
// what exists and how it changes know nothing of who shows it.
var allowed = map[string][]string{
	"ops":                     {},
	"ops/netns":               {},
	"ops/netfilter":           {"ops/netns"},
	"ops/inventory":           {"ops/netns", "ops/netfilter"},
	"ops/steps":               {"ops", "ops/netns", "ops/netfilter"},
	"ops/modes":               {"ops", "ops/dns", "ops/netns", "ops/inventory", "ops/netfilter", "ops/steps"},
	"ops/sweep":               {"ops/netns", "ops/netfilter", "ops/steps"},
	"ops/sandbox":             {"ops/netns"},
	"ops/sandbox/sandboxtest": {"ops/dns", "ops/netns", "ops/sandbox"},
	"ops/dns":                 {},
	"ops/probe":               {"ops", "ops/netns"},
	"capture":                 {"ops/netns", "capture"},
	"assets":                  {},
	"ui/kit":                  {},
	"ui/pages":                {"ui/kit", "assets", "capture", "ops", "ops/inventory", "ops/netfilter", "ops/modes", "ops/lab"},
	"ui":                      {"ui/kit", "ui/pages", "assets", "capture", "ops", "ops/inventory", "ops/netfilter", "ops/modes"},
	"cmd":                     {"ui", "ui/kit", "ui/pages", "assets", "capture", "cmd", "ops", "ops/inventory", "ops/netfilter", "ops/netns", "ops/steps", "ops/modes", "ops/dns", "ops/lab", "ops/sandbox", "ops/sweep", "ops/probe"},
	"ops/lab":                 {"ops", "ops/modes", "ops/probe", "assets"},
}

// confined says where alone a foreign package may be imported, tests apart.
var confined = map[string][]string{
	"github.com/vishvananda/netlink":     {"ops"},
	"github.com/google/gopacket":         {"capture"},
	"github.com/miekg/dns":               {"ops/dns", "ops/probe", "capture"},
	"github.com/goccy/go-yaml":           {"ops/lab"},
	"github.com/charmbracelet/bubbletea": {"ui", "cmd"},
	"github.com/charmbracelet/bubbles":   {"ui", "cmd"},
	"github.com/spf13/cobra":             {"cmd"},
	"testing":                            {"ops/sandbox/sandboxtest"},
	// No external program does the program's own work: only the sandbox and
	// `exec` start what the user asked for.
	"os/exec": {"ops/sandbox", "cmd"},
}

// imports calls f for every import of every Go file.
func imports(t *testing.T, f func(file, pkg, path string, test bool)) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || d.Name() == "testdata" {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file, _ := filepath.Rel(root, path)
		for _, i := range parsed.Imports {
			name, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f(file, filepath.Dir(file), name, strings.HasSuffix(file, "_test.go"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 20 {
		t.Fatalf("only %d Go files found: looking in the wrong place", files)
	}
}

// within finds the longest key that pkg is, or lies below.
func within(pkg string, keys []string) (string, bool) {
	for p := pkg; p != "."; p = filepath.Dir(p) {
		if slices.Contains(keys, p) {
			return p, true
		}
	}
	return "", false
}

func TestImportsRunOneWay(t *testing.T) {
	keys := make([]string, 0, len(allowed))
	for k := range allowed {
		keys = append(keys, k)
	}
	imports(t, func(file, pkg, path string, test bool) {
		ours, ok := strings.CutPrefix(path, module+"/")
		if !ok || test || strings.HasPrefix(pkg, "tests/") {
			return
		}
		rule, ok := within(pkg, keys)
		if !ok {
			t.Errorf("%s: package %s is not in the layout", file, pkg)
			return
		}
		target, _ := within(ours, keys)
		if !slices.Contains(allowed[rule], target) {
			t.Errorf("%s: %s must not import %s", file, rule, ours)
		}
	})
}

func TestForeignPackagesStayConfined(t *testing.T) {
	imports(t, func(file, pkg, path string, test bool) {
		if test || strings.HasPrefix(pkg, "tests/") {
			return
		}
		for foreign, where := range confined {
			if path != foreign && !strings.HasPrefix(path, foreign+"/") {
				continue
			}
			if _, ok := within(pkg, where); !ok {
				t.Errorf("%s: %s belongs under %v only", file, path, where)
			}
		}
	})
}

func TestNothingElseAtTheTop(t *testing.T) {
	want := []string{"LICENSE", "README.md", "assets", "capture", "cmd", "go.mod", "go.sum", "ops", "tests", "ui"}
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		// A built binary is not part of the tree: .gitignore has it.
		if !strings.HasPrefix(e.Name(), ".") && e.Name() != module {
			got = append(got, e.Name())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("at the top: %v, want %v", got, want)
	}
}
