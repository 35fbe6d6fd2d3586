package ui

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/muesli/termenv"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
)

// noon is when everything in the tests happens.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// world is a machine with a host and a machine outside, as the sandbox is.
func world() *inventory.Snapshot {
	link := func(i int, name, kind, state string, peer *inventory.Peer, cidrs ...string) inventory.Link {
		l := inventory.Link{Index: i, Name: name, Kind: kind, State: state, MTU: 1500, Peer: peer,
			MAC: fmt.Sprintf("02:00:00:00:00:%02x", i), Flags: []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}}
		for _, c := range cidrs {
			l.Addrs = append(l.Addrs, inventory.Addr{CIDR: c, Scope: "global", Flags: []string{"permanent"}})
		}
		return l
	}
	lo := inventory.Link{Index: 1, Name: "lo", Kind: "loopback", State: "UNKNOWN", MTU: 65536, MAC: "00:00:00:00:00:00",
		Flags: []string{"LOOPBACK", "UP", "LOWER_UP"}, Addrs: []inventory.Addr{{CIDR: "127.0.0.1/8", Scope: "host"}}}
	kernel := func(dst, dev, src string) inventory.Route {
		return inventory.Route{Family: "ip", Table: "main", Type: "unicast", Dst: dst, Link: dev, Source: src, Protocol: "kernel", Scope: "link"}
	}
	return &inventory.Snapshot{Time: noon, Serial: 1, Namespaces: []inventory.Namespace{
		{Inode: 4026531840, Name: "host", Kind: inventory.KindHost, Path: "/proc/self/ns/net", NSID: -1,
			Processes: []inventory.Process{{PID: 1, Command: "vethscope"}, {PID: 7, Command: "sh"}},
			Links:     []inventory.Link{lo, link(2, "up0", "veth", "UP", &inventory.Peer{Index: 2, NSID: 0, Inode: 4026532177, NS: "outside", Link: "eth0"}, "10.10.0.1/24")},
			Routes: []inventory.Route{
				{Family: "ip", Table: "main", Type: "unicast", Dst: "default", Gateway: "10.10.0.2", Link: "up0", Protocol: "static", Scope: "global"},
				kernel("10.10.0.0/24", "up0", "10.10.0.1"),
				{Family: "ip", Table: "local", Type: "local", Dst: "10.10.0.1", Link: "up0", Source: "10.10.0.1", Protocol: "kernel", Scope: "host"},
			}},
		{Inode: 4026532177, Name: "outside", Kind: inventory.KindNamed, Path: "/run/netns/outside", NSID: 0,
			Links:  []inventory.Link{lo, link(2, "eth0", "veth", "UP", &inventory.Peer{Index: 2, NSID: 0, Inode: 4026531840, NS: "host", Link: "up0"}, "10.10.0.2/24")},
			Routes: []inventory.Route{kernel("10.10.0.0/24", "eth0", "10.10.0.2")}},
		{Inode: 4026532290, Name: "pid:4312", Kind: inventory.KindProcess, Path: "/proc/4312/ns/net", NSID: -1,
			Processes: []inventory.Process{{PID: 4312, Command: "sleep"}}, Links: []inventory.Link{lo}},
	}}
}

// withNetwork is the world after the network web was made in it.
func withNetwork(made ops.Made) *inventory.Snapshot {
	s := world()
	s.Serial = 2
	s.Namespaces = slices.Grow(s.Namespaces, len(made.Containers)) // host stays where it is
	host := &s.Namespaces[0]
	add := func(ns *inventory.Namespace, l inventory.Link, cidr string) {
		l.Flags = []string{"BROADCAST", "MULTICAST", "UP", "LOWER_UP"}
		l.MTU, l.State, l.MAC = 1500, "UP", fmt.Sprintf("02:00:00:00:01:%02x", l.Index)
		if cidr != "" {
			l.Addrs = []inventory.Addr{{CIDR: cidr, Scope: "global"}}
		}
		ns.Links = append(ns.Links, l)
	}
	add(host, inventory.Link{Index: 3, Name: made.Bridge, Kind: "bridge"}, made.Gateway+"/24")
	for i, c := range made.Containers {
		inode := uint64(4026532300 + i)
		add(host, inventory.Link{Index: 4 + i, Name: c.HostLink, Kind: "veth", Master: made.Bridge,
			Peer: &inventory.Peer{Index: 2, NSID: i + 1, Inode: inode, NS: c.Name, Link: c.Link}}, "")
		ns := inventory.Namespace{Inode: inode, Name: c.Name, Kind: inventory.KindNamed, Path: "/run/netns/" + c.Name, NSID: i + 1,
			Routes: []inventory.Route{{Family: "ip", Table: "main", Type: "unicast", Dst: "default", Gateway: made.Gateway, Link: c.Link, Protocol: "static"}}}
		add(&ns, inventory.Link{Index: 2, Name: c.Link, Kind: "veth",
			Peer: &inventory.Peer{Index: 4 + i, NSID: 0, Inode: host.Inode, NS: "host", Link: c.HostLink}}, c.Addr+"/24")
		s.Namespaces = append(s.Namespaces, ns)
	}
	host.Rules = natRules(made)
	return s
}

