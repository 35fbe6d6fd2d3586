package netfilter

import (
	"context"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// FindRule returns the handle of the first rule with the given comment in an
// nf_tables chain of the namespace that nsPath opens, and 0 when there is none,
// nor such a chain. family is as in Rule. It asks the kernel for this chain
// alone, and so takes a small part of the time of Read; errors and concurrency
// are those of Read.
func FindRule(ctx context.Context, nsPath, family, table, chain, comment string) (uint64, error) {
	conn, release, err := dial(ctx, nsPath)
	if err != nil {
		return 0, fmt.Errorf("find rule: %w", err)
	}
	defer release()
	var handle uint64
	err = undisturbed(ctx, func() error {
		handle = 0
		return nftConn{conn}.dump(unix.NFT_MSG_GETRULE, familyNumber(family), []netlink.Attribute{
			{Type: unix.NFTA_RULE_TABLE, Data: append([]byte(table), 0)},
			{Type: unix.NFTA_RULE_CHAIN, Data: append([]byte(chain), 0)},
		}, func(_ uint8, a attrs) {
			// Kernels that know no such filter send all.
			mine := a.str(unix.NFTA_RULE_TABLE) == table && a.str(unix.NFTA_RULE_CHAIN) == chain
			if handle == 0 && mine && userComment(a[unix.NFTA_RULE_USERDATA]) == comment {
				handle = a.uint(unix.NFTA_RULE_HANDLE)
			}
		})
	})
	if err != nil {
		return 0, fmt.Errorf("find rule: %w", err)
	}
	return handle, nil
}
