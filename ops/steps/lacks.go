package steps

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// lackError says that the kernel was built without a type of link.
type lackError struct{ kind string }

func (e *lackError) Error() string {
	return fmt.Sprintf("kernel lacks CONFIG_%s (type %s not supported)", strings.ToUpper(e.kind), e.kind)
}

// Is makes it the kernel's own error, for those who look for that.
func (e *lackError) Is(target error) bool { return target == unix.EOPNOTSUPP }

// lacks turns the kernel's answer to a type of link that it does not have,
// rtnl_newlink in net/core/rtnetlink.c, into one that names it.
func lacks(kind string, err error) error {
	if errors.Is(err, unix.EOPNOTSUPP) {
		return &lackError{kind}
	}
	return err
}
