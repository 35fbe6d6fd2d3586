package sandbox_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops/sandbox"
)

func TestAdvise(t *testing.T) {
	const user, other, world = "create a user namespace", "create net, mount and pid namespaces", "build the small world"
	for _, c := range []struct {
		name    string
		op      string
		err     error
		sysctls map[string]string
		advice  []string // all in it
		help    []string
	}{
		{"Ubuntu 24.04", user, unix.EACCES, map[string]string{"kernel.apparmor_restrict_unprivileged_userns": "1"},
			[]string{"AppArmor", "kernel.apparmor_restrict_unprivileged_userns", "sudo"},
			[]string{"abi <abi/4.0>,", `profile vethscope "/usr/bin/vethscope" flags=(unconfined) {`, "userns,", "apparmor_parser", "sudo"}},
		{"Ubuntu 24.04, later", "make mounts private", unix.EPERM, map[string]string{"kernel.apparmor_restrict_unprivileged_userns": "1"},
			[]string{"AppArmor"}, []string{"userns,"}},
		{"Debian", user, unix.EPERM, map[string]string{"kernel.unprivileged_userns_clone": "0"},
			[]string{"sysctl kernel.unprivileged_userns_clone=1"}, nil},
		{"a container", user, unix.EPERM, map[string]string{"kernel.apparmor_restrict_unprivileged_userns": "0"},
			[]string{"seccomp"}, nil},
		{"no user namespaces", user, unix.ENOSPC, map[string]string{"user.max_user_namespaces": "0"},
			[]string{"user.max_user_namespaces is 0", "sudo sysctl user.max_user_namespaces="}, nil},
		{"no net namespaces", other, fmt.Errorf("fork: %w", unix.ENOSPC),
			map[string]string{"user.max_net_namespaces": "0", "user.max_mnt_namespaces": "9"},
			[]string{"user.max_net_namespaces is 0"}, nil},
		{"too many", other, unix.ENOSPC, map[string]string{"user.max_net_namespaces": "15", "user.max_mnt_namespaces": "16", "user.max_pid_namespaces": "17"},
			[]string{"user.max_net_namespaces (now 15)", "user.max_mnt_namespaces (now 16)", "user.max_pid_namespaces (now 17)"}, nil},
		{"read-only", "prepare", unix.EROFS, nil, []string{"/proc/sys is read-only", "systempaths=unconfined"}, nil},
		{"old kernel", user, unix.EINVAL, nil, []string{"CONFIG_USER_NS"}, nil},
		{"no veth", world, unix.EOPNOTSUPP, nil, []string{"CONFIG_VETH"}, nil},
		{"unknown", world, unix.EIO, nil, nil, nil},
		{"no errno", world, errors.New("strange"), nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			read := func(name string) string { return c.sysctls[name] }
			advice, help := sandbox.Advise(c.op, c.err, "/usr/bin/vethscope", read)
			contains(t, advice, c.advice)
			contains(t, help, c.help)
			if strings.Contains(advice, "\n") {
				t.Errorf("advice has more than one line: %q", advice)
			}
			if (advice == "") != (c.advice == nil) || (help == "") != (c.help == nil) {
				t.Errorf("advice %q, help %q", advice, help)
			}
		})
	}
}

func contains(t *testing.T, text string, parts []string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is not in %q", p, text)
		}
	}
}

func TestAppArmorOrder(t *testing.T) {
	read := func(string) string { return "1" }
	_, help := sandbox.Advise("create a user namespace", unix.EPERM, "/tmp/go-build123/b001/exe/vethscope", read)
	profile, sudo, sysctl := strings.Index(help, "profile"), strings.Index(help, "with sudo"), strings.Index(help, "sysctl")
	if profile > sudo || sudo > sysctl || profile < 0 {
		t.Errorf("want the profile, then sudo, then the sysctl that weakens the machine: %s", help)
	}
	if !strings.Contains(help, "go build -o") {
		t.Errorf("the program's path changes with each go run, and the help does not say so: %s", help)
	}
}
