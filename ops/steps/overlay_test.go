package steps

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// seen is what other programs say of some namespaces.
func seen(t *testing.T, namespaces ...string) map[string]string {
	t.Helper()
	out := map[string]string{"netns": sandboxtest.Run(t, "", "ip", "netns")}
	for _, ns := range namespaces {
		for _, args := range []string{"ip -j -d link", "ip -j addr", "ip -j route show table all", "ip -j -6 route show table all", "ip neigh", "bridge fdb"} {
			words := strings.Fields(args)
			out[ns+": "+args] = sandboxtest.Run(t, ns, words[0], words[1:]...)
		}
	}
	return out
}

// takenBack checks that s, done and undone, leaves no trace in the namespaces:
// after a whole Do, after half of one, and twice. changed is called in between.
func takenBack(t *testing.T, s ops.Step, changed func(), namespaces ...string) {
	t.Helper()
	before := seen(t, namespaces...)
	same := func(when string) {
		t.Helper()
		if diff := cmp.Diff(before, seen(t, namespaces...)); diff != "" {
			t.Errorf("%s %s: not as before (-before +after):\n%s", s.Kind(), when, diff)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	journalled := reread(t, s) // as a crash before Do, or in it, finds it
	if err := journalled.Undo(t.Context()); err != nil {
		t.Errorf("undo of nothing: %v", err)
	}
	same("undone before it was done")
	if err := s.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	if cmp.Equal(before, seen(t, namespaces...)) {
		t.Errorf("%s changed nothing", s.Kind())
	}
	if changed != nil {
		changed()
	}
	if err := journalled.Undo(t.Context()); err != nil {
		t.Errorf("undo of what the journal only intended: %v", err)
	}
	same("undone with what was known before")
	if err := s.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := reread(t, s).Undo(t.Context()); err != nil {
			t.Errorf("undo: %v", err)
		}
		same("undone")
	}
}

// reread is s as the journal gives it back.
func reread(t *testing.T, s ops.Step) ops.Step {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Decode(s.Kind(), data)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// do runs the steps and takes them back at the end of the test.
func do(t *testing.T, list ...ops.Step) {
	t.Helper()
	for _, s := range list {
		if err := s.Check(t.Context()); err != nil {
			t.Fatalf("%s: %v", s.Kind(), err)
		}
		if err := s.Do(t.Context()); err != nil {
			t.Fatalf("%s: %v", s.Kind(), err)
		}
		t.Cleanup(func() {
			if err := s.Undo(context.WithoutCancel(t.Context())); err != nil {
				t.Error(err)
			}
		})
	}
}

// shellDoes checks that the step's shell line makes what Do makes: what the
// commands print of it must be the same.
func shellDoes(t *testing.T, s ops.Step, ns string, commands ...string) {
	t.Helper()
	show := func() (out []string) {
		for _, c := range commands {
			out = append(out, withoutNumbers(sandboxtest.Run(t, ns, "sh", "-c", c)))
		}
		return out
	}
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	checked := reread(t, s)
	if err := s.Do(t.Context()); err != nil {
		t.Fatal(err)
	}
	ours := show()
	if err := s.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
	sandboxtest.Run(t, "", "sh", "-ec", s.Shell())
	if diff := cmp.Diff(ours, show()); diff != "" {
		t.Errorf("%s\nmakes something else (-ours +shell):\n%s", s.Shell(), diff)
	}
	if err := checked.Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// withoutNumbers leaves out the indices of links, which never repeat.
func withoutNumbers(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if number, rest, ok := strings.Cut(l, ": "); ok && strings.Trim(number, "0123456789") == "" {
			lines[i] = rest
		}
	}
	return strings.Join(lines, "\n")
}

var (
	mac    = "02:42:0a:00:01:03"
	vtep   = netip.MustParseAddr("192.0.2.2")
	inside = netip.MustParseAddr("10.0.1.3")
)

func vxlan(ns string) *VxlanAdd {
	return &VxlanAdd{NS: ns, Name: "vx0", VNI: 4097, Local: netip.MustParseAddr("192.0.2.1"), Dev: "v0", Port: 4789,
		Proxy: true, MTU: 1450, Mark: MarkPrefix + "t"}
}

// underlay is a namespace with a link for a vxlan to go out by.
func underlay(t *testing.T) string {
	t.Helper()
	ns := sandboxtest.NS(t, "h1")
	do(t, &VethAdd{NS: ns, Name: "v0", PeerNS: ns, PeerName: "v1", Mark: MarkPrefix + "t"})
	return ns
}

func TestVxlan(t *testing.T) {
	ns := underlay(t)
	takenBack(t, vxlan(ns), func() {
		out := sandboxtest.Run(t, ns, "ip", "-d", "link", "show", "vx0")
		for _, want := range []string{"vxlan id 4097 ", "local 192.0.2.1", "dev v0", "dstport 4789", "nolearning", " proxy", "mtu 1450", "alias vethscope:t"} {
			if !strings.Contains(out, want) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
		if err := (&VxlanAdd{NS: ns, Name: "vx1", VNI: 4097, Port: 4789}).Check(t.Context()); err == nil || !strings.Contains(err.Error(), "vx0") {
			t.Errorf("a second vxlan with the VNI: %v, want a refusal that names the first", err)
		}
	}, ns, "")
	group := vxlan(ns)
	group.Group, group.Learning, group.Proxy = netip.MustParseAddr("239.0.16.1"), true, false
	takenBack(t, group, nil, ns)
	for _, s := range []*VxlanAdd{vxlan(ns), group} {
		shellDoes(t, s, ns, "ip -d link show vx0 | grep -v link/ether")
	}
}

func TestVxlanBounds(t *testing.T) {
	ns := underlay(t)
	for _, vni := range []uint32{0, 1 << 24} {
		s := vxlan(ns)
		s.VNI = vni
		if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "VNI") {
			t.Errorf("VNI %d: %v", vni, err)
		}
	}
}

// TestVxlanWaitsForTheKernel: a VNI that a vxlan, moved elsewhere, still holds for
// a moment is waited for; one that stays taken is an error that says so.
func TestVxlanWaitsForTheKernel(t *testing.T) {
	ns, other := underlay(t), sandboxtest.NS(t, "h2")
	s := vxlan(ns)
	do(t, s)
	sandboxtest.Run(t, "", "ip", "-n", ns, "link", "set", "vx0", "netns", other)
	again := vxlan(ns)
	if err := again.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := again.Do(t.Context()); !errors.Is(err, unix.EEXIST) || !strings.Contains(err.Error(), "4097") || time.Since(began) < vniWait {
		t.Errorf("Do: %v after %s; want EEXIST, naming the VNI, after waiting", err, time.Since(began))
	}
	done := make(chan error, 1)
	go func() { done <- again.Do(t.Context()) }()
	time.Sleep(100 * time.Millisecond)
	if err := netns.Delete(other); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Do did not outlast the kernel: %v", err)
	}
	if err := again.Undo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFdb(t *testing.T) {
	ns := underlay(t)
	do(t, vxlan(ns),
		&BridgeAdd{NS: ns, Name: "br0", MAC: "02:42:0a:00:01:01", Mark: MarkPrefix + "t"}, &LinkMaster{NS: ns, Link: "v0", Master: "br0"})
	entries := map[string]*FdbAdd{
		mac + " dst 192.0.2.2":                {NS: ns, Link: "vx0", FdbEntry: FdbEntry{mac, vtep}},
		"00:00:00:00:00:00 dst 192.0.2.2":     {NS: ns, Link: "vx0", FdbEntry: FdbEntry{"00:00:00:00:00:00", vtep}},
		mac + " master br0 static":            {NS: ns, Link: "v0", FdbEntry: FdbEntry{MAC: mac}},
		mac + " dst 192.0.2.2 self permanent": {NS: ns, Link: "vx0", FdbEntry: FdbEntry{mac, vtep}},
	}
	for want, add := range entries {
		has := func() bool {
			out := sandboxtest.Run(t, ns, "bridge", "fdb", "show", "dev", add.Link)
			return strings.Contains(out, want)
		}
		takenBack(t, add, func() {
			if !has() {
				t.Errorf("bridge fdb does not show %q:\n%s", want, sandboxtest.Run(t, ns, "bridge", "fdb", "show", "dev", add.Link))
			}
			if err := reread(t, add).Check(t.Context()); err == nil {
				t.Error("an entry that is there was not refused")
			}
		}, ns)
		shellDoes(t, add, ns, "bridge fdb show dev "+add.Link)

		del := &FdbDel{NS: ns, Link: add.Link, FdbEntry: add.FdbEntry}
		if err := del.Check(t.Context()); err == nil {
			t.Error("deleting an entry that is not there was not refused")
		}
		if err := errors.Join(add.Check(t.Context()), add.Do(t.Context())); err != nil {
			t.Fatal(err)
		}
		takenBack(t, del, func() {
			if has() {
				t.Error("deleted, and still there")
			}
		}, ns)
		if err := del.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		sandboxtest.Run(t, "", "sh", "-ec", del.Shell())
		if has() {
			t.Errorf("%s: still there", del.Shell())
		}
	}
}

func TestNeigh(t *testing.T) {
	ns := underlay(t)
	for _, l := range []string{"v0", "v1"} { // without addresses that come and are probed in their own time
		sandboxtest.Run(t, ns, "ip", "link", "set", l, "addrgenmode", "none")
	}
	do(t, &LinkUp{NS: ns, Link: "v0"}, &LinkUp{NS: ns, Link: "v1"})
	for _, addr := range []netip.Addr{inside, netip.MustParseAddr("fd18::3")} {
		add := &NeighAdd{NS: ns, Link: "v0", Addr: addr, MAC: mac}
		takenBack(t, add, func() {
			if out := sandboxtest.Run(t, ns, "ip", "neigh"); !strings.Contains(out, addr.String()+" dev v0 lladdr "+mac+" PERMANENT") {
				t.Errorf("ip neigh: %s", out)
			}
			if err := reread(t, add).Check(t.Context()); err == nil {
				t.Error("a neighbour that is there was not refused")
			}
		}, ns)
		shellDoes(t, add, ns, "ip neigh")
		do(t, add)
		takenBack(t, &NeighDel{NS: ns, Link: "v0", Addr: addr}, nil, ns)
		sandboxtest.Run(t, "", "sh", "-ec", (&NeighDel{NS: ns, Link: "v0", Addr: addr}).Shell())
		if err := (&NeighDel{NS: ns, Link: "v0", Addr: addr}).Check(t.Context()); err == nil {
			t.Error("a neighbour that is not there was not refused")
		}
	}
}

// TestEntriesOfAnotherLink: a link that was replaced by another of the same name
// keeps what the other has.
func TestEntriesOfAnotherLink(t *testing.T) {
	ns := underlay(t)
	fdb := &FdbAdd{NS: ns, Link: "vx0", FdbEntry: FdbEntry{mac, vtep}}
	neigh := &NeighAdd{NS: ns, Link: "vx0", Addr: inside, MAC: mac}
	first := vxlan(ns)
	if err := errors.Join(first.Check(t.Context()), first.Do(t.Context()), fdb.Check(t.Context()), fdb.Do(t.Context()),
		neigh.Check(t.Context()), neigh.Do(t.Context()), first.Undo(t.Context())); err != nil {
		t.Fatal(err)
	}
	foreign := vxlan(ns)
	foreign.VNI = 1
	do(t, foreign, &FdbAdd{NS: ns, Link: "vx0", FdbEntry: FdbEntry{mac, vtep}}, &NeighAdd{NS: ns, Link: "vx0", Addr: inside, MAC: mac})
	before := seen(t, ns)
	if err := errors.Join(fdb.Undo(t.Context()), neigh.Undo(t.Context()), first.Undo(t.Context())); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(before, seen(t, ns)); diff != "" {
		t.Errorf("someone else's was touched (-before +after):\n%s", diff)
	}
}

func TestNetnsAttach(t *testing.T) {
	ns := sandboxtest.NS(t, "app")
	s := &NetnsAttach{Name: "sidecar", With: ns}
	takenBack(t, s, func() {
		a, errA := netns.Inode(netns.Path("app"))
		b, errB := netns.Inode(netns.Path("sidecar"))
		if err := errors.Join(errA, errB); err != nil || a != b {
			t.Errorf("inodes %d and %d, %v; want one namespace", a, b, err)
		}
	}, ns)
	if err := (&NetnsAttach{Name: "x", With: "nowhere"}).Check(t.Context()); err == nil {
		t.Error("sharing what is not there was not refused")
	}
	if err := (&NetnsAttach{Name: "app", With: "app"}).Check(t.Context()); err == nil {
		t.Error("a name that is taken was not refused")
	}
	sandboxtest.Run(t, "", "sh", "-ec", s.Shell())
	if err := s.Undo(t.Context()); err != nil {
		t.Error(err)
	}
	// The first name goes, the namespace stays with the second.
	do(t, s)
	if err := netns.Delete("app"); err != nil {
		t.Fatal(err)
	}
	if _, err := netns.Inode(netns.Path("sidecar")); err != nil {
		t.Error(err)
	}
}

// TestNetnsAttachSparesAnother: a name that someone else has taken since stays.
func TestNetnsAttachSparesAnother(t *testing.T) {
	s := &NetnsAttach{Name: "sidecar", With: sandboxtest.NS(t, "app")}
	if err := errors.Join(s.Check(t.Context()), s.Do(t.Context()), netns.Delete("sidecar")); err != nil {
		t.Fatal(err)
	}
	sandboxtest.NS(t, "sidecar")
	if err := s.Undo(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(netns.Dir, "sidecar")); err != nil {
		t.Error("another's namespace lost its name")
	}
}

// TestKindsAreUnique: the journal finds a step's type by its kind.
func TestKindsAreUnique(t *testing.T) {
	var kinds []string
	for _, s := range all() {
		kinds = append(kinds, s.Kind())
	}
	slices.Sort(kinds)
	if unique := slices.Compact(slices.Clone(kinds)); len(unique) != len(kinds) {
		t.Errorf("kinds repeat: %v", kinds)
	}
}
