package e2e

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// terminal is a real pseudo-terminal with an emulated screen behind it.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	pty  *os.File
	mu   sync.Mutex // guards emu and raw
	emu  *vt.Emulator
	raw  strings.Builder // all that the program wrote
	done chan struct{}   // closed when the program's output ends
	told chan struct{}   // closed when the terminal answers no more
}

// patience is how long the screen may take to show what a test waits for.
const patience = 15 * time.Second

// open starts the program on a screen of w by h.
func open(t *testing.T, w, h int, args ...string) *terminal {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR=")
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: uint16(h), Cols: uint16(w)})
	if err != nil {
		t.Fatal(err)
	}
	s := &terminal{t: t, cmd: cmd, pty: f, emu: vt.NewEmulator(w, h), done: make(chan struct{}), told: make(chan struct{})}
	go s.answer()
	go s.read()
	t.Cleanup(s.end)
	return s
}

// read feeds the screen until the program is gone.
func (s *terminal) read() {
	defer close(s.done)
	buf := make([]byte, 64<<10)
	for {
		n, err := s.pty.Read(buf)
		s.mu.Lock()
		s.raw.Write(buf[:n])
		s.emu.Write(buf[:n])
		s.mu.Unlock()
		if err != nil { // EIO: the other side is closed
			return
		}
	}
}

// answer sends what the terminal replies to the program's queries.
func (s *terminal) answer() {
	defer close(s.told)
	io.Copy(s.pty, s.emu)
}

func (s *terminal) end() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
	s.pty.Close()
	<-s.done
	// Not emu.Close: it races with the reading of the answers.
	s.emu.InputPipe().(io.Closer).Close()
	<-s.told
}

// screen is what a person would see, without colours.
func (s *terminal) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ansi.Strip(s.emu.Render())
}

// waitFor waits until the screen shows all of the words, and returns it.
func (s *terminal) waitFor(words ...string) string {
	s.t.Helper()
	return s.until(func(screen string) bool {
		for _, w := range words {
			if !strings.Contains(screen, w) {
				return false
			}
		}
		return true
	}, "showing "+strings.Join(words, ", "))
}

// waitGone waits until the screen does not show the word.
func (s *terminal) waitGone(word string) string {
	s.t.Helper()
	return s.until(func(screen string) bool { return !strings.Contains(screen, word) }, "without "+word)
}

func (s *terminal) until(ok func(string) bool, what string) string {
	s.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		screen := s.screen()
		if ok(screen) {
			return screen
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for a screen %s:\n%s", what, screen)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// keys types; names stand for keys that are no character.
func (s *terminal) keys(keys ...string) {
	s.t.Helper()
	names := map[string]string{"enter": "\r", "esc": "\x1b", "tab": "\t", "up": "\x1b[A", "down": "\x1b[B", "ctrl+c": "\x03", "ctrl+p": "\x10", "ctrl+u": "\x15", "left": "\x1b[D", "right": "\x1b[C"}
	for _, k := range keys {
		if seq, ok := names[k]; ok {
			k = seq
		}
		if _, err := io.WriteString(s.pty, k); err != nil {
			s.t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond) // a key at a time, as a person types; esc must stand alone
	}
}

// status waits for the program to end.
func (s *terminal) status() int {
	s.t.Helper()
	ended := make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(patience):
		s.t.Fatalf("the program does not end:\n%s", s.screen())
	}
	ws := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// tidy fails unless the program left the terminal as it found it: the main
// screen, a visible cursor, no mouse, cooked input.
func (s *terminal) tidy() {
	s.t.Helper()
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.emu.IsAltScreen() {
		s.t.Error("left in the alternate screen")
	}
	raw := s.raw.String()
	for on, off := range map[string]string{"\x1b[?25l": "\x1b[?25h", "\x1b[?2004h": "\x1b[?2004l", "\x1b[?1000h": "\x1b[?1000l", "\x1b[?1002h": "\x1b[?1002l", "\x1b[?2026h": "\x1b[?2026l"} {
		if strings.LastIndex(raw, on) > strings.LastIndex(raw, off) {
			s.t.Errorf("%q was never taken back by %q", on, off)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
