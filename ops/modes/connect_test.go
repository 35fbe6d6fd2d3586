package modes

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
)

// connectWorld has the networks web, of two containers, and db, of one, a
// namespace box without anything, and one more container on web.
func connectWorld(t *testing.T) World {
	t.Helper()
	w := WorldOf(&inventory.Snapshot{Namespaces: []inventory.Namespace{
		{Name: "host", Kind: inventory.KindHost},
		{Name: "box", Kind: inventory.KindNamed, Links: []inventory.Link{{Name: "lo"}}},
	}}, nil)
	for _, s := range []Settings{
		Bridge{Name: "web", Containers: 2, Subnet: "172.18.0.0/24", IPv6: "fd18::/64"},
		Bridge{Name: "db", Containers: 1, Subnet: "172.19.0.0/24", NoDNS: true, NoIsolation: true},
	} {
		w = after(t, w, s)
	}
	return w
}

// after is the world once s is made.
func after(t *testing.T, w World, s Settings) World {
	t.Helper()
	p, err := s.Plan(w)
	if err != nil {
		t.Fatal(err)
	}
	return w.After(p)
}

func mustPlan(t *testing.T, w World, s Settings) *ops.Plan {
	t.Helper()
	p, err := s.Plan(w)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAdd(t *testing.T) {
	w := connectWorld(t)
	p := mustPlan(t, w, Add{"web", 2})
	var got []string
	for _, c := range p.Made.Containers {
		got = append(got, c.Name, c.Link, c.Addr, c.Addr6, c.HostLink)
	}
	if want := strings.Fields("web-3 eth0 172.18.0.4 fd18::4 v-web-3 web-4 eth0 172.18.0.5 fd18::5 v-web-4"); !slices.Equal(got, want) {
		t.Errorf("containers %v, want %v", got, want)
	}
	if p.On != "web" || p.Name != "web:web-3" || !strings.Contains(p.Script(), "ip -n web-4 route add default via 172.18.0.1 dev eth0") {
		t.Errorf("plan %s on %s:\n%s", p.Name, p.On, p.Script())
	}
	if len(p.Made.Proofs) != 8 || p.Made.Proofs[0].From != "web-3" || p.Made.Proofs[0].Target != "172.18.0.2" || p.Made.Proofs[7].Target != "fd18::5" {
		t.Errorf("proofs %+v, want both new ones and web-1 to reach each other", p.Made.Proofs)
	}
	w = w.After(p)
	if again := mustPlan(t, w, Add{"web", 1}); again.Made.Containers[0].Name != "web-5" || again.Made.Containers[0].Addr != "172.18.0.6" {
		t.Errorf("after that comes %+v", again.Made.Containers)
	}
}

func TestConnect(t *testing.T) {
	w := connectWorld(t)
	p := mustPlan(t, w, Connect{"web", "db-1", []string{"db"}})
	leg := p.Made.Containers[0]
	if leg.Link != "eth1" || leg.Addr != "172.18.0.4" || leg.Addr6 != "fd18::4" || leg.HostLink != "c-web-1" || leg.Aliases[0] != "db" {
		t.Errorf("leg %+v", leg)
	}
	if p.Name != ConnectName("web", "db-1") || p.On != "web" || !slices.Equal(p.With, []string{"db"}) {
		t.Errorf("plan %s on %s with %v", p.Name, p.On, p.With)
	}
	if proofs := p.Made.Proofs; len(proofs) != 4 || proofs[0].From != "db-1" || proofs[0].Target != "172.18.0.2" || proofs[1].From != "web-1" || proofs[1].Target != leg.Addr {
		t.Errorf("proofs %+v, want db-1 and web-1 to reach each other", proofs)
	}
	script := p.Script()
	if strings.Contains(script, "-n db-1 route add default via 172.18.0.1") {
		t.Errorf("a second default route:\n%s", script)
	}
	if !strings.Contains(script, "-n db-1 -6 route add default via fd18::1 dev eth1") {
		t.Errorf("no way out over IPv6, which its own network does not have:\n%s", script)
	}
	w = w.After(p)
	if names := containerNames(w.Networks["web"].Containers); !slices.Equal(names, []string{"web-1", "web-2", "db-1"}) {
		t.Errorf("web has %v", names)
	}
	w = after(t, w, Add{"web", 1})
	if names := containerNames(w.Networks["web"].Containers); !slices.Equal(names, []string{"web-1", "web-2", "web-3", "db-1"}) {
		t.Errorf("web has %v; its own stand first", names)
	}
	box := mustPlan(t, w, Connect{Network: "web", Container: "box"})
	if c := box.Made.Containers[0]; c.Link != "eth0" || c.HostLink != "c-web-2" || box.With != nil || !strings.Contains(box.Script(), "-n box route add default") {
		t.Errorf("a namespace of no network: %+v with %v\n%s", c, box.With, box.Script())
	}
	port := mustPlan(t, w, Publish{"web", "9000:80@db-1"})
	if port.On != "web:db-1" || port.Made.Published[0].Container != "db-1" {
		t.Errorf("the port of a leg: %+v on %s", port.Made.Published, port.On)
	}
	if w = w.After(port); len(w.Networks["web"].Published) != 1 {
		t.Errorf("web publishes %v", w.Networks["web"].Published)
	}
}

func containerNames(list []ops.Container) (out []string) {
	for _, c := range list {
		out = append(out, c.Name)
	}
	return out
}

func TestConnectBadInput(t *testing.T) {
	w := after(t, connectWorld(t), Connect{"web", "db-1", []string{"db"}})
	w = after(t, w, Bridge{Name: "tiny", Containers: 1, Subnet: "172.20.0.0/30"})
	w = after(t, w, Bridge{Name: "elevenbytes", Containers: 9, Subnet: "172.21.0.0/24"})
	w.Links["v-db-2"], w.Namespaces["tiny-2"] = true, true
	for _, c := range []struct {
		settings Settings
		field    string
		words    string
	}{
		{Add{"nothing", 1}, "network", "no bridge network"},
		{Add{"web", 0}, "containers", "must be 1 to"},
		{Add{"web", 2000}, "containers", "must be 1 to"},
		{Add{"tiny", 1}, "containers", "no address of 172.20.0.0/30 is free"},
		{Add{"db", 1}, "containers", "link v-db-2 exists"},
		{Add{"elevenbytes", 1}, "name", "too long"},
		{Connect{"nothing", "db-1", nil}, "network", "no bridge network"},
		{Connect{"web", "", nil}, "container", "missing"},
		{Connect{"web", "nobody", nil}, "container", "no namespace"},
		{Connect{"web", "host", nil}, "container", "no namespace"},
		{Connect{"web", "db-1", nil}, "container", "already"},
		{Connect{"web", "web-1", nil}, "container", "already"},
		{Connect{"tiny", "box", nil}, "container", "no address"},
		{Connect{"web", "box", []string{"a b"}}, "aliases", "only letters"},
		{Connect{"web", "box", []string{"web-1"}}, "aliases", "in use"},
		{Connect{"web", "box", []string{"db"}}, "aliases", "in use"},
		{Publish{"web", "9000:80@box"}, "publish", "no container"},
	} {
		_, err := c.settings.Plan(w)
		var errs Errors
		if !errors.As(err, &errs) {
			t.Errorf("%+v: error %v, want Errors", c.settings, err)
			continue
		}
		if msg := errs.Of(c.field); !strings.Contains(msg, c.words) {
			t.Errorf("%+v: %v, want words %q about %s", c.settings, err, c.words, c.field)
		}
	}
}

// TestOptions: what is left out is not there.
func TestOptions(t *testing.T) {
	w := connectWorld(t)
	for _, c := range []struct {
		b          Bridge
		dns, apart bool
	}{
		{Bridge{Name: "a", Containers: 1, Subnet: "172.22.0.0/24"}, true, true},
		{Bridge{Name: "a", Containers: 1, Subnet: "172.22.0.0/24", NoDNS: true}, false, true},
		{Bridge{Name: "a", Containers: 1, Subnet: "172.22.0.0/24", NoIsolation: true}, true, false},
	} {
		p := mustPlan(t, w, c.b)
		script := p.Script()
		if strings.Contains(script, "vethscope dns a") != c.dns || (p.Made.DNS != "") != c.dns {
			t.Errorf("%+v: name server at %q\n%s", c.b, p.Made.DNS, script)
		}
		if strings.Contains(script, "iifgroup") != c.apart || strings.Contains(script, "group 118") != c.apart {
			t.Errorf("%+v:\n%s", c.b, script)
		}
	}
}

// TestAllModes: every mode that a lab file can name makes settings of its own.
func TestAllModes(t *testing.T) {
	for _, m := range All() {
		if _, err := m.New().Plan(testWorld()); err == nil {
			t.Errorf("%s: settings that say nothing were planned", m.Name)
		}
		if New(m.Name) == nil || !strings.Contains(Names(), m.Name) {
			t.Errorf("%s is not found", m.Name)
		}
	}
	if New("nothing") != nil {
		t.Error("a mode called nothing")
	}
}
