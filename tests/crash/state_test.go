package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"vethscope/ops/inventory"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// state is all that a plan may touch, in other programs' words.
func state(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, args := range [][]string{
		{"ip", "-j", "-d", "link"}, {"ip", "-j", "addr"}, {"ip", "-j", "route", "show", "table", "all"},
		{"ip", "-j", "-6", "route", "show", "table", "all"}, {"ip", "netns"}, {"nft", "-a", "list", "ruleset"},
	} {
		sandboxtest.Tool(t, args[0])
		out[strings.Join(args, " ")] = withoutTimers(sandboxtest.Run(t, "", args[0], args[1:]...))
	}
	names, err := os.ReadDir(netns.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for _, ns := range names { // of what the plan builds on
		out["in "+ns.Name()] = withoutTimers(sandboxtest.Run(t, ns.Name(), "sh", "-c", "ip -j -d addr; ip route; ip neigh; nft list ruleset; sysctl -n net.ipv4.ip_forward"))
	}
	out["sysctls"] = sysctls(t)
	out["/run"] = tree(t, "/run")
	out["processes"] = processes(t)
	return out
}

var timers = regexp.MustCompile(`"[a-z_]*timer":[0-9.]+`)

// withoutTimers is what ip(8) says of bridges, but for the clocks in it.
func withoutTimers(text string) string { return timers.ReplaceAllString(text, "") }

// settled is the state once the kernel has seen every carrier, and has found that
// no address is in use twice: when nothing changes for longer than that takes.
func settled(t *testing.T) map[string]string {
	t.Helper()
	for range 20 {
		before := state(t)
		time.Sleep(1500 * time.Millisecond)
		if cmp.Equal(before, state(t)) {
			return before
		}
	}
	t.Fatal("the state does not settle")
	return nil
}

// processes are those of ours that plans start.
func processes(t *testing.T) string {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil || len(lines) == 0 {
		t.Fatal(lines, err)
	}
	var b strings.Builder
	for _, file := range lines {
		data, err := os.ReadFile(file)
		if err == nil && bytes.HasPrefix(data, []byte("vethscope\x00")) {
			fmt.Fprintln(&b, string(bytes.ReplaceAll(data, []byte{0}, []byte(" "))))
		}
	}
	return b.String()
}

func sysctls(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir("/proc/sys/net", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "nf_conntrack_count") {
			return err
		}
		if data, err := os.ReadFile(path); err == nil { // some are write-only
			fmt.Fprintf(&b, "%s=%s\n", path, bytes.TrimSpace(data))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// tree lists the files under dir, but for what names no state: the lock.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		fmt.Fprintln(&b, path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// comparable is a snapshot without what differs between any two networks:
// inodes, indices, random MACs, handles, and the addresses made of MACs.
func comparable(t *testing.T) []inventory.Namespace {
	t.Helper()
	snap, err := inventory.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(snap.Namespaces)
	if err != nil {
		t.Fatal(err)
	}
	var out []inventory.Namespace
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	for i := range out {
		ns := &out[i]
		ns.Inode, ns.NSID, ns.Processes = 0, 0, nil
		for j := range ns.Links {
			l := &ns.Links[j]
			l.Index, l.MAC = 0, ""
			l.Addrs = keep(l.Addrs, func(a inventory.Addr) bool { return a.Scope != "link" })
			for k := range l.Addrs {
				l.Addrs[k].Flags = nil // tentative comes and goes
			}
			l.Flags, l.State = nil, "" // so does the carrier
			if l.Peer != nil {
				l.Peer.Index, l.Peer.NSID, l.Peer.Inode = 0, 0, 0
			}
		}
		ns.Routes = keep(ns.Routes, func(r inventory.Route) bool {
			// The kernel adds the local ones of IPv6 in its own time.
			return !strings.HasPrefix(r.Dst, "fe80") && (r.Family != "ip6" || r.Table != "local")
		})
		for j := range ns.Chains {
			ns.Chains[j].Handle = 0
		}
		for j := range ns.Rules {
			ns.Rules[j].Handle = 0
		}
	}
	return out
}

func keep[T any](list []T, f func(T) bool) []T {
	var out []T
	for _, v := range list {
		if f(v) {
			out = append(out, v)
		}
	}
	return out
}
