package filter

import (
	"bytes"
	"fmt"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/bpf"

	"vethscope/ops/sandbox/sandboxtest"
)

// tcpdump compiles an expression for the loopback link, or for one without a
// link layer header. It opens the link, so that VLAN tags are looked for where
// the kernel has them, and ends before it captures anything.
func tcpdump(tool string, link LinkType, expr string, flags ...string) (*Program, error) {
	args := []string{"-i", "lo"}
	if link == RawIP {
		args = []string{"-y", "RAW"}
	}
	args = append(append(args, flags...), "-ddd", "--", expr)
	var out, errs bytes.Buffer
	cmd := exec.Command(tool, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("tcpdump: %s", strings.TrimSpace(errs.String()))
	}
	var n int
	if _, err := fmt.Fscan(&out, &n); err != nil {
		return nil, fmt.Errorf("tcpdump: %w: %s", err, errs.String())
	}
	p := &Program{}
	for range n {
		var i bpf.RawInstruction
		if _, err := fmt.Fscan(&out, &i.Op, &i.Jt, &i.Jf, &i.K); err != nil {
			return nil, err
		}
		p.raw = append(p.raw, i)
	}
	return p, nil
}

// tcpdumpText is what it prints.
func tcpdumpText(t *testing.T, tool, flag, expr string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(tool, "-i", "lo", flag, "--", expr)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("tcpdump: %v: %s", err, errs.String())
	}
	return out.String()
}

// loopback is what `tcpdump -d` knows of the link: it does not ask for its mask.
var loopback = Options{Netmask: net.IPMask{0, 0, 0, 0}}

// verdict is the outcome for one expression.
type verdict struct {
	expr, fault string // fault is "" when both agree
	refused     error  // by us
	theirs      error
	matched     int
	// optimized is the first packet on which tcpdump disagrees with tcpdump -O,
	// which is on our side.
	optimized    string
	ours, length int // instructions, ours and theirs
}

func judge(tool, expr string, o Options, packets []Packet) verdict {
	v := verdict{expr: expr}
	ours, refused := Compile(expr, o)
	theirs, err := tcpdump(tool, o.LinkType, expr)
	v.refused, v.theirs = refused, err
	if refused != nil {
		return v
	}
	if err != nil {
		// What it finds to match nothing we may find out only when running.
		if !strings.Contains(err.Error(), "expression rejects all packets") {
			v.fault = err.Error()
			return v
		}
		theirs = &Program{raw: []bpf.RawInstruction{{Op: 6}}}
	}
	v.ours, v.length = len(ours.raw), len(theirs.raw)
	var plain *Program
	for i, p := range packets {
		a, b := ours.Run(p) > 0, theirs.Run(p) > 0
		if a {
			v.matched++
		}
		if a == b {
			continue
		}
		// Its optimizer makes loads in another order, so that a packet that
		// ends before one of them can come out either way, and it has bugs
		// behind "vlan N".
		if plain == nil {
			if plain, err = tcpdump(tool, o.LinkType, expr, "-O"); err != nil {
				v.fault = err.Error()
				return v
			}
		}
		if plain.Run(p) > 0 == a {
			if p.Length == len(p.Data) {
				v.optimized = fmt.Sprintf("packet %d: %v, as tcpdump -O, tcpdump %v, %+v", i, a, b, p)
			}
			continue
		}
		v.fault = fmt.Sprintf("packet %d: %v, tcpdump %v: %+v\n%s\n%s", i, a, b, p, ours.Dump(), theirs.Dump())
		return v
	}
	return v
}

// judgeAll runs two at a time.
func judgeAll(tool string, exprs []string, o Options, packets []Packet) []verdict {
	out := make([]verdict, len(exprs))
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			for i := worker; i < len(exprs); i += 2 {
				out[i] = judge(tool, exprs[i], o, packets)
			}
		})
	}
	wg.Wait()
	return out
}

func expressions(t testing.TB) []string {
	t.Helper()
	data, err := os.ReadFile("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// TestExpressionsAgreeWithTcpdump compares what programs do, not how they look.
func TestExpressionsAgreeWithTcpdump(t *testing.T) {
	tool := sandboxtest.Tool(t, "tcpdump")
	all := expressions(t)
	if len(all) < 200 {
		t.Fatalf("only %d expressions", len(all))
	}
	never := 0
	for _, v := range judgeAll(tool, all, loopback, corpus(t, 1, 3000)) {
		switch {
		case v.refused != nil:
			if v.theirs == nil {
				t.Errorf("%q: %v", v.expr, v.refused)
			}
		case v.fault != "":
			t.Errorf("%q: %s", v.expr, v.fault)
		case v.matched == 0:
			never++
			t.Logf("%q matched no packet of the corpus", v.expr)
		}
	}
	if never > len(all)/10 {
		t.Errorf("%d of %d expressions matched nothing: the corpus is too poor", never, len(all))
	}
}

// TestExpressionsWithoutLinkLayerAgree is for links such as tun.
func TestExpressionsWithoutLinkLayerAgree(t *testing.T) {
	tool := sandboxtest.Tool(t, "tcpdump")
	b := builder{rand.New(rand.NewSource(3)), t}
	var packets []Packet
	for i := range 1000 {
		p := Packet{Data: b.ip4(1)}
		if i%3 == 0 {
			p.Data = b.ip6(1)
		}
		p.Length = len(p.Data)
		packets = append(packets, p)
	}
	compiled := 0
	for _, v := range judgeAll(tool, expressions(t), Options{LinkType: RawIP}, packets) {
		if v.fault != "" {
			t.Errorf("%q: %s", v.expr, v.fault)
		}
		if v.refused == nil {
			compiled++
		}
	}
	if compiled < 150 {
		t.Errorf("only %d expressions were compiled", compiled)
	}
}

// TestRandomCompoundsAgreeWithTcpdump makes expressions of the grammar's parts.
func TestRandomCompoundsAgreeWithTcpdump(t *testing.T) {
	tool := sandboxtest.Tool(t, "tcpdump")
	n := 2000
	if testing.Short() {
		n = 100
	}
	r := grammar{rand.New(rand.NewSource(7))}
	var all []string
	for range n {
		all = append(all, r.expression(4))
	}
	var refused, unguarded, optimized, ours, theirs int
	for _, v := range judgeAll(tool, all, loopback, corpus(t, 2, 600)) {
		switch {
		case v.fault != "":
			t.Errorf("%q: %s", v.expr, v.fault)
		case v.refused != nil && strings.Contains(v.refused.Error(), "libpcap forgets"):
			unguarded++
		case v.refused != nil && v.theirs == nil:
			refused++
			t.Logf("%q: %v", v.expr, v.refused)
		case v.refused == nil:
			ours, theirs = ours+v.ours, theirs+v.length
		}
		if v.optimized != "" {
			optimized++
			t.Logf("%q: %s", v.expr, v.optimized)
		}
	}
	t.Logf("%d expressions, %d refused for what libpcap forgets, %d for more; %d agree with tcpdump -O only; %d instructions, tcpdump %d",
		n, unguarded, refused, optimized, ours, theirs)
	if refused > n/20+5 || unguarded > n/10 || optimized > n/100+2 {
		t.Errorf("of %d expressions %d and %d were refused that tcpdump takes, %d agree with tcpdump -O only", n, unguarded, refused, optimized)
	}
}
