package capture

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"vethscope/ops/sandbox/sandboxtest"
)

// TestStreamsAreTrue: real connections through NAT, all at once, are told as the
// programs said them, at each point; and tshark counts the same.
func TestStreamsAreTrue(t *testing.T) {
	sandboxtest.Tool(t, "tshark")
	newLab(t)
	echoServers(t, "inside", 80)
	s := open(t, Options{Snaplen: 65535}, routerUp, insidePoint)
	said := talk(t, 6, 200_000)
	settle()
	records := rest(s)
	for _, st := range s.Stats() {
		if st.Dropped+st.Overrun+st.Skipped > 0 {
			t.Fatalf("%+v", st)
		}
	}
	all := converse(records...).Snapshot(0, nil)
	path := filepath.Join(t.TempDir(), "lab.pcapng")
	w, err := CreateFile(path, []Point{routerUp, insidePoint}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for n, point := range []Point{routerUp, insidePoint} {
		var here []Conversation
		for _, c := range all {
			if c.Streams() && (c.Key.DstPort == 8080) == (point == routerUp) {
				here = append(here, c)
			}
		}
		for _, protocol := range []string{"tcp", "udp"} {
			same(t, ours(here, protocol), talks(t, path, protocol, fmt.Sprintf(" && !icmp && frame.interface_id == %d", n)))
		}
		heardAll(t, records, here, point, said)
	}
}

// talk says something of its own on so many connections, each way, and UDP.
func talk(t *testing.T, connections, size int) (said [][]byte) {
	var all sync.WaitGroup
	for i := range connections {
		network := "tcp"
		if i == 0 {
			network = "udp"
		}
		text := make([]byte, size)
		random := rand.New(rand.NewPCG(uint64(i), 9))
		for j := range text {
			text[j] = byte(random.Uint32())
		}
		said = append(said, text)
		c := dial(t, "outside", network, "10.10.0.1:8080")
		all.Go(func() {
			defer c.Close()
			if network == "udp" {
				for part := range slices.Chunk(text, 1000) {
					_, _ = c.Write(part)
					_, _ = io.ReadFull(c, make([]byte, len(part)))
				}
				return
			}
			all.Go(func() { _, _ = c.Write(text) })
			if _, err := io.ReadFull(c, make([]byte, size)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	time.Sleep(100 * time.Millisecond) // for the ends of the connections
	return said
}

// heardAll compares what the conversations carried with what was said, and came
// back.
func heardAll(t *testing.T, records []*Record, all []Conversation, point Point, said [][]byte) {
	t.Helper()
	if len(all) != len(said) {
		t.Fatalf("%s: %d conversations", point, len(all))
	}
	for _, c := range all {
		if c.Protocol == protoTCP && c.State != TCPClosed && c.State != TCPHalfClosed {
			t.Errorf("%s is %s", line(&c), c.State)
		}
		s := NewStream(c, point)
		var chunks []Chunk
		for _, r := range records {
			chunks = append(chunks, s.Add(r)...)
		}
		got, missing, cut := heard(append(chunks, s.Flush()...))
		which := slices.IndexFunc(said, func(text []byte) bool { return bytes.Equal(got[0], text) })
		if which < 0 || !bytes.Equal(got[1], said[which]) || missing != [2]int{} || cut != [2]int{} {
			t.Errorf("%s, conversation %d: %d and %d bytes, not what was said (%d); %v missing, %v not kept",
				point, which, len(got[0]), len(got[1]), len(said[max(0, which)]), missing, cut)
		}
	}
}