func natRules(made ops.Made) []netfilter.Rule {
	table := "vethscope-" + made.Bridge
	rule := func(chain string, n int, text, comment string, nat *netfilter.NAT, packets uint64) netfilter.Rule {
		return netfilter.Rule{Engine: "nft", Family: "inet", Table: table, Chain: chain, Hook: chain, Priority: -105,
			Handle: uint64(4 + n), Position: 1, Text: text, Comment: comment, NAT: nat,
			Counter: &netfilter.Counter{Packets: packets, Bytes: packets * 60}}
	}
	to := &netfilter.NAT{Kind: "dnat", Addr: made.Containers[0].Addr, Port: "80"}
	return []netfilter.Rule{
		rule("prerouting", 1, "fib daddr type local tcp dport 8080 counter packets 1 bytes 60 dnat ip to "+to.Addr+":80 comment \"web: publish 8080/tcp\"", "web: publish 8080/tcp", to, 1),
		rule("output", 2, "fib daddr type local tcp dport 8080 counter packets 0 bytes 0 dnat ip to "+to.Addr+":80 comment \"web: publish 8080/tcp\"", "web: publish 8080/tcp", to, 0),
		rule("postrouting", 3, "ip saddr "+made.Network+" oifname != \"web\" counter packets 0 bytes 0 masquerade", "", &netfilter.NAT{Kind: "masquerade"}, 0),
	}
}

// backend is a fake that remembers what it was asked.
type backend struct {
	calls   []string
	history []ops.Entry
	fail    error
	wrong   int // the number of the proof that does not come out as it should
	// messages are what it sent while it was asked something.
	messages []tea.Msg
}

func (b *backend) say(format string, args ...any) {
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
}

func (b *backend) Run(_ context.Context, plans []*ops.Plan) error {
	for _, p := range plans {
		b.say("run %s", p.Title)
		if b.fail != nil {
			return b.fail
		}
		b.history = append([]ops.Entry{{ID: fmt.Sprint(len(b.history) + 1), Title: p.Title, Name: p.Name, On: p.On, With: p.With,
			Mode: p.Mode, Lab: p.Lab, Time: noon, State: ops.StateDone, Made: p.Made, Steps: p.Steps}}, b.history...)
	}
	return nil
}

func (b *backend) Undo(_ context.Context, id string) (string, error) {
	b.say("undo %s", id)
	if len(b.history) == 0 {
		return "", errors.New("nothing to undo")
	}
	e := b.history[0]
	b.history = b.history[1:]
	return e.Title, nil
}

func (b *backend) Delete(_ context.Context, name string) error {
	b.say("delete %s", name)
	b.history = nil
	return b.fail
}

func (b *backend) DeleteLab(_ context.Context, name string) error {
	b.say("delete lab %s", name)
	b.history = slices.DeleteFunc(b.history, func(e ops.Entry) bool { return e.Lab == name })
	return b.fail
}

func (b *backend) History(context.Context) ([]ops.Entry, error) { return b.history, nil }

func (b *backend) Capture(_ context.Context, points []capture.Point) error {
	b.say("capture %v", points)
	return b.fail
}

func (b *backend) Request(_ context.Context, ns, url string) (string, error) {
	b.say("request %s %s", ns, url)
	return "200 OK, 42 bytes in 3 ms", nil
}

func (b *backend) Ping(_ context.Context, ns, dst string) (string, error) {
	b.say("ping %s %s", ns, dst)
	return "reply in 0.1 ms", nil
}

