package capture

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"vethscope/ops/sandbox/sandboxtest"
)

// script is a TCP connection that is captured badly: what both sides say, and
// the packets that are seen of it.
type script struct {
	said    [2][]byte
	records []*Record
}

// mess says what goes wrong while a connection is captured, each in so many of a
// hundred segments.
type mess struct {
	late, again, overlap, lost int
	snaplen                    int  // of the packets; 0 keeps all
	open                       bool // its beginning was not seen
}

// play makes a connection. The sender sends segments of any size; they arrive
// late, more than once, cut in other places, or are not captured at all, which
// the receiver, who has them, shows by acknowledging them.
func play(t testing.TB, random *rand.Rand, m mess) (s script) {
	const a, b = "10.0.0.1:40000", "10.0.0.2:80"
	isn := [2]uint32{random.Uint32(), random.Uint32() | 0xfffff000} // one goes over the edge soon
	us, serial := 0, uint64(0)
	send := func(dir int, p pkt) {
		p.proto, p.src, p.dst = "tcp", a, b
		if dir == 1 {
			p.src, p.dst = b, a
		}
		us++
		serial++
		rec := see(t, us, uplink, p)
		if m.snaplen > 0 && len(rec.Data) > m.snaplen {
			rec.Data = rec.Data[:m.snaplen]
			Decode(rec)
		}
		rec.Serial = serial
		s.records = append(s.records, rec)
	}
	if !m.open {
		send(0, pkt{flags: "S", seq: isn[0]})
		send(1, pkt{flags: "SA", seq: isn[1], ack: isn[0] + 1})
	}
	var queue [2][]piece
	for dir := range queue {
		for range 20 + random.IntN(20) {
			text := make([]byte, 1+random.IntN(300))
			for i := range text {
				text[i] = byte(random.Uint32())
			}
			from := len(s.said[dir])
			s.said[dir] = append(s.said[dir], text...)
			queue[dir] = append(queue[dir], piece{from, from + len(text), from == 0 || random.IntN(100) >= m.lost})
		}
		queue[dir] = disturb(random, queue[dir], m)
	}
	var have [2]received
	for len(queue[0])+len(queue[1]) > 0 {
		dir := random.IntN(2)
		if len(queue[dir]) == 0 {
			dir = 1 - dir
		}
		p := queue[dir][0]
		queue[dir] = queue[dir][1:]
		have[dir].take(p)
		if p.seen {
			send(dir, pkt{flags: "PA", seq: isn[dir] + 1 + uint32(p.from), ack: isn[1-dir] + 1 + uint32(have[1-dir].until()),
				payload: string(s.said[dir][p.from:p.to])})
		}
	}
	for dir := range 2 {
		n := uint32(len(s.said[dir]))
		send(dir, pkt{flags: "FA", seq: isn[dir] + 1 + n, ack: isn[1-dir] + 1 + uint32(have[1-dir].until()) + uint32(dir)})
		if random.IntN(2) == 0 {
			send(dir, pkt{flags: "FA", seq: isn[dir] + 1 + n, ack: isn[1-dir] + 1 + uint32(have[1-dir].until()) + uint32(dir)})
		}
	}
	return s
}

// piece is a segment of what one side says; seen says that it is captured.
type piece struct {
	from, to int
	seen     bool
}

// disturb makes some segments late, some come twice, and some overlap others.
func disturb(random *rand.Rand, in []piece, m mess) (out []piece) {
	chance := func(n int) bool { return random.IntN(100) < n }
	for i, p := range in {
		out = append(out, p)
		if chance(m.again) {
			out = append(out, in[random.IntN(i+1)])
		}
		if chance(m.overlap) && i > 0 {
			out = append(out, piece{in[i-1].from + random.IntN(in[i-1].to-in[i-1].from), p.to, true})
		}
	}
	for i := 1; i+1 < len(out); i++ { // the first tells where a stream begins whose opening was not seen
		if chance(m.late) {
			j := min(len(out)-1, i+1+random.IntN(4))
			out[i], out[j] = out[j], out[i]
		}
	}
	return out
}

// received is what a receiver has.
type received []piece

func (r *received) take(p piece) {
	*r = append(*r, p)
	slices.SortFunc(*r, func(a, b piece) int { return a.from - b.from })
}

// until is how far it goes without a hole.
func (r received) until() (n int) {
	for _, p := range r {
		if p.from > n {
			break
		}
		n = max(n, p.to)
	}
	return n
}

