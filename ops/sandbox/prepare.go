package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
)

// prepare makes the namespaces of the inner stage fit to live in. What can be
// done without becomes a warning.
func prepare(cfg config) (warnings []string, err error) {
	steps := []struct {
		op string
		do func() error
	}{
		{opMountPrivate, func() error { return unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, "") }},
		{opMountProc, func() error { return mountProc(cfg.SharePID) }},
		{opMountRun, mountRun},
		{"write " + markerPath, writeMarker},
		{"link " + BinDir, linkOurselves},
		{"bring up lo", bringUpLo},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return nil, &setupError{s.op, err}
		}
	}
	mountSys()
	if cfg.SharePID {
		warnings = append(warnings, "/proc cannot be mounted here (it is masked, as in a container), "+
			"so the sandbox shares the process numbers of its surroundings")
	}
	if err := settle(); err != nil {
		warnings = append(warnings, err.Error())
	}
	if cfg.Empty {
		return warnings, nil
	}
	if err := buildWorld(); err != nil {
		return nil, &setupError{opWorld, err}
	}
	return warnings, nil
}

func mountProc(shared bool) error {
	if shared {
		return nil
	}
	return unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

func mountRun() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return err
	}
	return os.MkdirAll(netns.Dir, 0o755)
}

// mountSys shows the sandbox's links in /sys/class/net, as `ip netns exec` does.
// A container's masked /sys forbids it; then /sys is the surroundings'.
func mountSys() {
	_ = unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

func writeMarker() error {
	var m marker
	var err error
	if m.UserNS, err = inode("/proc/self/ns/user"); err != nil {
		return err
	}
	if m.NetNS, err = inode("/proc/self/ns/net"); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(markerPath), 0o755); err != nil {
		return err
	}
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(markerPath, data, 0o444)
}

// BinDir is a directory of every sandbox that holds the program under the name of
// vethscope, whatever its file is called. It is for the PATH of who lives there.
const BinDir = "/run/vethscope/bin"

func linkOurselves() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Mkdir(BinDir, 0o755); err != nil {
		return err
	}
	return os.Symlink(exe, filepath.Join(BinDir, "vethscope"))
}

func bringUpLo() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// settle makes the sandbox's own namespace the same on every machine: a new
// namespace inherits net.ipv4.conf of the real host (ip-sysctl's
// devconf_inherit_init_net), where a container engine may have turned
// forwarding on. Accounting, events and timestamps are for those who watch
// connections.
func settle() error {
	values := []struct{ key, value string }{
		{"ipv4/ip_forward", "0"},
		{"ipv4/ping_group_range", "0 0"}, // the only group there is
		{"netfilter/nf_conntrack_acct", "1"},
		{"netfilter/nf_conntrack_events", "1"},
		{"netfilter/nf_conntrack_timestamp", "1"},
	}
	var readOnly error
	for _, v := range values {
		// Refused where a kernel keeps it to the real root: no harm.
		if err := sysctl(v.key, v.value); errors.Is(err, unix.EROFS) {
			readOnly = fmt.Errorf("/proc/sys is read-only here, so forwarding cannot be switched on; "+
				"in a container, start it with --security-opt systempaths=unconfined: %w", err)
		}
	}
	return readOnly
}

// sysctl writes a value under net in the namespace of the calling thread.
func sysctl(key, value string) error {
	return os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644)
}
