package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// sideOf makes the networks of one side. Each method leaves the containers'
// namespaces under the names that are told, and returns what takes it all back.
type sideOf interface {
	// bridge: web-1 (172.18.0.2, port 80 published at 8080) and web-2 on the
	// bridge web, 172.18.0.0/24.
	bridge() (undo func())
	// nameServer is whom the containers of bridge ask.
	nameServer() string
	none() (undo func()) // alone
	// host tells the path of the container's namespace.
	host() (path string, undo func())
	container() (undo func()) // beside, with the namespace of web-1, of bridge
	// macvlan: lan-1 (192.168.50.10) and lan-2 (.11) on the parent lan0.
	macvlan() (undo func())
	// overlay: ov-a1 on the host ov-a and ov-b1 on ov-b, 10.0.1.0/24.
	overlay() (o overlay, undo func())
}

// overlay is where the parts of an overlay network are.
type overlay struct {
	ns, vxlan string // of the VXLAN link of the host ov-a
	gateway   string // the bridge of the second legs, on the host ov-a
}

// failure is a panic of ours: a side has nobody to hand errors to.
type failure struct{ error }

func must(err error) {
	if err != nil {
		panic(failure{err})
	}
}

// run runs a program and returns what it says.
func run(args ...string) string {
	cmd := exec.Command(args[0], args[1:]...)
	var out, errout bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errout
	if err := cmd.Run(); err != nil {
		must(fmt.Errorf("%s: %w\n%s%s", strings.Join(args, " "), err, out.String(), errout.String()))
	}
	return out.String()
}

// lines runs a shell-like list of commands, without a shell.
func lines(text string) {
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			run(words...)
		}
	}
}

// runSide is the whole life of a side; its result is the exit status.
func runSide(name string) (status int) {
	defer func() {
		if f, ok := recover().(failure); ok {
			fmt.Fprintln(os.Stderr, f.error)
			status = 1
		}
	}()
	prepare()
	var s sideOf
	if name == "docker" {
		e := startEngine("", "/run/engine")
		defer e.stop()
		s = engineSide{e}
	} else {
		s = ourSide{os.Getenv("VETHSCOPE_TEST_BINARY")}
	}
	must(json.NewEncoder(os.Stdout).Encode(collect(s)))
	return 0
}

// prepare makes the small world that both sides begin with: an uplink to a machine
// outside, which routes nothing back, and a LAN with another machine.
func prepare() {
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("proc", "/proc", "proc", 0, ""))
	must(unix.Mount("tmpfs", "/run", "tmpfs", 0, ""))
	// Docker Engine writes a key to /etc/docker.
	for _, dir := range []string{"/run/netns", "/run/etc", "/run/work"} {
		must(os.Mkdir(dir, 0o755))
	}
	must(unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=/run/etc,workdir=/run/work"))
	lines(`ip link set lo up
		ip netns add outside
		ip link add up0 type veth peer name eth0 netns outside
		ip addr add 10.10.0.1/24 dev up0
		ip link set up0 up
		ip -n outside link set lo up
		ip -n outside addr add 10.10.0.2/24 dev eth0
		ip -n outside link set eth0 up
		ip route add default via 10.10.0.2
		ip netns add machine
		ip link add lan0 type veth peer name eth0 netns machine
		ip addr add 192.168.50.2/24 dev lan0
		ip link set lan0 up
		ip -n machine link set lo up
		ip -n machine addr add 192.168.50.1/24 dev eth0
		ip -n machine link set eth0 up`)
}

// ourSide is vethscope.
type ourSide struct{ binary string }

func (s ourSide) create(name string, args ...string) (undo func()) {
	run(append([]string{s.binary, "--host", "create"}, args...)...)
	return func() { run(s.binary, "--host", "delete", name) }
}

func (s ourSide) bridge() func() {
	return s.create("web", "bridge", "web", "--containers", "2", "--subnet", "172.18.0.0/24", "--publish", "8080:80")
}

func (s ourSide) none() func() { return s.create("alone", "none", "alone") }

func (s ourSide) host() (string, func()) {
	return "/proc/self/ns/net", s.create("self", "host", "self")
}

func (s ourSide) nameServer() string { return "172.18.0.1" }

func (s ourSide) container() func() {
	return s.create("beside", "container", "beside", "--with", "web-1")
}

func (s ourSide) macvlan() func() {
	return s.create("lan", "macvlan", "lan", "--parent", "lan0", "--subnet", "192.168.50.0/24",
		"--gateway", "192.168.50.1", "--first", "192.168.50.10", "--containers", "2")
}

func (s ourSide) overlay() (overlay, func()) {
	undo := s.create("ov", "overlay", "ov", "--hosts", "2", "--subnet", "10.0.1.0/24", "--vni", "4097", "--gwbridge", "--underlay", "192.168.60.0/24")
	return overlay{ns: "ov-a", vxlan: "vx-ov", gateway: "gw-ov"}, undo
}
