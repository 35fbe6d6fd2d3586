package netns

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// DoMounted is Do in a mount namespace of its own, too: what mount mounts is
// seen by f and by the processes that f starts, and by nobody else. It runs on a
// thread that is thrown away, and needs CAP_SYS_ADMIN.
func DoMounted(path string, mount, f func() error) error {
	target, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open network namespace: %w", err)
	}
	defer target.Close()
	return onThread(func(func() error) error {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("create mount namespace: %w", err)
		}
		// What is mounted here must not appear where we came from.
		if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("keep mounts private: %w", err)
		}
		if err := mount(); err != nil {
			return err
		}
		if err := unix.Setns(int(target.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", path, err)
		}
		return f()
	})
}
