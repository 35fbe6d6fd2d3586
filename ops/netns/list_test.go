package netns_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// find lists the namespaces and picks one; nil for none.
func find(t *testing.T, match func(netns.Found) bool) *netns.Found {
	t.Helper()
	found, warnings := netns.List()
	if len(warnings) != 0 {
		t.Errorf("warnings %q, want none for root", warnings)
	}
	if i := slices.IndexFunc(found, match); i >= 0 {
		return &found[i]
	}
	return nil
}

func named(name string) func(netns.Found) bool {
	return func(f netns.Found) bool { return f.Name == name }
}

func TestListOwnFirst(t *testing.T) {
	sandboxtest.NS(t, "aaa")
	found, _ := netns.List()
	want, err := netns.Inode("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	own := found[0]
	if own.Inode != want || own.Name != netns.Host || own.Kind != netns.FoundSelf {
		t.Errorf("first is %+v, want the own namespace %d", own, want)
	}
	self := netns.Process{PID: os.Getpid(), Command: strings.TrimSpace(readFile(t, "/proc/self/comm"))}
	if !slices.Contains(own.Processes, self) {
		t.Errorf("processes of the own namespace %v, want %v among them", own.Processes, self)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestListNamed(t *testing.T) {
	name := sandboxtest.NS(t, "blue")
	inode, err := netns.Inode(netns.Path(name))
	if err != nil {
		t.Fatal(err)
	}
	f := find(t, named(name))
	if f == nil || f.Inode != inode || f.Kind != netns.FoundNamed || f.Path != "/run/netns/blue" || len(f.Processes) != 0 {
		t.Errorf("found %+v, want blue with inode %d and no processes", f, inode)
	}
	if err := netns.Delete(name); err != nil {
		t.Fatal(err)
	}
	if f := find(t, named(name)); f != nil {
		t.Errorf("found %+v after its name was deleted", f)
	}
}

func TestListDockersNames(t *testing.T) {
	inode, err := netns.Inode(netns.Path(sandboxtest.NS(t, "red")))
	if err != nil {
		t.Fatal(err)
	}
	const dir = "/run/docker/netns"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/run/docker") })
	bind(t, netns.Path("red"), filepath.Join(dir, "1-red"))
	if f := find(t, named("1-red")); f != nil {
		t.Errorf("a second name made a second namespace: %+v", f)
	}
	if err := netns.Delete("red"); err != nil {
		t.Fatal(err)
	}
	if f := find(t, named("1-red")); f == nil || f.Inode != inode || f.Kind != netns.FoundNamed {
		t.Errorf("found %+v, want 1-red with inode %d", f, inode)
	}
}

// A namespace that is named like the own one must not be taken for it.
func TestListNameTaken(t *testing.T) {
	path := filepath.Join(netns.Dir, netns.Host)
	bind(t, netns.Path(sandboxtest.NS(t, "green")), path)
	if err := netns.Delete("green"); err != nil {
		t.Fatal(err)
	}
	if f := find(t, func(f netns.Found) bool { return f.Path == path }); f == nil || f.Name != path {
		t.Errorf("found %+v, want it to be called by its path", f)
	}
}

// bind gives the namespace at from another name, for the length of the test.
func bind(t *testing.T, from, to string) {
	t.Helper()
	if err := os.WriteFile(to, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(to, unix.MNT_DETACH), os.Remove(to)); err != nil {
			t.Error(err)
		}
	})
}

func TestListLeavesStubsOut(t *testing.T) {
	sandboxtest.NS(t, "blue") // makes the directory
	stub := filepath.Join(netns.Dir, "stub")
	if err := os.WriteFile(stub, nil, 0o444); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(stub) })
	if f := find(t, named("stub")); f != nil {
		t.Errorf("a file that is no namespace was found as %+v", f)
	}
}

func TestListHeldByProcess(t *testing.T) {
	cmd := exec.Command(sandboxtest.Tool(t, "sleep"), "60")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	t.Cleanup(stop)

	f := find(t, named("pid:"+strconv.Itoa(pid)))
	if f == nil || f.Kind != netns.FoundProcess || !slices.Equal(f.Processes, []netns.Process{{PID: pid, Command: "sleep"}}) {
		t.Fatalf("found %+v, want one of kind process with sleep in it", f)
	}
	if inode, err := netns.Inode(f.Path); err != nil || inode != f.Inode {
		t.Errorf("its path opens %d (%v), want %d", inode, err, f.Inode)
	}
	if tool, err := exec.LookPath("lsns"); err == nil {
		out, err := exec.Command(tool, "-n", "-t", "net", "-o", "NS", "-p", strconv.Itoa(pid)).Output()
		if err != nil || strings.TrimSpace(string(out)) != strconv.FormatUint(f.Inode, 10) {
			t.Errorf("lsns says %q (%v), want %d", out, err, f.Inode)
		}
	}
	stop()
	if f := find(t, named("pid:"+strconv.Itoa(pid))); f != nil {
		t.Errorf("found %+v after its process ended", f)
	}
}

// A thread of ours that is in another namespace for a moment is no namespace of
// the machine.
func TestListLeavesOwnThreadsOut(t *testing.T) {
	before, _ := netns.List()
	entered, leave, left := make(chan uint64), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		runtime.LockOSThread() // never unlocked: the thread ends here
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		inode, err := netns.Inode(netns.Self)
		if err != nil {
			t.Error(err)
		}
		entered <- inode
		<-leave
	}()
	inode := <-entered
	after, _ := netns.List()
	close(leave)
	<-left
	if len(after) != len(before) || slices.ContainsFunc(after, func(f netns.Found) bool { return f.Inode == inode }) {
		t.Errorf("found %+v, want %+v", after, before)
	}
}

func TestListMany(t *testing.T) {
	const many = 50
	for i := range many {
		sandboxtest.NS(t, "many"+strconv.Itoa(i))
	}
	start := time.Now()
	found, _ := netns.List()
	t.Logf("listed %d namespaces in %v", len(found), time.Since(start))
	inodes := map[uint64]bool{}
	for _, f := range found {
		if inodes[f.Inode] {
			t.Errorf("%s is listed twice", f.Name)
		}
		inodes[f.Inode] = true
	}
	if len(found) < many+1 {
		t.Errorf("found %d namespaces, want %d and the own", len(found), many)
	}
}

// TestListNamesTwice: a namespace with several names is one, under the oldest.
func TestListNamesTwice(t *testing.T) {
	sandboxtest.NS(t, "pod")
	for _, name := range []string{"app", "zulu"} { // in a directory, before and after
		if _, err := netns.Attach(name, netns.Path("pod")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := netns.Delete(name); err != nil {
				t.Error(err)
			}
		})
	}
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, netns.Dir, 0, unix.STATX_MNT_ID_UNIQUE, &st); err != nil {
		t.Fatal(err)
	}
	oldest, others := "pod", []string{"app", "zulu"}
	if st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 { // a kernel that does not say which is the oldest
		oldest, others = "app", []string{"pod", "zulu"}
	}
	f := find(t, named(oldest))
	if f == nil || !slices.Equal(f.Also, others) || f.Path != netns.Path(oldest) {
		t.Errorf("found %+v; want %s, also called %v", f, oldest, others)
	}
	for _, name := range others {
		if find(t, named(name)) != nil {
			t.Errorf("the name %s makes a second namespace", name)
		}
	}
}
