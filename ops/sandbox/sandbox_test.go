package sandbox_test

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"vethscope/ops/sandbox"
	"vethscope/ops/sandbox/sandboxtest"
)

func TestExitStatus(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for _, c := range []struct {
			args   []string
			status int
			stderr string
		}{
			{[]string{"true"}, 0, ""},
			{[]string{"sh", "-c", "exit 7"}, 7, ""},
			{[]string{"sh", "-c", "kill -KILL $$"}, 137, ""},
			{[]string{"sh", "-c", "kill -TERM $$"}, 143, ""},
			{[]string{"nosuch"}, 127, "nosuch: command not found"},
			{[]string{"/nosuch/x"}, 127, "/nosuch/x: command not found"},
			{[]string{"/etc/passwd"}, 126, "/etc/passwd: permission denied"},
		} {
			status, out, errs := outcome(program(t, u, "run", c.args...))
			if status != c.status || out != "" || !strings.Contains(errs, c.stderr) || (c.stderr == "") != (errs == "") {
				t.Errorf("%q: status %d, output %q, errors %q; want %d, %q", c.args, status, out, errs, c.status, c.stderr)
			}
		}
	})
}

func TestStandardStreams(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		cmd := program(t, u, "run", "sh", "-c", "cat; echo to stderr >&2")
		cmd.Stdin = strings.NewReader("from stdin")
		if status, out, errs := outcome(cmd); status != 0 || out != "from stdin" || errs != "to stderr\n" {
			t.Errorf("status %d, output %q, errors %q", status, out, errs)
		}
	})
}

// Without arguments it is a shell, which has the descriptors that it would have
// outside: none of the sandbox's own.
func TestShell(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		const script = "echo $((6*7)); ls /proc/self/fd; exit 5\n"
		plain := program(t, u, "")
		plain.Path, plain.Args = "/bin/sh", []string{"sh"}
		plain.Stdin = strings.NewReader(script)
		wantStatus, want, _ := outcome(plain)

		cmd := program(t, u, "run")
		cmd.Env = append(cmd.Env, "SHELL=/nosuch")
		cmd.Stdin = strings.NewReader(script)
		status, out, errs := outcome(cmd)
		if wantStatus != 5 || status != 5 || out != want || !strings.HasPrefix(out, "42\n0\n") {
			t.Errorf("status %d, output %q, errors %q; a plain shell has %d, %q", status, out, errs, wantStatus, want)
		}
	})
}

func TestInside(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		inside := sandbox.Exe + " role=inside"
		for _, c := range []struct{ what, script, want string }{
			{"in a sandbox", "exec " + inside, "true"},
			{"in another net namespace of it", "exec ip netns exec outside " + inside, "true"},
			{"with another's marker", `echo '{"user_ns":1,"net_ns":2}' >/run/vethscope/sandbox.json; exec ` + inside, "false"},
			{"with a broken marker", `echo '{' >/run/vethscope/sandbox.json; exec ` + inside, "false"},
			{"without a marker", `rm /run/vethscope/sandbox.json; exec ` + inside, "false"},
		} {
			// A shell's own /proc/self/exe is the shell.
			script := strings.ReplaceAll(c.script, sandbox.Exe, "/proc/1/exe")
			if status, out, errs := outcome(program(t, u, "run", "sh", "-c", script)); status != 0 || out != c.want+"\n" {
				t.Errorf("%s: %q, status %d, %s; want %s", c.what, out, status, errs, c.want)
			}
		}
	})
	if os.Getenv("VETHSCOPE_SANDBOXTEST") == "" {
		_, out, _ := outcome(program(t, nil, "inside"))
		if _, err := os.Stat("/run/vethscope/sandbox.json"); err != nil && out != "false\n" {
			t.Errorf("outside of a sandbox: %q, want false", out)
		}
	}
}

// A sandbox changes nothing around it.
func TestSurroundings(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		before := surroundings(t)
		script := `
			mount -t tmpfs none /mnt
			ip link set up0 down
			echo 1 >/proc/sys/net/ipv4/ip_forward
			ip netns add left-over
			touch /run/left-over`
		if status, _, errs := outcome(program(t, u, "run", "sh", "-ec", script)); status != 0 {
			t.Fatalf("status %d: %s", status, errs)
		}
		if after := surroundings(t); after != before {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
	})
}