// followAll follows the only conversation of the records; a:40000 counts as A.
func followAll(t testing.TB, records []*Record) []Chunk {
	t.Helper()
	all := converse(records...).Snapshot(0, nil)
	if len(all) != 1 {
		t.Fatalf("%d conversations", len(all))
	}
	s := NewStream(all[0], records[0].Point)
	var out []Chunk
	for _, r := range records {
		out = append(out, s.Add(r)...)
	}
	out = append(out, s.Flush()...)
	for i := range out {
		out[i].FromB = out[i].FromB != (all[0].Key.DstPort == 40000)
	}
	return out
}

// heard puts the chunks of each side together, with zeros for what is missing.
func heard(chunks []Chunk) (out [2][]byte, missing, cut [2]int) {
	for _, c := range chunks {
		dir := 0
		if c.FromB {
			dir = 1
		}
		out[dir] = append(out[dir], c.Data...)
		out[dir] = append(out[dir], make([]byte, c.Missing)...)
		if c.NotKept {
			cut[dir] += int(c.Missing)
		} else {
			missing[dir] += int(c.Missing)
		}
	}
	return out, missing, cut
}

// TestStreamWhateverHappens: late, repeated and overlapping segments give what
// was said, byte for byte.
func TestStreamWhateverHappens(t *testing.T) {
	for seed := range 300 {
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		s := play(t, random, mess{late: random.IntN(60), again: random.IntN(40), overlap: random.IntN(40), open: seed%3 == 0})
		got, missing, cut := heard(followAll(t, s.records))
		for dir := range 2 {
			if !bytes.Equal(got[dir], s.said[dir]) || missing[dir] != 0 || cut[dir] != 0 {
				t.Fatalf("seed %d, way %d: %d bytes of %d, %d missing, %d not kept", seed, dir, len(got[dir]), len(s.said[dir]), missing[dir], cut[dir])
			}
		}
	}
}

// TestStreamTellsWhatIsMissing: each byte stands in its place or is counted.
func TestStreamTellsWhatIsMissing(t *testing.T) {
	holes := 0
	for seed := range 300 {
		random := rand.New(rand.NewPCG(uint64(seed), 2))
		m := mess{late: random.IntN(30), again: random.IntN(20), lost: random.IntN(30)}
		if seed%2 == 0 {
			m.snaplen = 100 + random.IntN(100)
		}
		s := play(t, random, m)
		got, missing, cut := heard(followAll(t, s.records))
		for dir := range 2 {
			if len(got[dir]) != len(s.said[dir]) {
				t.Fatalf("seed %d, way %d: %d bytes of %d, %d missing, %d not kept", seed, dir, len(got[dir]), len(s.said[dir]), missing[dir], cut[dir])
			}
			wrong := 0
			for i, c := range got[dir] {
				if c != s.said[dir][i] {
					wrong++
					if c != 0 {
						t.Fatalf("seed %d, way %d: byte %d is %x, not %x", seed, dir, i, c, s.said[dir][i])
					}
				}
			}
			if wrong > missing[dir]+cut[dir] || m.lost == 0 && missing[dir] > 0 || m.snaplen == 0 && cut[dir] > 0 {
				t.Fatalf("seed %d, way %d: %d bytes wrong, %d missing, %d not kept", seed, dir, wrong, missing[dir], cut[dir])
			}
			holes += missing[dir]
		}
	}
	if holes == 0 {
		t.Error("nothing was ever missing: the test is none")
	}
}

// TestStreamParts: what the chunks say, step by step.
func TestStreamParts(t *testing.T) {
	const a, b = "10.0.0.1:40000", "10.0.0.2:80"
	ask := func(seq uint32, text string) pkt {
		return pkt{proto: "tcp", src: a, dst: b, seq: seq, ack: 901, flags: "PA", payload: text}
	}
	packets := []pkt{
		ask(100, "GET "), ask(108, "HTTP\r\n"), ask(104, "/ x "), // late
		{proto: "tcp", src: b, dst: a, seq: 901, ack: 120, flags: "A"}, // it has 6 bytes that were not seen
		ask(120, "body"), ask(118, "xxbody"), ask(120, "body and more"), // again, overlapping
		{proto: "tcp", src: b, dst: a, seq: 905, ack: 133, flags: "PA", payload: "200 OK"}, // its beginning comes late
		{proto: "tcp", src: b, dst: a, seq: 901, ack: 133, flags: "PA", payload: "HTTP"},
		{proto: "tcp", src: b, dst: a, seq: 911, ack: 133, flags: "R", payload: "an apology"},
	}
	var records []*Record
	for i, p := range packets {
		records = append(records, see(t, i, uplink, p))
		records[i].Serial = uint64(i + 1)
	}
	var got []string
	for _, c := range followAll(t, records) {
		got = append(got, fmt.Sprintf("%d %v %q %d", c.Serial, c.FromB, c.Data, c.Missing))
	}
	same(t, got, []string{
		`1 false "GET " 0`, `3 false "/ x " 0`, `3 false "HTTP\r\n" 0`, `5 false "" 6`, `5 false "body" 0`, `7 false " and more" 0`,
		`9 true "HTTP" 0`, `9 true "200 OK" 0`,
	})
}

