package crash

import (
	"context"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
)

// subject is a plan to break, by the name of its mode, and what must be there
// before.
type subject struct {
	name     string
	settings modes.Settings
	on       []modes.Settings
}

func subjects() []subject {
	return []subject{
		{name: "none", settings: modes.None{Name: "n"}},
		{name: "host", settings: modes.Host{Name: "h"}},
		{name: "container", settings: modes.Container{Name: "side", With: "n"}, on: []modes.Settings{modes.None{Name: "n"}}},
		{name: "veth", settings: modes.Veth{Name: "cable", Subnet: "10.0.1.0/24", IPv6: "fd01::/64", Between: []string{"n", "far"}},
			on: []modes.Settings{modes.None{Name: "n"}}},
		{name: "bridge", settings: bridge()},
		{name: "overlay", settings: modes.Overlay{Name: "red", VNI: 4097, Subnet: "10.0.1.0/24", GwBridge: true}},
		{name: "overlay-join", settings: modes.Overlay{Name: "blue", Join: "red", VNI: 4098, Subnet: "10.0.1.0/24", IPv6: "fd01::/64"},
			on: []modes.Settings{modes.Overlay{Name: "red", VNI: 4097, Subnet: "10.0.1.0/24", Learning: "multicast"}}},
		{name: "macvlan", settings: modes.Macvlan{Name: "lan", Subnet: "192.168.50.0/24", Shim: true}},
		{name: "ipvlan", settings: modes.Ipvlan{Name: "deep", Subnets: []string{"10.0.1.0/24", "10.0.2.0/24"}, Submode: "l3", Router: true}},
	}
}

func subjectOf(name string) (subject, error) {
	for _, s := range subjects() {
		if s.name == name {
			return s, nil
		}
	}
	return subject{}, errors.New("no such subject: " + name)
}

// plan is the settings' plan for the world as it is.
func plan(ctx context.Context, s modes.Settings) (*ops.Plan, error) {
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return nil, err
	}
	entries, err := executor().Journal.Entries()
	if err != nil {
		return nil, err
	}
	return s.Plan(modes.WorldOf(snap, entries))
}

func mustPlan(t *testing.T, s modes.Settings) *ops.Plan {
	t.Helper()
	p, err := plan(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs the settings' plan.
func run(t *testing.T, s modes.Settings) *ops.Plan {
	t.Helper()
	p := mustPlan(t, s)
	if err := executor().Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

// forEach runs f for every mode, with what it builds on in place; before is the
// state then.
func forEach(t *testing.T, f func(t *testing.T, s subject, before map[string]string)) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			clean := state(t)
			before := clean
			for _, on := range s.on {
				run(t, on)
				before = settled(t)
			}
			if s.name == "ipvlan" {
				needIpvlan(t, s)
			}
			f(t, s, before)
			if _, err := executor().Clean(t.Context()); err != nil && !errors.Is(err, ops.ErrNothing) {
				t.Fatal(err)
			}
			unchanged(t, clean)
		})
	}
}

// needIpvlan skips a kernel without ipvlan, unless it must have it: then what needs
// it fails.
func needIpvlan(t *testing.T, s subject) {
	t.Helper()
	if os.Getenv("VETHSCOPE_TEST_IPVLAN") == "require" {
		return
	}
	err := executor().Run(t.Context(), mustPlan(t, s.settings))
	switch {
	case err == nil:
		if _, err := executor().Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
	case errors.Is(err, unix.EOPNOTSUPP):
		t.Skipf("%v; the virtual machine's kernel has it", err)
	default:
		t.Fatal(err)
	}
}
