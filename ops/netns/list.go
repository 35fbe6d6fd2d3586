package netns

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// Dirs are the directories whose files name network namespaces: that of
// ip-netns(8), and Docker's, which lies under /run or (without the usual
// symbolic link) under /var/run.
var Dirs = []string{Dir, "/run/docker/netns", "/var/run/docker/netns"}

// How a namespace was found.
const (
	FoundSelf    = "host"    // the process was started in it
	FoundNamed   = "named"   // it has a name under one of Dirs
	FoundProcess = "process" // only processes hold it
)

// Found is one network namespace of the machine. Its identity is Inode.
type Found struct {
	Inode uint64
	// Name is Host, the file's name under one of Dirs (its whole path when
	// another namespace has that name already), or "pid:1234".
	Name string
	Kind string // FoundSelf, FoundNamed or FoundProcess
	Path string // opens it
	// Also are its further names, as containers that share it have them; Name is
	// the oldest.
	Also      []string
	Processes []Process
}

// Process is a process that lives in a namespace.
type Process struct {
	PID     int
	Command string // comm of proc(5), control characters removed
}

// List finds the network namespaces of the machine: the process's own, which
// is first, those with a name, and those that only processes hold; in this
// order, by name or process id. A process counts with its main thread. Kernel
// threads are left out, and so are the caller's own threads: one that is
// elsewhere for a moment is not to be taken for a namespace. What could not be
// looked at is told in the warnings. It holds nothing open and may be called
// concurrently.
func List() ([]Found, []string) {
	l := lister{byInode: map[uint64]*Found{}, names: map[string]bool{}}
	l.own()
	for _, dir := range Dirs {
		l.named(dir)
	}
	l.processes()
	return l.result(), l.warnings
}

// lister gathers what List finds.
type lister struct {
	byInode  map[uint64]*Found
	names    map[string]bool
	order    []*Found
	warnings []string
}

func (l *lister) warn(format string, args ...any) {
	l.warnings = append(l.warnings, fmt.Sprintf(format, args...))
}

func (l *lister) add(f Found) *Found {
	p := &f
	l.byInode[f.Inode] = p
	l.names[f.Name] = true
	l.order = append(l.order, p)
	return p
}

func (l *lister) own() {
	path := Path(Host)
	inode, err := Inode(path)
	if err != nil {
		l.warn("own network namespace: %v; is /proc mounted?", err)
		return
	}
	l.add(Found{Inode: inode, Name: Host, Kind: FoundSelf, Path: path})
}

// named adds the namespaces that dir names. A file that is not on nsfs is a
// stub that a crash left behind, or one that is about to be mounted over.
func (l *lister) named(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.warn("names under %s are hidden: %v", dir, err)
		}
		return
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		inode, err := Inode(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			l.warn("network namespace %s is hidden: %v", path, err)
			continue
		}
		name := e.Name()
		if l.names[name] {
			name = path
		}
		if f := l.byInode[inode]; f != nil {
			f.alsoNamed(name, path)
			l.names[name] = true
			continue
		}
		l.add(Found{Inode: inode, Name: name, Kind: FoundNamed, Path: path})
	}
}

// alsoNamed notes one more name.
func (f *Found) alsoNamed(name, path string) {
	if f.Kind == FoundNamed && mountedBefore(path, f.Path) {
		name, f.Name, f.Path = f.Name, name, path
	}
	f.Also = append(f.Also, name)
}

// mountedBefore compares the kernel's numbers of two mounts, which never repeat,
// statx(2); it is false where the kernel has none (before 6.8).
func mountedBefore(a, b string) bool {
	var sa, sb unix.Statx_t
	const mask = unix.STATX_MNT_ID_UNIQUE
	return unix.Statx(unix.AT_FDCWD, a, 0, mask, &sa) == nil && unix.Statx(unix.AT_FDCWD, b, 0, mask, &sb) == nil &&
		sa.Mask&sb.Mask&mask != 0 && sa.Mnt_id < sb.Mnt_id
}

// processes says which processes live where, and adds the namespaces that have
// no name. The kernel hides the namespaces of other users' processes.
func (l *lister) processes() {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		l.warn("processes are hidden: %v", err)
		return
	}
	hidden := 0
	for _, pid := range pids(entries) {
		inode, err := processInode(pid)
		if errors.Is(err, fs.ErrPermission) {
			hidden++
		}
		if err != nil {
			continue // most often the process has just ended
		}
		f := l.byInode[inode]
		if f != nil && kernelThread(pid) {
			continue
		}
		if f == nil {
			if pid == os.Getpid() {
				continue
			}
			f = l.add(Found{
				Inode: inode, Name: fmt.Sprintf("pid:%d", pid), Kind: FoundProcess,
				Path: fmt.Sprintf("/proc/%d/ns/net", pid),
			})
		}
		f.Processes = append(f.Processes, Process{PID: pid, Command: command(pid)})
	}
	if hidden > 0 {
		l.warn("the network namespaces of processes of other users (%d) are hidden: seeing them needs root, or CAP_SYS_PTRACE", hidden)
	}
}

func pids(proc []fs.DirEntry) []int {
	var out []int
	for _, e := range proc {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, pid)
		}
	}
	slices.Sort(out)
	return out
}

// processInode reads the link instead of following it: that is one system call,
// and the answer is "net:[4026531840]".
func processInode(pid int) (uint64, error) {
	target, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return 0, err
	}
	digits, ok := strings.CutPrefix(target, "net:[")
	if !ok {
		return 0, fmt.Errorf("process %d: unexpected namespace %q", pid, target)
	}
	return strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 64)
}

// kernelThread tells a kernel thread by its lack of an executable (proc(5)).
// Every one is in the machine's first namespace, and none says anything of it.
func kernelThread(pid int) bool {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return errors.Is(err, fs.ErrNotExist)
}

func command(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.TrimSuffix(string(b), "\n"))
}

// result sorts by how a namespace was found; what is already in order (names,
// process ids) stays so.
func (l *lister) result() []Found {
	rank := map[string]int{FoundSelf: 0, FoundNamed: 1, FoundProcess: 2}
	slices.SortStableFunc(l.order, func(a, b *Found) int {
		return cmp.Compare(rank[a.Kind], rank[b.Kind])
	})
	out := make([]Found, len(l.order))
	for i, f := range l.order {
		out[i] = *f
	}
	return out
}
