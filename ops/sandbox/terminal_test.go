package sandbox_test

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"vethscope/ops/sandbox"
)

// person is someone at a terminal.
type person struct {
	t      *testing.T
	cmd    *exec.Cmd
	tty    *os.File
	reader sync.WaitGroup

	mu     sync.Mutex
	screen bytes.Buffer
	seen   int // what expect has gone past
}

// sit runs a command on a terminal of its own.
func sit(t *testing.T, cmd *exec.Cmd) *person {
	t.Helper()
	cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
	tty, err := pty.StartWithAttrs(cmd, &pty.Winsize{Rows: 24, Cols: 80}, cmd.SysProcAttr)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, cmd: cmd, tty: tty}
	p.reader.Go(p.read)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		tty.Close()
		p.reader.Wait()
		if t.Failed() {
			t.Logf("the screen: %q", p.screen.String())
		}
	})
	return p
}

func (p *person) read() {
	buf := make([]byte, 4096)
	for {
		n, err := p.tty.Read(buf)
		p.mu.Lock()
		p.screen.Write(buf[:n])
		p.mu.Unlock()
		if err != nil { // EIO: nobody has the terminal open any more
			return
		}
	}
}

func (p *person) types(keys string) {
	p.t.Helper()
	if _, err := p.tty.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// expect waits for a text on what was not yet looked at.
func (p *person) expect(pattern string) {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		at := re.FindIndex(p.screen.Bytes()[p.seen:])
		if at != nil {
			p.seen += at[1]
		}
		p.mu.Unlock()
		if at != nil {
			return
		}
	}
	p.t.Fatalf("%q does not come", pattern)
}

func (p *person) leaves(status int) {
	p.t.Helper()
	_ = p.cmd.Wait()
	p.reader.Wait() // nobody is left at the terminal
	if got := waitStatus(p.cmd); got != status {
		p.t.Errorf("exit status %d, want %d", got, status)
	}
}

// An interactive shell has job control, and ctrl+c is for what runs in it.
func TestShellOnTerminal(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for _, shell := range [][]string{{"sh", "-i"}, {"bash", "--norc", "-i"}} {
			t.Run(shell[0], func(t *testing.T) {
				if _, err := exec.LookPath(shell[0]); err != nil {
					t.Skip(err)
				}
				cmd := program(t, u, "run", shell...)
				cmd.Env = append(cmd.Env, "PS1=READY> ", "ENV=", "HOME=/nosuch", "TERM=dumb")
				p := sit(t, cmd)
				p.expect(`READY> `)
				p.types("sh -c 'echo run''ning; exec sleep 1000'\n")
				p.expect(`running`)
				p.types("\x03") // ctrl+c
				p.expect(`READY> `)
				p.types(`sh -c 'trap "echo ba""ck" CONT; echo ag""ain; while :; do sleep 0.1; done'` + "\n")
				p.expect(`again`)
				p.types("\x1a") // ctrl+z
				p.expect(`READY> `)
				p.types("jobs; echo and $((40+2))\n")
				p.expect(`(?s)Stopped.*and 42`)
				p.expect(`READY> `)
				p.types("fg\n")
				p.expect(`back`)
				p.types("\x03")
				p.expect(`READY> `)
				p.types("exit 3\n")
				p.leaves(3)
				for _, complaint := range []string{"tty", "job control", "ioctl"} {
					if bytes.Contains(p.screen.Bytes(), []byte(complaint)) {
						t.Errorf("the shell complains of %q", complaint)
					}
				}
			})
		}
	})
}

// What runs after the sandbox has the terminal back, even when the command was
// killed with the terminal in disorder.
func TestTerminalIsGivenBack(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for _, c := range []struct{ name, end, status string }{
			{"exit", "exit 4", "4"},
			{"kill", "stty raw -echo; kill -KILL $$", "137"},
		} {
			t.Run(c.name, func(t *testing.T) {
				// The shell is as an ordinary script: it gives no terminal
				// to anybody, nor takes it back.
				script := `"$@"; echo "status $?"; stty -a; read x; echo "got $x"`
				cmd := program(t, u, "")
				cmd.Path = "/bin/sh"
				cmd.Args = []string{"sh", "-c", script, "sh", sandbox.Exe, "role=run", "sh", "-c", c.end}
				self, err := os.Executable()
				if err != nil {
					t.Fatal(err)
				}
				cmd.Args[4] = reachable(t, self)
				p := sit(t, cmd)
				p.expect("status " + c.status)
				p.expect(`(?s) icanon.* echo `)
				p.types("hello\n")
				p.expect("got hello")
				p.leaves(0)
			})
		}
	})
}

// reachable is a copy of a program that other users can execute.
func reachable(t *testing.T, program string) string {
	t.Helper()
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "sandbox-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copied := dir + "/program"
	if err := os.WriteFile(copied, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return copied
}

// ctrl+c is the command's affair; without a handler it ends it.
func TestInterruptOnTerminal(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		t.Run("ends", func(t *testing.T) {
			p := sit(t, program(t, u, "run", "sh", "-c", "echo rea''dy; exec sleep 1000"))
			p.expect("ready")
			p.types("\x03")
			p.leaves(130)
		})
		t.Run("minded", func(t *testing.T) {
			p := sit(t, program(t, u, "run", "sh", "-c", `trap 'echo not y''et' INT; echo rea''dy; read x; read x; echo "got $x"; exit 5`))
			p.expect("ready")
			p.types("\x03")
			p.expect("not yet")
			p.types("a\nb\n")
			p.expect("got ")
			p.leaves(5)
		})
		t.Run("stopped", func(t *testing.T) { // by ctrl+z: it goes on
			p := sit(t, program(t, u, "run", "sh", "-c", `trap 'echo on''wards' CONT; echo rea''dy; read x; read x; exit 6`))
			p.expect("ready")
			p.types("\x1a")
			p.expect("onwards")
			p.types("a\nb\n")
			p.leaves(6)
		})
	})
}

// With its output in a pipe the command leaves the terminal to the pipe's reader.
func TestPipeKeepsTerminal(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := program(t, u, "")
		cmd.Path = "/bin/sh"
		cmd.Args = []string{"sh", "-c", `"$@" | { read first; echo "$first?"; read x </dev/tty; echo "got $x"; }`,
			"sh", reachable(t, self), "role=run", "sh", "-c", "echo fir''st; sleep 0.2"}
		p := sit(t, cmd)
		p.expect(`first\?`)
		p.types("key\n")
		p.expect("got key")
		p.leaves(0)
	})
}
