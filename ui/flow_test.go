package ui

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
)

// sees fails unless the screen has all of these.
func (d *drive) sees(want ...string) {
	d.t.Helper()
	screen := d.look()
	for _, w := range want {
		if !strings.Contains(screen, w) {
			d.t.Errorf("%q is not on the screen:\n%s", w, screen)
		}
	}
}

func (d *drive) seesNot(want string) {
	d.t.Helper()
	if screen := d.look(); strings.Contains(screen, want) {
		d.t.Errorf("%q is on the screen:\n%s", want, screen)
	}
}

func (d *drive) called(want ...string) {
	d.t.Helper()
	if got := strings.Join(d.b.calls, "; "); !strings.Contains(got, strings.Join(want, "; ")) {
		d.t.Errorf("the backend was asked %s; not, in this order, %s", got, strings.Join(want, "; "))
	}
}

func TestBuildAndWatchARequestBeingRewritten(t *testing.T) {
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.sees("outside", "10.10.0.2/24", "sandbox")
	d.press("n b")
	d.sees("Create a bridge network", "172.18.0.0/24", "8080:80", "33 steps")
	d.press("enter")
	d.sees("ip netns add web-1", "A container is, for the network, a namespace")
	d.press("enter")
	d.sees("Create bridge network web?", "namespace web-2", "port 8080/tcp", "[ No ]")
	if len(d.b.history) != 0 {
		t.Fatal("something was done without a yes")
	}
	d.press("y")
	d.called("run create bridge network web")
	d.send(SnapshotMsg{Snapshot: withNetwork(d.b.history[0].Made)})
	d.sees("web-1", "172.18.0.2", "GET http://10.10.0.1:8080/ from outside")
	d.press("r")
	d.called("capture [host:up0 web-1:eth0]", "request outside http://10.10.0.1:8080/")
	packets(d)
	d.sees("● capturing", "200 OK", "dst 10.10.0.1:8080 → 172.18.0.2:80", "src 172.18.0.2:80 → 10.10.0.1:8080", "≠ ttl", "vethscope-web/prerouting")
	d.press("i")
	d.called("ping web-1 10.10.0.2")
	if strings.Count(strings.Join(d.b.calls, " "), "capture") != 1 {
		t.Errorf("the capture was started anew for the same points: %v", d.b.calls)
	}
}

func TestEnterOnAConfirmSaysNo(t *testing.T) {
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("n b enter enter enter")
	if len(d.b.history) != 0 {
		t.Error("the default answer made a network")
	}
	d.sees("Nothing is done yet")
	d.press("enter")
	d.send(keyMsg("y")) // at once, as if typed for the page
	if len(d.b.history) != 0 || d.m.dialogs.Len() != 1 {
		t.Error("a key within the grace of the dialog was taken")
	}
}

func TestErrorsShowAsOneTypes(t *testing.T) {
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("n b tab tab ctrl+u")
	d.sees("✗ is missing")
	d.typed("172.18.0.1/24")
	d.sees("✗ 172.18.0.1/24 has host bits set")
	d.press("enter")
	d.sees("Create a bridge network") // it stays
	d.press("ctrl+u")
	d.typed("172.18.7.0/24")
	d.seesNot("✗")
	d.press("tab tab ctrl+u")
	d.typed("8080:80, 8080:81")
	d.sees("published twice")
	d.press("esc")
	d.seesNot("Create a bridge network")
}

// A name that is taken while the form is open is told at once.
func TestTheFormFollowsTheWorld(t *testing.T) {
	made := built(t, 80, 24).b.history[0].Made
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("n b")
	d.seesNot("✗")
	d.send(SnapshotMsg{Snapshot: withNetwork(made)})
	d.sees("✗ web is already a link of the host")
}

