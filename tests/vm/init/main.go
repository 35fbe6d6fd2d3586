// Command init is the first and only process of the test's virtual machine: it
// loads the modules that it finds in its root, runs the commands that lie there
// with them, says "EXIT:" with the number of those that failed, and reboots, which
// ends the machine.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Command is one thing to run in the machine.
type Command struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
}

func main() {
	failed, err := run()
	if err != nil {
		fmt.Println("init:", err)
		failed++
	}
	// The marker: whoever waits for it knows that all was run.
	fmt.Printf("EXIT:%d\n", failed)
	time.Sleep(100 * time.Millisecond) // for the serial line
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

func run() (failed int, err error) {
	if err := mounts(); err != nil {
		return 0, err
	}
	if err := modules(); err != nil {
		return 0, err
	}
	data, err := os.ReadFile("/commands.json")
	if err != nil {
		return 0, err
	}
	var commands []Command
	if err := json.Unmarshal(data, &commands); err != nil {
		return 0, err
	}
	for _, c := range commands {
		began := time.Now()
		cmd := exec.Command(c.Args[0], c.Args[1:]...)
		cmd.Env = append([]string{"PATH=/bin:/usr/sbin", "HOME=/tmp", "TMPDIR=/tmp"}, c.Env...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
		result := "ok"
		if err := cmd.Run(); err != nil {
			failed++
			result = err.Error()
		}
		fmt.Printf("RAN:%s:%s (%.1fs)\n", strings.Join(c.Args, " "), result, time.Since(began).Seconds())
	}
	return failed, nil
}

func mounts() error {
	for _, m := range []struct{ what, where string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"},
	} {
		if err := os.MkdirAll(m.where, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m.what, m.where, m.what, 0, ""); err != nil {
			return fmt.Errorf("mount %s on %s: %w", m.what, m.where, err)
		}
	}
	return nil
}

// modules loads what lies in /modules, which is named in the order of need.
func modules() error {
	files, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		f.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("load %s: %w", filepath.Base(file), err)
		}
	}
	return nil
}
