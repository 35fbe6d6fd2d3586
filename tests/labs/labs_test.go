// Package labs applies the lab files that are built into the program, tries what
// they promise, and takes them back.
package labs

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/lab"
	"vethscope/ops/modes"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox/sandboxtest"
	"vethscope/ops/steps"
)

func TestMain(m *testing.M) { sandboxtest.MainWorld(m) }

func executor() *ops.Executor {
	return &ops.Executor{Journal: ops.NewJournal(ops.JournalDir, steps.Decode)}
}

func world(t *testing.T) (modes.World, []inventory.Namespace) {
	t.Helper()
	snap, err := inventory.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return modes.WorldOf(snap, entries(t)), snap.Namespaces
}

func entries(t *testing.T) []ops.Entry {
	t.Helper()
	list, err := executor().Journal.Entries()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// apply runs a lab. A kernel without a type of link says so, and ends the test.
func apply(t *testing.T, l *lab.Lab) []ops.Proof {
	t.Helper()
	w, _ := world(t)
	plans, err := l.Plans(w)
	if err != nil {
		t.Fatal(err)
	}
	var proofs []ops.Proof
	for _, p := range plans {
		if err := executor().Run(t.Context(), p); errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip(err)
		} else if err != nil {
			t.Fatal(err)
		}
		proofs = append(proofs, p.Made.Proofs...)
	}
	return proofs
}

func clean(t *testing.T) {
	t.Helper()
	if _, err := executor().Clean(t.Context()); err != nil && !errors.Is(err, ops.ErrNothing) {
		t.Fatal(err)
	}
}

// state is what a lab may touch, in other programs' words.
func state(t *testing.T) map[string]string {
	t.Helper()
	for _, tool := range []string{"ip", "bridge", "nft", "ps"} {
		sandboxtest.Tool(t, tool)
	}
	out := map[string]string{}
	for _, line := range []string{
		"ip -j -d link", "ip -j addr", "ip -j route show table all", "ip -j -6 route show table all", "ip netns",
		"nft -a list ruleset", "bridge fdb", "ip rule", "ps -eo args | grep '^vethscope ' || true",
		"find /run -not -name lock -not -path '/run/vethscope/journal' | sort",
		"cd /proc/sys/net && grep -rs . ipv4 ipv6 bridge | grep -v -e stable_secret -e neigh/ -e cookie | sort",
	} {
		out[line] = sandboxtest.Run(t, "", "sh", "-c", line)
	}
	return out
}

func unchanged(t *testing.T, before map[string]string) {
	t.Helper()
	if diff := cmp.Diff(before, state(t)); diff != "" {
		t.Errorf("not as before (-before +after):\n%s", diff)
	}
}

// TestBuiltIn: every lab applies, keeps its promises, comes out of an export the
// same, and goes without a trace.
func TestBuiltIn(t *testing.T) {
	labs, err := lab.List()
	if err != nil || len(labs) < 10 {
		t.Fatalf("%d labs, %v", len(labs), err)
	}
	before := state(t)
	for _, l := range labs {
		t.Run(l.Name, func(t *testing.T) {
			defer unchanged(t, before)
			defer clean(t)
			proofs := apply(t, l)
			if len(proofs) == 0 {
				t.Fatal("the lab has nothing to prove")
			}
			outcomes, err := probe.Prove(t.Context(), proofs, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range outcomes {
				if !o.OK {
					t.Errorf("%s from %s to %s: got through %v, want %v (%s): %s", o.Kind, o.From, o.Target, o.Through, o.Want, o.Why, o.Detail)
				}
			}
			exported(t, before)
		})
	}
}

// exported takes back what is there, makes it again from its export, and compares.
func exported(t *testing.T, before map[string]string) {
	t.Helper()
	text, left, err := lab.Export("again", entries(t))
	if err != nil || len(left) != 0 {
		t.Fatalf("export left out %v, %v", left, err)
	}
	first := comparable(t)
	clean(t)
	unchanged(t, before)
	again, err := lab.Parse("again.yaml", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	apply(t, again)
	if diff := cmp.Diff(first, comparable(t)); diff != "" {
		t.Errorf("the export makes something else (-first +again):\n%s\n%s", diff, text)
	}
}

// comparable is what `ls` shows, without what differs between any two networks:
// inodes, indices, random MACs and what is made of them, handles and counters.
func comparable(t *testing.T) []inventory.Namespace {
	t.Helper()
	_, list := world(t)
	data, err := json.Marshal(list)
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
			l.Index, l.MAC, l.Flags, l.State = 0, "", nil, ""
			l.Addrs = slices.DeleteFunc(l.Addrs, func(a inventory.Addr) bool { return a.Scope == "link" })
			if len(l.Addrs) == 0 {
				l.Addrs = nil // whether the link-local one had come yet or not
			}
			for k := range l.Addrs {
				l.Addrs[k].Flags = nil
			}
			if l.Peer != nil {
				l.Peer.Index, l.Peer.NSID, l.Peer.Inode = 0, 0, 0
			}
		}
		slices.SortFunc(ns.Links, func(a, b inventory.Link) int { return strings.Compare(a.Name, b.Name) })
		ns.Routes = slices.DeleteFunc(ns.Routes, func(r inventory.Route) bool {
			return strings.HasPrefix(r.Dst, "fe80") || strings.HasPrefix(r.Dst, "ff00") || r.Type == "local" && r.Family == "ip6"
		})
		slices.SortFunc(ns.Routes, func(a, b inventory.Route) int { return strings.Compare(a.Table+a.Dst+a.Link, b.Table+b.Dst+b.Link) })
		for j := range ns.Chains {
			ns.Chains[j].Handle = 0
		}
		for j := range ns.Rules {
			ns.Rules[j].Handle, ns.Rules[j].Counter = 0, nil
		}
	}
	slices.SortFunc(out, func(a, b inventory.Namespace) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// TestEveryModeHasALab: what the experiments build can be opened by name.
func TestEveryModeHasALab(t *testing.T) {
	text := ""
	labs, err := lab.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range labs {
		source, err := lab.Source(l.Name)
		if err != nil {
			t.Fatal(err)
		}
		text += string(source)
	}
	for _, mode := range []string{"none", "host", "container", "veth", "bridge", "overlay", "macvlan", "ipvlan", "connect"} {
		if !strings.Contains(text, "mode: "+mode+"\n") {
			t.Errorf("no lab shows mode %s", mode)
		}
	}
	files, err := filepath.Glob("../../assets/labs/*")
	if err != nil || len(files) != len(labs) {
		t.Errorf("%d files for %d labs, %v", len(files), len(labs), err)
	}
}
