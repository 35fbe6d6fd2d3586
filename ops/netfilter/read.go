package netfilter

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Ruleset is what nf_tables held at one moment. It is immutable and may be
// used by any number of goroutines.
type Ruleset struct {
	Chains []Chain
	// Rules are in the kernel's order: tables as they were made, chains as they
	// were made, rules as they are tried.
	Rules []Rule

	chains []*chain // of all tables, for the evaluator
}

// readAttempts bounds how often a ruleset that changes under the dump is read
// again, readPause how long to wait in between.
const (
	readAttempts = 20
	readPause    = 5 * time.Millisecond
)

// Read dumps the whole ruleset of nf_tables in the network namespace that
// nsPath opens: all families, native tables and those of iptables-nft. It only
// reads, and keeps no socket. An empty ruleset is no error. Without
// CAP_NET_ADMIN over the namespace it fails with fs.ErrPermission, without
// nf_tables in the kernel with ErrUnsupported. A ruleset that kept changing
// through all attempts is an error too. It may be called concurrently.
func Read(ctx context.Context, nsPath string) (*Ruleset, error) {
	conn, release, err := dial(ctx, nsPath)
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	defer release()
	var ts *tables
	err = undisturbed(ctx, func() (err error) {
		ts, err = nftConn{conn}.load()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if ts.wantLinks() {
		ts.loadLinks(nsPath)
	}
	return newRuleset(ts), nil
}

// undisturbed calls f, which reads, again for as long as what it reads changes
// meanwhile.
func undisturbed(ctx context.Context, f func() error) error {
	for range readAttempts {
		err := f()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, errMixed) {
			return translate(err)
		}
		select {
		case <-time.After(readPause):
		case <-ctx.Done():
		}
	}
	return fmt.Errorf("%w in all of %d attempts", errMixed, readAttempts)
}

// newRuleset makes the public form of what was dumped.
func newRuleset(ts *tables) *Ruleset {
	rs := &Ruleset{Chains: []Chain{}, Rules: []Rule{}, chains: ts.chains}
	for _, t := range ts.list {
		for _, s := range t.sets {
			s.sort()
		}
	}
	for _, ch := range ts.chains {
		ch.setsMark = ch.base && marks(ch, map[*chain]bool{})
		rs.Chains = append(rs.Chains, publicChain(ch))
		for i, r := range ch.rules {
			r.index, r.matters = len(rs.Rules), r.canMatter()
			rs.Rules = append(rs.Rules, publicRule(r, i+1))
		}
	}
	return rs
}

func publicChain(ch *chain) Chain {
	out := Chain{
		Family: familyName(ch.table.family), Table: clean(ch.table.name), Name: clean(ch.name),
		Type: clean(ch.typ), Hook: ch.hook, Priority: ch.prio, Handle: ch.handle, Counter: ch.count,
	}
	if ch.base {
		out.Policy = "accept"
		if ch.drop {
			out.Policy = "drop"
		}
	}
	return out
}

func publicRule(r *rule, position int) Rule {
	ch := r.chain
	out := Rule{
		Engine: EngineNFT, Family: familyName(ch.table.family), Table: clean(ch.table.name), Chain: clean(ch.name),
		Hook: ch.hook, Priority: ch.prio, Handle: r.handle, Position: position, Comment: clean(r.comment),
		Counter: ruleCounter(r),
	}
	var text ruleText
	if madeByIptables(r) {
		out.Engine = EngineIptables
		text = iptablesRule(r)
		if text.comment != "" { // else that of nft's own kind, which iptables reads, too
			out.Comment = clean(text.comment)
		}
	} else {
		text = nftRule(r)
	}
	out.Text, out.NAT = clean(text.text), text.nat
	for _, u := range text.unknown {
		out.Unknown = append(out.Unknown, clean(u))
	}
	return out
}

// The engines of a Rule.
const (
	EngineNFT      = "nft"
	EngineIptables = "iptables-nft"
)

// ruleText is a rule in its engine's own words.
type ruleText struct {
	text    string
	comment string // only of iptables; nft's is in the userdata
	nat     *NAT
	unknown []string
}

func ruleCounter(r *rule) *Counter {
	for _, e := range r.exprs {
		if e.name == "counter" {
			return &Counter{Packets: e.attrs.uint(2), Bytes: e.attrs.uint(1)}
		}
	}
	return nil
}
