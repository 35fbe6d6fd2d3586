package netfilter

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

func TestReadEmptyRuleset(t *testing.T) {
	rs := read(t, sandboxtest.NS(t, "empty"))
	if len(rs.Rules) != 0 || len(rs.Chains) != 0 || rs.Rules == nil || rs.Chains == nil {
		t.Errorf("rules %v, chains %v", rs.Rules, rs.Chains)
	}
}

func TestReadFillsRulesAndChains(t *testing.T) {
	ns := sandboxtest.NS(t, "fields")
	load(t, ns, `table ip a {
	chain sub { ip daddr 10.0.0.1 tcp dport 80 dnat to 10.0.0.2-10.0.0.4:8000-8010; }
	chain own {
		type nat hook output priority -100
		jump sub
		tcp dport 1 redirect to :2
	}
	chain post {
		type nat hook postrouting priority 100; policy drop;
		counter packets 3 bytes 252 masquerade comment "to the world"
		ip saddr 10.0.0.9 snat to 192.0.2.1
	}
}`)
	restore(t, ns, "iptables-nft-restore", `*nat
:PREROUTING ACCEPT [0:0]
:DOCKER - [0:0]
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8088 -m comment --comment "web one" -j DNAT --to-destination 172.17.0.2:80
COMMIT
`)
	rs := read(t, ns)
	want := []Rule{
		{Hook: "", Position: 1, NAT: &NAT{Kind: "dnat", Addr: "10.0.0.2-10.0.0.4", Port: "8000-8010"}},
		{Hook: "output", Priority: -100, Position: 1},
		{Hook: "output", Priority: -100, Position: 2, NAT: &NAT{Kind: "redirect", Port: "2"}},
		{Hook: "postrouting", Priority: 100, Position: 1, NAT: &NAT{Kind: "masquerade"},
			Comment: "to the world", Counter: &Counter{Packets: 3, Bytes: 252}},
		{Hook: "postrouting", Priority: 100, Position: 2, NAT: &NAT{Kind: "snat", Addr: "192.0.2.1"}},
		{Hook: "", Position: 1, NAT: &NAT{Kind: "dnat", Addr: "172.17.0.2", Port: "80"},
			Comment: "web one", Counter: &Counter{}},
	}
	if len(rs.Rules) != len(want) {
		t.Fatalf("%d rules: %+v", len(rs.Rules), rs.Rules)
	}
	for i, got := range rs.Rules {
		if got.Handle == 0 || got.Text == "" || got.Family != "ip" {
			t.Errorf("rule %d: %+v", i, got)
		}
		w := want[i]
		w.Engine, w.Family, w.Table, w.Chain, w.Handle, w.Text = got.Engine, got.Family, got.Table, got.Chain, got.Handle, got.Text
		if !reflect.DeepEqual(got, w) {
			t.Errorf("rule %d:\n got %+v\nwant %+v", i, got, w)
		}
	}
	for _, c := range rs.Chains {
		if c.Name == "post" && (c.Type != "nat" || c.Hook != "postrouting" || c.Priority != 100 || c.Policy != "drop" || c.Table != "a") {
			t.Errorf("chain: %+v", c)
		}
		if c.Name == "sub" && (c.Type != "" || c.Hook != "" || c.Policy != "") {
			t.Errorf("chain: %+v", c)
		}
	}
}

// What is not decoded is shown raw and named, beside what is.
func TestReadShowsUnknownRaw(t *testing.T) {
	ns := sandboxtest.NS(t, "raw")
	load(t, ns, `table ip a { chain c { tcp dport 80 tcp option maxseg size 1-100 counter accept; }; }`)
	rs := read(t, ns)
	r := rs.Rules[0]
	if len(r.Unknown) == 0 || !strings.Contains(r.Text, "<exthdr ") || !strings.Contains(r.Text, "tcp dport 80") {
		t.Errorf("%+v", r)
	}
}

func TestReadTakesControlCharactersOut(t *testing.T) {
	ns := sandboxtest.NS(t, "clean")
	load(t, ns, "table ip a { chain c { accept comment \"x\x1b[31my\"; }; }")
	r := read(t, ns).Rules[0]
	if r.Comment != "x[31my" || strings.ContainsRune(r.Text, 0x1b) {
		t.Errorf("%q, %q", r.Comment, r.Text)
	}
}

func TestReadWithoutNamespace(t *testing.T) {
	if _, err := Read(t.Context(), netns.Path("no-such")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestReadAfterContextEnded(t *testing.T) {
	ns := sandboxtest.NS(t, "ended")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, netns.Path(ns)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := Flows(ctx, netns.Path(ns)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestErrorsSayWhatIsMissing(t *testing.T) {
	if err := translate(unix.EPERM); !errors.Is(err, fs.ErrPermission) || errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
	if err := translate(unix.EPROTONOSUPPORT); !errors.Is(err, ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		t.Error(err)
	}
}

// A ruleset that is replaced all the time is never seen half.
func TestReadIsNeverMixed(t *testing.T) {
	ns := sandboxtest.NS(t, "churn")
	dir, nft := t.TempDir(), sandboxtest.Tool(t, "nft")
	rules := func(n string) string {
		return "flush ruleset\ntable ip t" + n + " { chain c { " + strings.Repeat("meta mark 0x"+n+" accept; ", 200) + "}; }\n"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		var err error
		for range 25 {
			for _, part := range []string{"1", "2"} {
				if err != nil {
					break
				}
				one := filepath.Join(dir, part)
				if err = os.WriteFile(one, []byte(rules(part)), 0o600); err == nil {
					err = netns.Do(netns.Path(ns), exec.CommandContext(ctx, nft, "-f", one).Run)
				}
			}
		}
		done <- err
	}()
	reads := 0
	for {
		select {
		case err := <-done:
			if err != nil || reads == 0 {
				t.Errorf("%d reads, %v", reads, err)
			}
			return
		default:
		}
		rs := read(t, ns)
		reads++
		if n := len(rs.Rules); n != 0 && n != 200 {
			t.Fatalf("%d rules in one read", n)
		}
		for _, r := range rs.Rules {
			if !strings.HasSuffix(strings.Fields(r.Text)[2], r.Table[1:]) {
				t.Fatalf("rule %q in table %s", r.Text, r.Table)
			}
		}
	}
}