// TestStreamOfOneConnection: another connection on the same ports is another
// stream.
func TestStreamOfOneConnection(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 3))
	one, two := play(t, random, mess{}), play(t, random, mess{})
	for i, r := range two.records {
		r.Serial = uint64(len(one.records) + i + 1)
	}
	records := append(slices.Clone(one.records), two.records...)
	all := converse(records...).Snapshot(0, nil)
	if len(all) != 2 {
		t.Fatalf("%d conversations", len(all))
	}
	for i, want := range []script{one, two} {
		s := NewStream(all[i], uplink)
		var chunks []Chunk
		for _, r := range records {
			chunks = append(chunks, s.Add(r)...)
		}
		got, _, _ := heard(append(chunks, s.Flush()...))
		if !bytes.Equal(got[0], want.said[0]) || !bytes.Equal(got[1], want.said[1]) || s.Over() != (i == 0) {
			t.Errorf("connection %d: %d and %d bytes, over: %v", i, len(got[0]), len(got[1]), s.Over())
		}
	}
}

// TestStreamInTunnel: of the inner conversation, at one point only.
func TestStreamInTunnel(t *testing.T) {
	said := func(us int, src, dst, text string) []*Record {
		p := pkt{proto: "udp", src: src, dst: dst, payload: text}
		return []*Record{inVXLAN(t, us, uplink, p, 42), inVXLAN(t, us+1, uplink, p, 43), see(t, us+2, container, p)}
	}
	records := append(said(0, "10.0.0.1:5000", "10.0.0.2:53", "who?"), said(10, "10.0.0.2:53", "10.0.0.1:5000", "me")...)
	all := converse(records...).Snapshot(0, nil)
	if len(all) != 3 {
		t.Fatalf("%d conversations", len(all))
	}
	for _, c := range all {
		s := NewStream(c, []Point{uplink, container}[c.Point])
		var got string
		for _, r := range records {
			for _, chunk := range s.Add(r) {
				got += fmt.Sprintf("%v %s;", chunk.FromB, chunk.Data)
			}
		}
		if got != "false who?;true me;" {
			t.Errorf("%s: %s", line(&c), got)
		}
	}
}

// TestStreamIsBounded: where nobody acknowledges, a hole is not waited for for
// ever.
func TestStreamIsBounded(t *testing.T) {
	p := pkt{proto: "tcp", src: "10.0.0.1:40000", dst: "10.0.0.2:80", seq: 1, flags: "A", payload: strings.Repeat("x", 1400)}
	first := see(t, 0, uplink, p)
	s := NewStream(converse(first).Snapshot(0, nil)[0], uplink)
	s.Add(first)
	missing := int64(0)
	for i := range 10000 {
		p.seq += 2800 // every second one is missing
		for _, c := range s.Add(see(t, i, uplink, p)) {
			missing += c.Missing
		}
		if w := &s.ways[0]; w.held > maxUnsaid+1400 || len(w.waiting) > maxSegments+1 {
			t.Fatalf("%d bytes wait in %d segments", w.held, len(w.waiting))
		}
	}
	if missing < 1400*5000 {
		t.Errorf("%d bytes were told missing", missing)
	}
}

// tsharksStream is what tshark shows of a stream: the bytes of both sides, the
// first who spoke being 0.
func tsharksStream(t testing.TB, path, protocol string, number int) (out [2][]byte) {
	t.Helper()
	text, err := exec.Command("tshark", "-r", path, "-q", "-z", fmt.Sprintf("follow,%s,raw,%d", protocol, number)).Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	from := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Node 1:") })
	if from < 0 {
		t.Fatalf("tshark says\n%s", text)
	}
	for _, l := range lines[from+1:] {
		if strings.HasPrefix(l, "===") {
			break
		}
		dir := 0
		if strings.HasPrefix(l, "\t") {
			dir = 1
		}
		b, err := hex.DecodeString(strings.TrimSpace(l))
		if err != nil {
			t.Fatal(err)
		}
		out[dir] = append(out[dir], b...)
	}
	return out
}

// inTsharksWords says what is missing as tshark does, which joins the rest where
// packets were cut short.
func inTsharksWords(chunks []Chunk) (out [2][]byte) {
	for _, c := range chunks {
		dir := 0
		if c.FromB {
			dir = 1
		}
		out[dir] = append(out[dir], c.Data...)
		if c.Missing > 0 && !c.NotKept {
			out[dir] = append(out[dir], "["+strconv.FormatInt(c.Missing, 10)+" bytes missing in capture file]\x00"...)
		}
	}
	return out
}

