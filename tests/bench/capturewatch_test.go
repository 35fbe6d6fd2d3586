package bench

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"vethscope/capture"
	"vethscope/ops/netns"
)

// watchOrder is what a watcher of ours is asked for.
type watchOrder struct {
	Points  []capture.Point
	Latency bool // take the time from wire to summary, of packets sent with Jitter
}

// watchReport is what it has seen.
type watchReport struct {
	Captured int
	Dropped  int
	Overrun  int
	Memory   int64
	P50, P99 time.Duration
	// Inversions are packets in the store that are older than those before them.
	Inversions int
}

// rows is the height of a large screen, frame how often it is drawn.
const (
	rows  = 60
	frame = 50 * time.Millisecond
)

// watchMain captures as the interface does, with its store and its screen, until
// standard input ends. It says "ready" once it sees packets.
func watchMain(arg string) error {
	var o watchOrder
	if err := json.Unmarshal([]byte(arg), &o); err != nil {
		return err
	}
	for i := range o.Points {
		o.Points[i].Path = netns.Path(o.Points[i].NS)
	}
	s, err := capture.Open(context.Background(), o.Points, capture.Options{Snaplen: 256})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	ctx, cancel := context.WithCancel(context.Background())
	var late []time.Duration
	done := make(chan struct{})
	go func() {
		defer close(done)
		if o.Latency {
			late = latencies(ctx, s.Store())
		} else {
			draw(ctx, s.Store())
		}
	}()
	_, _ = io.Copy(io.Discard, os.Stdin)
	s.Stop()
	for end := uint64(0); s.Store().Wait(context.Background(), end); {
		if _, end = s.Store().Span(); end > 0 {
			end--
		}
	}
	cancel()
	<-done
	_, limit := s.Store().Memory()
	report := watchReport{Memory: limit, Inversions: inversions(s.Store())}
	for _, st := range s.Stats() {
		report.Captured += int(st.Packets - st.Overrun)
		report.Dropped += int(st.Dropped)
		report.Overrun += int(st.Overrun)
	}
	if slices.Sort(late); len(late) > 0 {
		report.P50, report.P99 = late[len(late)/2], late[len(late)*99/100]
	}
	s.Close()
	return json.NewEncoder(os.Stdout).Encode(report)
}

func inversions(st *capture.Store) (n int) {
	view, last := make([]capture.Brief, 1024), int64(0)
	for serial := uint64(1); ; {
		got := view[:st.View(serial, view)]
		if len(got) == 0 {
			return n
		}
		for _, b := range got {
			if b.Time < last {
				n++
			}
			last = b.Time
		}
		serial = got[len(got)-1].Serial + 1
	}
}

// draw makes the text of the newest packets, decoded in full, frame by frame.
func draw(ctx context.Context, st *capture.Store) {
	view := make([]capture.Brief, rows)
	tick := time.NewTicker(frame)
	defer tick.Stop()
	var screen []byte
	drawn := uint64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		_, end := st.Span()
		if end == drawn {
			continue // nothing to be seen has changed
		}
		drawn, screen = end, screen[:0]
		for _, b := range view[:st.View(max(end, rows)-rows, view)] {
			if rec, ok := st.Record(b.Serial); ok {
				screen = row(screen, rec)
			}
		}
		_, _ = io.Discard.Write(screen)
	}
}

// row is one line of a packet list.
func row(b []byte, rec *capture.Record) []byte {
	b = strconv.AppendUint(b, rec.Serial, 10)
	b = rec.Time.AppendFormat(append(b, ' '), "15:04:05.000000")
	b = append(append(append(b, ' '), rec.Point.NS...), ':')
	b = append(append(b, rec.Point.Link...), ' ')
	b = append(rec.Summary.Src.AppendTo(b), ' ')
	b = append(rec.Summary.Dst.AppendTo(b), ' ')
	b = append(append(b, rec.Summary.Protocol...), ' ')
	return append(append(b, rec.Summary.Info...), '\n')
}

// latencies takes the time from sending to being found in the store.
func latencies(ctx context.Context, st *capture.Store) (late []time.Duration) {
	view := make([]capture.Brief, 1024)
	for serial := uint64(0); st.Wait(ctx, serial); {
		n := st.View(serial+1, view)
		now := time.Now().UnixNano()
		for _, b := range view[:n] {
			serial = b.Serial
			if rec, ok := st.Record(serial); ok && !b.Outgoing && len(rec.Data) >= 22 {
				sent := int64(binary.LittleEndian.Uint64(rec.Data[len(rec.Data)-22:]))
				if d := now - sent; d > 0 && d < int64(time.Minute) {
					late = append(late, time.Duration(d))
				}
			}
		}
	}
	return late
}
