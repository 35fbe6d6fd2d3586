package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// resolvConf is what tells programs which name server to ask, resolv.conf(5).
const resolvConf = "/etc/resolv.conf"

// startIn starts c in the namespace ns, which path opens. Where a name server of
// ours serves the namespace, c finds it in a resolv.conf of its own, as with `ip
// netns exec`; the machine's file is not touched.
func startIn(ns, path string, c *exec.Cmd) error {
	servers := nameServers(ns)
	file, err := filepath.EvalSymlinks(resolvConf)
	if len(servers) == 0 || err != nil {
		// Without the file (a container image may have none, and a sandbox's
		// empty /run may lack what it links to) there is nothing to mount on.
		return netns.Do(path, c.Start)
	}
	text := "# the name servers of " + ns + ", by vethscope\n"
	for _, s := range servers {
		text += fmt.Sprintf("nameserver %s\n", s)
	}
	return netns.DoMounted(path, func() error { return mountText(text, file) }, c.Start)
}

// mountText puts text in the place of a file. The text's own file has no name
// any more afterwards: the mount holds it.
func mountText(text, on string) error {
	tmp, err := os.CreateTemp("/run", "vethscope-resolv-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = strings.NewReader(text).WriteTo(tmp)
	if err == nil {
		err = tmp.Chmod(0o644)
	}
	if err := tmp.Close(); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(tmp.Name(), on, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("put name servers into %s: %w", on, err)
	}
	return nil
}
