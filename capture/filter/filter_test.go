package filter

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"vethscope/ops/sandbox/sandboxtest"
)

// TestRefused names the column of what cannot be compiled right.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		expr   string
		column int
		word   string
		says   string
	}{
		{"tcp por 80", 5, "por", `"and" or "or" expected`},
		{"tcp and", 8, "", "expected"},
		{"host", 5, "", "an address"},
		{"host example.org", 6, "example.org", "not resolved"},
		{"net somewhere", 5, "somewhere", "not resolved"},
		{"ip proto tcp", 10, "tcp", `\tcp`},
		{"port 70000", 6, "70000", "65535"},
		{"port nosuchservice", 6, "nosuchservice", "/etc/services"},
		{"udp port ssh", 10, "ssh", "another protocol"},
		{"icmp port 80", 1, "icmp", "has no ports"},
		{"10.0.0.1", 1, "10.0.0.1", "expected"},
		{"tcp and 10.0.0.1", 9, "10.0.0.1", "word before it"},
		{"(host 10.0.0.1) or 10.0.0.2", 20, "10.0.0.2", "word before it"},
		{"host 10.0.0.999", 6, "10.0.0.999", "not an IPv4 address"},
		{"host 10.0.0.0/8", 6, "10.0.0.0", "needs net"},
		{"net 10.0.0.1/8", 5, "10.0.0.1", "10.0.0.0"},
		{"net 10.0.0.0/33", 14, "33", "32 bits"},
		{"net fd00::1/64", 5, "fd00::1", "fd00::/64"},
		{"host 09", 6, "09", "octal"},
		{"ip host fd00::1", 1, "ip", "IPv6"},
		{"ip6 host 10.0.0.1", 1, "ip6", "IPv4"},
		{"host 02:00:00:00:00:01", 6, "02:00:00:00:00:01", "ether host"},
		{"vlan 4096", 6, "4096", "4095"},
		{"mpls and arp", 10, "arp", "only ip and ip6"},
		{"pppoes and ether host 02:00:00:00:00:01", 23, "02:00:00:00:00:01", "no Ethernet header"},
		{"pppoes and inbound", 12, "inbound", "before"},
		{"ip[0] + 1 > ip[1] and vlan and tcp", 23, "vlan", "before"},
		{"len - ip[2:2] > 14", 5, "-", "ip and"},
		{"tcp and 20 + tcp[0] > 3", 12, "+", "ip and"},
		{"tcp[0:3] = 1", 7, "3", "1, 2 or 4"},
		{"tcp[0 = 1", 7, "=", "]"},
		{"ah[0] = 1", 1, "ah", "no fields"},
		{"ip[0] << 32 = 1", 7, "<<", "31 bits"},
		{"ip[0] / 0 = 1", 7, "/", "zero"},
		{"ip[-100] = 1", 1, "ip", "beyond"},
		{"ether[0xfffff004] = 4", 1, "ether", "beyond"},
		{"len-5 > 3", 1, "len-5", "expected"},
		{"ip broadcast", 4, "broadcast", "netmask"},
		{"tcp broadcast", 1, "tcp", "ether and ip"},
		{"tcp and ether", 9, "ether", "host"},
		{"ip6 protochain 6", 5, "protochain", "loops"},
		{"gateway 10.0.0.1", 1, "gateway", "names"},
		{"geneve", 1, "geneve", "6081"},
		{"type mgt", 1, "type", "links"},
		{"ns blue", 1, "ns", "display"},
		{"vxlan vni 16777216", 11, "16777216", "16777215"},
		{"vxlan port 65536", 12, "65536", "65535"},
		{"ip and arp", 1, "ip and arp", "no packet"},
		{"tcp # comment", 5, "#", "character"},
		{"tcp §", 5, "§", "character"},
		{"host 10.0.0.1 § x", 15, "§", "character"},
		{"é or tcp", 1, "é", "character"},
		{"\x1b[31m", 1, "", "character"},
		{strings.Repeat("(", 500) + "tcp" + strings.Repeat(")", 500), 201, "(", "nested"},
		{strings.Repeat("tcp or ", 5000) + "udp", 1, "", "longer"},
	} {
		_, err := Compile(c.expr, Options{})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v, not an *Error", c.expr, err)
			continue
		}
		if e.Column != c.column || c.word != "" && e.Word != c.word || !strings.Contains(e.Reason, c.says) {
			t.Errorf("%q: %v; want column %d, %q, … %s", c.expr, err, c.column, c.word, c.says)
		}
		if strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q: %q is not one clean line", c.expr, err)
		}
	}
}

