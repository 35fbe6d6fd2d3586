package steps

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"

	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// ForwardAccept inserts a rule at the top of another tool's chain that lets
// through what comes from, or goes to, a link. It must stand in that very chain:
// an accept in a table of ours would not keep a later chain from dropping. The
// comment marks the rule as ours, and only this rule is taken back.
type ForwardAccept struct {
	NS      string `json:"ns,omitempty"`
	Family  string `json:"family"` // "ip", "ip6" or "inet"
	Table   string `json:"table"`
	Chain   string `json:"chain"`
	Link    string `json:"link"`
	Out     bool   `json:"out"`     // what goes to the link, else what comes from it
	Comment string `json:"comment"` // begins with MarkPrefix
}

func (s *ForwardAccept) Kind() string { return "nft.forward-accept" }
func (s *ForwardAccept) Why() string {
	way := "comes from"
	if s.Out {
		way = "goes to"
	}
	return fmt.Sprintf("%s %s drops what is forwarded, even between two ports of a bridge when bridge-nf-call-iptables is 1; this lets through what %s %s.",
		s.Table, s.Chain, way, s.Link)
}

func (s *ForwardAccept) direction() string {
	if s.Out {
		return "oifname"
	}
	return "iifname"
}

func (s *ForwardAccept) Shell() string {
	return nftLine(s.NS, fmt.Sprintf(`insert rule %s %s %s %s "%s" counter accept comment "%s"`,
		s.Family, s.Table, s.Chain, s.direction(), s.Link, s.Comment))
}

var families = map[string]nftables.TableFamily{
	"ip": nftables.TableFamilyIPv4, "ip6": nftables.TableFamilyIPv6, "inet": nftables.TableFamilyINet,
}

// find returns the handle of our rule, 0 for none, and whether its chain exists.
func (s *ForwardAccept) find(ctx context.Context) (handle uint64, chain bool, err error) {
	rules, err := netfilter.Read(ctx, netns.Path(s.NS))
	if err != nil {
		return 0, false, err
	}
	for _, c := range rules.Chains {
		chain = chain || c.Family == s.Family && c.Table == s.Table && c.Name == s.Chain
	}
	for _, r := range rules.Rules {
		if r.Family == s.Family && r.Table == s.Table && r.Chain == s.Chain && s.isOurs(r) {
			handle = r.Handle
		}
	}
	return handle, chain, nil
}

// isOurs knows our rule by its comment, as nft and iptables-nft show it.
func (s *ForwardAccept) isOurs(r netfilter.Rule) bool {
	way := "-i "
	if s.Out {
		way = "-o "
	}
	return r.Comment == s.Comment && (strings.Contains(r.Text, s.direction()) || strings.Contains(r.Text, way))
}

func (s *ForwardAccept) Check(ctx context.Context) error {
	handle, chain, err := s.find(ctx)
	switch {
	case err != nil:
		return err
	case !chain:
		return fmt.Errorf("%s has no chain %s in table %s %s", label(s.NS), s.Chain, s.Family, s.Table)
	case handle != 0:
		return fmt.Errorf("chain %s of table %s %s accepts %s already", s.Chain, s.Family, s.Table, s.Link)
	}
	return nil
}

func (s *ForwardAccept) table() *nftables.Table {
	return &nftables.Table{Family: families[s.Family], Name: s.Table}
}

func (s *ForwardAccept) Do(context.Context) error {
	key := expr.MetaKeyIIFNAME
	if s.Out {
		key = expr.MetaKeyOIFNAME
	}
	err := inNft(s.NS, func(c *nftables.Conn) error {
		c.InsertRule(&nftables.Rule{
			Table: s.table(),
			Chain: &nftables.Chain{Table: s.table(), Name: s.Chain},
			Exprs: []expr.Any{
				&expr.Meta{Key: key, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(s.Link)},
				&expr.Counter{},
				&expr.Verdict{Kind: expr.VerdictAccept},
			},
			UserData: userdata.AppendString(nil, userdata.TypeComment, s.Comment),
		})
		return nil
	})
	if err != nil {
		return fmt.Errorf("accept %s in chain %s: %w", s.Link, s.Chain, err)
	}
	return nil
}

func (s *ForwardAccept) Undo(ctx context.Context) error {
	handle, _, err := s.find(ctx)
	if err != nil || handle == 0 {
		if s.NS != "" && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return undoNft(ctx, s.NS, func(c *nftables.Conn) error {
		return c.DelRule(&nftables.Rule{Table: s.table(), Chain: &nftables.Chain{Name: s.Chain}, Handle: handle})
	})
}