func surroundings(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, file := range []string{"/proc/self/mountinfo", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/ping_group_range"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(data)
	}
	for _, dir := range []string{"/run", "/run/netns"} {
		entries, _ := os.ReadDir(dir)
		fmt.Fprintln(&b, dir, entries)
	}
	links, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&b, links)
	return b.String()
}

func TestWorld(t *testing.T) {
	ip := sandboxtest.Tool(t, "ip")
	users(t, func(t *testing.T, u *syscall.Credential) {
		for _, c := range []struct{ command, want string }{
			{"ip netns", "outside (id: 0)\n"},
			{"ip -4 -o route show default", "default via 10.10.0.2 dev up0 \n"},
			{"ip -6 -o route show default", "default via fd10:10::2 dev up0 metric 1024 pref medium\n"},
			{"ip -br -4 addr show up0", "up0@if2          UP             10.10.0.1/24 \n"},
			{"ip -n outside -br -4 addr show eth0", "eth0@if2         UP             10.10.0.2/24 \n"},
			{"ip -n outside route show default", ""},
			{"ip netns exec outside cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding", "0\n0\n"},
			{"cat /proc/sys/net/ipv4/ip_forward", "0\n"},
			{"/proc/1/exe role=ping host 10.10.0.2", "1 <nil>\n"},
			{"/proc/1/exe role=ping host fd10:10::2", "1 <nil>\n"},
			{"/proc/1/exe role=ping outside 10.10.0.1", "1 <nil>\n"},
			{"ls /sys/class/net", "lo\nup0\n"},
		} {
			command := strings.Replace(c.command, "ip ", ip+" ", 1)
			if status, out, errs := outcome(program(t, u, "run", "sh", "-c", command)); status != 0 || out != c.want {
				t.Errorf("%s: status %d, %q, %q; want %q", c.command, status, out, errs, c.want)
			}
		}
		status, out, _ := outcome(program(t, u, "empty", "sh", "-c", "ls /sys/class/net; ls /run/netns"))
		if status != 0 || out != "lo\n" {
			t.Errorf("an empty sandbox: status %d, %q, want only lo", status, out)
		}
	})
}

// What the program exists for has to work for an ordinary user.
func TestTools(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for tool, script := range map[string]string{
			"nft": `nft add table ip t; nft add chain ip t c '{ type nat hook postrouting priority 100; }'
				nft add rule ip t c masquerade; nft list ruleset | grep -q masquerade`,
			"iptables-nft": `iptables-nft -t nat -A POSTROUTING -j MASQUERADE; iptables-nft -t nat -S | grep -q MASQUERADE`,
			"iptables-legacy": `iptables-legacy -t nat -A POSTROUTING -j MASQUERADE
				iptables-legacy -t nat -S | grep -q MASQUERADE; grep -q nat /proc/net/ip_tables_names`,
			"bridge": `ip link add br0 type bridge; ip link add v0 type veth peer name v1; ip link set v0 master br0
				bridge link show dev v0 | grep -q 'master br0'`,
		} {
			t.Run(tool, func(t *testing.T) {
				sandboxtest.Tool(t, tool)
				if status, out, errs := outcome(program(t, u, "run", "sh", "-ec", script)); status != 0 {
					t.Errorf("status %d: %s%s", status, out, errs)
				}
			})
		}
	})
}

// A limit is set in a sandbox, and a second sandbox is tried in it.
func TestRefused(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		for _, kind := range []string{"user", "net", "mnt", "pid"} {
			limit := "user/max_" + kind + "_namespaces"
			cmd := program(t, u, "empty", sandbox.Exe, "role=limit", "/proc/sys/"+limit, "echo", "not reached")
			status, out, errs := outcome(cmd)
			if status != 3 || out != "" {
				t.Errorf("%s is 0: status %d, output %q, want 3 and none", limit, status, out)
			}
			contains(t, errs, []string{"sandbox: create", "namespace", "no space left on device", strings.ReplaceAll(limit, "/", ".") + " is 0"})
		}
	})
}

func TestNested(t *testing.T) {
	users(t, func(t *testing.T, u *syscall.Credential) {
		cmd := program(t, u, "run", sandbox.Exe, "role=run", "sh", "-c", "id -u; ls /run/netns; exit 9")
		if status, out, errs := outcome(cmd); status != 9 || out != "0\noutside\n" {
			t.Errorf("status %d, %q, %q, want 9, 0 and outside", status, out, errs)
		}
	})
}
