package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"vethscope/ops"
	"vethscope/ops/dns"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/netns"
	"vethscope/ops/probe"
)

// newDNSCmd is the name server of one network. A plan starts it in the
// background; its arguments are those of dns.Config.Args.
func newDNSCmd() *cobra.Command {
	return &cobra.Command{
		Use:                "dns NETWORK --listen ADDRESS/LENGTH --record NAME=ADDRESS",
		Short:              "Tell the containers of a network each other's names",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			var late latecomers
			return dns.Run(cmd.Context(), args, late.hosts)
		},
	}
}

// latecomers reads the containers that came to a network after its server was
// started from the journal, again whenever that has changed. Its methods may be
// called concurrently.
type latecomers struct {
	mu    sync.Mutex
	print string // of the journal, when it was read
	known []dns.Host
}

func (l *latecomers) hosts(network string) []dns.Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := journalPrint()
	if now == l.print {
		return l.known
	}
	networks, err := networksOfJournal()
	if err != nil {
		return l.known // being written: the next question is soon
	}
	l.print, l.known = now, nil
	for _, c := range networks[network].Containers {
		l.known = append(l.known, modes.HostOf(c))
	}
	return l.known
}

// journalPrint differs when the journal does.
func journalPrint() string {
	files, err := os.ReadDir(ops.JournalDir)
	if err != nil {
		return "?"
	}
	var b strings.Builder
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			fmt.Fprintln(&b, f.Name(), info.Size())
		}
	}
	return b.String()
}

// networksOfJournal are our networks with everything that was added since.
func networksOfJournal() (map[string]ops.Made, error) {
	entries, err := journal().Entries()
	if err != nil {
		return nil, err
	}
	return modes.WorldOf(&inventory.Snapshot{}, entries).Networks, nil
}

// nameServers are those of the networks that a namespace is in.
func nameServers(ns string) []netip.Addr {
	networks, err := networksOfJournal()
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, made := range networks {
		server, err := netip.ParseAddr(made.DNS)
		if err != nil {
			continue
		}
		for _, c := range made.Containers {
			if c.Name == ns {
				out = append(out, server)
			}
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out
}

// resolve is the address of a host that the user named, as the namespace ns
// knows it: the containers of its networks have names.
func resolve(ctx context.Context, ns, host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, nil
	}
	servers := nameServers(ns)
	if len(servers) == 0 {
		return netip.Addr{}, usageError{fmt.Errorf("%q is not an IP address, and no name server of ours serves %s", host, ns)}
	}
	addrs, err := probe.Lookup(ctx, netns.Path(ns), host, servers)
	if errors.Is(err, probe.ErrNoName) {
		return netip.Addr{}, usageError{fmt.Errorf("%s is not known in the networks of %s", host, ns)}
	}
	if err != nil {
		return netip.Addr{}, err
	}
	return addrs[0], nil
}

// resolveURL puts the address in the place of a name in a URL. What is no URL,
// and localhost, is left to whoever makes the request.
func resolveURL(ctx context.Context, ns, raw string) (string, error) {
	text := raw
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Hostname() == "localhost" {
		return raw, nil
	}
	addr, err := resolve(ctx, ns, u.Hostname())
	if err != nil {
		return "", err
	}
	if port := u.Port(); port != "" {
		u.Host = net.JoinHostPort(addr.String(), port)
	} else if u.Host = addr.String(); addr.Is6() {
		u.Host = "[" + u.Host + "]"
	}
	return u.String(), nil
}