// TestVXLAN has no oracle: tcpdump has the word only since libpcap 1.11, and
// with another meaning.
func TestVXLAN(t *testing.T) {
	b := builder{nil, t}
	packet := func(port uint16, flags byte, vni uint32, v6, fragment bool) Packet {
		return Packet{Data: vxlanFrame(b, port, flags, vni, v6, fragment)}
	}
	good := packet(4789, 8, 42, false, false)
	for _, c := range []struct {
		expr  string
		p     Packet
		match bool
	}{
		{"vxlan", good, true},
		{"vxlan", packet(8472, 8, 42, false, false), true},
		{"vxlan", packet(4789, 8, 42, true, false), true},
		{"vxlan", packet(5000, 8, 42, false, false), false},
		{"vxlan", packet(4789, 0, 42, false, false), false},
		{"vxlan", packet(4789, 8, 42, false, true), false},
		{"vxlan vni 42", good, true},
		{"vxlan vni 42", packet(4789, 8, 42, true, false), true},
		{"vxlan vni 43", good, false},
		{"vxlan port 5000", packet(5000, 8, 42, false, false), true},
		{"vxlan port 5000", good, false},
		{"vxlan port 5000 vni 42", packet(5000, 8, 42, false, false), true},
		{"vxlan vni 42 port 5000", packet(5000, 8, 43, false, false), false},
		{"not vxlan", good, false},
		{"vxlan and src host 10.0.0.1", good, true},
	} {
		p, err := Compile(c.expr, Options{})
		if err != nil {
			t.Errorf("%q: %v", c.expr, err)
			continue
		}
		if got := p.Run(c.p) > 0; got != c.match {
			t.Errorf("%q: %v, want %v\n%s", c.expr, got, c.match, p.Dump())
		}
	}
}

func TestIPBroadcast(t *testing.T) {
	p, err := Compile("ip broadcast", Options{Netmask: net.CIDRMask(24, 32)})
	if err != nil {
		t.Fatal(err)
	}
	for dst, want := range map[string]bool{"10.0.0.255": true, "10.0.0.0": true, "255.255.255.255": true, "10.0.0.1": false} {
		data := make([]byte, 34)
		data[12], data[13] = 8, 0
		copy(data[30:], net.ParseIP(dst).To4())
		if got := p.Run(Packet{Data: data}) > 0; got != want {
			t.Errorf("to %s: %v", dst, got)
		}
	}
}

// TestDumpLooksLikeTcpdump compares text where both compile alike.
func TestDumpLooksLikeTcpdump(t *testing.T) {
	tool := sandboxtest.Tool(t, "tcpdump")
	for _, expr := range []string{"", "ip", "tcp port 80", "udp src port 53", "ether broadcast", "outbound", "vlan", "len > 100", "ip[8] < 10",
		"icmp[0] = 8", "tcp[13] & 2 != 0", "net 10.0.0.0/8", "len / 10 ^ 3 = 7"} {
		for _, flag := range []string{"-d", "-ddd"} {
			p, err := Compile(expr, Options{})
			if err != nil {
				t.Fatal(err)
			}
			ours := p.Dump()
			if flag == "-ddd" {
				ours = p.DumpDDD()
			}
			if theirs := tcpdumpText(t, tool, flag, expr); ours != theirs {
				t.Errorf("%q %s:\n%s\ntcpdump:\n%s", expr, flag, ours, theirs)
			}
		}
	}
}

// TestSnaplen is what the program returns.
func TestSnaplen(t *testing.T) {
	for snaplen, want := range map[int]int{0: 262144, 96: 96} {
		p, err := Compile("", Options{Snaplen: snaplen})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Run(Packet{}); got != want {
			t.Errorf("snaplen %d: %d", snaplen, got)
		}
	}
}