// TestStreamsAreTsharks: tshark makes the same of late, repeated, overlapping
// and lost segments, in VXLAN and outside.
func TestStreamsAreTsharks(t *testing.T) {
	sandboxtest.Tool(t, "tshark")
	dir := t.TempDir()
	for seed := range 16 {
		random := rand.New(rand.NewPCG(uint64(seed), 4))
		m := mess{late: random.IntN(40), again: random.IntN(30), overlap: random.IntN(30)}
		switch seed % 4 {
		case 2:
			m = mess{snaplen: 200}
		case 3:
			m = mess{lost: 10}
		}
		s := play(t, random, m)
		if seed%5 == 0 && m.snaplen == 0 {
			for i, r := range s.records {
				s.records[i] = recordOf(vxlan(t, 4789, 4097, r.Data), r.Point, i)
				s.records[i].Serial = r.Serial
			}
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.pcapng", seed))
		write(t, path, WriterOptions{}, s.records, noComment)
		if all := converse(s.records...).Snapshot(0, nil); seed < 8 {
			same(t, ours(all, "tcp"), talks(t, path, "tcp", ""))
			c := &all[0]
			if n := tsharkFinds(t, path, "tcp.analysis.retransmission || tcp.analysis.out_of_order"); n != int(c.AB.Again+c.BA.Again+c.AB.Late+c.BA.Late) {
				t.Errorf("seed %d, %+v: %+v and %+v, tshark finds %d again or late", seed, m, c.AB, c.BA, n)
			}
		}
		got, want := inTsharksWords(followAll(t, s.records)), tsharksStream(t, path, "tcp", 0)
		for way := range 2 {
			if !bytes.Equal(got[way], want[way]) && !endsMissing(got[way], want[way]) {
				t.Errorf("seed %d, %+v, way %d: %d bytes, tshark has %d; they differ from byte %d on", seed, m, way,
					len(got[way]), len(want[way]), firstDifference(got[way], want[way]))
			}
		}
	}
}

// tsharkFinds is how many packets pass a filter of tshark's.
func tsharkFinds(t testing.TB, path, filter string) int {
	t.Helper()
	out, err := exec.Command("tshark", "-r", path, "-Y", filter, "-T", "fields", "-e", "frame.number").Output()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(out, []byte("\n"))
}

// endsMissing says that got tells that something is missing at the end, which
// tshark does only where something follows.
func endsMissing(got, want []byte) bool {
	return bytes.HasPrefix(got, want) && regexp.MustCompile(`^\[\d+ bytes missing in capture file\]\x00$`).Match(got[len(want):])
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// FuzzStream: whatever stands in the packets, nothing crashes, and no more is
// said than was there.
func FuzzStream(f *testing.F) {
	s := play(f, rand.New(rand.NewPCG(5, 5)), mess{late: 20, again: 20, overlap: 20, lost: 10})
	var seed []byte
	for _, r := range s.records[:12] {
		seed = append(append(seed, byte(len(r.Data)>>8), byte(len(r.Data))), r.Data...)
	}
	f.Add(seed)
	var tunnels []byte
	for range 3 {
		in := build(f, pkt{proto: "tcp", src: "10.0.0.1:40000", dst: "10.0.0.2:80", seq: 1, flags: "PA", payload: "abc"})
		in = tunnelUDP(f, 4789, &layers.VXLAN{ValidIDFlag: true, VNI: 5}, in)
		tunnels = append(append(tunnels, byte(len(in)>>8), byte(len(in))), in...)
	}
	f.Add(tunnels)
	f.Fuzz(func(t *testing.T, data []byte) {
		var records []*Record
		total := 0
		for len(data) >= 2 && len(records) < 1000 {
			n := min(int(data[0])<<8|int(data[1]), len(data)-2)
			rec := recordOf(data[2:2+n], uplink, len(records))
			rec.Serial = uint64(len(records) + 1)
			records, data, total = append(records, rec), data[2+n:], total+n
		}
		for _, c := range converse(records...).Snapshot(0, nil) {
			s, said := NewStream(c, uplink), 0
			var chunks []Chunk
			for _, r := range records {
				chunks = append(chunks, s.Add(r)...)
			}
			for _, chunk := range append(chunks, s.Flush()...) {
				said += len(chunk.Data)
				if chunk.Missing < 0 || chunk.Missing > 1<<32 {
					t.Fatalf("%d bytes are missing", chunk.Missing)
				}
			}
			if said > total {
				t.Fatalf("%d bytes were said, %d were there", said, total)
			}
		}
	})
}
