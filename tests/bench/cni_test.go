package bench

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// pluginDir is where Debian's containernetworking-plugins are.
const pluginDir = "/usr/lib/cni"

// cni lets cnitool call the plugins bridge, host-local and portmap for each
// container, as a container runtime does. The namespaces are made here, at no
// cost to CNI.
type cni struct{ tool, config string }

func newCNI(t testing.TB) peer {
	c := cni{tool: sandboxtest.Tool(t, "cnitool"), config: t.TempDir()}
	for _, plugin := range []string{"bridge", "host-local", "portmap"} {
		sandboxtest.Tool(t, filepath.Join(pluginDir, plugin))
	}
	// cnitool and the plugins keep their books under /var/lib, which is the
	// machine's own; in this mount namespace it may be covered.
	if err := unix.Mount("tmpfs", "/var/lib", "tmpfs", 0, "size=16m"); err != nil {
		t.Fatalf("cover /var/lib: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount("/var/lib", unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	list := fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "%s", "plugins": [
		{"type": "bridge", "bridge": "%s", "isGateway": true, "ipMasq": true,
		 "ipam": {"type": "host-local", "subnet": "%s", "gateway": "%s", "routes": [{"dst": "0.0.0.0/0"}]}},
		{"type": "portmap", "capabilities": {"portMappings": true}}]}`, network, network, subnet, gateway)
	if err := os.WriteFile(filepath.Join(c.config, network+".conflist"), []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c cni) setUp(t testing.TB, n int) {
	for i := 1; i <= n; i++ {
		if _, err := netns.Create(container(i)); err != nil {
			t.Fatal(err)
		}
		c.run(t, "add", i)
	}
}

func (c cni) tearDown(t testing.TB, n int) {
	for i := 1; i <= n; i++ {
		c.run(t, "del", i)
		if err := netns.Delete(container(i)); err != nil {
			t.Fatal(err)
		}
	}
	// What stays is the runtime's to clean away: the bridge, the books of the
	// addresses given out, and ip_forward.
	sh(t, []string{"ip link delete " + network, "rm -rf /var/lib/cni", "sysctl -qw net.ipv4.ip_forward=0"})
}

func (c cni) run(t testing.TB, verb string, i int) {
	t.Helper()
	cmd := exec.Command(c.tool, verb, network, netns.Path(container(i)))
	cmd.Env = append(os.Environ(), "CNI_PATH="+pluginDir, "NETCONFPATH="+c.config,
		fmt.Sprintf(`CAP_ARGS={"portMappings": [{"hostPort": %d, "containerPort": 80, "protocol": "tcp"}]}`, port(i)))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("cnitool %s %s: %v\n%s", verb, container(i), err, out.String())
	}
}
