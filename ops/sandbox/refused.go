package sandbox

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What is done to make a sandbox, as RefusedError.Op says it.
const (
	opUserNS       = "create a user namespace"
	opOtherNS      = "create net, mount and pid namespaces"
	opMountPrivate = "make mounts private"
	opMountProc    = "mount /proc"
	opMountRun     = "mount a private /run"
	opPrepare      = "prepare"
	opWorld        = "build the small world"
)

// RefusedError says that this kernel, or its policy, does not allow a sandbox.
type RefusedError struct {
	Op     string // what was refused
	Err    error  // the kernel's answer; a syscall.Errno where there is one
	Advice string // why, and what to do: one line
	// Help is text of several lines to be shown below the error, such as a
	// ready AppArmor profile, or "".
	Help string
}

func (e *RefusedError) Error() string {
	s := fmt.Sprintf("sandbox: %s: %v", e.Op, e.Err)
	if e.Advice != "" {
		s += ": " + e.Advice
	}
	return s
}

func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(op string, err error) *RefusedError {
	exe, linkErr := os.Executable()
	if linkErr != nil {
		exe = "/path/to/vethscope"
	}
	advice, help := advise(op, err, exe, readSysctl)
	return &RefusedError{Op: op, Err: err, Advice: advice, Help: help}
}

func (r *report) refused() *RefusedError {
	if r.Errno != 0 {
		e := refuse(r.Op, r.Errno)
		if r.Text != r.Errno.Error() { // it says where
			e.Err = &reported{r.Text, r.Errno}
		}
		return e
	}
	return refuse(r.Op, errors.New(r.Text))
}

// reported is an error of another process: its words, and its errno.
type reported struct {
	text  string
	errno syscall.Errno
}

func (e *reported) Error() string { return e.text }
func (e *reported) Unwrap() error { return e.errno }

func readSysctl(name string) string {
	data, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(name, ".", "/"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// advise says why the kernel answered err to op and what to do: one line, and
// help of several lines. sysctl reads a value, "" when there is no such one.
func advise(op string, err error, exe string, sysctl func(string) string) (advice, help string) {
	var errno syscall.Errno
	errors.As(err, &errno)
	switch errno {
	case unix.ENOSPC, unix.EUSERS:
		return limitAdvice(op, sysctl), ""
	case unix.EPERM, unix.EACCES:
		return permissionAdvice(exe, sysctl)
	case unix.EROFS:
		return "/proc/sys is read-only here; in a container, start it with --security-opt systempaths=unconfined", ""
	case unix.EINVAL, unix.ENOSYS:
		if op == opUserNS || op == opOtherNS {
			return "this kernel lacks namespaces (CONFIG_USER_NS, CONFIG_NET_NS, CONFIG_PID_NS); use another kernel", ""
		}
	case unix.EOPNOTSUPP:
		if op == opWorld {
			return "this kernel lacks CONFIG_VETH; load the module veth", ""
		}
	}
	return "", ""
}

// limitAdvice names the limit of namespaces(7) that is reached, or those that
// may be.
func limitAdvice(op string, sysctl func(string) string) string {
	kinds := []string{"net", "mnt", "pid"}
	if op == opUserNS {
		kinds = []string{"user"}
	}
	var all []string
	for _, k := range kinds {
		name := "user.max_" + k + "_namespaces"
		if sysctl(name) == "0" {
			return fmt.Sprintf("the limit %s is 0; raise it with `sudo sysctl %s=1024`", name, name)
		}
		all = append(all, fmt.Sprintf("%s (now %s)", name, sysctl(name)))
	}
	return "a limit is reached: " + strings.Join(all, ", ") +
		"; end sandboxes or containers, or raise it with `sudo sysctl`"
}

func permissionAdvice(exe string, sysctl func(string) string) (advice, help string) {
	switch {
	case sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor allows unprivileged user namespaces only to programs with a profile " +
			"(kernel.apparmor_restrict_unprivileged_userns is 1): install the profile below, or run with sudo", appArmorHelp(exe)
	case sysctl("kernel.unprivileged_userns_clone") == "0":
		return "unprivileged user namespaces are switched off; run with sudo, or " +
			"`sudo sysctl kernel.unprivileged_userns_clone=1`", ""
	case sysctl("user.max_user_namespaces") == "0":
		return limitAdvice(opUserNS, sysctl), ""
	}
	return "a container's seccomp profile or a security module forbids it; run outside of the container, " +
		"or start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined", ""
}

// appArmorHelp is a profile as Ubuntu ships for browsers: it confines nothing
// and allows user namespaces.
func appArmorHelp(exe string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Write this to /etc/apparmor.d/vethscope, then run `sudo apparmor_parser -r /etc/apparmor.d/vethscope`:\n\n")
	fmt.Fprintf(&b, "abi <abi/4.0>,\ninclude <tunables/global>\n\n")
	fmt.Fprintf(&b, "profile vethscope %q flags=(unconfined) {\n  userns,\n}\n\n", exe)
	if strings.Contains(exe, "/go-build") {
		fmt.Fprintf(&b, "`go run` and `go test` put the program elsewhere each time: `go build -o vethscope ./cmd/vethscope` "+
			"first, and name that path.\n")
	}
	fmt.Fprintf(&b, "Or run it with sudo: it makes the same sandbox.\n"+
		"Or, for every program on this machine: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`.\n")
	return b.String()
}
