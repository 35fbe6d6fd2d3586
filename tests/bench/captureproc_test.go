package bench

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// envRole makes a process of this test binary a sender or a watcher.
const envRole = "VETHSCOPE_BENCH_ROLE"

func init() {
	var err error
	switch os.Getenv(envRole) {
	case "":
		return
	case "send":
		err = sendMain(os.Args[1])
	case "flows":
		err = flowsMain(os.Args[1])
	case "witness":
		err = witnessMain(os.Args[1])
	case "watch":
		err = watchMain(os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// The processors of the sender and of who watches.
const (
	senderCPU  = 0
	watcherCPU = 1
)

// start starts a process in the namespace at path, on one processor.
func start(path string, cpu int, cmd *exec.Cmd) error {
	return netns.Do(path, func() error {
		var before, one unix.CPUSet
		if err := unix.SchedGetaffinity(0, &before); err != nil {
			return err
		}
		if before.IsSet(cpu) { // otherwise the sides share what there is
			one.Set(cpu)
			if err := unix.SchedSetaffinity(0, &one); err != nil {
				return err
			}
			defer func() { _ = unix.SchedSetaffinity(0, &before) }()
		}
		return cmd.Start()
	})
}

// role is a process of our own.
func role(name string, arg any) (*exec.Cmd, error) {
	text, err := json.Marshal(arg)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", string(text))
	cmd.Env = append(os.Environ(), envRole+"="+name)
	return cmd, nil
}

// send sends from a namespace and waits until all is sent.
func send(t testing.TB, ns string, o order) sentReport {
	t.Helper()
	return sendBy(t, netns.Path(ns), "send", o)
}

// sendFlows is send for new flows.
func sendFlows(t testing.TB, o flowOrder) sentReport {
	t.Helper()
	return sendBy(t, netns.Path("from"), "flows", o)
}

// sendBy sends in the namespace at path and waits until all is sent.
func sendBy(t testing.TB, path, name string, o any) sentReport {
	t.Helper()
	cmd, err := role(name, o)
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := start(path, senderCPU, cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("sender: %v: %s", err, errs.String())
	}
	var r sentReport
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// cpuTime is what a process has used so far (clock_getcpuclockid(3)).
func cpuTime(pid int) time.Duration {
	const sched = 2
	var ts unix.Timespec
	if unix.ClockGettime(int32(^uint32(pid)<<3|sched), &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// lines collects what a process writes, and tells of its first line.
type lines struct {
	mu    sync.Mutex
	text  []string
	first chan struct{}
	done  chan struct{}
}

func readLines(r io.Reader) *lines {
	l := &lines{first: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		s := bufio.NewScanner(r)
		for s.Scan() {
			l.mu.Lock()
			if l.text = append(l.text, s.Text()); len(l.text) == 1 {
				close(l.first)
			}
			l.mu.Unlock()
		}
	}()
	return l
}

func (l *lines) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.text)
}

func (l *lines) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) == 0 {
		return ""
	}
	return l.text[len(l.text)-1]
}

func (l *lines) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.text, "\n")
}

// wire is two namespaces with a veth between them, silent but for us.
func wire(t testing.TB) {
	t.Helper()
	sandboxtest.NS(t, "from")
	sandboxtest.NS(t, "to")
	sandboxtest.Run(t, "from", "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "to")
	for _, ns := range []string{"from", "to"} {
		up(t, netns.Path(ns))
	}
}

// up makes eth0 ready, and silent.
func up(t testing.TB, path string) {
	t.Helper()
	if err := netns.Do(path, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", []byte("1"), 0o644); err != nil {
			return err
		}
		out, err := exec.Command(sandboxtest.Tool(t, "ip"), "link", "set", "eth0", "arp", "off", "up").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// moveWire moves the receiving end into a process's namespace.
func moveWire(t testing.TB, pid int) {
	t.Helper()
	sandboxtest.Run(t, "to", "ip", "link", "set", "eth0", "netns", strconv.Itoa(pid))
	up(t, fmt.Sprintf("/proc/%d/ns/net", pid))
}

// sockets is the number of packet sockets in a namespace: how we know that a
// tool has opened its own.
func sockets(t testing.TB, path string) int {
	t.Helper()
	n := 0
	if err := netns.Do(path, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/packet")
		n = bytes.Count(b, []byte("\n")) - 1
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// pipes are the standard output and error of a process, unless its output goes
// elsewhere.
func pipes(t testing.TB, cmd *exec.Cmd) (stdout, stderr io.Reader) {
	t.Helper()
	stdout = strings.NewReader("")
	var err error
	if cmd.Stdout == nil {
		if stdout, err = cmd.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
	}
	if stderr, err = cmd.StderrPipe(); err != nil {
		t.Fatal(err)
	}
	return stdout, stderr
}

// cpuTree is what a process and its children have used so far.
func cpuTree(pid int) time.Duration {
	sum := cpuTime(pid)
	for _, child := range children(pid) {
		sum += cpuTree(child)
	}
	return sum
}

// killTree ends a process and its children.
func killTree(pid int) {
	for _, child := range children(pid) {
		killTree(child)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
}

func children(pid int) (out []int) {
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, task := range tasks {
		list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task.Name()))
		for _, child := range strings.Fields(string(list)) {
			if n, err := strconv.Atoi(child); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}