func TestProgressTicksEachStep(t *testing.T) {
	d := newDrive(t, 100, 40)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("n b enter enter")
	d.clock = d.clock.Add(time.Second)
	_, cmd := d.m.Update(keyMsg("y")) // its command is held back
	plan := planOf(t, d)
	d.send(ProgressMsg{Plan: plan, Index: 0, Phase: ops.PhaseDone})
	d.send(ProgressMsg{Plan: plan, Index: 1, Phase: ops.PhaseDo})
	d.sees("1 of 33", "✓  1  ip netns add web-1", "▸  2  ip netns add web-2", "·  3")
	d.press("esc")
	d.sees("still running")
	d.send(ProgressMsg{Plan: plan, Index: 99, Phase: ops.PhaseDo}) // nobody's
	d.run(cmd)
	d.sees("done. z takes it back")
}

// planOf is the plan that the progress page shows.
func planOf(t *testing.T, d *drive) *ops.Plan {
	t.Helper()
	type planner interface{ Plans() []*ops.Plan }
	p, ok := d.m.page().(planner)
	if !ok || len(p.Plans()) != 1 {
		t.Fatalf("there is no progress page of one plan but %T:\n%s", d.m.page(), d.look())
	}
	return p.Plans()[0]
}

func TestAFailureIsToldAndStays(t *testing.T) {
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.b.fail = errors.New("operation not permitted")
	d.press("n b ctrl+u")
	d.typed("shop")
	d.press("enter enter y")
	d.sees("✗ failed", "operation not permitted", "taken back")
	d.press("esc")
	d.seesNot("✗ failed")
	d.sees("Create a bridge network", "shop") // what was typed is there yet
	d.b.fail = nil
	d.press("enter enter y")
	d.called("run create bridge network shop")
	d.press("esc")
	if len(d.m.stack) != 0 {
		t.Errorf("there is a way back into what is done:\n%s", d.look())
	}
}

func TestDeleteAsksAndNamesEverything(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 1 d") // the host's own namespace
	d.sees("select a namespace made here")
	d.press("G d")
	d.sees("Delete web from the sandbox?", "bridge web", "namespace web-1", "namespace web-2", "port 8080/tcp")
	d.press("n b")
	for _, c := range d.b.calls {
		if strings.HasPrefix(c, "delete") {
			t.Fatal("deleted without a yes")
		}
	}
	d.press("d y")
	d.called("delete web")
	d.sees("web is deleted")
}

func TestUndoTakesTheLastChange(t *testing.T) {
	d := newDrive(t, 80, 24)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("z")
	d.sees("nothing has been changed")
	d = built(t, 80, 24)
	d.press("esc z")
	d.sees("Undo: create bridge network web?")
	d.press("y")
	d.called("undo 1")
	d.sees("Undone: create bridge network web")
}

func TestPublishAnotherPort(t *testing.T) {
	d := built(t, 80, 24)
	d.press("P")
	d.sees("Publish a port", "‹ web ›", "8081:80")
	d.press("tab ctrl+u")
	d.typed("8080:80")
	d.sees("✗ port 8080/tcp is already published")
	d.press("ctrl+u")
	d.typed("9000:80@2")
	d.press("enter enter y")
	d.called("run publish port 9000/tcp of web")
	d.sees(":9000/tcp", "web-2:80")
}

func TestReadOnlyLeavesOutWhatChanges(t *testing.T) {
	d := newDrive(t, 80, 24, func(o *Options) { o.World = World{Label: "box", ReadOnly: "no CAP_NET_ADMIN"} })
	d.send(SnapshotMsg{Snapshot: world()})
	d.sees("HOST box", "read-only")
	d.press("a")
	d.seesNot("make a network")
	d.press("esc ?")
	d.seesNot("make a network")
	d.seesNot("change this namespace")
	d.seesNot("shell")
	d.press("esc n")
	d.sees("read-only: no CAP_NET_ADMIN")
	if len(d.m.stack) != 0 {
		t.Error("the form opened")
	}
}

func TestCaptureAtMarkedLinks(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 2 j space G space c")
	d.called("capture [host:up0 web-2:eth0]")
	d.sees("● capturing", "host:up0", "web-2:eth0")
	d.press("c")
	d.called("capture [host:up0 web-2:eth0]", "capture []")
	d.sees("○ stopped")
}

