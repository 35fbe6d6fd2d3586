package netns

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Attach gives the namespace that path opens one more name, as `ip netns attach`
// does, and returns its inode. It fails with fs.ErrExist when the name is taken,
// and with fs.ErrNotExist when path is no namespace.
func Attach(name, path string) (uint64, error) {
	if err := CheckName(name); err != nil {
		return 0, err
	}
	if _, err := Inode(path); err != nil {
		return 0, err
	}
	if err := prepareDir(); err != nil {
		return 0, err
	}
	file := Path(name)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if err != nil {
		return 0, fmt.Errorf("name network namespace: %w", err)
	}
	f.Close()
	if err := unix.Mount(path, file, "", unix.MS_BIND, ""); err != nil {
		return 0, errors.Join(fmt.Errorf("bind network namespace to %s: %w", file, err), os.Remove(file))
	}
	return Inode(file)
}
