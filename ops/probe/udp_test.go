package probe_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops/probe"
	"vethscope/ops/sandbox/sandboxtest"
)

// TestExchange: a datagram and its answer, over both families; who is told, and
// what each side sees of the other.
func TestExchange(t *testing.T) {
	a, b := lan(t)
	var told atomic.Int32
	s, err := probe.ServeUDP(t.Context(), b, ":5353", probe.ServeOptions{OnRequest: func(r probe.Request) {
		if r.Client.IsValid() && r.Local.Port() == 5353 {
			told.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, dst := range []string{"10.9.0.2:5353", "[fd09::2]:5353"} {
		r, err := probe.Exchange(t.Context(), a, dst, probe.ExchangeOptions{Timeout: 5 * time.Second})
		if err != nil {
			t.Errorf("%s: %v", dst, err)
			continue
		}
		if want := "This is b.\nYou come from " + r.LocalAddr.String() + ".\n"; r.Body != want || r.RemoteAddr.String() != dst || r.Elapsed <= 0 {
			t.Errorf("%s: %+v, want %q", dst, r, want)
		}
	}
	if told.Load() != 2 {
		t.Errorf("told of %d datagrams, want 2", told.Load())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := probe.Exchange(t.Context(), a, "10.9.0.2:5353", probe.ExchangeOptions{}); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("after the end of the server: %v", err)
	}
}

// TestExchangeUnanswered: silence ends with the time for it, and with the context.
func TestExchangeUnanswered(t *testing.T) {
	a, _ := lan(t)
	sandboxtest.Run(t, "b", "ip", "route", "add", "blackhole", "10.9.0.1/32")
	sandboxtest.Run(t, "b", "ip", "addr", "add", "10.9.9.9/32", "dev", "lo")
	if _, err := probe.Exchange(t.Context(), a, "10.9.9.9:53", probe.ExchangeOptions{Timeout: 50 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), "no answer within 50ms") {
		t.Errorf("unanswered: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("changed my mind")) })
	if _, err := probe.Exchange(ctx, a, "10.9.9.9:53", probe.ExchangeOptions{Timeout: time.Minute}); err == nil || !strings.Contains(err.Error(), "changed my mind") {
		t.Errorf("given up: %v", err)
	}
	for _, dst := range []string{"10.9.0.2", "web-1:53", "10.9.0.2:http:x"} {
		if _, err := probe.Exchange(t.Context(), a, dst, probe.ExchangeOptions{}); err == nil || !strings.Contains(err.Error(), dst) {
			t.Errorf("%s: %v", dst, err)
		}
	}
}

// TestServeUDPEnds: with its context, too; and its port is free then.
func TestServeUDPEnds(t *testing.T) {
	_, b := lan(t)
	ctx, cancel := context.WithCancel(t.Context())
	s, err := probe.ServeUDP(ctx, b, "10.9.0.2:53", probe.ServeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := probe.ServeUDP(t.Context(), b, "10.9.0.2:53", probe.ServeOptions{}); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("a second one: %v", err)
	}
	cancel()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if s.Addr().String() != "10.9.0.2:53" {
		t.Errorf("listened on %s", s.Addr())
	}
	if s, err = probe.ServeUDP(t.Context(), b, ":53", probe.ServeOptions{}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	for _, addr := range []string{"web:53", ":http", "1.2.3.4:5:6"} {
		if _, err := probe.ServeUDP(t.Context(), b, addr, probe.ServeOptions{}); err == nil {
			t.Errorf("listens on %s", addr)
		}
	}
}
