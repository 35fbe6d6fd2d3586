package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// resolvConf is what tells programs which name server to ask, resolv.conf(5).
const resolvConf = "/etc/resolv.conf"

// startIn starts c in the namespace ns, which path opens. Where a name server of
// ours serves the namespace, c finds it in a resolv.conf of its own, as with `ip
// netns exec`; the machine's file is not touched. Where there is no such file, and
// so nothing to put another in the place of, note is told what follows from that.
func startIn(ns, path string, c *exec.Cmd, note io.Writer) error {
	servers := nameServers(ns)
	if len(servers) == 0 {
		return netns.Do(path, c.Start)
	}
	if _, err := os.Lstat(resolvConf); err != nil {
		fmt.Fprintf(note, "note: names are not found by themselves, as there is no %s to tell of the name server %s\n", resolvConf, servers[0])
		return netns.Do(path, c.Start)
	}
	text := "# the name servers of " + ns + ", by vethscope\n"
	for _, s := range servers {
		text += fmt.Sprintf("nameserver %s\n", s)
	}
	return netns.DoMounted(path, func() error { return mountText(text, resolvConf) }, c.Start)
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
	if err := mountOn(tmp.Name(), on); err != nil {
		return fmt.Errorf("put name servers into %s: %w", on, err)
	}
	return nil
}

// mountOn mounts one file on another, which may be a mount of its own already,
// from an exec around this one.
func mountOn(file, on string) error {
	err := unix.Mount(file, on, "", unix.MS_BIND, "")
	if errors.Is(err, unix.ENOENT) && unix.Unmount(on, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
		err = unix.Mount(file, on, "", unix.MS_BIND, "")
	}
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	// It is a link to what is not there, as /etc/resolv.conf often is where /run
	// is empty. mount(2) follows it; move_mount(2), since Linux 5.2, does not.
	tree, err := unix.OpenTree(unix.AT_FDCWD, file, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	return unix.MoveMount(tree, "", unix.AT_FDCWD, on, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