func TestCapturePausesAndFollows(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 2 j c") // at one point all packets are shown
	packets(d)
	d.sees("4 of 4, following")
	d.press("p")
	packets(d)
	d.sees("paused: 4 new")
	d.press("p")
	d.sees("8 of 8, following")
	d.press("k")
	packets(d)
	d.sees("7 of 12")
}

func TestCaptureFailureIsTold(t *testing.T) {
	d := built(t, 80, 24)
	d.b.fail = errors.New("capture host:up0: operation not permitted")
	d.press("esc 2 j c")
	d.sees("operation not permitted", "○ stopped")
}

func TestLostPacketsAreTold(t *testing.T) {
	d := built(t, 100, 24)
	d.press("r")
	packets(d)
	msg := CaptureMsg{Notice: "conntrack lost events"}
	list := rewrites()
	msg.Stats = append(msg.Stats, statsOf(list[0].BeforeRecord.Point, 10, 3, 4))
	msg.Stats[0].Overrun, msg.Skipped = 5, 6
	d.send(msg)
	d.sees("! host:up0 3 dropped by the kernel, 5 overrun, 4 skipped  ·  6 not looked at", "! conntrack lost events")
}

func TestCountersThatMoveAreMarkedForAWhile(t *testing.T) {
	d := built(t, 100, 24)
	made := d.b.history[0].Made
	d.press("esc 4")
	d.called("poll true")
	d.seesNot("↑")
	s := withNetwork(made)
	s.Namespaces[0].Rules[0].Counter = &netfilter.Counter{Packets: 8, Bytes: 480}
	d.send(SnapshotMsg{Snapshot: s})
	d.sees("↑8")
	d.wait()
	d.sees(" 8  ")
	d.seesNot("↑")
	d.press("1")
	d.called("poll true", "poll false")
}

func TestCopy(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 2 j y")
	if got, want := d.out.String(), "\x1b]52;c;MTAuMTAuMC4xLzI0\x07"; got != want {
		t.Errorf("copied %q, not %q", got, want)
	}
	d.sees("copied the address")
	d.wait()
	d.seesNot("copied")
}

func TestEscLeavesOneLevel(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 1 enter")
	d.sees("links of host")
	d.press("/ w e b enter enter tab")
	d.sees("▸ host:web")
	for _, gone := range []string{"▸ host:web", "── host:web", "/ web", "links of host"} {
		d.sees(gone)
		d.press("esc")
		d.seesNot(gone)
	}
	d.press("q")
	if !d.quit {
		t.Error("q at the top level does not quit")
	}
}

func TestQuit(t *testing.T) {
	d := built(t, 80, 24)
	d.press("esc 1 enter q")
	if d.quit {
		t.Error("q quit from a page over the top level")
	}
	d.sees("q quits at the top level")
	d.press("n b z ctrl+c")
	if !d.quit {
		t.Error("ctrl+c does not quit from a form")
	}
}

func TestOutsideTextCannotSteerTheTerminal(t *testing.T) {
	d := built(t, 160, 45)
	s := world()
	evil := "\x1b[2J\x1b]0;owned\x07\u202e\u0007evil"
	s.Namespaces[1].Name = evil
	s.Namespaces[1].Links[1].Name, s.Namespaces[1].Links[1].Alias = evil, evil
	s.Namespaces[2].Processes[0].Command = evil
	s.Namespaces[0].Rules = []netfilter.Rule{{Engine: "nft", Family: "ip", Table: evil, Chain: evil, Text: evil, Comment: evil, NAT: &netfilter.NAT{Kind: "dnat", Addr: evil}}}
	s.Namespaces[0].Routes[0].Link = evil
	s.Warnings = []string{evil}
	d.send(SnapshotMsg{Snapshot: s})
	list := rewrites()
	list[0].Info, list[0].Rule.Text, list[0].Before.Src = evil, evil, evil
	list[0].BeforeRecord.Summary.Info = evil
	list[0].BeforeRecord.Point.NS = evil
	for _, keys := range []string{"esc 1 j", "j", "2 G", "3", "4", "!", "esc 1 j enter", "esc 5"} {
		d.press(keys)
		d.send(CaptureMsg{Rewrites: list, Notice: evil})
		for _, bad := range []string{"\x1b", "\x07", "\u202e"} {
			if strings.Contains(d.look(), bad) {
				t.Errorf("after %s, %q is on the screen", keys, bad)
			}
		}
	}
}

