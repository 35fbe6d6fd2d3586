package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// PingOptions are those of ping(8). The zero value sends 4 echo requests, a
// second apart.
type PingOptions struct {
	Count    int           // echo requests to send; 0 means 4
	Interval time.Duration // between two of them; 0 means 1 s
	Timeout  time.Duration // for an answer, after the last request; 0 means 1 s
	Size     int           // bytes of data, at most 65507; 0 means 56
	TTL      int           // time to live, or hop limit; 0 means the system's
	// OnReply, when set, is told of every answer as it comes, in the
	// goroutine that called Ping.
	OnReply func(PingReply)
}

// PingReply is one answer to an echo request.
type PingReply struct {
	Seq  int           `json:"seq"`            // of the request, from 1
	From netip.Addr    `json:"from"`           // who answered
	RTT  time.Duration `json:"rtt_ns"`         // since the request was sent
	TTL  int           `json:"ttl,omitempty"`  // as it arrived; 0 is unknown
	Size int           `json:"size,omitempty"` // bytes of ICMP, header included
	// Problem is set when the answer is no echo reply: what an ICMP error
	// said, or the kernel's word for a request that it did not send.
	Problem string `json:"problem,omitempty"`
}

// PingResult is the count of a whole Ping.
type PingResult struct {
	Dst      netip.Addr  `json:"dst"`
	Sent     int         `json:"sent"`
	Received int         `json:"received"` // echo replies, duplicates not counted
	Replies  []PingReply `json:"replies"`  // in the order of arrival, errors included
}

// RTTs are the round-trip times of the echo replies.
func (r PingResult) RTTs() []time.Duration {
	var all []time.Duration
	for _, reply := range r.Replies {
		if reply.Problem == "" {
			all = append(all, reply.RTT)
		}
	}
	return all
}

// maxPingSize is 65535 less the headers of IPv4 and ICMP.
const maxPingSize = 65507

func (o PingOptions) withDefaults() (PingOptions, error) {
	for _, v := range []struct {
		field *int
		value int
	}{{&o.Count, 4}, {&o.Size, 56}} {
		if *v.field == 0 {
			*v.field = v.value
		}
	}
	for _, d := range []*time.Duration{&o.Interval, &o.Timeout} {
		if *d == 0 {
			*d = time.Second
		}
	}
	switch {
	case o.Count < 0 || o.Count > 65535:
		return o, badInput("count %d: give 1 to 65535", o.Count)
	case o.Size < 0 || o.Size > maxPingSize:
		return o, badInput("size %d: give 1 to %d", o.Size, maxPingSize)
	case o.TTL < 0 || o.TTL > 255:
		return o, badInput("ttl %d: give 1 to 255", o.TTL)
	case o.Interval < 0 || o.Timeout < 0:
		return o, badInput("interval and timeout cannot be negative")
	}
	return o, nil
}

// Ping sends echo requests (RFC 792, RFC 4443) from the namespace that nsPath
// opens to dst, and gathers the answers. It returns early when all have come.
//
// That nothing answers is a result, not an error. The error is the kernel's when
// the first request could not be sent ("network is unreachable"), and the
// context's when it ended early, with what there was until then. Ping may be
// called concurrently. It needs CAP_NET_RAW in the namespace, or a group in its
// net.ipv4.ping_group_range; in the latter case an ICMP error does not say who
// sent it.
func Ping(ctx context.Context, nsPath string, dst netip.Addr, o PingOptions) (PingResult, error) {
	dst = dst.Unmap()
	result := PingResult{Dst: dst}
	o, err := o.withDefaults()
	if err != nil {
		return result, fmt.Errorf("ping %s: %w", dst, err)
	}
	sock, err := openEcho(nsPath, dst, o.TTL)
	if err != nil {
		return result, fmt.Errorf("ping %s: %w", dst, err)
	}
	p := &pinger{sock: sock, o: o, id: randomID(), sent: map[int]time.Time{}, result: result}
	err = p.run(ctx)
	if err != nil {
		err = fmt.Errorf("ping %s: %w", dst, err)
	}
	return p.result, err
}

func randomID() uint16 {
	var b [2]byte
	rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}

// pinger is one Ping under way.
type pinger struct {
	sock   *echoSocket
	o      PingOptions
	id     uint16
	sent   map[int]time.Time // when, by sequence number; gone when answered
	result PingResult
}

func (p *pinger) run(ctx context.Context) error {
	answers := make(chan answer)
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { p.sock.read(p.id, answers, stop) })
	defer reader.Wait()
	defer p.sock.close()
	defer close(stop)

	if err := p.send(1); err != nil {
		return kernels(err)
	}
	next := time.NewTimer(p.wait())
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case a := <-answers:
			p.take(a)
			if p.result.Sent == p.o.Count && len(p.sent) == 0 {
				return nil
			}
		case <-next.C:
			if p.result.Sent == p.o.Count {
				return nil
			}
			seq := p.result.Sent + 1
			if err := p.send(seq); err != nil {
				p.add(PingReply{Seq: seq, Problem: words(err)})
			}
			next.Reset(p.wait())
		}
	}
}

// wait is how long to wait for what comes after the request just sent.
func (p *pinger) wait() time.Duration {
	if p.result.Sent == p.o.Count {
		return p.o.Timeout
	}
	return p.o.Interval
}

func (p *pinger) send(seq int) error {
	p.result.Sent++
	p.sent[seq] = time.Now()
	err := p.sock.send(p.id, seq, p.o.Size)
	if err != nil {
		delete(p.sent, seq)
	}
	return err
}

func (p *pinger) take(a answer) {
	seq := a.seq
	if seq == 0 { // an error that does not say which: the last one's
		seq = p.result.Sent
	}
	at, ok := p.sent[seq]
	if !ok {
		return // a duplicate
	}
	delete(p.sent, seq)
	if a.problem == "" {
		p.result.Received++
	}
	p.add(PingReply{Seq: seq, From: a.from, RTT: a.at.Sub(at), TTL: a.ttl, Size: a.size, Problem: a.problem})
}

func (p *pinger) add(r PingReply) {
	p.result.Replies = append(p.result.Replies, r)
	if p.o.OnReply != nil {
		p.o.OnReply(r)
	}
}

// words are the kernel's own for an error of a socket.
func words(err error) string { return kernels(err).Error() }

// kernels is the kernel's own error of a socket's.
func kernels(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return err
}
