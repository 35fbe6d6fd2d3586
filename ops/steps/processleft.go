package steps

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LeftProcesses finds the background processes that a vethscope started, by the
// variable in their environment, whether a journal knows them or not: those that
// see the same files as we do, so that no other sandbox's are among them. The
// Undo of each ends it.
func LeftProcesses() ([]*ProcessStart, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return nil, fmt.Errorf("own mount namespace: %w", err)
	}
	var out []*ProcessStart
	for _, dir := range dirs {
		// What ends meanwhile, or is not ours to read, is not ours.
		environ, _ := os.ReadFile(dir + "/environ")
		token, ok := bytes.CutPrefix(bytes.TrimRight(environ, "\x00"), []byte(tokenVariable+"="))
		world, _ := os.Readlink(dir + "/ns/mnt")
		pid, err := strconv.Atoi(filepath.Base(dir))
		if !ok || world != own || err != nil {
			continue
		}
		started, err := startTime(pid)
		if err != nil {
			continue
		}
		cmdline, _ := os.ReadFile(dir + "/cmdline")
		args := strings.Split(strings.TrimRight(string(cmdline), "\x00"), "\x00")
		out = append(out, &ProcessStart{Args: args[1:], Token: string(token), PID: pid, Started: started})
	}
	return out, nil
}
