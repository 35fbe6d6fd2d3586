package steps

import (
	"context"
	"errors"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"vethscope/ops"
)

// What is added to nf_tables goes into few transactions: the kernel makes all of
// one true, or nothing.

func (s *NftTable) Batch() string      { return "nft " + s.NS }
func (s *NftChain) Batch() string      { return "nft " + s.NS }
func (s *NftMasquerade) Batch() string { return "nft " + s.NS }
func (s *NftHairpin) Batch() string    { return "nft " + s.NS }
func (s *NftDNAT) Batch() string       { return "nft " + s.NS }
func (s *NftIsolate) Batch() string    { return "nft " + s.NS }

func (s *NftTable) DoAll(ctx context.Context, all []ops.Step) (int, error) {
	return doNft(ctx, s.NS, all)
}
func (s *NftChain) DoAll(ctx context.Context, all []ops.Step) (int, error) {
	return doNft(ctx, s.NS, all)
}
func (s *NftMasquerade) DoAll(ctx context.Context, all []ops.Step) (int, error) {
	return doNft(ctx, s.NS, all)
}
func (s *NftHairpin) DoAll(ctx context.Context, all []ops.Step) (int, error) {
	return doNft(ctx, s.NS, all)
}
func (s *NftDNAT) DoAll(ctx context.Context, all []ops.Step) (int, error) {
	return doNft(ctx, s.NS, all)
}
func (s *NftIsolate) DoAll(ctx context.Context, all []ops.Step) (int, error) {
	return doNft(ctx, s.NS, all)
}

// maxTransaction bounds a transaction: the kernel's answers must all fit into the
// socket's buffer, which an ordinary user cannot enlarge.
const maxTransaction = 32

func doNft(ctx context.Context, ns string, all []ops.Step) (int, error) {
	done := 0
	for part := range slices.Chunk(all, maxTransaction) {
		err := overNft(ctx, ns, func(c *nftables.Conn) error {
			for _, s := range part {
				queue(c, s)
			}
			return nil
		})
		if errors.Is(err, unix.ENOBUFS) {
			return done, err // the kernel's answer was lost
		}
		if err != nil {
			// Nothing of it was done. One by one they tell whose fault it is.
			for i, s := range part {
				if err := s.Do(ctx); err != nil {
					return done + i, err
				}
			}
		}
		done += len(part)
	}
	return 0, nil
}

func queue(c *nftables.Conn, s ops.Step) {
	switch s := s.(type) {
	case *NftTable:
		c.CreateTable(s.table())
	case *NftChain:
		c.AddChain(s.chain())
	case interface{ rule() *nftables.Rule }:
		c.AddRule(s.rule())
	}
}
