package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"vethscope/ops/inventory"
	"vethscope/ops/netfilter"
)

// twoNamespaces is a snapshot with one of each kind, and hostile text in it.
func twoNamespaces() *inventory.Snapshot {
	return &inventory.Snapshot{
		Warnings: []string{"namespace red\x1b[2J: hidden"},
		Namespaces: []inventory.Namespace{
			{
				Name: "host", Kind: "host", Inode: 11, Path: "/proc/self/ns/net", NSID: -1,
				Processes: []inventory.Process{{PID: 1, Command: "a"}, {PID: 2, Command: "b"}, {PID: 3, Command: "c"}, {PID: 4, Command: "d"}},
				Links: []inventory.Link{
					{Index: 1, Name: "lo", Kind: "loopback", State: "UNKNOWN", MAC: "00:00:00:00:00:00", Flags: []string{"LOOPBACK", "UP"}},
					{Index: 5, Name: "vb", Kind: "veth", State: "UP", MTU: 1500, MAC: "02:00:00:00:00:01", Master: "br0", Alias: "\x1b]0;evil\x07",
						Addrs: []inventory.Addr{{CIDR: "10.0.0.1/24"}, {CIDR: "fd00::1/64"}},
						Peer:  &inventory.Peer{Index: 2, NSID: 0, Inode: 12, NS: "blue", Link: "eth0"}},
					{Index: 6, Name: "vx", Kind: "vxlan", Peer: &inventory.Peer{Index: 9, NSID: 3}, Detail: &inventory.Detail{VNI: 4097, Port: 4789}},
				},
				Routes: []inventory.Route{
					{Family: "ip", Table: "local", Type: "local", Dst: "10.0.0.1", Link: "vb"},
					{Family: "ip", Table: "main", Type: "unicast", Dst: "default", NextHops: []inventory.NextHop{{Gateway: "10.0.0.8", Link: "vb", Weight: 3}, {Link: "vx", Weight: 1}}},
				},
				Rules: []netfilter.Rule{
					{Engine: "nft", Family: "ip", Table: "nat", Chain: "pre", Handle: 9, Text: "dnat to 10.0.0.2:80", NAT: &netfilter.NAT{Kind: "dnat", Addr: "10.0.0.2", Port: "80"}, Counter: &netfilter.Counter{Packets: 3, Bytes: 180}},
					{Engine: "nft", Family: "ip", Table: "filter", Chain: "fwd", Handle: 4, Text: "drop"},
				},
			},
			{Name: "blue", Kind: "named", Inode: 12, Path: "/run/netns/blue", NSID: 0, Unreadable: "no privilege"},
		},
	}
}

// list lists a kind of the test's snapshot.
func listKind(t *testing.T, kind string, f lsFlags) (stdout, stderr string) {
	t.Helper()
	i := slices.IndexFunc(lsKinds, func(k lsKind) bool { return k.name == kind })
	var out, errs bytes.Buffer
	if err := ls(&out, &errs, twoNamespaces(), lsKinds[i], f); err != nil {
		t.Fatal(err)
	}
	return out.String(), errs.String()
}

func TestLsTable(t *testing.T) {
	for _, c := range []struct {
		kind string
		f    lsFlags
		want string
	}{
		{"namespaces", lsFlags{}, `
NAME  KIND   INODE  NSID  LINKS  PROCESSES
host  host   11     -     3      1/a, 2/b, 3/c, and 1 more
blue  named  12     0     ?      -
`},
		{"links", lsFlags{}, `
NAMESPACE  INDEX  NAME  KIND      STATE    MASTER  PEER        MAC                ADDRESSES
host       1      lo    loopback  UNKNOWN  -       -           00:00:00:00:00:00  -
host       5      vb    veth      UP       br0     blue:eth0   02:00:00:00:00:01  10.0.0.1/24, fd00::1/64
host       6      vx    vxlan     -        -       nsid 3:if9  -                  -
`},
		{"routes", lsFlags{}, `
NAMESPACE  TABLE  TYPE     DESTINATION  GATEWAY                            LINK    SOURCE  PROTOCOL  METRIC
host       main   unicast  default      10.0.0.8 weight 3, direct weight 1  vb, vx  -       -         -
`},
		{"rules", lsFlags{nat: true}, `
NAMESPACE  ENGINE  FAMILY  TABLE  CHAIN  HANDLE  PACKETS  BYTES  TEXT
host       nft     ip      nat    pre    9       3        180    dnat to 10.0.0.2:80
`},
		{"rules", lsFlags{namespace: "blue"}, `
NAMESPACE  ENGINE  FAMILY  TABLE  CHAIN  HANDLE  PACKETS  BYTES  TEXT
`},
	} {
		got, _ := listKind(t, c.kind, c.f)
		if want := strings.TrimPrefix(c.want, "\n"); squeeze(got) != squeeze(want) {
			t.Errorf("%s %+v:\n%s\nwant\n%s", c.kind, c.f, got, want)
		}
		aligned(t, got)
	}
}

