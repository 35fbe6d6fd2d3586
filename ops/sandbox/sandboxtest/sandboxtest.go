// Package sandboxtest runs the tests of a package in a sandbox, so that they
// have network namespaces and root without either on the machine.
package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"vethscope/ops/dns"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox"
)

// Thread 0 must stay at home, or /proc/self/ns/net lies to the tests.
func init() { netns.Pin() }

// envInside marks the test process that was started in a sandbox of ours. A
// sandbox around it is not enough: `go test` may be run in one by a person, who
// has made namespaces there.
const envInside = "VETHSCOPE_SANDBOXTEST"

// Main is a TestMain: it runs the tests in a bare sandbox, whose one namespace
// has lo, up, and nothing else, and exits. The run fails when goroutines, file
// descriptors, named namespaces, or threads in foreign namespaces are left over.
// Where no sandbox can be made nothing is run; with CI=true that fails.
func Main(m *testing.M) { run(m, true) }

// MainWorld is Main with the small world: the uplink and the namespace outside.
func MainWorld(m *testing.M) { run(m, false) }

func run(m *testing.M, empty bool) {
	sandbox.Init()
	if len(os.Args) > 1 && os.Args[1] == "dns" {
		// A test made a network with names, and this is its server: a plan
		// starts the program that runs it.
		if dns.Run(context.Background(), os.Args[2:], nil) != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv(envInside) != "" && sandbox.Inside() {
		os.Exit(inside(m))
	}
	status, err := sandbox.Run(context.Background(), sandbox.Options{
		Args:  append([]string{sandbox.Exe}, os.Args[1:]...),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Empty: empty,
		Env:   environment(),
	})
	if err == nil {
		// Not os.Exit: in this process the race detector, which sleeps for
		// a second at the end, has nothing to tell.
		syscall.Exit(status)
	}
	fmt.Fprintf(os.Stderr, "%s: SKIP all tests: %v\n", os.Args[0], err)
	var refused *sandbox.RefusedError
	if errors.As(err, &refused) && os.Getenv("CI") != "true" {
		os.Exit(0)
	}
	os.Exit(1)
}

// environment is that of the tests. The sandbox's own stages are spared the
// race detector's second of sleep, unless it was told otherwise; the tests do not
// need it, as no goroutine is left over.
func environment() []string {
	env := append(os.Environ(), envInside+"=1")
	if os.Getenv("GORACE") == "" {
		env = append(env, "GORACE=atexit_sleep_ms=0")
	}
	return env
}

func inside(m *testing.M) int {
	before := take()
	status := m.Run()
	if status != 0 { // a test that was cut short may leave things
		return status
	}
	if err := before.leaked(); err != nil {
		fmt.Fprintf(os.Stderr, "FAIL: left over after the tests: %v\n", err)
		return 1
	}
	return 0
}

// NS makes an empty namespace called name, with lo down, for the length of the
// test, and returns the name.
func NS(t testing.TB, name string) string {
	t.Helper()
	if _, err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	return name
}

// Tool is the path of an external program. Without it the test is skipped, and
// with CI=true it fails.
func Tool(t testing.TB, name string) string {
	t.Helper()
	// The path of an ordinary user may lack the directories of root.
	for _, file := range []string{name, "/usr/sbin/" + name, "/sbin/" + name} {
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

// Run runs an external program in the namespace called ns, "" or "host" for the
// sandbox's own, and returns its standard output. The test fails when the
// program does.
func Run(t testing.TB, ns, name string, args ...string) string {
	t.Helper()
	out, err := Try(t, ns, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Try is Run for a program that may fail; the error holds its standard error.
func Try(t testing.TB, ns, name string, args ...string) (string, error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(Tool(t, name), args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// A child is forked by, and lives in the namespace of, the thread.
	err := netns.Do(netns.Path(ns), cmd.Run)
	if err != nil {
		err = fmt.Errorf("in namespace %q: %s %s: %w: %s", ns, name, strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), err
}
