package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"vethscope/ops"
	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// inNft sends what f queues, as one transaction, to nf_tables of the namespace.
func inNft(ns string, f func(c *nftables.Conn) error) error {
	return overNft(context.Background(), ns, f)
}

// overNft is inNft with a connection that the steps of a plan share.
func overNft(ctx context.Context, ns string, f func(c *nftables.Conn) error) error {
	c, release, err := shared(ctx, nfTables, ns, func() (nftConn, error) {
		c, err := nftables.New(nftables.AsLasting())
		return nftConn{c}, err
	})
	if err != nil {
		return err
	}
	if err = f(c.Conn); err == nil {
		err = c.Flush()
	}
	release(err)
	return explain(err)
}

// nftConn is a lasting nftables.Conn as an io.Closer.
type nftConn struct{ *nftables.Conn }

func (c nftConn) Close() error { return c.CloseLasting() }

// undoNft is inNft for an Undo: what is gone already is undone. On the host the
// Undos share a connection: when one is closed, the kernel first waits until all
// that was deleted by it is freed.
func undoNft(ctx context.Context, ns string, f func(c *nftables.Conn) error) error {
	if ns != "" {
		ctx = context.Background()
	}
	err := overNft(ctx, ns, f)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// NftTable makes a table of the inet family, which sees IPv4 and IPv6.
type NftTable struct {
	NS   string `json:"ns,omitempty"`
	Name string `json:"name"`
	// Theirs says that someone else was faster.
	Theirs bool `json:"theirs,omitempty"`
}

func (s *NftTable) Kind() string { return "nft.table" }
func (s *NftTable) Why() string {
	return "Our rules get a table of their own, so that they can be told from everyone else's, and go away together."
}
func (s *NftTable) Shell() string          { return nftLine(s.NS, "add table inet "+s.Name) }
func (s *NftTable) table() *nftables.Table { return inetTable(s.Name) }

func (s *NftTable) Check(ctx context.Context) error {
	there, err := hasTable(ctx, s.NS, s.Name)
	if err == nil && there {
		err = fmt.Errorf("nft table inet %s already exists: delete it or choose another name", s.Name)
	}
	return err
}

func (s *NftTable) Do(context.Context) error {
	err := inNft(s.NS, func(c *nftables.Conn) error {
		c.CreateTable(s.table()) // fails where it exists
		return nil
	})
	if err != nil {
		s.Theirs = errors.Is(err, unix.EEXIST)
		return fmt.Errorf("add nft table inet %s: %w", s.Name, err)
	}
	return nil
}

func (s *NftTable) Undo(ctx context.Context) error {
	if s.Theirs {
		return nil
	}
	return undoNft(ctx, s.NS, func(c *nftables.Conn) error {
		c.DelTable(s.table())
		return nil
	})
}

// NftChain makes a base chain: a place on the packets' way where rules can act.
type NftChain struct {
	NS       string `json:"ns,omitempty"`
	Table    string `json:"table"`
	Name     string `json:"name"`
	Type     string `json:"type"` // "nat" or "filter"
	Hook     string `json:"hook"` // "prerouting", "output", "postrouting", "forward", "input"
	Priority int32  `json:"priority"`
}

// hookWhy tells what each hook is for.
var hookWhy = map[string]string{
	"prerouting":  "prerouting sees packets as they come in, before the host decides where they go: the place to change a destination.",
	"output":      "output sees the packets that the host itself sends: they never pass prerouting, so the destination is changed here, too.",
	"forward":     "forward sees what the host passes on from one link to another: the place to forbid a way.",
	"postrouting": "postrouting sees packets as they leave, after routing: the place to change a source.",
}

var hooks = map[string]*nftables.ChainHook{
	"prerouting":  nftables.ChainHookPrerouting,
	"input":       nftables.ChainHookInput,
	"forward":     nftables.ChainHookForward,
	"output":      nftables.ChainHookOutput,
	"postrouting": nftables.ChainHookPostrouting,
}

func (s *NftChain) Kind() string { return "nft.chain" }
func (s *NftChain) Why() string  { return hookWhy[s.Hook] }
func (s *NftChain) Shell() string {
	return nftLine(s.NS, fmt.Sprintf("add chain inet %s %s { type %s hook %s priority %d; }",
		s.Table, s.Name, s.Type, s.Hook, s.Priority))
}

func (s *NftChain) chain() *nftables.Chain {
	return &nftables.Chain{
		Table:    inetTable(s.Table),
		Name:     s.Name,
		Type:     nftables.ChainType(s.Type),
		Hooknum:  hooks[s.Hook],
		Priority: nftables.ChainPriorityRef(nftables.ChainPriority(s.Priority)),
	}
}

func (s *NftChain) Check(ctx context.Context) error {
	if hooks[s.Hook] == nil {
		return fmt.Errorf("unknown hook %q", s.Hook)
	}
	if ops.JustMade(ctx, tableWord(s.NS, s.Table)) {
		return nil
	}
	rules, err := netfilter.Read(ctx, netns.Path(s.NS))
	if err != nil {
		return err
	}
	for _, c := range rules.Chains {
		if c.Family == "inet" && c.Table == s.Table && c.Name == s.Name {
			return fmt.Errorf("chain %s already exists in nft table inet %s", s.Name, s.Table)
		}
	}
	return nil
}

func (s *NftChain) Do(context.Context) error {
	err := inNft(s.NS, func(c *nftables.Conn) error {
		c.AddChain(s.chain())
		return nil
	})
	if err != nil {
		return fmt.Errorf("add nft chain %s: %w", s.Name, err)
	}
	return nil
}

func (s *NftChain) Undo(ctx context.Context) error {
	return undoNft(ctx, s.NS, func(c *nftables.Conn) error {
		c.DelChain(s.chain())
		return nil
	})
}

func inetTable(name string) *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: name}
}

func hasTable(ctx context.Context, ns, name string) (there bool, err error) {
	err = overNft(ctx, ns, func(c *nftables.Conn) error {
		tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
		for _, t := range tables {
			there = there || t.Name == name
		}
		return err
	})
	return there, err
}

// nftLine is the shell line that gives text to nft(8).
func nftLine(ns, text string) string {
	if strings.ContainsAny(text, `{}"!;`) {
		text = quote(text)
	}
	return exec(ns) + "nft " + text
}

// findRule returns the handle of the rule of ours that bears the comment, 0 for
// none. The comment of a rule is unique in its chain.
func findRule(ctx context.Context, ns, table, chain, comment string) (uint64, error) {
	return netfilter.FindRule(ctx, netns.Path(ns), "inet", table, chain, comment)
}

// checkRule refuses a rule that is there already.
func checkRule(ctx context.Context, ns, table, chain, comment string) error {
	if ops.JustMade(ctx, tableWord(ns, table)) {
		return nil
	}
	handle, err := findRule(ctx, ns, table, chain, comment)
	if err == nil && handle != 0 {
		err = fmt.Errorf("rule %q already exists in chain %s of nft table inet %s", comment, chain, table)
	}
	return err
}

// undoRule deletes the rule that bears the comment.
func undoRule(ctx context.Context, ns, table, chain, comment string) error {
	handle, err := findRule(ctx, ns, table, chain, comment)
	if err != nil || handle == 0 {
		if ns != "" && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return undoNft(ctx, ns, func(c *nftables.Conn) error {
		return c.DelRule(&nftables.Rule{
			Table:  inetTable(table),
			Chain:  &nftables.Chain{Name: chain},
			Handle: handle,
		})
	})
}