// Prove finds every proof as it should be, but those that b says are wrong.
func (b *backend) Prove(_ context.Context, run *ProofRun) error {
	b.say("prove %d", len(run.Proofs))
	if b.fail != nil {
		return b.fail
	}
	for i, p := range run.Proofs {
		text := "answer from " + p.Target + " in 84µs"
		if !p.Want {
			text = p.Kind + " " + p.Target + ": no answer"
		}
		b.messages = append(b.messages, ProofMsg{Run: run, Index: i, OK: i != b.wrong-1, Text: text})
	}
	return nil
}

// shell is a command that does nothing.
type shell struct{}

func (shell) Run() error          { return nil }
func (shell) SetStdin(io.Reader)  {}
func (shell) SetStdout(io.Writer) {}
func (shell) SetStderr(io.Writer) {}

func (b *backend) Shell(ns string) tea.ExecCommand {
	b.say("shell %s", ns)
	return shell{}
}

func (b *backend) PollRules(on bool) { b.say("poll %v", on) }

// drive runs a model as Bubble Tea would, but one message at a time.
type drive struct {
	t     testing.TB
	m     *Model
	b     *backend
	clock time.Time
	out   strings.Builder
	quit  bool
	store *packetStore // what the capture has seen
	// timers are the messages of the timers that run.
	timers []tea.Msg
}

// wait lets all timers end.
func (d *drive) wait() {
	d.t.Helper()
	timers := d.timers
	d.timers = nil
	for _, msg := range timers {
		d.send(msg)
	}
}

func newDrive(t testing.TB, w, h int, change ...func(*Options)) *drive {
	t.Helper()
	d := &drive{t: t, b: &backend{}, clock: noon}
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(termenv.Ascii)
	o := Options{World: World{Sandbox: true}, Backend: d.b, Terminal: &d.out, Renderer: r,
		Now: func() time.Time { return d.clock },
		Tick: func(_ time.Duration, f func(time.Time) tea.Msg) tea.Cmd {
			d.timers = append(d.timers, f(noon))
			return nil
		}}
	for _, f := range change {
		f(&o)
	}
	d.m = New(o)
	d.run(d.m.Init())
	d.send(tea.WindowSizeMsg{Width: w, Height: h})
	return d
}

// send gives the model a message, and what its commands bring.
func (d *drive) send(msg tea.Msg) {
	d.t.Helper()
	_, cmd := d.m.Update(msg)
	d.run(cmd)
	d.look()
}

// run runs a command at once; timers are collected and only fire when a test
// wants them to.
func (d *drive) run(cmd tea.Cmd) {
	d.t.Helper()
	if cmd == nil {
		return
	}
	msg := cmd()
	sent := d.b.messages
	d.b.messages = nil
	for _, m := range sent {
		d.send(m)
	}
	switch msg := msg.(type) {
	case nil:
	case tea.QuitMsg:
		d.quit = true
	case tea.BatchMsg:
		for _, c := range msg {
			d.run(c)
		}
	default:
		d.send(msg)
	}
}

// look draws the screen and holds it to its size.
func (d *drive) look() string {
	d.t.Helper()
	s := d.m.View()
	if d.m.w <= 0 || d.m.h <= 0 {
		return s
	}
	lines := strings.Split(s, "\n")
	if len(lines) != d.m.h {
		d.t.Fatalf("the screen has %d lines, not %d:\n%s", len(lines), d.m.h, s)
	}
	for i, l := range lines {
		if n := ansi.StringWidth(l); n > d.m.w {
			d.t.Fatalf("line %d is %d cells wide, not %d:\n%s", i+1, n, d.m.w, s)
		}
	}
	return s
}

var named = map[string]tea.KeyType{
	"enter": tea.KeyEnter, "esc": tea.KeyEsc, "tab": tea.KeyTab, "shift+tab": tea.KeyShiftTab, "up": tea.KeyUp, "down": tea.KeyDown,
	"left": tea.KeyLeft, "right": tea.KeyRight, "space": tea.KeySpace, "backspace": tea.KeyBackspace, "ctrl+p": tea.KeyCtrlP,
	"ctrl+d": tea.KeyCtrlD, "ctrl+u": tea.KeyCtrlU, "ctrl+c": tea.KeyCtrlC, "home": tea.KeyHome, "end": tea.KeyEnd,
	"pgdown": tea.KeyPgDown, "pgup": tea.KeyPgUp, "delete": tea.KeyDelete,
}

