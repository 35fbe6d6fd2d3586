package steps

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessStart runs our own program in the background, in a session of its own
// and with nothing but the null device open. The process tells on the pipe that
// --ready-fd names how it went: "ok", or in one line why not.
//
// Its environment holds only Token, which is chosen and journalled before it is
// started: by it a process is found again that a crash left without a number.
type ProcessStart struct {
	Args    []string `json:"args"` // of vethscope: "dns", "web"…
	Reason  string   `json:"reason"`
	Token   string   `json:"token,omitempty"`
	PID     int      `json:"pid,omitempty"`     // once started
	Started uint64   `json:"started,omitempty"` // in clock ticks since boot: field 22 of /proc/PID/stat, proc(5)
}

// tokenVariable is the environment variable that holds the token.
const tokenVariable = "VETHSCOPE_PROCESS"

// Times to wait for a process to say that it is ready, and to end.
const (
	readyTime = 10 * time.Second
	endTime   = 2 * time.Second
)

func (s *ProcessStart) Kind() string { return "process.start" }
func (s *ProcessStart) Why() string  { return s.Reason }
func (s *ProcessStart) Shell() string {
	return "setsid vethscope " + strings.Join(s.Args, " ") + " </dev/null >/dev/null 2>&1 &"
}

func (s *ProcessStart) Check(context.Context) error {
	s.Token = rand.Text()
	return nil
}

func (s *ProcessStart) Do(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return fmt.Errorf("start vethscope %s: %w", s.Args[0], err)
	}
	return nil
}

func (s *ProcessStart) start(ctx context.Context) error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	args := append([]string{"vethscope"}, s.Args...)
	p, err := os.StartProcess("/proc/self/exe", append(args, "--ready-fd=3"), &os.ProcAttr{
		Dir:   "/",
		Env:   []string{tokenVariable + "=" + s.Token},
		Files: []*os.File{null, null, null, w},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	w.Close()
	if err != nil {
		return err
	}
	s.PID = p.Pid
	s.Started, err = startTime(p.Pid)
	// As long as we live we are its parent, and it needs one who reaps it.
	go func() { _, _ = p.Wait() }()
	if err != nil {
		return err
	}
	return awaitReady(ctx, r)
}

// awaitReady waits for what the process has to say.
func awaitReady(ctx context.Context, r *os.File) error {
	if err := r.SetReadDeadline(time.Now().Add(readyTime)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = r.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	data, err := io.ReadAll(io.LimitReader(r, 4096))
	switch said := strings.TrimSpace(string(data)); {
	case said == "ok":
		return nil
	case said != "":
		return errors.New(said)
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("it did not get ready within %s", readyTime)
	}
	return errors.New("it ended at once")
}

// Undo ends exactly the process that Do started.
func (s *ProcessStart) Undo(context.Context) error {
	if s.PID == 0 {
		return s.endAbandoned()
	}
	return s.end(s.PID)
}

// endAbandoned ends a process whose number a crash kept from the journal.
func (s *ProcessStart) endAbandoned() error {
	if s.Token == "" {
		return nil // it was never started
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && s.bearsToken(pid) {
			return s.end(pid)
		}
	}
	return nil
}

// end asks the process to end, and then makes it. The descriptor holds the
// process itself, not its number: once it is open and the process is known to be
// ours, no other can be hit.
func (s *ProcessStart) end(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !s.is(pid) {
		return nil
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
			if errors.Is(err, unix.ESRCH) {
				return nil
			}
			return fmt.Errorf("end process %d: %w", pid, err)
		}
		if ended(fd, endTime) {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end", pid)
}

// is says whether the process with this number is still the one we started.
func (s *ProcessStart) is(pid int) bool {
	if s.Started == 0 {
		return s.bearsToken(pid)
	}
	started, err := startTime(pid)
	return err == nil && started == s.Started
}

func (s *ProcessStart) bearsToken(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false
	}
	want := []byte(tokenVariable + "=" + s.Token)
	for v := range bytes.SplitSeq(data, []byte{0}) {
		if bytes.Equal(v, want) {
			return true
		}
	}
	return false
}

func ended(pidfd int, within time.Duration) bool {
	deadline := time.Now().Add(within)
	for left := within; left > 0; left = time.Until(deadline) {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 {
			return true
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return false
		}
	}
	return false
}

// startTime is when a process began; with its number it names it for good.
func startTime(pid int) (uint64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// PID (COMM) STATE …: COMM may hold anything, and START is field 22.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, fs.ErrInvalid)
	}
	return strconv.ParseUint(fields[19], 10, 64)
}
