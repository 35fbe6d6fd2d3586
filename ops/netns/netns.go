// Package netns finds, names and enters network namespaces.
package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"
)

// Dir is where ip-netns(8) and we keep the names of namespaces.
const Dir = "/run/netns"

// Self opens the network namespace of the thread that opens it. The path with
// "thread-self" is the one that is always right: /proc/self is thread 0.
const Self = "/proc/thread-self/ns/net"

// Host is the name that the program shows for the namespace it was started in.
const Host = "host"

// Path is the file that opens the namespace called name; "" and Host are the
// namespace that the process was started in. The process's main thread must
// never leave that namespace (see Pin).
func Path(name string) string {
	if name == "" || name == Host {
		return "/proc/self/ns/net"
	}
	return filepath.Join(Dir, name)
}

// Pin keeps the main goroutine on thread 0 for good, so that thread 0 can never
// be one that Do throws away or leaves in a foreign namespace, and
// /proc/self/ns/net stays true. main calls it from an init function.
func Pin() { runtime.LockOSThread() }

// Do runs f on a thread inside the namespace that path opens, and waits for it.
// Sockets opened in f stay in that namespace; goroutines started in f do not
// inherit it. The namespace that the caller is in anyway is not entered, as that
// alone would need CAP_SYS_ADMIN: f then runs on the caller's goroutine. It may be called concurrently. An error of f
// comes back as it is.
func Do(path string, f func() error) error {
	target, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer target.Close()
	if there(target) {
		return f()
	}
	return onThread(func(back func() error) error {
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		ferr := f()
		if err := back(); err != nil {
			return errors.Join(ferr, err)
		}
		return ferr
	})
}

// there says whether the calling thread is in the namespace that f opens.
func there(f *os.File) bool {
	var target, own unix.Stat_t
	return unix.Fstat(int(f.Fd()), &target) == nil && unix.Stat(Self, &own) == nil &&
		target.Ino == own.Ino && target.Dev == own.Dev
}

// onThread runs f on a thread of its own. f may move the thread to another
// network namespace; unless it calls back, and back succeeds, the thread is
// thrown away with the goroutine.
func onThread(f func(back func() error) error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open(Self)
		if err != nil {
			runtime.UnlockOSThread()
			done <- fmt.Errorf("open own network namespace: %w", err)
			return
		}
		defer home.Close()
		restored := false
		err = f(func() error {
			if err := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("return to own network namespace: %w", err)
			}
			restored = true
			return nil
		})
		if restored {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// Inode is the identity of the namespace that path opens. It fails with
// fs.ErrNotExist for a path that is not there, and for a file that is no
// namespace (a stale stub under /run/netns).
func Inode(path string) (uint64, error) {
	var st unix.Stat_t
	var fsst unix.Statfs_t
	if err := unix.Statfs(path, &fsst); err != nil {
		return 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	if fsst.Type != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("%s is not a network namespace: %w", path, fs.ErrNotExist)
	}
	if err := unix.Stat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}

// CheckName says why name cannot name a namespace: it is a file name under Dir,
// and it will be shown on terminals.
func CheckName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("network namespace name %q: give a file name", name)
	case name == Host:
		return fmt.Errorf("network namespace name %q: it stands for the host's own", name)
	case len(name) > unix.NAME_MAX:
		return fmt.Errorf("network namespace name of %d bytes: at most %d", len(name), unix.NAME_MAX)
	case strings.ContainsRune(name, '/') || strings.ContainsFunc(name, unicode.IsSpace) ||
		strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("network namespace name %q: no slash, space or control character", name)
	}
	return nil
}

// Create makes an empty namespace called name, as `ip netns add` does, and
// returns its inode. It fails with fs.ErrExist when the name is taken.
func Create(name string) (uint64, error) { return CreateWith(name, nil) }

// CreateWith is Create that runs inside in the new namespace, as Do would. If that
// fails, the namespace does not stay.
func CreateWith(name string, inside func() error) (uint64, error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	if err := prepareDir(); err != nil {
		return 0, err
	}
	path := Path(name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return 0, fmt.Errorf("name network namespace: %w", err)
	}
	f.Close()
	err = onThread(func(back func() error) error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("create network namespace %s: %w", name, err)
		}
		if err := unix.Mount(Self, path, "", unix.MS_BIND, ""); err != nil {
			return errors.Join(fmt.Errorf("bind network namespace to %s: %w", path, err), back())
		}
		if inside != nil {
			if err := inside(); err != nil {
				return errors.Join(err, back())
			}
		}
		return back()
	})
	if err != nil {
		// Mounted or not, the name must not stay.
		_ = unix.Unmount(path, unix.MNT_DETACH)
		_ = os.Remove(path)
		return 0, err
	}
	return Inode(path)
}

// Delete takes the name away, as `ip netns delete` does; the kernel removes the
// namespace when nothing else holds it. It fails with fs.ErrNotExist when there
// is no such name.
func Delete(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	path := Path(name)
	// EINVAL means that nothing is mounted: a stub that a crash left behind.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
		return &fs.PathError{Op: "unmount", Path: path, Err: err}
	}
	return os.Remove(path)
}

// preparing keeps concurrent calls from mounting Dir on itself twice.
var preparing sync.Mutex

// prepareDir makes Dir a shared mount, as ip-netns(8) does, so that names made
// in one mount namespace are seen in the others.
func prepareDir() error {
	preparing.Lock()
	defer preparing.Unlock()
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", Dir, err)
	}
	err := unix.Mount("", Dir, "", unix.MS_SHARED|unix.MS_REC, "")
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, unix.EINVAL): // EINVAL: not a mount point yet
		return fmt.Errorf("share %s between mount namespaces: %w", Dir, err)
	}
	if err := unix.Mount(Dir, Dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make %s a mount: %w", Dir, err)
	}
	if err := unix.Mount("", Dir, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share %s between mount namespaces: %w", Dir, err)
	}
	return nil
}