func keyMsg(name string) tea.KeyMsg {
	if k, ok := named[name]; ok {
		msg := tea.KeyMsg{Type: k}
		if name == "space" {
			msg.Runes = []rune{' '}
		}
		return msg
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

// press gives keys by name, separated by spaces, as a calm person types them.
func (d *drive) press(keys string) {
	d.t.Helper()
	for _, k := range strings.Fields(keys) {
		d.clock = d.clock.Add(time.Second)
		d.send(keyMsg(k))
	}
}

// typed gives every letter of a text.
func (d *drive) typed(text string) {
	d.t.Helper()
	for _, r := range text {
		d.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
	}
}

// built is a drive in which the network web was made through the interface.
func built(t testing.TB, w, h int, change ...func(*Options)) *drive {
	t.Helper()
	d := newDrive(t, w, h, change...)
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("n b enter enter y")
	if len(d.b.history) != 1 {
		t.Fatalf("nothing was built:\n%s", d.look())
	}
	d.send(SnapshotMsg{Snapshot: withNetwork(d.b.history[0].Made)})
	return d
}

// rewrites are a SYN and its answer, as DNAT rewrites them.
func rewrites() []*capture.Rewrite {
	client, host, web := "10.10.0.2:45430", "10.10.0.1:8080", "172.18.0.2:80"
	rule := &capture.RuleRef{NS: "host", Engine: "nft", Family: "inet", Table: "vethscope-web", Chain: "prerouting", Handle: 5,
		Text: "fib daddr type local tcp dport 8080 counter dnat ip to 172.18.0.2:80 comment \"web: publish 8080/tcp\""}
	outer, inner := capture.Point{NS: "host", Link: "up0"}, capture.Point{NS: "web-1", Link: "eth0"}
	one := func(at time.Duration, dir, flags string, p1, p2 capture.Point, s1, d1, s2, d2 string, changed ...string) *capture.Rewrite {
		return &capture.Rewrite{Time: noon.Add(at), Flow: 1, Direction: dir, Protocol: "tcp",
			Before:  capture.Seen{Point: p1.String(), Src: s1, Dst: d1, TTL: 64, SrcMAC: "02:00:00:00:00:02", DstMAC: "02:00:00:00:00:01", IPChecksum: "0x1a2b", Checksum: "0x3c4d", Length: 74},
			After:   capture.Seen{Point: p2.String(), Src: s2, Dst: d2, TTL: 63, SrcMAC: "02:00:00:00:01:03", DstMAC: "02:00:00:00:01:02", IPChecksum: "0x5e6f", Checksum: "0x7081", Length: 74},
			Changed: changed, Elapsed: 31 * time.Microsecond, Rule: rule, Info: "45430 → 8080 [" + flags + "] Seq=0 Win=64240 Len=0",
			BeforeRecord: frame(p1, noon.Add(at), s1, d1, 64), AfterRecord: frame(p2, noon.Add(at+31*time.Microsecond), s2, d2, 63)}
	}
	return []*capture.Rewrite{
		one(0, capture.Original, "SYN", outer, inner, client, host, client, web, "dst", "ttl"),
		one(90*time.Microsecond, capture.Reply, "SYN, ACK", inner, outer, web, client, host, client, "src", "ttl"),
	}
}

// translations are what conntrack tells of rewrites.
func translations() *capture.Translations {
	tuple := func(src, dst string) capture.Tuple {
		return capture.Tuple{Protocol: "tcp", Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
	}
	r := rewrites()
	log := &capture.Translations{}
	log.Add(capture.Translation{NS: "host", ID: 1, DNAT: r[0].Rule,
		Original: tuple(r[0].Before.Src, r[0].Before.Dst), Reply: tuple(r[0].After.Dst, r[0].After.Src)})
	return log
}

// frame is a TCP SYN from src to dst as it looks on the wire.
func frame(p capture.Point, at time.Time, src, dst string, ttl byte) *capture.Record {
	s, t := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 40, 0x12, 0x34, 0x40, 0, ttl, 6, 0, 0}
	b = append(append(b, s.Addr().AsSlice()...), t.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, s.Port())
	b = binary.BigEndian.AppendUint16(b, t.Port())
	b = append(b, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xfa, 0xf0, ttl, 0x4d, 0, 0)
	r := &capture.Record{Point: p, Time: at, Length: len(b), Data: b}
	capture.Decode(r)
	return r
}
