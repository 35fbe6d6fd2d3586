package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"vethscope/ops/netns"
)

// engine is a Docker Engine of our own.
type engine struct {
	dir string // with all that it keeps
	cmd *exec.Cmd
}

// startTime is when an engine is taken for stuck.
const startTime = time.Minute

// startEngine starts a Docker Engine in the namespace called ns and gives it an
// image with busybox.
func startEngine(ns, dir string) *engine {
	must(os.MkdirAll(dir+"/config", 0o700))
	log, err := os.Create(dir + "/log")
	must(err)
	defer log.Close()
	e := &engine{dir: dir}
	e.cmd = exec.Command("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"-H", e.socket(), "--storage-driver", "vfs", "--bridge", "none",
		"--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", cgroupParent)
	e.cmd.Stdout, e.cmd.Stderr = log, log
	must(netns.Do(netns.Path(ns), e.cmd.Start))
	for end := time.Now().Add(startTime); ; time.Sleep(50 * time.Millisecond) {
		if e.try("info") == nil {
			break
		}
		if time.Now().After(end) {
			data, _ := os.ReadFile(dir + "/log")
			must(fmt.Errorf("dockerd is not ready after %s:\n%s", startTime, data))
		}
	}
	e.load()
	return e
}

func (e *engine) socket() string { return "unix://" + e.dir + "/socket" }

// stop ends the engine and waits for it.
func (e *engine) stop() {
	must(e.cmd.Process.Signal(os.Interrupt))
	done := time.AfterFunc(startTime, func() { _ = e.cmd.Process.Kill() })
	defer done.Stop()
	must(e.cmd.Wait())
}

func (e *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.socket(), "DOCKER_CONFIG="+e.dir+"/config")
	return cmd
}

func (e *engine) try(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	return e.command(ctx, args...).Run()
}

// docker runs a command of docker(1) and returns what it says.
func (e *engine) docker(args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	cmd := e.command(ctx, args...)
	var errout bytes.Buffer
	cmd.Stderr = &errout
	out, err := cmd.Output()
	if err != nil {
		log, _ := os.ReadFile(e.dir + "/log")
		must(fmt.Errorf("docker %s: %w\n%s\n%s", strings.Join(args, " "), err, errout.String(), log))
	}
	return strings.TrimSpace(string(out))
}

// load makes an image of one file, so that none has to be fetched.
func (e *engine) load() {
	path, err := exec.LookPath("busybox")
	must(err)
	data, err := os.ReadFile(path)
	must(err)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	must(w.WriteHeader(&tar.Header{Name: "bin/busybox", Mode: 0o755, Size: int64(len(data))}))
	_, err = w.Write(data)
	must(err)
	must(w.Close())
	cmd := e.command(context.Background(), "import", "-", "busybox")
	cmd.Stdin = &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		must(fmt.Errorf("docker import: %w\n%s", err, out))
	}
}

// start runs an idle container; a namespace of its own gets the container's name.
func (e *engine) start(name string, options ...string) {
	e.docker(append(append([]string{"run", "-d", "--name", name}, options...), "busybox", "/bin/busybox", "sleep", "86400")...)
	run("ip", "netns", "attach", name, e.pid(name))
}

func (e *engine) pid(name string) string { return e.docker("inspect", "-f", "{{.State.Pid}}", name) }

func (e *engine) remove(names ...string) {
	for _, name := range names {
		run("ip", "netns", "delete", name)
		e.docker("rm", "-f", name)
	}
}

// engineSide is Docker.
type engineSide struct{ *engine }

func (s engineSide) bridge() func() {
	s.docker("network", "create", "--subnet", "172.18.0.0/24", "-o", "com.docker.network.bridge.name=web", "web")
	s.start("web-1", "--network", "web", "-p", "8080:80")
	s.start("web-2", "--network", "web")
	return func() {
		s.remove("web-1", "web-2")
		s.docker("network", "rm", "web")
	}
}

func (s engineSide) none() func() {
	s.start("alone", "--network", "none")
	return func() { s.remove("alone") }
}

// nameServer is the engine itself, by a listener in every container.
func (s engineSide) nameServer() string { return "127.0.0.11" }

func (s engineSide) host() (string, func()) {
	s.docker("run", "-d", "--name", "self", "--network", "host", "busybox", "/bin/busybox", "sleep", "86400")
	return "/proc/" + s.pid("self") + "/ns/net", func() { s.docker("rm", "-f", "self") }
}

func (s engineSide) container() func() {
	s.start("beside", "--network", "container:web-1")
	return func() { s.remove("beside") }
}

func (s engineSide) macvlan() func() {
	s.docker("network", "create", "-d", "macvlan", "--subnet", "192.168.50.0/24", "--gateway", "192.168.50.1", "-o", "parent=lan0", "lan")
	s.start("lan-1", "--network", "lan", "--ip", "192.168.50.10")
	s.start("lan-2", "--network", "lan", "--ip", "192.168.50.11")
	return func() {
		s.remove("lan-1", "lan-2")
		s.docker("network", "rm", "lan")
	}
}

// overlay needs two engines, on hosts that are namespaces, and a swarm of them.
func (s engineSide) overlay() (overlay, func()) {
	lines(`ip netns add ov-a
		ip netns add ov-b
		ip -n ov-a link add eth0 type veth peer name eth0 netns ov-b
		ip -n ov-a addr add 192.168.60.2/24 dev eth0
		ip -n ov-b addr add 192.168.60.3/24 dev eth0
		ip -n ov-a link set eth0 up
		ip -n ov-b link set eth0 up
		ip -n ov-a link set lo up
		ip -n ov-b link set lo up`)
	a, b := startEngine("ov-a", "/run/engine-a"), startEngine("ov-b", "/run/engine-b")
	a.docker("swarm", "init", "--advertise-addr", "192.168.60.2")
	b.docker("swarm", "join", "--token", a.docker("swarm", "join-token", "-q", "worker"), "--advertise-addr", "192.168.60.3", "192.168.60.2:2377")
	a.docker("network", "create", "-d", "overlay", "--attachable", "--subnet", "10.0.1.0/24", "ov")
	a.start("ov-a1", "--network", "ov")
	b.start("ov-b1", "--network", "ov")
	// The overlay's own namespace is called 1- and the begin of its id.
	id := a.docker("network", "inspect", "-f", "{{.Id}}", "ov")
	found, err := filepath.Glob(a.dir + "/exec/netns/1-" + id[:8] + "*")
	must(err)
	if len(found) != 1 {
		must(fmt.Errorf("the overlay has namespaces %v", found))
	}
	return overlay{ns: found[0], vxlan: "vxlan0", gateway: "docker_gwbridge"}, func() {
		a.remove("ov-a1")
		b.remove("ov-b1")
		b.docker("swarm", "leave")
		a.docker("swarm", "leave", "--force")
		a.stop()
		b.stop()
		run("ip", "netns", "delete", "ov-a")
		run("ip", "netns", "delete", "ov-b")
	}
}
