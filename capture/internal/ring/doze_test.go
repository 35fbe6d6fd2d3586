package ring

import (
	"errors"
	"testing"
	"time"
)

func TestDozeFollowsTheLoad(t *testing.T) {
	c := Config{BlockSize: 256 << 10, Blocks: 64, Timeout: 4 * time.Millisecond}
	small := c
	small.BlockSize = 64 << 10
	slow := c
	slow.Timeout = 64 * time.Millisecond
	few := c
	few.Blocks = 8
	for _, tt := range []struct {
		name            string
		conf            Config
		blocks, packets int // at each wake-up
		want            []time.Duration
	}{
		{"quiet", c, 1, 31, []time.Duration{0, 0, 0}},
		{"busy", c, 2, 400, []time.Duration{4, 8, 16, 16}},
		{"so much that the ring fills", c, 9, 9000, []time.Duration{4, 2, 0, 4}},
		{"as much as there is room for", c, 6, 9000, []time.Duration{4, 4, 4}},
		{"a ring of 4 MiB", small, 2, 400, []time.Duration{4, 8, 8}},
		{"blocks that come seldom", slow, 1, 5000, []time.Duration{0, 0}},
		{"hardly a ring", few, 1, 400, []time.Duration{0, 0}},
	} {
		var d doze
		for i, want := range tt.want {
			d.blocks, d.packets = tt.blocks, tt.packets
			if got := d.next(tt.conf); got != want*time.Millisecond {
				t.Errorf("%s: nap %d is %v, want %v ms", tt.name, i+1, got, int64(want))
			}
		}
	}
}

// A reader that sleeps sees everything, and wakes for what comes when the link
// has become quiet.
func TestDozeLosesNothing(t *testing.T) {
	ns := pair(t)
	conf := Config{BlockSize: 64 << 10, Blocks: 64, Timeout: 4 * time.Millisecond, Snaplen: 65535}
	r, send := openIn(t, ns, "a1", conf), sender(t, ns, "a0")
	read, longest := make(chan int), time.Duration(0)
	go func() {
		n := 0
		for {
			b, err := r.Next()
			longest = max(longest, r.doze.nap)
			if err != nil {
				if !errors.Is(err, ErrStopped) {
					t.Error(err)
				}
				read <- n
				return
			}
			n += b.Len()
			r.Release()
		}
	}()
	sent := 0
	for began := time.Now(); time.Since(began) < 200*time.Millisecond; sent++ {
		if err := send(); err != nil {
			t.Fatal(err)
		}
	}
	for range 10 {
		time.Sleep(20 * time.Millisecond)
		if err := send(); err != nil {
			t.Fatal(err)
		}
		sent++
	}
	r.Stop()
	n := <-read
	if _, dropped := r.Stats(); n+int(dropped) != sent || longest == 0 {
		t.Errorf("%d packets sent, %d read, %d dropped; slept for up to %v", sent, n, dropped, longest)
	}
}
