// Package docker makes the same networks with a real Docker Engine and with
// vethscope, and compares what matters: links, addresses, routes, rules, and who
// reaches whom. What differs is listed, with the reason, in differences; anything
// else that differs fails the test, and so does a difference that is listed and
// not there.
//
// It needs real root. Each side runs in network, mount and pid namespaces of its
// own, with a /run and an /etc of its own, and nothing of it is left on the
// machine.
package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// Thread 0 stays at home: this process runs as a side, too.
func init() { netns.Pin() }

// sideEnv makes the test binary one of the sides; its value is the side's name.
const sideEnv = "VETHSCOPE_TEST_SIDE"

func TestMain(m *testing.M) {
	if name := os.Getenv(sideEnv); name != "" {
		os.Exit(runSide(name))
	}
	os.Exit(m.Run())
}

// The modes that are compared. ipvlan is not: where this is developed the kernel
// lacks it.
var compared = []string{"bridge", "none", "host", "container", "macvlan", "overlay"}

func TestAgainstDocker(t *testing.T) {
	if !realRoot() {
		t.Skip("needs root: Docker Engine cannot run without")
	}
	for _, tool := range []string{"dockerd", "docker", "busybox", "ip", "bridge", "iptables"} {
		sandboxtest.Tool(t, tool)
	}
	binary := filepath.Join(t.TempDir(), "vethscope")
	build := exec.Command("go", "build", "-o", binary, "vethscope/cmd/vethscope")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	before := machine(t)
	docker, ours := side(t, "docker", binary), side(t, "vethscope", binary)
	removeCgroups(t)
	if after := machine(t); after != before {
		t.Errorf("the machine is not as before:\n%s\nbefore:\n%s", after, before)
	}
	for _, mode := range compared {
		t.Run(mode, func(t *testing.T) { compare(t, mode, docker[mode], ours[mode]) })
	}
}

// compare holds what was found against what is listed.
func compare(t *testing.T, mode string, docker, ours facts) {
	if len(docker) < 2 || len(ours) < 2 {
		t.Fatalf("found only %v and %v", docker, ours)
	}
	listed := map[string]difference{}
	for _, d := range differences {
		for _, what := range d.what {
			// A list is for several modes, of which not all have all.
			if _, known := ours[what]; known && slices.Contains(d.modes, mode) {
				listed[what] = d
			}
		}
	}
	keys := maps.Clone(docker)
	maps.Copy(keys, ours)
	for _, what := range slices.Sorted(maps.Keys(keys)) {
		d, ok := listed[what]
		switch {
		case docker[what] == ours[what] && ok:
			t.Errorf("%s is listed as different, and is not: %s", what, ours[what])
		case ok && (docker[what] != d.docker || ours[what] != d.ours):
			t.Errorf("%s:\n  docker    %q, listed %q\n  vethscope %q, listed %q", what, docker[what], d.docker, ours[what], d.ours)
		case docker[what] != ours[what] && !ok:
			t.Errorf("%s:\n  docker    %q\n  vethscope %q", what, docker[what], ours[what])
		case ok:
			t.Logf("different: %s: docker %q, vethscope %q: %s", what, d.docker, d.ours, d.why)
		default:
			t.Logf("the same: %s: %s", what, ours[what])
		}
	}
}

// realRoot is false for the root of a user namespace.
func realRoot() bool {
	data, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Geteuid() == 0 && strings.Join(strings.Fields(string(data)), " ") == "0 0 4294967295"
}

// side runs this binary as one side, in namespaces of its own, and returns what
// was found for each mode. When it ends, all that it started ends with it.
func side(t *testing.T, name, binary string) map[string]facts {
	t.Helper()
	// The side is to be killed with us: the signal follows this thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), sideEnv+"="+name, "VETHSCOPE_TEST_BINARY="+binary)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	if err != nil || testing.Verbose() {
		t.Log(log.String())
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var found map[string]facts
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return found
}

// machine is what Docker Engine might leave behind on it.
func machine(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	links := sandboxtest.Run(t, "", "ip", "-br", "link")
	var there []string
	for _, pattern := range []string{
		"/etc/docker", "/var/lib/docker", "/run/docker*", "/run/containerd", "/var/lib/containerd/*", "/run/netns/*", "/run/vethscope",
		"/sys/fs/cgroup/docker", "/sys/fs/cgroup/*/docker", cgroupParent, "/sys/fs/cgroup/*" + cgroupParent,
	} {
		found, _ := filepath.Glob(pattern)
		there = append(there, found...)
	}
	return fmt.Sprintf("%s%s%s\n", data, links, strings.Join(there, "\n"))
}

// cgroupParent holds the containers' control groups.
var cgroupParent = "/vethscope-test-docker"

// removeCgroups removes the empty groups that the engine leaves.
func removeCgroups(t *testing.T) {
	t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup" + cgroupParent, "/sys/fs/cgroup/*" + cgroupParent} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			var all []string
			_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					all = append(all, path)
				}
				return err
			})
			for _, d := range slices.Backward(all) {
				if err := syscall.Rmdir(d); err != nil {
					t.Errorf("remove control group %s: %v", d, err)
				}
			}
		}
	}
}
