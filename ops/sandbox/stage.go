package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// A stage is this program executed again, as
//
//	vethscope-sandbox STAGE CONFIG COMMAND [ARG...]
const (
	stageName   = "vethscope-sandbox"
	stageMiddle = "middle"
	stageInner  = "inner"
)

// Exit statuses of a command that did not start, as in a shell.
const (
	exitNotExecutable = 126
	exitNotFound      = 127
)

func stageArgs(stage string, cfg config, args []string) []string {
	data, err := json.Marshal(cfg)
	if err != nil {
		panic(err) // a struct of booleans and a string
	}
	return append([]string{stageName, stage, string(data)}, args...)
}

// Init does the stage that this process was executed for, if any, and then does
// not return. Call it first thing in main, before flags are looked at.
func Init() {
	if os.Args[0] != stageName || len(os.Args) < 4 {
		return
	}
	var cfg config
	if err := json.Unmarshal([]byte(os.Args[2]), &cfg); err != nil {
		fmt.Fprintf(os.Stderr, "%s: bad configuration: %v\n", stageName, err)
		os.Exit(2)
	}
	// The next process is to be killed when this thread ends.
	runtime.LockOSThread()
	unix.CloseOnExec(3)
	unix.CloseOnExec(4)
	report, control := os.NewFile(3, "report"), os.NewFile(4, "control")
	var status int
	switch os.Args[1] {
	case stageMiddle:
		status = middle(cfg, os.Args[3:], report, control)
	case stageInner:
		status = inner(cfg, os.Args[3:], report, control)
	}
	os.Exit(status)
}

// middle is root of the new user namespace. It starts the inner stage in the
// other namespaces and exits with its status.
func middle(cfg config, args []string, report, control *os.File) int {
	catchKeys()
	attr := &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
	}
	if cfg.SharePID {
		// What outlives the inner stage comes to us, to be killed. And
		// were we killed, the inner stage must live on to kill it.
		attr.Cloneflags &^= unix.CLONE_NEWPID
		attr.Pdeathsig = 0
		adoptOrphans()
	}
	cmd := exec.Command(Exe)
	cmd.Args = stageArgs(stageInner, cfg, args)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{report, control}
	cmd.SysProcAttr = attr
	if err := cmd.Start(); err != nil {
		var errno syscall.Errno
		errors.As(err, &errno)
		sendReport(report, &setupError{opOtherNS, errno})
		return 1
	}
	report.Close()
	control.Close()
	err := cmd.Wait()
	if cfg.SharePID {
		killChildren()
	}
	if cmd.ProcessState == nil {
		fmt.Fprintf(os.Stderr, "%s: wait for the inner stage: %v\n", stageName, err)
		return 1
	}
	return exitStatus(cmd.ProcessState.Sys().(syscall.WaitStatus))
}

// inner prepares the namespaces, and then does what process 1 has to do.
func inner(cfg config, args []string, report, control *os.File) int {
	catchKeys()
	if cfg.SharePID {
		adoptOrphans()
	}
	warnings, err := prepare(cfg)
	if err != nil {
		sendReport(report, err)
		return 1
	}
	for _, w := range warnings {
		fmt.Fprintf(os.Stderr, "%s: warning: %s\n", cfg.Program, w)
	}
	cmd, status := command(cfg, args)
	if status != 0 {
		return status
	}
	report.Close()
	go obey(control, cmd.Process.Pid, cfg)
	status = reap(cmd.Process.Pid, cfg.Foreground)
	if cfg.SharePID {
		killChildren()
	}
	return status
}

// command starts the command, or returns the exit status that says why not.
func command(cfg config, args []string) (*exec.Cmd, int) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if cfg.Foreground {
		// A process group of its own, or a shell would find itself in
		// one that its pid namespace has no number for.
		cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: 0}
	}
	err := cmd.Start()
	switch {
	case err == nil:
		return cmd, 0
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, os.ErrNotExist):
		fmt.Fprintf(os.Stderr, "%s: %s: command not found\n", cfg.Program, args[0])
		return nil, exitNotFound
	}
	fmt.Fprintf(os.Stderr, "%s: cannot run: %v\n", cfg.Program, err)
	return nil, exitNotExecutable
}

// reap waits for every child, ours or inherited, until the command ends.
func reap(command int, foreground bool) int {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			fmt.Fprintf(os.Stderr, "%s: wait: %v\n", stageName, err)
			return 1
		case pid != command:
		case ws.Stopped():
			// ctrl+z in a command that has the terminal: nobody here
			// could give it back, so it goes on.
			if foreground {
				_ = unix.Kill(-command, unix.SIGCONT)
			}
		default:
			return exitStatus(ws)
		}
	}
}

// obey sends the command the signals that the caller asks for, and ends
// everything when the caller is gone.
func obey(control io.Reader, command int, cfg config) {
	b := make([]byte, 1)
	for {
		if _, err := control.Read(b); err != nil {
			if cfg.SharePID {
				killChildren()
			}
			os.Exit(128 + int(unix.SIGKILL))
		}
		_ = unix.Kill(command, syscall.Signal(b[0]))
	}
}

// catchKeys keeps what a terminal sends to its whole process group from ending
// this stage: the command decides. Caught signals, unlike ignored ones, are the
// default again in the command.
func catchKeys() {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGINT, unix.SIGQUIT)
	if !signal.Ignored(unix.SIGHUP) { // nohup(1)
		signal.Notify(caught, unix.SIGHUP)
	}
}

// report is why the sandbox could not be made, as a stage tells the caller.
type report struct {
	Op    string
	Errno syscall.Errno
	Text  string // when there is no errno
}

// setupError is what a stage could not do.
type setupError struct {
	op  string
	err error
}

func (e *setupError) Error() string { return e.op + ": " + e.err.Error() }
func (e *setupError) Unwrap() error { return e.err }

func sendReport(w *os.File, err error) {
	rep := report{Op: opPrepare, Text: err.Error()}
	var setup *setupError
	if errors.As(err, &setup) {
		rep.Op, rep.Text = setup.op, setup.err.Error()
	}
	errors.As(err, &rep.Errno)
	if err := json.NewEncoder(w).Encode(rep); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %s: %s\n", stageName, rep.Op, rep.Text)
	}
}

// readReport waits until the command has started, or cannot be.
func readReport(r io.Reader) *report {
	var rep report
	if json.NewDecoder(r).Decode(&rep) != nil {
		return nil
	}
	return &rep
}
