package lab

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
)

// testWorld is the sandbox's: an uplink and the machine outside.
func testWorld() modes.World {
	return modes.WorldOf(&inventory.Snapshot{Namespaces: []inventory.Namespace{
		{Name: "host", Kind: inventory.KindHost, Links: []inventory.Link{
			{Name: "up0", Addrs: []inventory.Addr{{CIDR: "10.10.0.1/24"}, {CIDR: "fd10:10::1/64"}}},
		}},
		{Name: "outside", Kind: inventory.KindNamed, Links: []inventory.Link{{Name: "eth0"}}},
	}}, nil)
}

const good = `# a shop
lab: shop
title: A shop
networks:
  - mode: bridge
    name: web
    containers: 2
    subnet: 172.18.0.0/24
    publish: ["8080:80"]
  - {mode: bridge, name: db, containers: 1, subnet: 172.19.0.0/24, no_dns: true}
  - mode: add
    network: web
    containers: 1
  - mode: connect
    network: db
    container: web-3
    aliases: [shop]
  - {mode: publish, network: web, publish: "8081:80@web-3"}
proofs:
  - {kind: ping, from: web-3, target: 172.19.0.2, want: true, why: It is in both networks.}
`

func plans(t *testing.T, text string) []*ops.Plan {
	t.Helper()
	l, err := Parse("shop.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := l.Plans(testWorld())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestGood: each network is planned into the world that those before it leave.
func TestGood(t *testing.T) {
	p := plans(t, good)
	var names []string
	for _, one := range p {
		names = append(names, one.Name)
		if one.Lab != "shop" {
			t.Errorf("%s belongs to lab %q", one.Name, one.Lab)
		}
	}
	if got, want := strings.Join(names, " "), "web db web:web-3 db:web-3 web:8081/tcp"; got != want {
		t.Errorf("plans %s, want %s", got, want)
	}
	leg := p[3].Made.Containers[0]
	if leg.Link != "eth1" || leg.Addr != "172.19.0.3" || p[3].On != "db" || p[3].With[0] != "web:web-3" {
		t.Errorf("the second leg of web-3: %+v on %s with %v", leg, p[3].On, p[3].With)
	}
	if p[4].On != "web:web-3" || p[4].Made.Published[0].Container != "web-3" {
		t.Errorf("the later port: %+v on %s", p[4].Made.Published, p[4].On)
	}
	last := p[len(p)-1].Made.Proofs
	if len(last) == 0 || last[len(last)-1].From != "web-3" {
		t.Errorf("the lab's own proofs are not there: %+v", last)
	}
}

// TestBadLabs: each fault is told with its line and field.
func TestBadLabs(t *testing.T) {
	for _, c := range []struct{ what, from, to, want string }{
		{"host bits", "172.18.0.0/24", "172.18.0.1/24", "shop.yaml:8: networks[0].subnet: 172.18.0.1/24 has host bits set"},
		{"flow style", "172.19.0.0/24", "172.19.0.1/24", "shop.yaml:10: networks[1].subnet:"},
		{"overlap with an earlier one", "172.19.0.0/24", "172.18.0.128/25", "shop.yaml:10: networks[1].subnet: 172.18.0.128/25 overlaps 172.18.0.0/24, which web uses"},
		{"name of an earlier one", "name: db", "name: web", "shop.yaml:10: networks[1].name: web is already a link"},
		{"port of an earlier one", "8081:80@web-3", "8080:80@web-3", "shop.yaml:18: networks[4].publish: port 8080/tcp is already published"},
		{"port", `["8080:80"]`, `["0:80"]`, "shop.yaml:9: networks[0].publish:"},
		{"number", "containers: 2", "containers: two", "shop.yaml:7: networks[0].containers: must be a whole number"},
		{"text", "name: web", "name: [web]", "shop.yaml:6: networks[0].name: must be text"},
		{"boolean", "no_dns: true", "no_dns: perhaps", "shop.yaml:10: networks[1].no_dns: must be true or false"},
		{"unknown key", "    subnet: 172.18", "    subnetz: 172.18", `shop.yaml:8: networks[0]: unknown field "subnetz"`},
		{"unknown key at the top", "title:", "titel:", `shop.yaml:3: unknown field "titel"`},
		{"twice", "    containers: 2", "    name: web", `shop.yaml:7: mapping key "name" already defined`},
		{"unknown mode", "mode: add", "mode: addd", `shop.yaml:11: networks[2].mode: unknown mode "addd": one of none, host, `},
		{"no mode", "  - mode: add\n    network", "  - network", "shop.yaml:11: networks[2].mode: is missing"},
		{"unknown network", "network: db", "network: dbb", "shop.yaml:15: networks[3].network: no bridge network \"dbb\""},
		{"unknown container", "container: web-3", "container: web-4", "shop.yaml:16: networks[3].container: no namespace \"web-4\""},
		{"no name", "lab: shop", "lab: ''", "shop.yaml:2: lab:"},
		{"no network", good[strings.Index(good, "networks"):], "", "shop.yaml:2: networks: is missing"},
		{"not a list", good[strings.Index(good, "networks"):], "networks: 5\n", "shop.yaml:4: networks: must be a sequence"},
		{"not YAML", "title: A shop", "title: [", "shop.yaml:"},
		{"two documents", "proofs:", "---\nproofs:", "shop.yaml: holds 2 documents"},
		{"empty", good, "\n", "shop.yaml: is empty"},
		{"kind of proof", "kind: ping", "kind: pingg", `shop.yaml:20: proofs[0].kind: "pingg"`},
		{"proof from nowhere", "from: web-3", "from: web-9", `shop.yaml:20: proofs[0].from: no namespace "web-9"`},
		{"target of a ping", "target: 172.19.0.2", "target: db-1", `shop.yaml:20: proofs[0].target: "db-1" is not an IP address`},
		{"target of a get", "kind: ping, from: web-3, target: 172.19.0.2", "kind: get, from: web-3, target: http://db-1/", `shop.yaml:20: proofs[0].target: "db-1" is not an IP address`},
		{"target of a datagram", "kind: ping, from: web-3, target: 172.19.0.2", "kind: udp, from: web-3, target: 172.19.0.2", "shop.yaml:20: proofs[0].target: udp 172.19.0.2: give address:port"},
		{"port to listen on", "kind: ping, from: web-3, target: 172.19.0.2", "kind: listen, from: web-3, target: http", `shop.yaml:20: proofs[0].target: port "http"`},
		{"server without a port", "want: true", "want: true, serve: db-1", `shop.yaml:20: proofs[0].serve: "db-1" must be NAMESPACE:PORT`},
		{"server nowhere", "want: true", "want: true, serve: 'db-9:53/udp'", `shop.yaml:20: proofs[0].serve: no namespace "db-9"`},
		{"escape sequence", "title: A shop", `"\e[31m": x`, "unknown field"},
	} {
		t.Run(c.what, func(t *testing.T) {
			text := strings.Replace(good, c.from, c.to, 1)
			if text == good {
				t.Fatalf("%q is not in the lab", c.from)
			}
			l, err := Parse("shop.yaml", []byte(text))
			if err == nil {
				_, err = l.Plans(testWorld())
			}
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("error %v, want Errors", err)
			}
			if !strings.HasPrefix(err.Error(), c.want) && !(c.what == "escape sequence" && strings.Contains(err.Error(), c.want)) {
				t.Errorf("said   %s\nwanted %s", err, c.want)
			}
			if strings.ContainsRune(err.Error(), '\x1b') || strings.Count(err.Error(), "\n") != len(errs)-1 {
				t.Errorf("not a plain line each: %q", err)
			}
		})
	}
}

// TestExport: what was exported makes the same plans again.
func TestExport(t *testing.T) {
	var entries []ops.Entry
	first := plans(t, good)
	for _, p := range first {
		entries = append(entries, entry(t, p))
	}
	entries = append(entries, ops.Entry{Title: "half\n\x1b[2J: done", State: ops.StatePartial})
	text, left, err := Export("again", entries)
	if err != nil || len(left) != 1 || !strings.HasPrefix(left[0], "half") {
		t.Fatalf("left out %v, %v", left, err)
	}
	if !strings.HasPrefix(string(text), "# Left out, as no lab file can say it:\n#   half[2J: done\nlab: again\n") {
		t.Errorf("the file does not say what it left out:\n%s", text)
	}
	l, err := Parse("again.yaml", text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	second, err := l.Plans(testWorld())
	if err != nil || len(second) != len(first) {
		t.Fatalf("%d plans, %v in\n%s", len(second), err, text)
	}
	for i := range first {
		if a, b := first[i].Script(), second[i].Script(); a != b {
			t.Errorf("%s became\n%s\nfrom\n%s", first[i].Name, b, a)
		}
		if a, b := first[i].Made.Proofs, second[i].Made.Proofs; !slices.Equal(a, b) {
			t.Errorf("the proofs of %s became\n%+v\nfrom\n%+v", first[i].Name, b, a)
		}
	}
	if _, _, err := Export("none", nil); !errors.Is(err, ops.ErrNothing) {
		t.Errorf("an export of nothing: %v", err)
	}
}

func TestBuiltIn(t *testing.T) {
	labs, err := List()
	if err != nil || len(labs) < 1 {
		t.Fatalf("%d labs, %v", len(labs), err)
	}
	for _, l := range labs {
		if l.File != l.Name+".yaml" || l.Title == "" {
			t.Errorf("%s is called %q, %q", l.File, l.Name, l.Title)
		}
	}
	for _, name := range []string{"nothing", "../assets", ""} {
		if _, err := Load(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Load(%q): %v", name, err)
		}
	}
}
