package sandbox_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/sandbox"
)

// brood is a command with children, one of them orphaned, that never ends.
const brood = `sleep 1000 & (sleep 1000 &) ; echo ready; while :; do wait; sleep 1; done`

// family are the processes of a sandbox: the caller, the middle stage, the inner
// stage, and the command with its own.
func family(t *testing.T, outer int) []int {
	t.Helper()
	pids := []int{outer}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, sandbox.Children(pids[i])...)
	}
	if len(pids) < 6 {
		t.Fatalf("found the processes %v, want caller, middle, inner, shell and two that sleep", pids)
	}
	return pids
}

// namespaces are those of process pid that are not ours.
func namespaces(t *testing.T, pid int) []string {
	t.Helper()
	var all []string
	for _, kind := range []string{"net", "mnt"} {
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
		if err != nil {
			t.Fatal(err)
		}
		if ours, _ := os.Readlink("/proc/self/ns/" + kind); theirs == ours {
			t.Fatalf("the command is in our own namespace %s", ours)
		}
		all = append(all, theirs)
	}
	return all
}

// gone waits until none of the processes lives, and no process is in the
// namespaces.
func gone(t *testing.T, pids []int, nss []string) {
	t.Helper()
	start := time.Now()
	for {
		left := alive(pids)
		var held []string
		if len(left) == 0 {
			held = holders(nss)
		}
		if len(left) == 0 && len(held) == 0 {
			t.Logf("gone after %s", time.Since(start).Round(time.Millisecond))
			return
		}
		if time.Since(start) > 20*time.Second {
			t.Fatalf("left over: processes %v, namespaces held by %v", left, held)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func alive(pids []int) []int {
	return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z ")) // dead, if not yet reaped
	})
}

// holders are the processes in any of the namespaces. That of a dead process is
// its user namespace only, until its parent has reaped it: so not that.
func holders(nss []string) []string {
	var held []string
	links, _ := filepath.Glob("/proc/[0-9]*/ns/[mn]*")
	for _, link := range links {
		if ns, err := os.Readlink(link); err == nil && slices.Contains(nss, ns) {
			held = append(held, link)
		}
	}
	return held
}

// SIGKILL of any process takes all the others along, with and without a pid
// namespace.
func TestKill(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for i, victim := range []string{"caller", "middle", "inner"} {
			t.Run(victim, func(t *testing.T) {
				cmd := program(t, u, "run", "sh", "-c", brood)
				start(t, cmd)
				pids := family(t, cmd.Process.Pid)
				nss := namespaces(t, pids[3])
				if err := unix.Kill(pids[i], unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				gone(t, pids, nss)
				if err := cmd.Wait(); err == nil || waitStatus(cmd) != 137 {
					t.Errorf("the caller ended with %v, want 137", err)
				}
			})
		}
	})
}

// In a container, whose /proc is masked in part, the kernel allows no new /proc.
func TestMaskedProc(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		t.Run("works", func(t *testing.T) {
			cmd := program(t, u, "empty", sandbox.Exe, "role=mask", "sh", "-c", "ls /run/netns; exit 6")
			status, out, errs := outcome(cmd)
			if status != 6 || out != "outside\n" {
				t.Errorf("status %d, %q, %q; want 6 and outside", status, out, errs)
			}
			if strings.Count(errs, "warning") != 1 || !strings.Contains(errs, "/proc cannot be mounted") {
				t.Errorf("errors %q, want one warning about /proc", errs)
			}
		})
		// The first three are those around.
		for i, victim := range map[int]string{3: "caller", 4: "middle", 5: "inner"} {
			t.Run("kill "+victim, func(t *testing.T) {
				cmd := program(t, u, "empty", sandbox.Exe, "role=mask", "sh", "-c", brood)
				start(t, cmd)
				pids := family(t, cmd.Process.Pid)
				nss := namespaces(t, pids[6])
				if err := unix.Kill(pids[i], unix.SIGKILL); err != nil {
					t.Fatal(err)
				}
				gone(t, pids[3:], nss)
			})
		}
	})
}

func TestSignals(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for _, c := range []struct {
			name, script string
			sig          syscall.Signal
			status       int
		}{
			{"SIGTERM", brood, unix.SIGTERM, 143},
			{"SIGINT", brood, unix.SIGINT, 130},
			{"SIGHUP", brood, unix.SIGHUP, 129},
			{"SIGTERM refused", "trap '' TERM; " + brood, unix.SIGTERM, 143},
			{"SIGINT refused", "trap '' INT; " + brood, unix.SIGINT, 130},
			{"SIGTERM minded", "trap 'exit 0' TERM; " + brood, unix.SIGTERM, 143},
		} {
			t.Run(c.name, func(t *testing.T) {
				cmd := program(t, u, "run", "sh", "-c", c.script)
				start(t, cmd)
				pids := family(t, cmd.Process.Pid)
				nss := namespaces(t, pids[3])
				if err := cmd.Process.Signal(c.sig); err != nil {
					t.Fatal(err)
				}
				if err := cmd.Wait(); err == nil || waitStatus(cmd) != c.status {
					t.Errorf("ended with %v, want status %d", err, c.status)
				}
				gone(t, pids, nss)
			})
		}
	})
}

// A signal reaches the command, which may tidy up.
func TestSignalIsPassedOn(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		file := filepath.Join(t.TempDir(), "tidied")
		if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, 0o666); err != nil {
			t.Fatal(err)
		}
		cmd := program(t, u, "run", "sh", "-c", "trap 'echo yes; exit' TERM; "+brood)
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd.Stdout = w
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		buf := make([]byte, 100)
		n, _ := r.Read(buf)
		if string(buf[:n]) != "ready\n" {
			t.Fatalf("the command says %q", buf[:n])
		}
		if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		n, _ = r.Read(buf)
		if string(buf[:n]) != "yes\n" {
			t.Errorf("the command says %q, want yes", buf[:n])
		}
		_ = cmd.Wait()
	})
}

func TestContext(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		status, out, errs := outcome(program(t, u, "cancel", "sleep", "1000"))
		if status != 143 || out != "ended by its context with 143\n" {
			t.Errorf("status %d, %q, %q", status, out, errs)
		}
	})
}
