package capture

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"
)

// ways tells of each rewrite where it was seen, and what was changed of its
// addresses, with how often that was told.
func ways(rewrites []*Rewrite) map[string]int {
	out := map[string]int{}
	for _, w := range rewrites {
		if w.Before.Src == w.After.Src && w.Before.Dst == w.After.Dst {
			continue
		}
		rule := "no rule"
		if w.Rule != nil {
			rule = w.Rule.Chain
		}
		var changed []string
		for _, c := range w.Changed {
			if c == "src" || c == "dst" {
				changed = append(changed, c)
			}
		}
		out[fmt.Sprintf("%s %s %s>%s %v %s", w.Protocol, w.Direction, w.Before.Point, w.After.Point, changed, rule)]++
	}
	return out
}

// TestErrorsThroughMasquerade: an ICMP error comes back by the way of the packet
// that it quotes, and both its own address and those in the quotation are
// rewritten. One that the router itself sends comes by no NAT.
func TestErrorsThroughMasquerade(t *testing.T) {
	newLab(t)
	sysctl(t, "outside", "net/ipv4/icmp_ratelimit", "0")
	sysctl(t, "outside", "net/ipv4/icmp_msgs_per_sec", "100000")
	points := []Point{insidePoint, routerUp}
	s := open(t, Options{}, points...)
	stop := follow(t, s, points...)
	const n = 100
	refused := 0
	for i := range n {
		c := dial(t, "inside", "udp", "10.10.0.2:9999") // nobody listens
		_, _ = fmt.Fprintf(c, "question %06d", i)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := c.Read(make([]byte, 10)); errors.Is(err, syscall.ECONNREFUSED) {
			refused++ // the kernel does not send as many errors as it is asked for
		}
		c.Close()
	}
	rewrites, m := stop()
	got := ways(rewrites)
	for what, want := range map[string]int{
		"udp original inside:eth0>router:up0 [src] postrouting": n,
		"icmp reply router:up0>inside:eth0 [dst] postrouting":   refused,
	} {
		if got[what] != want {
			t.Errorf("%q is told %d times, want %d; all: %v", what, got[what], want, got)
		}
	}
	if refused < n/2 || len(got) != 2 || m.Unmatched() != 0 {
		t.Errorf("%v, and %d unmatched", got, m.Unmatched())
	}
	for _, w := range rewrites {
		if w.Protocol == "icmp" && (w.BeforeRecord.quoted == w.AfterRecord.quoted || w.Flow == 0) {
			t.Errorf("the quotation was not rewritten: %s", short(w))
		}
	}
}

// TestHairpin: inside asks for itself by the published port. The packet comes
// and goes by the same link, with both addresses rewritten.
func TestHairpin(t *testing.T) {
	newLab(t)
	nft(t, "router", "add rule ip lab post ip saddr 172.18.0.0/24 ip daddr 172.18.0.2 masquerade")
	echoServers(t, "inside", 80)
	for _, points := range [][]Point{{routerIn}, {insidePoint}, {insidePoint, routerIn}} {
		t.Run(fmt.Sprint(points), func(t *testing.T) {
			s := open(t, Options{}, points...)
			stop := follow(t, s, points...)
			const n = 100
			for i := range n {
				exchange(t, dial(t, "inside", "udp", "10.10.0.1:8080"), fmt.Sprintf("myself %06d", i))
			}
			rewrites, m := stop()
			first, last := points[0], points[len(points)-1]
			got := ways(rewrites)
			for _, direction := range []string{Original, Reply} {
				what := fmt.Sprintf("udp %s %s>%s [src dst] prerouting", direction, first, last)
				if got[what] != n {
					t.Errorf("%q is told %d times, want %d; all: %v", what, got[what], n, got)
				}
			}
			if m.Unmatched() != 0 {
				t.Errorf("%d unmatched", m.Unmatched())
			}
			for _, w := range rewrites {
				if string(w.BeforeRecord.payload) != string(w.AfterRecord.payload) {
					t.Errorf("not the same packet: %s", short(w))
				}
			}
		})
	}
}

// TestPortGivenAgain: the same few ports are used over and over, faster than
// conntrack forgets, with the same bytes and IP ids: first is paired with first.
func TestPortGivenAgain(t *testing.T) {
	newLab(t)
	sysctl(t, "router", "net/netfilter/nf_conntrack_udp_timeout", "1")
	sysctl(t, "router", "net/netfilter/nf_conntrack_udp_timeout_stream", "1")
	nft(t, "router", "flush chain ip lab post\nadd rule ip lab post ip saddr 172.18.0.0/24 oifname up0 udp dport 9000 masquerade to :4000-4003")
	ip(t, "inside", "addr add 172.18.0.3/24 dev eth0")
	echoServers(t, "outside", 9000)
	points := []Point{insidePoint, routerUp}
	s := open(t, Options{}, points...)
	stop := follow(t, s, points...)
	const rounds, each = 3, 4
	for round := range rounds {
		for i := range each {
			exchange(t, dial(t, "inside", "udp", "10.10.0.2:9000"), fmt.Sprintf("round %d flow %d", round, i))
		}
		time.Sleep(1300 * time.Millisecond)
	}
	rewrites, m := stop()
	told := map[string]int{}
	numbers := map[int]string{}
	for _, w := range rewrites {
		text := string(w.BeforeRecord.payload)
		if text != string(w.AfterRecord.payload) || w.Rule != snatRule {
			t.Errorf("wrong: %s", short(w))
		}
		told[text+" "+w.Direction]++
		if known, ok := numbers[w.Flow]; ok && known != text {
			t.Errorf("flow %d is %q and %q", w.Flow, known, text)
		}
		numbers[w.Flow] = text
	}
	for round := range rounds {
		for i := range each {
			for _, direction := range []string{Original, Reply} {
				if what := fmt.Sprintf("round %d flow %d %s", round, i, direction); told[what] != 1 {
					t.Errorf("%q is told %d times", what, told[what])
				}
			}
		}
	}
	if m.Unmatched() != 0 {
		t.Errorf("%d unmatched", m.Unmatched())
	}
}
