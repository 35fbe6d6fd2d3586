package inventory

import (
	"net/netip"
	"testing"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

func TestHopTo(t *testing.T) {
	sandboxtest.Tool(t, "ip")
	a, b := sandboxtest.NS(t, "hop-a"), sandboxtest.NS(t, "hop-b")
	sandboxtest.Run(t, a, "ip", "link", "set", "lo", "up")
	sandboxtest.Run(t, a, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", b)
	sandboxtest.Run(t, b, "ip", "link", "set", "v1", "up")
	sandboxtest.Run(t, a, "ip", "addr", "add", "10.1.0.1/24", "dev", "v0")
	sandboxtest.Run(t, a, "ip", "addr", "add", "fd01::1/64", "dev", "v0", "nodad")
	sandboxtest.Run(t, a, "ip", "link", "set", "v0", "up")
	sandboxtest.Run(t, a, "ip", "route", "add", "blackhole", "10.9.0.0/16")
	for dst, want := range map[string]Hop{
		"10.1.0.7": {Link: "v0"},
		"10.1.0.1": {Link: "lo", Local: true},
		"fd01::7":  {Link: "v0"},
		"10.9.0.1": {},
		"8.8.8.8":  {},
		"fd02::1":  {},
	} {
		got, err := HopTo(t.Context(), netns.Path(a), netip.MustParseAddr(dst))
		if err != nil || got != want {
			t.Errorf("HopTo %s: %+v, %v; want %+v", dst, got, err, want)
		}
	}
	if _, err := HopTo(t.Context(), netns.Path("hop-none"), netip.MustParseAddr("10.0.0.1")); err == nil {
		t.Error("a namespace that is not there: no error")
	}
}
