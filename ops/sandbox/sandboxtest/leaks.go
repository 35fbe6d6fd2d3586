package sandboxtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.uber.org/goleak"

	"vethscope/ops/netns"
)

// holdings is what a process holds of the kernel, by name.
type holdings struct {
	fds, names map[string]string
}

func take() holdings {
	return holdings{fds: links("/proc/self/fd/*"), names: names()}
}

// leaked says what is held now and was not then. What goes away by itself gets
// a second to do so.
func (h holdings) leaked() error {
	if err := goleak.Find(); err != nil {
		return err
	}
	var err error
	for range 50 {
		if err = errors.Join(h.leakedFiles(), h.leakedNames(), foreignThreads()); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return err
}

func (h holdings) leakedFiles() error {
	var errs []error
	for fd, target := range links("/proc/self/fd/*") {
		// The runtime's poller opens these on first use and keeps them.
		if strings.HasPrefix(target, "anon_inode:[eventpoll]") || strings.HasPrefix(target, "anon_inode:[eventfd]") {
			continue
		}
		if h.fds[fd] != target {
			errs = append(errs, fmt.Errorf("file descriptor %s: %s", filepath.Base(fd), target))
		}
	}
	return errors.Join(errs...)
}

func (h holdings) leakedNames() error {
	var errs []error
	for name := range names() {
		if _, ok := h.names[name]; !ok {
			errs = append(errs, fmt.Errorf("named namespace %s", name))
		}
	}
	return errors.Join(errs...)
}

// foreignThreads finds threads of this process that were left in a namespace
// other than the process's.
func foreignThreads() error {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	var errs []error
	for thread, ns := range links("/proc/self/task/*/ns/net") {
		if ns != own {
			errs = append(errs, fmt.Errorf("thread in a foreign namespace: %s -> %s", thread, ns))
		}
	}
	return errors.Join(errs...)
}

// links reads the symbolic links that match a pattern. What is gone by the time
// it is read is left out.
func links(pattern string) map[string]string {
	found := map[string]string{}
	paths, _ := filepath.Glob(pattern)
	for _, path := range paths {
		if target, err := os.Readlink(path); err == nil {
			found[path] = target
		}
	}
	return found
}

func names() map[string]string {
	found := map[string]string{}
	entries, _ := os.ReadDir(netns.Dir)
	for _, e := range entries {
		found[e.Name()] = ""
	}
	return found
}