// squeeze makes one space of many: how wide the columns are is aligned's affair.
func squeeze(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

// aligned checks that every column begins where its header does.
func aligned(t *testing.T, table string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	for i := 1; i < len(lines[0]); i++ {
		if lines[0][i] == ' ' || lines[0][i-1] != ' ' {
			continue
		}
		for _, line := range lines[1:] {
			if len(line) <= i || line[i] == ' ' || line[i-1] != ' ' {
				t.Errorf("column at %d is out of line in %q", i, line)
			}
		}
	}
}

func TestLsRoutesLocal(t *testing.T) {
	for _, c := range []struct {
		f    lsFlags
		want bool
	}{
		{lsFlags{output: "table"}, false},
		{lsFlags{output: "table", all: true}, true},
		{lsFlags{output: "wide"}, true},
		{lsFlags{output: "json"}, true},
	} {
		if got, _ := listKind(t, "routes", c.f); strings.Contains(got, "local") != c.want {
			t.Errorf("%+v: table local shown is %v, want %v:\n%s", c.f, !c.want, c.want, got)
		}
	}
}

func TestLsIsSafe(t *testing.T) {
	for _, k := range lsKinds {
		for _, output := range []string{"table", "wide"} {
			out, errs := listKind(t, k.name, lsFlags{output: output})
			if strings.ContainsAny(out+errs, "\x1b\x07") {
				t.Errorf("%s -o %s lets control characters through: %q", k.name, output, out+errs)
			}
			if !strings.Contains(errs, "warning: namespace red") {
				t.Errorf("%s: warnings %q, want the snapshot's", k.name, errs)
			}
		}
	}
}

func TestLsJSON(t *testing.T) {
	for kind, want := range map[string]map[string]any{
		"namespaces": {"name": "host", "inode": 11.0, "kind": "host", "path": "/proc/self/ns/net", "nsid": -1.0, "links": 3.0},
		"links":      {"namespace": "host", "name": "lo", "index": 1.0, "state": "UNKNOWN", "mac": "00:00:00:00:00:00"},
		"routes":     {"namespace": "host", "family": "ip", "table": "local", "dst": "10.0.0.1", "link": "vb"},
		"rules":      {"namespace": "host", "handle": 9.0, "packets": 3.0, "bytes": 180.0, "nat": "dnat", "nat_addr": "10.0.0.2", "nat_port": "80"},
	} {
		out, _ := listKind(t, kind, lsFlags{output: "json"})
		var records []map[string]any
		if err := json.Unmarshal([]byte(out), &records); err != nil {
			t.Fatalf("%s: %v in %s", kind, err, out)
		}
		for key, value := range want {
			if records[0][key] != value {
				t.Errorf("%s: %s is %v, want %v", kind, key, records[0][key], value)
			}
		}
		if strings.Contains(out, "null") {
			t.Errorf("%s: a null in %s", kind, out)
		}
		if out, _ := listKind(t, kind, lsFlags{output: "json", namespace: "blue"}); kind != "namespaces" && strings.TrimSpace(out) != "[]" {
			t.Errorf("%s of a namespace with none: %s, want []", kind, out)
		}
	}
	out, _ := listKind(t, "links", lsFlags{output: "json"})
	var links []linkRecord
	if err := json.Unmarshal([]byte(out), &links); err != nil {
		t.Fatal(err)
	}
	if l := links[1]; l.PeerNamespace != "blue" || l.PeerLink != "eth0" || !slices.Equal(l.Addresses, []string{"10.0.0.1/24", "fd00::1/64"}) {
		t.Errorf("the veth is %+v", l)
	}
}

func TestLsUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "ls what?"},
		{[]string{"link5"}, "did you mean links?"},
		{[]string{"rotues"}, "did you mean routes?"},
		{[]string{"xyzzy"}, "kinds are namespaces, links, routes, rules"},
		{[]string{"links", "-o", "yaml"}, "must be table, wide or json"},
		{[]string{"links", "-n", "nosuch"}, `no namespace "nosuch"`},
		{[]string{"links", "more"}, "takes no argument"},
	} {
		cmd := newLsCmd()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetArgs(c.args)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		err := cmd.ExecuteContext(t.Context())
		var usage usageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("ls %q: %v, want one line with %q", c.args, err, c.want)
		}
	}
}
