package dns

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
)

// Args are the arguments with which vethscope runs the server described by c:
//
//	dns NETWORK --listen ADDRESS/LENGTH --record NAME=ADDRESS[,ADDRESS]
//
// c.Later and c.Ready are not part of them.
func (c Config) Args() []string {
	args := []string{"dns", c.Zone.Network}
	for _, p := range c.Listen {
		args = append(args, "--listen", p.String())
	}
	for _, h := range c.Zone.Hosts {
		addrs := make([]string, len(h.Addrs))
		for i, a := range h.Addrs {
			addrs[i] = a.String()
		}
		args = append(args, "--record", strings.Join(h.Names, ",")+"="+strings.Join(addrs, ","))
	}
	return args
}

// Parse reads what Args wrote, without its first word. ready is the file that
// --ready-fd names, nil without it; it is there to be told of an error, too.
func Parse(args []string) (c Config, ready *os.File, err error) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return c, nil, errors.New("takes NETWORK first")
	}
	c.Zone.Network, c.Link = args[0], args[0]
	flags := flag.NewFlagSet("dns", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("listen", "", func(text string) error {
		p, err := netip.ParsePrefix(text)
		c.Listen = append(c.Listen, p)
		c.Zone.Prefixes = append(c.Zone.Prefixes, p.Masked())
		return err
	})
	flags.Func("record", "", func(text string) error {
		h, err := parseHost(text)
		c.Zone.Hosts = append(c.Zone.Hosts, h)
		return err
	})
	fd := flags.Int("ready-fd", -1, "")
	if err := flags.Parse(args[1:]); err != nil {
		return c, nil, err
	}
	if *fd >= 0 {
		ready = os.NewFile(uintptr(*fd), "ready")
	}
	if flags.NArg() > 0 || len(c.Listen) == 0 {
		err = errors.New("takes NETWORK and at least one --listen ADDRESS/LENGTH")
	}
	return c, ready, err
}

func parseHost(text string) (Host, error) {
	names, addrs, ok := strings.Cut(text, "=")
	if !ok || names == "" {
		return Host{}, fmt.Errorf("%q must be NAME=ADDRESS", text)
	}
	h := Host{Names: strings.Split(names, ",")}
	for a := range strings.SplitSeq(addrs, ",") {
		addr, err := netip.ParseAddr(a)
		if err != nil {
			return h, err
		}
		h.Addrs = append(h.Addrs, addr)
	}
	return h, nil
}

// Run serves as args say, and tells whoever waits on the other end of
// --ready-fd "ok", or why not. later is Config.Later for that network; nil for
// nobody.
func Run(ctx context.Context, args []string, later func(network string) []Host) error {
	c, ready, err := Parse(args)
	told := func(text string) {
		if ready != nil {
			fmt.Fprintln(ready, text)
			ready.Close()
			ready = nil
		}
	}
	if err != nil {
		told(err.Error())
		return fmt.Errorf("dns: %w", err)
	}
	if later != nil {
		c.Later = func() []Host { return later(c.Zone.Network) }
	}
	c.Ready = func() { told("ok") }
	if err := Serve(ctx, c); err != nil {
		told(err.Error())
		return fmt.Errorf("dns %s: %w", c.Zone.Network, err)
	}
	return nil
}
