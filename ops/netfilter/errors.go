package netfilter

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// ErrUnsupported says that the kernel has no nf_tables, or no conntrack.
// Lack of privilege is fs.ErrPermission instead.
var ErrUnsupported = errors.New("not supported by this kernel")

// translate adds to an error of the kernel what it means here. The result
// still is the kernel's error, and fs.ErrPermission or ErrUnsupported.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return fmt.Errorf("needs CAP_NET_ADMIN in the namespace: %w", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT):
		return fmt.Errorf("%w (load the module nf_tables or nf_conntrack_netlink): %w", ErrUnsupported, err)
	}
	return err
}
