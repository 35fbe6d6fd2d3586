package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vethscope/ops/netns"
)

// maxBody is as much of a body as Get reads.
const maxBody = 64 << 10

// GetOptions are those of Get.
type GetOptions struct {
	Timeout time.Duration // for the whole request; 0 means 5 s
}

// Response is the answer to Get. Text in it comes from outside.
type Response struct {
	Status     int            `json:"status"`              // 200
	Body       string         `json:"body"`                // at most 64 KiB of it
	Truncated  bool           `json:"truncated,omitempty"` // there was more
	LocalAddr  netip.AddrPort `json:"local"`
	RemoteAddr netip.AddrPort `json:"remote"`
	Elapsed    time.Duration  `json:"elapsed_ns"` // from connect to the end of the body
}

// Get makes an HTTP request from the namespace that nsPath opens, over a
// connection of its own. The URL's host must be an address; without a scheme,
// http is meant. Redirections are not followed, and no proxy is used. Get may be
// called concurrently.
func Get(ctx context.Context, nsPath, rawURL string, o GetOptions) (Response, error) {
	target, err := targetURL(rawURL)
	if err != nil {
		return Response{}, fmt.Errorf("get: %w", err)
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("no answer within %s", o.Timeout))
	defer cancel()
	start := time.Now()
	resp, err := get(ctx, nsPath, target)
	resp.Elapsed = time.Since(start)
	if err != nil {
		return resp, fmt.Errorf("get %s: %w", target, plain(ctx, err))
	}
	return resp, nil
}

func get(ctx context.Context, nsPath string, target *url.URL) (Response, error) {
	port := target.Port()
	if port == "" {
		port = "80"
	}
	conn, err := dial(ctx, nsPath, "tcp", net.JoinHostPort(target.Hostname(), port))
	if err != nil {
		return Response{}, err
	}
	defer conn.Close()
	out := Response{LocalAddr: addrPort(conn.LocalAddr()), RemoteAddr: addrPort(conn.RemoteAddr())}
	// Left to dial by itself, a transport may go on after its request ended.
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return out, err
	}
	req.Header.Set("User-Agent", "vethscope")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	out.Status, out.Truncated = resp.StatusCode, len(body) > maxBody
	out.Body = string(body[:min(len(body), maxBody)])
	return out, err
}

// dial connects from inside the namespace. An address that is no name has one
// attempt, made on the thread that entered.
func dial(ctx context.Context, nsPath, network, addr string) (net.Conn, error) {
	var conn net.Conn
	err := netns.Do(nsPath, func() (err error) {
		var d net.Dialer
		conn, err = d.DialContext(ctx, network, addr)
		return err
	})
	return conn, err
}

func targetURL(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, badInput("%s", strings.TrimPrefix(err.Error(), "parse "))
	}
	if u.Scheme != "http" {
		return nil, badInput("%q: only http is spoken here", raw)
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return nil, badInput("port %q: give a number from 0 to 65535", port)
		}
	}
	host, err := literal(u.Hostname())
	if err != nil {
		return nil, err
	}
	u.Host = strings.Replace(u.Host, "localhost", host, 1)
	return u, nil
}

// plain is the reason why the context ended rather than the fact that it did, and
// the kernel's answer rather than the addresses, which the caller has named.
func plain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
