package inventory

import (
	"context"

	"vethscope/ops/netfilter"
	"vethscope/ops/netns"
)

// readRules reads the chains and rules of the namespace.
func readRules(ctx context.Context, f netns.Found) (netfilter.Ruleset, error) {
	rules, err := netfilter.Read(ctx, f.Path)
	if err != nil {
		return netfilter.Ruleset{}, err
	}
	return *rules, nil
}
