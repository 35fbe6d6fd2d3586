package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vethscope/capture"
	"vethscope/ops/sandbox/sandboxtest"
)

// conversedPackets are what packets sends, as it is captured.
func conversedPackets() (out []*capture.Record) {
	at := capture.Point{NS: "host", Link: "up0"}
	for i, frame := range packets() {
		out = append(out, &capture.Record{Serial: uint64(i + 1), Point: at, Time: time.Unix(1700000000, int64(i)*1000), Length: len(frame), Data: frame})
	}
	return out
}

// conversedFile is a file of them, so many times over.
func conversedFile(t testing.TB, times int) (path string, n int) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "talk.pcapng")
	records := conversedPackets()
	w, err := capture.CreateFile(path, []capture.Point{records[0].Point}, capture.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range times * len(records) {
		r := *records[i%len(records)]
		r.Time = time.Unix(1700000000, int64(i)*1000)
		if err := w.Write(&r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path, times * len(records)
}

// cost is what a program took.
type cost struct{ wall, cpu time.Duration }

func costOf(t testing.TB, name string, args ...string) (out []byte, c cost) {
	t.Helper()
	cmd := exec.Command(name, args...)
	var text bytes.Buffer
	cmd.Stdout = &text
	began := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return text.Bytes(), cost{time.Since(began), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

func ourConversations(t testing.TB, program, path string) ([]byte, cost) {
	return costOf(t, program, "read", path, "--conversations", "-o", "json")
}

func tsharksConversations(t testing.TB, path string) ([]byte, cost) {
	return costOf(t, sandboxtest.Tool(t, "tshark"), "-r", path, "-q", "-z", "conv,udp")
}

// TestConversationsAreCounted: what is measured is the same work. tshark tells of
// the packets around those in tunnels as well.
func TestConversationsAreCounted(t *testing.T) {
	path, n := conversedFile(t, 3)
	theirs, _ := tsharksConversations(t, path)
	out, _ := ourConversations(t, buildProgram(t), path)
	total := 0
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var c struct {
			A, B   string
			AB, BA struct{ Packets int }
		}
		if err := json.Unmarshal([]byte(strings.NewReplacer("a_to_b", "ab", "b_to_a", "ba").Replace(lines.Text())), &c); err != nil {
			t.Fatal(err)
		}
		total += c.AB.Packets + c.BA.Packets
		if !bytes.Contains(theirs, []byte(c.A)) || !bytes.Contains(theirs, []byte(c.B)) {
			t.Errorf("tshark does not tell of %s and %s", c.A, c.B)
		}
	}
	if total != n {
		t.Errorf("%d of %d packets are counted", total, n)
	}
}

// BenchmarkConversations counts who talks with whom: packets as a capture has
// them beside a plain map of counters, and a file beside tshark. It tells the
// medians of the ratios of rounds.
func BenchmarkConversations(b *testing.B) {
	b.Run("packets", func(b *testing.B) {
		var briefs []capture.Brief
		for _, r := range conversedPackets() {
			capture.Decode(r)
			briefs = append(briefs, r.Brief(0))
		}
		var each, ratios []float64
		for range rounds() {
			ours, theirs := perPacket(briefs, capture.NewConversations(0).See), perPacket(briefs, plainMap())
			each, ratios = append(each, ours), append(ratios, ours/theirs)
		}
		b.ReportMetric(middle(each), "ns/packet")
		b.ReportMetric(middle(ratios), "x-map")
		b.ReportMetric(0, "ns/op")
	})
	b.Run("file", func(b *testing.B) {
		program := buildProgram(b)
		path, n := conversedFile(b, 100)
		var wall, cpu, each []float64
		for range rounds() {
			_, theirs := tsharksConversations(b, path)
			_, ours := ourConversations(b, program, path)
			wall = append(wall, theirs.wall.Seconds()/ours.wall.Seconds())
			cpu = append(cpu, theirs.cpu.Seconds()/ours.cpu.Seconds())
			each = append(each, float64(ours.wall.Nanoseconds())/float64(n))
		}
		b.ReportMetric(middle(each), "ns/packet")
		b.ReportMetric(middle(wall), "x-faster-than-tshark")
		b.ReportMetric(middle(cpu), "x-less-cpu-than-tshark")
		b.ReportMetric(0, "ns/op")
	})
}

// perPacket is how many nanoseconds a packet takes.
func perPacket(briefs []capture.Brief, see func(*capture.Brief)) float64 {
	const times = 1000
	began := time.Now()
	for range times {
		for i := range briefs {
			see(&briefs[i])
		}
	}
	return float64(time.Since(began).Nanoseconds()) / float64(times*len(briefs))
}

// plainMap counts packets and bytes by the two ends, and nothing else.
func plainMap() func(*capture.Brief) {
	type ends struct {
		a, b         [16]byte
		aPort, bPort uint16
		protocol     uint8
	}
	type counts struct{ packets, bytes [2]uint64 }
	all := map[ends]*counts{}
	return func(b *capture.Brief) {
		k, dir := b.Innermost().Key, 0
		e := ends{k.Src, k.Dst, k.SrcPort, k.DstPort, k.Protocol}
		if order := bytes.Compare(k.Src[:], k.Dst[:]); cmp.Or(order, cmp.Compare(k.SrcPort, k.DstPort)) > 0 {
			e, dir = ends{k.Dst, k.Src, k.DstPort, k.SrcPort, k.Protocol}, 1
		}
		c := all[e]
		if c == nil {
			c = &counts{}
			all[e] = c
		}
		c.packets[dir]++
		c.bytes[dir] += uint64(b.Length)
	}
}
