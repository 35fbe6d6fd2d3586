package inventory

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// nameWatcher hears of names that appear in, and go from, the directories of
// named namespaces (inotify(7)).
type nameWatcher struct {
	file *os.File
	dirs map[int32]string // by watch; used by hear's goroutine only
}

// parentDir is where the directories of names appear when there is none yet.
const parentDir = "/run"

func newNameWatcher() (*nameWatcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch the names of network namespaces: %w", err)
	}
	w := &nameWatcher{file: os.NewFile(uintptr(fd), "inotify"), dirs: map[int32]string{}}
	w.watch(parentDir)
	for _, dir := range netns.Dirs {
		w.watch(dir)
	}
	return w, nil
}

// watch watches dir, once however often it is called. A directory that is not
// there or not for us is found by listing, later.
func (w *nameWatcher) watch(dir string) {
	conn, err := w.file.SyscallConn()
	if err != nil {
		return
	}
	const mask = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_ONLYDIR
	// Control fails only on a closed file.
	_ = conn.Control(func(fd uintptr) {
		if wd, err := unix.InotifyAddWatch(int(fd), dir, mask); err == nil {
			w.dirs[int32(wd)] = dir
		}
	})
}

// hear marks that names have changed, until ctx ends, and closes the watcher.
func (w *nameWatcher) hear(ctx context.Context, m *marks) error {
	stop := context.AfterFunc(ctx, func() { w.file.Close() })
	defer func() {
		if stop() {
			w.file.Close()
		}
	}()
	buf := make([]byte, 16<<10)
	for {
		n, err := w.file.Read(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch the names of network namespaces: %w", err)
		}
		if w.handle(ctx, buf[:n]) {
			m.add(func(d *dirty) { d.list = true })
		}
	}
}

// handle tells whether the events in buf are about names of namespaces. It
// waits until the files that they speak of are namespaces.
func (w *nameWatcher) handle(ctx context.Context, buf []byte) bool {
	relevant := false
	for len(buf) >= unix.SizeofInotifyEvent {
		wd := int32(binary.NativeEndian.Uint32(buf))
		mask := binary.NativeEndian.Uint32(buf[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(buf[12:]))
		if size > len(buf) {
			break
		}
		name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:size]), "\x00")
		buf = buf[size:]
		path := filepath.Join(w.dirs[wd], name)
		switch {
		case mask&unix.IN_Q_OVERFLOW != 0:
			relevant = true
		case w.dirs[wd] == parentDir:
			relevant = w.appeared(ctx, path) || relevant
		default:
			relevant = true
			settle(ctx, path)
		}
	}
	return relevant
}

// appeared watches a directory of names that has just come, and waits for the
// names that were quicker than the watch.
func (w *nameWatcher) appeared(ctx context.Context, path string) bool {
	relevant := false
	for _, dir := range netns.Dirs {
		if dir != path && !strings.HasPrefix(dir, path+"/") {
			continue
		}
		relevant = true
		w.watch(dir)
		entries, _ := os.ReadDir(dir) // not there yet: nothing to wait for
		for _, e := range entries {
			settle(ctx, filepath.Join(dir, e.Name()))
		}
	}
	return relevant
}

// settleTries and settleGap bound how long settle waits.
const (
	settleTries = 50
	settleGap   = time.Millisecond
)

// settle waits until the file is a namespace, or gone: ip-netns(8) makes the
// file before it mounts the namespace over it.
func settle(ctx context.Context, path string) {
	for range settleTries {
		var st unix.Statfs_t
		if err := unix.Statfs(path, &st); err != nil || st.Type == unix.NSFS_MAGIC {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleGap):
		}
	}
}
