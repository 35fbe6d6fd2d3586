// Package modes runs the experiments on network modes: each test makes a network
// and observes, with other programs' eyes where it can, what the experiment is to
// show. The names are those of the list of experiments, C1 to C8.
package modes

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox/sandboxtest"
	"vethscope/ops/steps"
)

func TestMain(m *testing.M) { sandboxtest.MainWorld(m) }

func executor() *ops.Executor {
	return &ops.Executor{Journal: ops.NewJournal(ops.JournalDir, steps.Decode)}
}

func snapshot(t *testing.T) *inventory.Snapshot {
	t.Helper()
	snap, err := inventory.Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// plan is the settings' plan for the world as it is.
func plan(t *testing.T, s modes.Settings) *ops.Plan {
	t.Helper()
	entries, err := executor().Journal.Entries()
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(modes.WorldOf(snapshot(t), entries))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// create makes a network for the length of the test.
func create(t *testing.T, s modes.Settings) *ops.Plan {
	t.Helper()
	p := plan(t, s)
	if err := executor().Run(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { remove(t, p.Name) })
	return p
}

// remove takes a network back; one that is gone already is no fault.
func remove(t *testing.T, name string) {
	t.Helper()
	// The test's own context has ended by the time that its cleanups run.
	if _, err := executor().Delete(context.WithoutCancel(t.Context()), name); err != nil && !errors.Is(err, ops.ErrNothing) {
		t.Error(err)
	}
}

// prove tries all that the network must do and all that it cannot.
func prove(t *testing.T, p *ops.Plan) []probe.Outcome {
	t.Helper()
	out, err := probe.Prove(t.Context(), p.Made.Proofs, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range out {
		if !o.OK {
			t.Errorf("%s: %s from %s to %s: got through %v, want %v: %s (%s)", p.Title, o.Kind, o.From, o.Target, o.Through, o.Want, o.Detail, o.Why)
		}
	}
	return out
}

// reach tries one ping.
func reach(t *testing.T, from, to string, want bool, why string) {
	t.Helper()
	prove(t, &ops.Plan{Title: "by hand", Made: ops.Made{Proofs: []ops.Proof{{Kind: "ping", From: from, Target: to, Want: want, Why: why}}}})
}

// ipLink is what ip(8) says of a link.
type ipLink struct {
	Index   int      `json:"ifindex"`
	Name    string   `json:"ifname"`
	MTU     int      `json:"mtu"`
	MAC     string   `json:"address"`
	Flags   []string `json:"flags"`
	Master  string   `json:"master"`
	Alias   string   `json:"ifalias"`
	Details struct {
		Kind string         `json:"info_kind"`
		Data map[string]any `json:"info_data"`
	} `json:"linkinfo"`
	Addrs []struct {
		Family string `json:"family"`
		Local  string `json:"local"`
		Bits   int    `json:"prefixlen"`
		Scope  string `json:"scope"`
	} `json:"addr_info"`
}

// links are the links of a namespace by name, as ip(8) sees them.
func links(t *testing.T, ns string) map[string]ipLink {
	t.Helper()
	var list []ipLink
	if err := json.Unmarshal([]byte(sandboxtest.Run(t, ns, "ip", "-j", "-d", "addr")), &list); err != nil {
		t.Fatal(err)
	}
	out := map[string]ipLink{}
	for _, l := range list {
		out[l.Name] = l
	}
	return out
}

func (l ipLink) has(addr string) bool {
	for _, a := range l.Addrs {
		if a.Local == addr {
			return true
		}
	}
	return false
}

// routes are the lines of ip-route(8), without spaces at the end.
func routes(t *testing.T, ns string) []string {
	t.Helper()
	var out []string
	for l := range strings.Lines(sandboxtest.Run(t, ns, "ip", "route")) {
		out = append(out, strings.TrimSpace(l))
	}
	return out
}
