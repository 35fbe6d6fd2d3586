package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netns"
)

// Outcome is what came of a proof.
type Outcome struct {
	ops.Proof
	Through bool          `json:"through"`          // it got through
	OK      bool          `json:"ok"`               // as it should
	Detail  string        `json:"detail,omitempty"` // what was heard, or why nothing was; text from outside
	Elapsed time.Duration `json:"elapsed_ns"`
}

const (
	// proveTime is how long a proof is tried before nothing has come of it. A new
	// link takes up to a second to find that it has a carrier.
	proveTime = 2500 * time.Millisecond
	// proveTry is how long each attempt waits for an answer.
	proveTry = 700 * time.Millisecond
	// proveMany is how many proofs run at once.
	proveMany = 16
)

// Prove tries every proof, several at once, and says what came of each, in their
// order. The servers that they need it starts and stops itself; where one is
// there already, that serves. each, when set, is told of every outcome as it
// comes, one at a time. The error says that ctx ended, or that a server could not
// be started; a proof that fails is an Outcome.
func Prove(ctx context.Context, list []ops.Proof, each func(i int, o Outcome)) ([]Outcome, error) {
	stop, err := serveAll(ctx, list)
	defer stop()
	if err != nil {
		return nil, err
	}
	out := make([]Outcome, len(list))
	places := make(chan struct{}, proveMany)
	var telling sync.Mutex
	var all sync.WaitGroup
	for i, p := range list {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			out[i] = prove(ctx, p)
			if each != nil && ctx.Err() == nil {
				telling.Lock()
				defer telling.Unlock()
				each(i, out[i])
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, nil
}

// serveAll starts the servers that proofs need, once each.
func serveAll(ctx context.Context, list []ops.Proof) (stop func(), err error) {
	servers := map[string]io.Closer{} // nil where one is there already
	stop = func() {
		for _, s := range servers {
			if s != nil {
				s.Close()
			}
		}
	}
	for _, p := range list {
		if _, started := servers[p.Serve]; started || p.Serve == "" {
			continue
		}
		ns, port, ok := strings.Cut(p.Serve, ":")
		if !ok {
			return stop, fmt.Errorf("prove: server %q: give NAMESPACE:PORT or NAMESPACE:PORT/udp", p.Serve)
		}
		s, err := serveFor(ctx, ns, port)
		if err != nil && !errors.Is(err, unix.EADDRINUSE) {
			return stop, fmt.Errorf("prove: in %s: %w", ns, err)
		}
		servers[p.Serve] = s
	}
	return stop, nil
}

// Check says what is wrong with a proof before it is tried, and in which field:
// "kind", "target" or "serve"; "" is nothing. That there is such a namespace it does
// not check.
func Check(p ops.Proof) (field, message string) {
	var err error
	switch p.Kind {
	case "ping":
		if _, err = netip.ParseAddr(p.Target); err != nil {
			err = badInput("%q is not an IP address", p.Target)
		}
	case "get":
		_, err = targetURL(p.Target)
	case "udp":
		_, err = datagramTarget(p.Target)
	case "listen":
		_, err = listenAddr(p.Target)
	default:
		return "kind", fmt.Sprintf("%q must be ping, get, udp or listen", p.Kind)
	}
	if err != nil {
		return "target", err.Error()
	}
	if p.Serve != "" {
		ns, port, _ := strings.Cut(p.Serve, ":")
		if _, err := strconv.ParseUint(strings.TrimSuffix(port, "/udp"), 10, 16); err != nil || ns == "" {
			return "serve", fmt.Sprintf("%q must be NAMESPACE:PORT or NAMESPACE:PORT/udp", p.Serve)
		}
	}
	return "", ""
}

// serveFor starts a server on a port, "80" or "53/udp".
func serveFor(ctx context.Context, ns, port string) (io.Closer, error) {
	if port, udp := strings.CutSuffix(port, "/udp"); udp {
		s, err := ServeUDP(ctx, netns.Path(ns), ":"+port, ServeOptions{Name: ns})
		if err != nil {
			return nil, err // and no closer, which a nil server would be
		}
		return s, nil
	}
	s, err := Serve(ctx, netns.Path(ns), ":"+port, ServeOptions{Name: ns})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// prove tries one proof until it gets through or its time is over: what must fail
// gets the same chance as what must not.
func prove(ctx context.Context, p ops.Proof) Outcome {
	o := Outcome{Proof: p}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, proveTime)
	defer cancel()
	for {
		detail, err := attempt(limited, p)
		if err == nil {
			o.Through, o.Detail = true, detail
			break
		}
		if o.Detail == "" || limited.Err() == nil { // that the time is over tells least
			o.Detail = err.Error()
		}
		if p.Kind == "listen" || !wait(limited, 100*time.Millisecond) {
			break
		}
	}
	o.OK, o.Elapsed = o.Through == p.Want, time.Since(began)
	return o
}

// wait is false when ctx ends first.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// attempt tries p once, and says what was heard.
func attempt(ctx context.Context, p ops.Proof) (string, error) {
	path := netns.Path(p.From)
	switch p.Kind {
	case "ping":
		return attemptPing(ctx, path, p.Target)
	case "get":
		res, err := Get(ctx, path, p.Target, GetOptions{Timeout: proveTime})
		if err != nil {
			return "", err
		}
		first, _, _ := strings.Cut(res.Body, "\n")
		return fmt.Sprintf("status %d: %s", res.Status, first), nil
	case "udp":
		res, err := Exchange(ctx, path, p.Target, ExchangeOptions{Timeout: proveTry})
		if err != nil {
			return "", err
		}
		first, _, _ := strings.Cut(res.Body, "\n")
		return fmt.Sprintf("answer in %s: %s", res.Elapsed.Round(time.Microsecond), first), nil
	case "listen":
		s, err := Serve(ctx, path, p.Target, ServeOptions{})
		if op, ok := errors.AsType[*net.OpError](err); ok {
			return "", fmt.Errorf("listen %s: %w", p.Target, op.Err)
		}
		if err != nil {
			return "", err
		}
		return "the port was free", s.Close()
	}
	return "", fmt.Errorf("unknown kind of proof %q", p.Kind)
}

func attemptPing(ctx context.Context, path, target string) (string, error) {
	dst, err := netip.ParseAddr(target)
	if err != nil {
		return "", err
	}
	res, err := Ping(ctx, path, dst, PingOptions{Count: 1, Timeout: proveTry})
	if err != nil {
		return "", err
	}
	for _, r := range res.Replies {
		if r.Problem == "" {
			return fmt.Sprintf("answer from %s in %s", r.From, r.RTT.Round(time.Microsecond)), nil
		}
		err = errors.New(r.Problem)
	}
	if err == nil {
		err = errors.New("no answer")
	}
	return "", fmt.Errorf("ping %s: %w", dst, err)
}
