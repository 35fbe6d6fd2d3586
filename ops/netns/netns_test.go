package netns_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

func init() { netns.Pin() }

func TestMain(m *testing.M) { sandboxtest.Main(m) }

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	ino, err := netns.Inode(path)
	if err != nil {
		t.Fatal(err)
	}
	return ino
}

func TestDoRunsInside(t *testing.T) {
	path := netns.Path(sandboxtest.NS(t, "in"))
	want, own := inodeOf(t, path), inodeOf(t, netns.Self)
	if want == own {
		t.Fatal("a new namespace is the one that we are in")
	}
	var got uint64
	err := netns.Do(path, func() (err error) {
		got, err = netns.Inode(netns.Self)
		return err
	})
	if err != nil || got != want {
		t.Errorf("in Do the namespace is %d (%v), want %d", got, err, want)
	}
	if now := inodeOf(t, netns.Self); now != own {
		t.Errorf("after Do the caller is in %d, was in %d", now, own)
	}
}

func TestDoKeepsSocketsInside(t *testing.T) {
	path := netns.Path(sandboxtest.NS(t, "sock"))
	var inside net.Listener
	err := netns.Do(path, func() (err error) {
		inside, err = net.Listen("tcp", "0.0.0.0:7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	own, err := net.Listen("tcp", "0.0.0.0:7")
	if err != nil {
		t.Fatalf("the port is taken in the caller's namespace too: %v", err)
	}
	own.Close()
}

func TestDoReturnsTheErrorAsItIs(t *testing.T) {
	path := netns.Path(sandboxtest.NS(t, "err"))
	want := errors.New("of f")
	if got := netns.Do(path, func() error { return want }); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDoRefuses(t *testing.T) {
	called := func() error { t.Error("f was called"); return nil }
	if err := netns.Do(netns.Path("nosuch"), called); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such name: %v, want fs.ErrNotExist", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := netns.Do(file, called); !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), file) {
		t.Errorf("a plain file: %v, want EINVAL and the path", err)
	}
}

// A thousand hops at once, then no thread of the process is anywhere but home.
func TestDoLeavesNoThreadBehind(t *testing.T) {
	var paths []string
	for i := range 4 {
		paths = append(paths, netns.Path(sandboxtest.NS(t, fmt.Sprint("hop", i))))
	}
	inodes := map[string]uint64{}
	for _, p := range paths {
		inodes[p] = inodeOf(t, p)
	}
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for i := range 1000 {
		wg.Go(func() { errs <- hop(paths[i%4], inodes[paths[i%4]]) })
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	own := fmt.Sprintf("net:[%d]", inodeOf(t, "/proc/self/ns/net"))
	threads, err := filepath.Glob("/proc/self/task/*/ns/net")
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads: %v, %v", threads, err)
	}
	for _, th := range threads {
		if ns, err := os.Readlink(th); err == nil && ns != own {
			t.Errorf("%s is %s, want %s", th, ns, own)
		}
	}
}

// hop checks where it is before and after giving other goroutines the chance to
// run on its thread.
func hop(path string, want uint64) error {
	return netns.Do(path, func() error {
		for range 2 {
			if got, err := netns.Inode(netns.Self); err != nil || got != want {
				return fmt.Errorf("in %d (%w), want %d", got, err, want)
			}
			runtime.Gosched()
		}
		// A goroutine from inside does not run inside.
		home := make(chan uint64, 1)
		go func() {
			ino, _ := netns.Inode(netns.Self)
			home <- ino
		}()
		if got := <-home; got == want {
			return fmt.Errorf("a goroutine started in %s runs there too", path)
		}
		return nil
	})
}

func TestCreateAndDelete(t *testing.T) {
	ino, err := netns.Create("made")
	if err != nil {
		t.Fatal(err)
	}
	if got := inodeOf(t, netns.Path("made")); got != ino {
		t.Errorf("Create returned %d, the name opens %d", ino, got)
	}
	if out := sandboxtest.Run(t, "", "ip", "netns", "list"); !strings.Contains(out, "made") {
		t.Errorf("ip netns list: %q, want made in it", out)
	}
	if out := sandboxtest.Run(t, "", "ip", "netns", "exec", "made", "ip", "-o", "link"); strings.Count(out, "\n") != 1 {
		t.Errorf("links of a new namespace: %q, want one", out)
	}
	if _, err := netns.Create("made"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("the name twice: %v, want fs.ErrExist", err)
	}
	if got := inodeOf(t, netns.Path("made")); got != ino {
		t.Errorf("the refused Create changed the namespace from %d to %d", ino, got)
	}
	if err := netns.Delete("made"); err != nil {
		t.Fatal(err)
	}
	if err := netns.Delete("made"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Delete twice: %v, want fs.ErrNotExist", err)
	}
	if out := sandboxtest.Run(t, "", "ip", "netns", "list"); strings.Contains(out, "made") {
		t.Errorf("ip netns list after Delete: %q", out)
	}
}

func TestNamesOfOthers(t *testing.T) {
	sandboxtest.Run(t, "", "ip", "netns", "add", "theirs")
	if _, err := netns.Create("theirs"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that ip made: %v, want fs.ErrExist", err)
	}
	if err := netns.Do(netns.Path("theirs"), func() error { return nil }); err != nil {
		t.Error(err)
	}
	if err := netns.Delete("theirs"); err != nil {
		t.Error(err)
	}
}

func TestStub(t *testing.T) {
	sandboxtest.NS(t, "real") // the directory is there after this
	stub := netns.Path("stub")
	if err := os.WriteFile(stub, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := netns.Inode(stub); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Inode of a stub: %v, want fs.ErrNotExist", err)
	}
	if _, err := netns.Create("stub"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("Create over a stub: %v, want fs.ErrExist", err)
	}
	if err := netns.Delete("stub"); err != nil {
		t.Errorf("Delete of a stub: %v", err)
	}
}

func TestInodeErrors(t *testing.T) {
	if _, err := netns.Inode(netns.Path("nosuch")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such name: %v, want fs.ErrNotExist", err)
	}
	// Another sort of namespace is nsfs too; entering it is what fails.
	err := netns.Do("/proc/self/ns/mnt", func() error { return nil })
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("entering a mount namespace: %v, want EINVAL", err)
	}
}

func TestBadNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "host", "a/b", "../x", "a b", "a\x1b[2J", strings.Repeat("n", 256)} {
		if _, err := netns.Create(name); err == nil {
			t.Errorf("Create(%q) went well", name)
		}
		if err := netns.Delete(name); err == nil {
			t.Errorf("Delete(%q) went well", name)
		}
	}
}

func TestCreateConcurrently(t *testing.T) {
	var wg sync.WaitGroup
	wins := make(chan uint64, 16)
	for range 16 {
		wg.Go(func() {
			if ino, err := netns.Create("race"); err == nil {
				wins <- ino
			} else if !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want fs.ErrExist", err)
			}
		})
	}
	wg.Wait()
	close(wins)
	if len(wins) != 1 {
		t.Errorf("%d calls made the same name, want 1", len(wins))
	}
	if err := netns.Delete("race"); err != nil {
		t.Error(err)
	}
}

// Deleting a name takes the namespace with it: the kernel removes the links, so
// the far end of a veth goes too.
func TestDeleteFreesTheNamespace(t *testing.T) {
	sandboxtest.NS(t, "near")
	if _, err := netns.Create("far"); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, "near", "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", "far")
	if err := netns.Delete("far"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if _, err := sandboxtest.Try(t, "near", "ip", "link", "show", "v0"); err != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the veth's near end is still there: the deleted namespace lives on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
