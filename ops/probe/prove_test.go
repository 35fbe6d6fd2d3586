package probe_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"vethscope/ops"
	"vethscope/ops/netns"
	"vethscope/ops/probe"
	"vethscope/ops/sandbox/sandboxtest"
)

// selfish is a namespace whose lo is up.
func selfish(t *testing.T, name string) string {
	t.Helper()
	ns := sandboxtest.NS(t, name)
	sandboxtest.Run(t, ns, "ip", "link", "set", "lo", "up")
	return ns
}

// TestProve: each kind, getting through and not, wanted and not; the outcomes are
// in the order of the proofs, and each is told once.
func TestProve(t *testing.T) {
	a, b := selfish(t, "a"), selfish(t, "b")
	list := []ops.Proof{
		{Kind: "ping", From: a, Target: "127.0.0.1", Want: true},
		{Kind: "ping", From: a, Target: "192.0.2.1", Want: false},
		{Kind: "ping", From: a, Target: "127.0.0.1", Want: false}, // it will, though
		{Kind: "get", From: a, Target: "http://127.0.0.1:80/", Serve: "a:80", Want: true},
		{Kind: "get", From: b, Target: "http://127.0.0.1:80/", Want: true}, // nobody serves there
		{Kind: "listen", From: a, Target: ":80", Serve: "a:80", Want: false},
		{Kind: "listen", From: b, Target: ":80", Want: true},
		{Kind: "dance", From: a, Target: "127.0.0.1", Want: true},
		{Kind: "ping", From: "nowhere", Target: "127.0.0.1", Want: true},
		{Kind: "ping", From: a, Target: "nonsense", Want: true},
		{Kind: "udp", From: a, Target: "127.0.0.1:53", Serve: "a:53/udp", Want: true},
		{Kind: "udp", From: a, Target: "[::1]:53", Serve: "a:53/udp", Want: true},
		{Kind: "udp", From: b, Target: "127.0.0.1:53", Want: false}, // nobody answers there
		{Kind: "udp", From: a, Target: "127.0.0.1", Want: true},
	}
	want := []struct {
		through, ok bool
		detail      string
	}{
		{true, true, "answer from 127.0.0.1"}, {false, true, "unreachable"}, {true, false, "answer"},
		{true, true, "status 200: This is a."}, {false, false, "refused"},
		{false, true, "address already in use"}, {true, true, "free"},
		{false, false, "dance"}, {false, false, "nowhere"}, {false, false, "nonsense"},
		{true, true, "This is a."}, {true, true, "This is a."}, {false, true, "refused"}, {false, false, "address:port"},
	}
	var told []int
	out, err := probe.Prove(t.Context(), list, func(i int, _ probe.Outcome) { told = append(told, i) })
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range want {
		if o := out[i]; o.Through != w.through || o.OK != w.ok || !strings.Contains(o.Detail, w.detail) || o.Proof != list[i] {
			t.Errorf("%+v: %+v; want %+v", list[i], o, w)
		}
	}
	each := make([]int, len(list))
	for i := range each {
		each[i] = i
	}
	if slices.Sort(told); !slices.Equal(told, each) {
		t.Errorf("told of %v, want each once", told)
	}
	// The servers are gone.
	s, err := probe.Serve(t.Context(), netns.Path(a), ":80", probe.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	u, err := probe.ServeUDP(t.Context(), netns.Path(a), ":53", probe.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	u.Close()
}

// TestProveWithAServerThatIsThere: it serves, and is left running.
func TestProveWithAServerThatIsThere(t *testing.T) {
	a := selfish(t, "a")
	s, err := probe.Serve(t.Context(), netns.Path(a), ":80", probe.ServeOptions{Name: "the other one"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	u, err := probe.ServeUDP(t.Context(), netns.Path(a), ":53", probe.ServeOptions{Name: "the other one"})
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	for range 2 {
		out, err := probe.Prove(t.Context(), []ops.Proof{
			{Kind: "get", From: a, Target: "http://127.0.0.1/", Serve: "a:80", Want: true},
			{Kind: "udp", From: a, Target: "127.0.0.1:53", Serve: "a:53/udp", Want: true},
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if !o.OK || !strings.Contains(o.Detail, "the other one") {
				t.Errorf("%+v", o)
			}
		}
	}
}

// TestProveWaitsForALink: what only works after a moment gets that moment.
func TestProveWaitsForALink(t *testing.T) {
	a := sandboxtest.NS(t, "a")
	done := make(chan error, 1)
	go func() {
		out, err := probe.Prove(context.Background(), []ops.Proof{{Kind: "ping", From: a, Target: "127.0.0.1", Want: true}}, nil)
		if err == nil && !out[0].OK {
			err = errors.New(out[0].Detail)
		}
		done <- err
	}()
	sandboxtest.Run(t, a, "ip", "link", "set", "lo", "up")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestProveErrors(t *testing.T) {
	a := selfish(t, "a")
	for serve, words := range map[string]string{"a": "NAMESPACE:PORT", "nowhere:80": "nowhere", "a:http": "port", "a:http/udp": "port", "nowhere:53/udp": "nowhere"} {
		if _, err := probe.Prove(t.Context(), []ops.Proof{{Kind: "get", From: a, Target: "http://127.0.0.1/", Serve: serve}}, nil); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("server %q: %v, want an error with %q", serve, err, words)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := probe.Prove(ctx, []ops.Proof{{Kind: "ping", From: a, Target: "192.0.2.1"}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("ended early: %v", err)
	}
}