func TestSmallScreensSaySo(t *testing.T) {
	for _, size := range [][2]int{{59, 24}, {80, 14}, {20, 5}, {1, 1}} {
		d := newDrive(t, size[0], size[1])
		d.send(SnapshotMsg{Snapshot: world()})
		if size[0] >= 20 {
			d.sees("vethscope needs 60")
		}
		d.send(tea.WindowSizeMsg{Width: 60, Height: 15})
		d.sees("NAME", "outside")
	}
}

func TestPlainIsLinearText(t *testing.T) {
	d := built(t, 100, 30, func(o *Options) { o.Plain = true })
	for _, keys := range []string{"esc", "2", "4 enter", "r", "5", "?", "esc n", "enter", "esc esc a", "esc n m enter enter y", "t", "esc esc n o enter enter y", "t", "esc esc n v enter enter y",
		"esc n c enter enter y", "esc n h enter enter y", "esc n n enter enter y", "esc n l", "esc esc 2 j e t", "esc 1"} {
		d.press(keys)
		if screen := d.look(); strings.ContainsAny(screen, "│┌└╭╰━▌\x1b") {
			t.Errorf("after %s, the screen has frames:\n%s", keys, screen)
		}
	}
	d.sees("vethscope, sandbox. Page 1 of 6: Namespaces.", "Selected, 1 of 5: name host, kind host")
}

func TestKeyTable(t *testing.T) {
	table := KeyTable()
	for _, want := range []string{"| everywhere | `n` | make a network: `b` create bridge network, ", "`o` create overlay network, ", "| everywhere | `?` | help |",
		"| Links | `c` | capture here |", "| Links | `e` | change this link: `u` switch the link on, ", "| lists | `p` | pause or follow |",
		"| everywhere | `j/↓` `k/↑` `g` `G` ", "| lists | `/` | filter; then `enter` keep the filter"} {
		if !strings.Contains(table, want) {
			t.Errorf("%q is not in the table:\n%s", want, table)
		}
	}
}

// The action list is the one source of keys: two actions of one page must not
// share a key, or one of them could never run.
func TestNoPageHasAKeyTwice(t *testing.T) {
	m := built(t, 80, 24).m
	for _, p := range append(m.tabs, m.app.Samples()...) {
		taken := map[string]string{}
		for _, a := range p.Actions() {
			for _, k := range a.Binding.Keys() {
				if other := taken[k]; other != "" {
					t.Errorf("%s: %q is the key of %s and of %s", p.Title(), k, other, a.ID)
				}
				taken[k] = a.ID
			}
		}
	}
}

// Random keys, sizes and messages: nothing panics, and every screen fits.
func TestRandomKeys(t *testing.T) {
	keys := strings.Fields("j k g G tab shift+tab enter esc / : ? a n d z s S w space p y Y r i c C t x o P ! b v h m + e u 1 2 3 4 5 6 " +
		"up down left right ctrl+p ctrl+d ctrl+u backspace 8 0 , web q")
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			d := built(t, 80, 24, func(o *Options) { o.Plain = seed%4 == 3 })
			made := d.b.history[0].Made
			done := ""
			defer func() {
				if t.Failed() {
					t.Log("keys:", done)
				}
			}()
			for range 300 {
				switch n := rnd.IntN(40); n {
				case 0:
					d.send(tea.WindowSizeMsg{Width: rnd.IntN(180), Height: rnd.IntN(50)})
				case 1:
					d.send(SnapshotMsg{Snapshot: []*inventory.Snapshot{world(), withNetwork(made), {Time: noon}}[rnd.IntN(3)]})
				case 2:
					packets(d)
				case 3:
					d.b.fail = []error{nil, errors.New("no")}[rnd.IntN(2)]
				default:
					k := keys[rnd.IntN(len(keys))]
					done += k + " "
					d.press(k)
				}
			}
		})
	}
}
