package probe

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"vethscope/ops/dns"
	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestLookup: from inside a namespace, over UDP and TCP sockets of a real server
// in the host's.
func TestLookup(t *testing.T) {
	ns := sandboxtest.NS(t, "c7")
	sandboxtest.Run(t, "", "sh", "-ec", `ip link add d7 type veth peer name eth0 netns c7
		ip addr add 172.18.7.1/24 dev d7; ip addr add fd18:7::1/64 dev d7 nodad; ip link set d7 up
		ip -n c7 addr add 172.18.7.2/24 dev eth0; ip -n c7 addr add fd18:7::2/64 dev eth0 nodad; ip -n c7 link set eth0 up`)
	prefixes := []netip.Prefix{netip.MustParsePrefix("172.18.7.1/24"), netip.MustParsePrefix("fd18:7::1/64")}
	var mu sync.Mutex
	var late []dns.Host
	ready := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		err := dns.Serve(ctx, dns.Config{
			Link: "d7", Listen: prefixes, Ready: func() { close(ready) },
			Zone: dns.Zone{Network: "web", Prefixes: prefixes,
				Hosts: []dns.Host{{Names: []string{"web-1"}, Addrs: []netip.Addr{netip.MustParseAddr("fd18:7::2"), netip.MustParseAddr("172.18.7.2")}}}},
			Later: func() []dns.Host {
				mu.Lock()
				defer mu.Unlock()
				return late
			},
		})
		if err != nil {
			t.Error(err)
		}
	})
	defer running.Wait()
	defer cancel()
	select {
	case <-ready:
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not get ready")
	}
	four, six := []netip.Addr{prefixes[0].Addr()}, []netip.Addr{prefixes[1].Addr()}
	for _, servers := range [][]netip.Addr{four, six, append(four, six...)} {
		got, err := Lookup(t.Context(), netns.Path(ns), "web-1", servers)
		if err != nil || len(got) != 2 || got[0].String() != "172.18.7.2" || got[1].String() != "fd18:7::2" {
			t.Errorf("asked %v: %v, %v", servers, got, err)
		}
	}
	if _, err := Lookup(t.Context(), netns.Path(ns), "web-2", four); !errors.Is(err, ErrNoName) {
		t.Errorf("an unknown name: %v, want ErrNoName", err)
	}
	mu.Lock()
	late = []dns.Host{{Names: []string{"web-2"}, Addrs: []netip.Addr{netip.MustParseAddr("172.18.7.3")}}}
	mu.Unlock()
	if got, err := Lookup(t.Context(), netns.Path(ns), "web-2", four); err != nil || got[0].String() != "172.18.7.3" {
		t.Errorf("a container that came later: %v, %v", got, err)
	}
	// A server that is not there does not keep the next from being asked.
	if got, err := Lookup(t.Context(), netns.Path(ns), "web-1", []netip.Addr{netip.MustParseAddr("172.18.7.9"), four[0]}); err != nil || len(got) == 0 {
		t.Errorf("the second server was not asked: %v, %v", got, err)
	}
	if _, err := Lookup(t.Context(), netns.Path(ns), "web-1", []netip.Addr{netip.MustParseAddr("172.18.7.2")}); err == nil || errors.Is(err, ErrNoName) {
		t.Errorf("no server at all: %v", err)
	}
	sandboxtest.Run(t, "", "ip", "link", "delete", "d7") // the server ends with it
}