// TestLongJumps is for programs in which a jump goes further than 255.
func TestLongJumps(t *testing.T) {
	var hosts []string
	for i := range 120 {
		hosts = append(hosts, "host "+dottedText(0x0a010000+uint32(i)))
	}
	expr := "(" + strings.Join(hosts, " or ") + " or tcp port 22) and not udp"
	p, err := Compile(expr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.raw) < 300 {
		t.Fatalf("only %d instructions", len(p.raw))
	}
	attach(t, p)
	matched := 0
	for _, pkt := range corpus(t, 5, 500) {
		want := false
		for _, part := range append(hosts[:3:3], "tcp port 22") { // no packet is of the other hosts
			want = want || mustRun(t, part, pkt)
		}
		want = want && !mustRun(t, "udp", pkt)
		if got := p.Run(pkt) > 0; got != want {
			t.Fatalf("%v, want %v: %+v", got, want, pkt)
		} else if got {
			matched++
		}
	}
	if matched == 0 {
		t.Error("nothing matched")
	}
	_, err = Compile(strings.Repeat("tcp port 80 or ", 300)+"tcp port 81", Options{})
	if err == nil || !strings.Contains(err.Error(), "4096") {
		t.Errorf("too long a program: %v", err)
	}
}

func mustRun(t *testing.T, expr string, pkt Packet) bool {
	t.Helper()
	p, err := Compile(expr, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Run(pkt) > 0
}

// TestMachineAgrees compares ours with that of x/net/bpf, which has no
// ancillary loads but the length.
func TestMachineAgrees(t *testing.T) {
	packets := corpus(t, 6, 300)
	compared := 0
	for _, expr := range expressions(t) {
		p, err := Compile(expr, Options{Netmask: net.CIDRMask(8, 32)})
		if err != nil {
			t.Errorf("%q: %v", expr, err)
			continue
		}
		ins, _ := bpf.Disassemble(p.raw)
		vm, err := bpf.NewVM(ins)
		// Nor can it negate.
		if err != nil || strings.Contains(p.Dump(), "[vlan") || strings.Contains(p.Dump(), "[type]") || strings.Contains(p.Dump(), "neg") {
			continue
		}
		compared++
		for _, pkt := range packets {
			pkt.Length = len(pkt.Data) // which is what that machine takes it for
			n, err := vm.Run(pkt.Data)
			if err != nil {
				t.Fatalf("%q: %v", expr, err)
			}
			if got := p.Run(pkt); (got > 0) != (n > 0) {
				t.Fatalf("%q: %d, x/net/bpf %d: %+v", expr, got, n, pkt)
			}
		}
	}
	if compared < 200 {
		t.Errorf("only %d programs were compared", compared)
	}
}

// TestKernelTakesAll attaches every program, as the kernel's own checks decide.
func TestKernelTakesAll(t *testing.T) {
	for _, expr := range expressions(t) {
		if p, err := Compile(expr, Options{Netmask: net.CIDRMask(8, 32)}); err == nil {
			attach(t, p)
		} else {
			t.Errorf("%q: %v", expr, err)
		}
	}
}

// attach gives the program to the kernel, for a socket that any user may have.
func attach(t testing.TB, p *Program) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	prog := make([]unix.SockFilter, len(p.raw))
	for i, r := range p.raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	err = unix.SetsockoptSockFprog(fds[0], unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]})
	// The socket's share of memory may be too small for a long one.
	if err != nil && !errors.Is(err, unix.ENOMEM) {
		t.Fatalf("the kernel refuses it: %v\n%s", err, p.Dump())
	}
}

// FuzzCompile has any text end in an *Error or in a program that is valid.
func FuzzCompile(f *testing.F) {
	data, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f.Add(strings.TrimSpace(line))
	}
	for _, s := range []string{"vxlan vni 42 port 1", "((", "tcp[", "not", "ip[0:", `\`, "host 1:2", "vni 1", "point a:b and ns c", "rewritten", "flow 7", "len-1", "0x", "1 = 1 = 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, link := range []LinkType{Ethernet, RawIP} {
			p, err := Compile(s, Options{LinkType: link, Netmask: net.CIDRMask(24, 32)})
			var e *Error
			switch {
			case err == nil:
				attach(t, p)
				if len(p.raw) > maxProgram {
					t.Errorf("%d instructions", len(p.raw))
				}
				if _, all := bpf.Disassemble(p.raw); !all {
					t.Error("an instruction that there is not")
				}
				p.Run(Packet{Data: []byte(s), Length: len(s)})
			case !errors.As(err, &e):
				t.Errorf("%v: not an *Error", err)
			case e.Column < 1 || e.Column > len([]rune(s))+1 || e.Reason == "":
				t.Errorf("%+v", e)
			}
		}
	})
}
