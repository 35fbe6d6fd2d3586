package steps

import (
	"context"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// IsolationGroup is the link group of the bridges that are kept apart.
const IsolationGroup = 118

// NftIsolate drops what comes to a bridge from another bridge of
// IsolationGroup, in a chain of the forward hook.
//
// Docker does the same pair by pair in DOCKER-ISOLATION-STAGE-1 and -2. There,
// too, the published ports stay open to the containers of other networks: its
// userland proxy receives such a call on the host and calls again. Here the call
// is let through because its destination was rewritten. The container sees the
// host as its client in both, here because the caller's network masquerades.
type NftIsolate struct {
	NS      string `json:"ns,omitempty"`
	Table   string `json:"table"`
	Chain   string `json:"chain"`
	Bridge  string `json:"bridge"`
	Comment string `json:"comment"`
}

func (s *NftIsolate) Kind() string { return "nft.isolate" }
func (s *NftIsolate) Why() string {
	return fmt.Sprintf("A router forwards between any two links, also between two networks that should not see each other. What comes to %s from another bridge of link group %d is dropped, unless it was sent to a published port.", s.Bridge, IsolationGroup)
}

func (s *NftIsolate) text() string {
	return fmt.Sprintf(`iifgroup %d iifname != "%s" oifname "%s" ct status ! dnat counter drop comment "%s"`,
		IsolationGroup, s.Bridge, s.Bridge, s.Comment)
}

func (s *NftIsolate) Shell() string { return ruleLine(s.NS, s.Table, s.Chain, s.text()) }

func (s *NftIsolate) Check(ctx context.Context) error {
	return checkRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}

func (s *NftIsolate) Do(ctx context.Context) error { return addRule(ctx, s.NS, s.rule(), s.Comment) }

func (s *NftIsolate) rule() *nftables.Rule {
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFGROUP, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(IsolationGroup)},
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: ifname(s.Bridge)},
		&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(s.Bridge)},
	}
	exprs = append(exprs, matchDNATed(expr.CmpOpEq)...)
	exprs = append(exprs, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop})
	return newRule(s.Table, s.Chain, s.Comment, exprs)
}

func (s *NftIsolate) Undo(ctx context.Context) error {
	return undoRule(ctx, s.NS, s.Table, s.Chain, s.Comment)
}
