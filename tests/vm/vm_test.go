// Package vm runs the tests of the network modes on another kernel, in a virtual
// machine: Debian's cloud kernel, which has ipvlan and all else that the modes
// need, and is older than the one that most developers run (6.1 in Debian 12; the
// promise is 5.10 and later).
//
// The kernel is that of the package that linux-image-cloud-amd64 depends on,
// unpacked by `dpkg-deb -x` into $VETHSCOPE_TEST_KERNEL or, without that, into
// vethscope/kernel under the user's cache directory. .ci/run does so. The machine
// needs no root. It is emulated in software even where it could be faster: on some
// hosts /dev/kvm is there, and the guest hangs.
package vm

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"vethscope/ops/sandbox/sandboxtest"
)

// machineTime is when a machine is taken for stuck.
const machineTime = 13 * time.Minute

// modules are what the modes need of the kernel, and the tests' other programs.
var modules = []string{
	"crc32c_generic", // libcrc32c asks for it by name
	"ipv6", "af_packet", "unix",
	"veth", "bridge", "br_netfilter", "macvlan", "ipvlan", "vxlan", "dummy", "vrf", "8021q",
	"nf_tables", "nft_chain_nat", "nft_nat", "nft_masq", "nft_ct", "nft_fib_inet", "nft_redir", "nft_log", "nft_limit",
	"nf_conntrack_netlink",
}

// hang ends a test that hangs, and has it say where, before the machine is taken for
// stuck.
const hang = "-test.timeout=8m"

// crashTests are the rows of the crash matrix.
var crashTests = []string{"TestFailureAtEveryStep", "TestKillAtEveryStep", "TestDiskFull", "TestJournalLost", "TestScript", "TestWhole"}

// command is what tests/vm/init runs.
type command struct {
	Args []string `json:"args"`
	Env  []string `json:"env"`
}

func TestModes(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the virtual machine is an amd64 one")
	}
	qemu := sandboxtest.Tool(t, "qemu-system-x86_64")
	kernel, tree := kernel(t)
	dir := t.TempDir()
	var m image
	m.modules(t, tree, modules...)
	for _, tool := range []string{"ip", "bridge", "nft", "sysctl", "sh", "ps", "find", "grep", "sort", "true"} {
		m.program(t, sandboxtest.Tool(t, tool))
	}
	m.file(t, "/init", build(t, dir, "init", "build", "./init"))
	m.file(t, "/bin/vethscope", build(t, dir, "vethscope", "build", "vethscope/cmd/vethscope"))
	m.file(t, "/modes.test", build(t, dir, "modes.test", "test", "-c", "vethscope/tests/modes"))
	m.file(t, "/crash.test", build(t, dir, "crash.test", "test", "-c", "vethscope/tests/crash"))
	m.file(t, "/labs.test", build(t, dir, "labs.test", "test", "-c", "vethscope/tests/labs"))
	for _, d := range []string{"dev", "proc", "sys", "tmp", "run", "etc", "var"} {
		m.dirs(d)
	}
	commands := []command{
		// In sandboxes, as everywhere, but with nothing skipped.
		{[]string{"/modes.test", "-test.v", hang}, []string{"CI=true", "VETHSCOPE_TEST_IPVLAN=require"}},
		{[]string{"/crash.test", "-test.v", hang, "-test.run", "^(" + strings.Join(crashTests, "|") + ")$/^ipvlan$"},
			[]string{"CI=true", "VETHSCOPE_TEST_IPVLAN=require"}},
		{[]string{"/labs.test", "-test.v", hang, "-test.run", "^TestBuiltIn$/^ipvlan"}, []string{"CI=true"}},
		// On the machine itself, as root.
		{[]string{"/bin/vethscope", "--host", "create", "ipvlan", "iv", "--subnet", "10.0.1.0/24", "--submode", "l3s"}, nil},
		{[]string{"/bin/vethscope", "prove", "iv"}, nil},
		{[]string{"/bin/vethscope", "--host", "delete", "iv"}, nil},
		{[]string{"/bin/vethscope", "demo", "nat"}, nil},
	}
	data, err := json.Marshal(commands)
	if err != nil {
		t.Fatal(err)
	}
	m.put("commands.json", modeFile|0o644, data)
	out := boot(t, qemu, kernel, m.bytes(), dir)
	judge(t, out, commands)
}

// kernel finds the kernel and the directory of its modules.
func kernel(t *testing.T) (image, tree string) {
	t.Helper()
	dir := os.Getenv("VETHSCOPE_TEST_KERNEL")
	if dir == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = "/nonexistent" // there is no kernel then
		}
		dir = filepath.Join(cache, "vethscope", "kernel")
	}
	images, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if len(images) != 1 {
		msg := "no kernel in " + dir + ": unpack the package that linux-image-cloud-amd64 depends on there, with dpkg-deb -x"
		if os.Getenv("CI") == "true" {
			t.Fatal(msg)
		}
		t.Skip(msg)
	}
	version := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	for _, under := range []string{"lib", "usr/lib"} { // usr/lib since Debian 13
		tree = filepath.Join(dir, under, "modules", version)
		if _, err := os.Stat(tree); err == nil {
			break
		}
	}
	t.Log("kernel ", version)
	return images[0], tree
}

// build makes a static binary with the go command.
func build(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	args = append(args[:len(args)-1:len(args)-1], "-o", path, args[len(args)-1])
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-ldflags=-s")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return path
}

// boot runs the machine to its end and returns what it said on its serial line.
func boot(t *testing.T, qemu, kernel string, initramfs []byte, dir string) string {
	t.Helper()
	initrd := filepath.Join(dir, "initramfs")
	if err := os.WriteFile(initrd, initramfs, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), machineTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-M", "microvm,acpi=off,rtc=on", "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "512",
		"-nodefaults", "-no-user-config", "-nographic", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initrd, "-append", "console=ttyS0 reboot=t panic=-1 quiet")
	// It must not outlive the test, however that ends; the signal comes with
	// the end of the thread that started it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("qemu: %v after %s\n%s", err, time.Since(began).Round(time.Second), out.String())
	}
	t.Logf("the machine ran for %s", time.Since(began).Round(time.Second))
	return strings.ReplaceAll(out.String(), "\r\n", "\n")
}

var marker = regexp.MustCompile(`(?m)^EXIT:(\d+)$`)

// judge fails the test unless every command was run, none failed, and the tests of
// ipvlan were among them.
func judge(t *testing.T, out string, commands []command) {
	t.Helper()
	end := marker.FindStringSubmatch(out)
	switch {
	case end == nil:
		t.Errorf("the machine did not come to its end")
	case end[1] != "0":
		t.Errorf("%s of %d commands failed", end[1], len(commands))
	}
	for _, c := range commands {
		if line := "RAN:" + strings.Join(c.Args, " ") + ":ok"; !strings.Contains(out, line) {
			t.Errorf("the machine did not say %q", line)
		}
	}
	want := []string{"TestC7IpvlanL2", "TestC8IpvlanL3", "TestBuiltIn/ipvlan-l2", "TestBuiltIn/ipvlan-l3"}
	for _, row := range crashTests {
		want = append(want, row+"/ipvlan")
	}
	for _, test := range want {
		if !strings.Contains(out, "--- PASS: "+test+" (") {
			t.Errorf("%s did not pass", test)
		}
	}
	if strings.Contains(out, "--- SKIP") {
		t.Error("a test was skipped")
	}
	t.Log(out)
}
