// Package sandbox runs a command in user, network, mount and pid namespaces of
// its own: root inside, no privilege outside, and nothing left when it ends.
//
// The calling program is its own helper: it is executed again for two stages.
// The middle stage is born into a new user namespace. The inner stage is born
// into the net, mount and pid namespaces, prepares them and, as process 1,
// starts the command, reaps and exits with its status. The two births are
// apart because the kernel gives the files of a net namespace
// (/proc/net/ip_tables_names, nf_conntrack) to the root of its user namespace,
// and there is no such root before the uid map is written.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exe, as the first of Options.Args, stands for the calling program itself.
const Exe = "/proc/self/exe"

// grace is what a command gets between a polite signal and SIGKILL.
const grace = time.Second

// initialUserNS is PROC_USER_INIT_INO of the kernel's include/linux/proc_ns.h.
const initialUserNS = 0xEFFFFFFD

// Options say what runs in a sandbox, and in what sort of sandbox.
type Options struct {
	// Args is the command and its arguments; none means a shell: $SHELL, or
	// /bin/sh. Exe stands for the calling program.
	Args []string
	// Stdin is the command's standard input; nil means the null device.
	Stdin *os.File
	// Stdout and Stderr are handed to the command as they are when they are
	// *os.File, and otherwise through a pipe. nil means the null device.
	Stdout, Stderr io.Writer
	// Empty leaves the sandbox's network bare: lo and nothing else.
	// Otherwise it has an uplink to the namespace Outside.
	Empty bool
	// Env is the command's environment; nil means the caller's.
	Env []string
}

// config is what the stages must know beside the command. It travels as JSON
// in the stages' arguments.
type config struct {
	Empty bool
	// SharePID does without a pid namespace, where /proc cannot be mounted.
	SharePID bool
	// Foreground hands the terminal on standard input to the command.
	Foreground bool
	// Program is the caller's os.Args[0], for messages.
	Program string
}

// Run runs a command in a fresh sandbox, waits for it, and returns its exit
// status, 128 + n when signal n ended it. When it returns, and when any of the
// sandbox's processes or the caller is killed, the sandbox is gone with all
// that was made in it.
//
// SIGINT, SIGQUIT, SIGHUP and SIGTERM are passed on to the command for as long as
// Run runs, and the status is then 128 + that signal; a command that is still
// there after a second is killed. A cancelled context does as SIGTERM does, and
// Run returns the context's error.
//
// The error is a *RefusedError when this kernel or its policy does not allow a
// sandbox. Run may be called concurrently. The program must call Init first
// thing in main.
func Run(ctx context.Context, o Options) (int, error) {
	if len(o.Args) == 0 {
		o.Args = []string{shell()}
	}
	cfg := config{Empty: o.Empty, Foreground: holdsTerminal(o), Program: os.Args[0]}
	status, err := attempt(ctx, o, cfg)
	var refused *RefusedError
	if errors.As(err, &refused) && refused.Op == opMountProc && errors.Is(err, unix.EPERM) {
		cfg.SharePID = true
		status, err = attempt(ctx, o, cfg)
	}
	return status, err
}

// attempt runs the command in a sandbox made after cfg.
func attempt(ctx context.Context, o Options, cfg config) (int, error) {
	// The middle stage is to be killed when this *thread* ends: keep it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	cmd, pipes, err := outerCommand(ctx, o, cfg)
	if err != nil {
		return 1, err
	}
	defer pipes.close()
	term := saveTerminal(o, cfg)
	if err := cmd.Start(); err != nil {
		return 1, startError(err)
	}
	pipes.closeFar()
	signals := passSignals(cmd.Process, pipes.control, cfg.Foreground)
	rep := readReport(pipes.report)
	err = cmd.Wait()
	sig := signals.stop()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	term.restore(sig != 0 || exitStatus(status) > 128)

	switch {
	case rep != nil:
		return 1, rep.refused()
	case ctx.Err() != nil:
		return exitStatus(status), fmt.Errorf("sandbox: %w", context.Cause(ctx))
	case sig != 0:
		return 128 + int(sig), nil
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 1, fmt.Errorf("sandbox: wait: %w", err)
	}
	return exitStatus(status), nil
}

// pipes join the caller to the inner stage. The report tells why a sandbox
// could not be made; it ends when the command starts. The control carries
// signals, a byte each; it ends when the caller does.
type pipes struct{ report, control, farReport, farControl *os.File }

func newPipes() (*pipes, error) {
	var p pipes
	var err error
	if p.report, p.farReport, err = os.Pipe(); err != nil {
		return nil, err
	}
	if p.farControl, p.control, err = os.Pipe(); err != nil {
		p.close()
		return nil, err
	}
	return &p, nil
}

func (p *pipes) closeFar() { p.farReport.Close(); p.farControl.Close() }

func (p *pipes) close() { p.closeFar(); p.report.Close(); p.control.Close() }

func outerCommand(ctx context.Context, o Options, cfg config) (*exec.Cmd, *pipes, error) {
	p, err := newPipes()
	if err != nil {
		return nil, nil, fmt.Errorf("sandbox: %w", err)
	}
	cmd := exec.CommandContext(ctx, Exe)
	cmd.Args = stageArgs(stageMiddle, cfg, o.Args)
	if o.Stdin != nil {
		cmd.Stdin = o.Stdin
	}
	cmd.Stdout, cmd.Stderr, cmd.Env = o.Stdout, o.Stderr, o.Env
	cmd.ExtraFiles = []*os.File{p.farReport, p.farControl}
	cmd.Cancel = func() error { return sendSignal(p.control, unix.SIGTERM) }
	cmd.WaitDelay = grace
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}
	return cmd, p, nil
}

func startError(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) && errno != unix.ENOENT {
		return refuse(opUserNS, errno)
	}
	return fmt.Errorf("sandbox: start: %w", err)
}

func exitStatus(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

func shell() string {
	if sh := os.Getenv("SHELL"); sh != "" {
		if _, err := exec.LookPath(sh); err == nil {
			return sh
		}
	}
	return "/bin/sh"
}

// markerPath is the file that says "this is a sandbox of ours". It lies on the
// sandbox's private /run.
const markerPath = "/run/vethscope/sandbox.json"

type marker struct {
	UserNS uint64 `json:"user_ns"` // inode of the sandbox's user namespace
	NetNS  uint64 `json:"net_ns"`  // inode of the namespace that plays the host
}

// Inside says whether this process runs in a sandbox, in whichever of its net
// namespaces. A marker left on a real machine does not count: it must name the
// user namespace of this process, and that must not be the initial one.
func Inside() bool {
	data, err := os.ReadFile(markerPath)
	if err != nil {
		return false
	}
	var m marker
	if json.Unmarshal(data, &m) != nil {
		return false
	}
	own, err := inode("/proc/self/ns/user")
	return err == nil && own == m.UserNS && own != initialUserNS
}

func inode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return st.Ino, nil
}
