package sandbox

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// holdsTerminal says whether the command gets the terminal for itself, as a
// shell's job does. It needs both ends: in `vethscope sandbox -- ip a | less` it
// is less that must keep it.
func holdsTerminal(o Options) bool {
	if o.Stdin == nil || !inForeground(o.Stdin) {
		return false
	}
	out, ok := o.Stdout.(*os.File)
	return ok && isTerminal(out)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// inForeground says whether f is our controlling terminal and our process group
// is the one that it talks to.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// terminal is how a terminal was before the command had it.
type terminal struct {
	fd    int
	modes *unix.Termios
}

func saveTerminal(o Options, cfg config) *terminal {
	if !cfg.Foreground {
		return nil
	}
	fd := int(o.Stdin.Fd())
	modes, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		modes = nil
	}
	return &terminal{fd: fd, modes: modes}
}

// restore takes the terminal back from the command's process group, and puts
// its modes right when the command had no chance to.
func (t *terminal) restore(modes bool) {
	if t == nil {
		return
	}
	// The kernel stops a background group that does this, unless SIGTTOU is
	// blocked or ignored; and ignoring would be inherited by later commands.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var block, old unix.Sigset_t
	block.Val[0] = 1 << (uint(unix.SIGTTOU) - 1)
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &block, &old); err != nil {
		return
	}
	// The terminal may be gone by now; there is nobody to tell.
	_ = unix.IoctlSetPointerInt(t.fd, unix.TIOCSPGRP, unix.Getpgrp())
	if modes && t.modes != nil {
		_ = unix.IoctlSetTermios(t.fd, unix.TCSETS, t.modes)
	}
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
}
