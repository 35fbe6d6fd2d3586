package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// memory is a file that lies in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

func openBytes(b []byte) (*File, error) { return openFrom("memory", memory{bytes.NewReader(b)}) }

func open1(t testing.TB, path string) *File {
	t.Helper()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// readAll reads what there is, up to the damage.
func readAll(t testing.TB, f *File) (out []*Record) {
	t.Helper()
	for i := 0; ; i++ {
		rec, err := f.Record(i)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		out = append(out, rec)
	}
}

func write(t testing.TB, path string, o WriterOptions, records []*Record, comment func(int) string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriterWith(f, []Point{uplink, container}, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, rec := range records {
		var all []string
		if c := comment(i); c != "" {
			all = append(all, c)
		}
		if err := w.Write(rec, all...); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.WriteStats([]Stats{{Point: uplink, Packets: 7, Dropped: 2}}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != w.Size() {
		t.Errorf("%s: Size is %d, the file %v long: %v", path, w.Size(), info.Size(), err)
	}
}

func noComment(int) string { return "" }

func corpusRecords(t testing.TB) (out []*Record) {
	for i, s := range corpus(t) {
		at := uplink
		if i%3 == 1 {
			at = container
		}
		rec := recordOf(s.data, at, i*1000)
		rec.Outgoing = i%2 == 0
		if i%5 == 4 && len(s.data) > 70 {
			rec.Data = s.data[:70]
			Decode(rec)
		}
		out = append(out, rec)
	}
	return out
}

func TestReadWhatWeWrite(t *testing.T) {
	records := corpusRecords(t)
	comment := func(i int) string {
		if i%4 == 2 {
			return fmt.Sprintf("rewritten: number %d →", i)
		}
		return ""
	}
	long := strings.Repeat("a line of the snapshot\n", 6000)
	for _, format := range []Format{FormatPCAPNG, FormatPCAP} {
		path := t.TempDir() + "/x." + string(format)
		write(t, path, WriterOptions{Format: format, Comments: []string{"first", long}, Filter: "tcp port 80", Snaplen: 4096}, records, comment)
		f := open1(t, path)
		got := readAll(t, f)
		if len(got) != len(records) || f.Damage() != nil || !f.Indexed() || f.Len() != len(records) {
			t.Fatalf("%s: %d packets, want %d; damage %v", format, len(got), len(records), f.Damage())
		}
		for i, want := range records {
			g := got[i]
			if !bytes.Equal(g.Data, want.Data) || g.Length != want.Length || !g.Time.Equal(want.Time) || g.Serial != uint64(i+1) {
				t.Errorf("%s: packet %d: got %+v, want %+v", format, i, g, want)
			}
			if format == FormatPCAPNG && (g.Point != want.Point || g.Comment != comment(i) || g.Outgoing != want.Outgoing) {
				t.Errorf("packet %d: %s, outgoing %v, comment %q", i, g.Point, g.Outgoing, g.Comment)
			}
			if g.Summary.Protocol != want.Summary.Protocol || g.Summary.Src != want.Summary.Src {
				t.Errorf("%s: packet %d: %+v, want %+v", format, i, g.Summary, want.Summary)
			}
		}
		if format == FormatPCAPNG {
			if all := f.Interfaces(); len(all) != 2 || all[1].Point != container || all[0].Filter != "tcp port 80" || all[0].Snaplen != 4096 {
				t.Errorf("interfaces %+v", all)
			}
			if c := f.Comments(); len(c) < 3 || c[0] != "first" || strings.Join(c[1:], "") != long {
				t.Errorf("%d comments do not hold what was written", len(c))
			}
		}
	}
}

// TestTsharkReadsComments: and the drops, the filter and the direction.
func TestTsharkReadsComments(t *testing.T) {
	records := corpusRecords(t)[:6]
	path := t.TempDir() + "/x.pcapng"
	write(t, path, WriterOptions{Comments: []string{"about the file", strings.Repeat("long\n", 30000)}, Filter: "udp"}, records,
		func(i int) string { return fmt.Sprintf("comment %d", i) })
	out := sandboxtest.Run(t, "", "tshark", "-r", path, "-T", "fields", "-e", "frame.comment", "-e", "frame.interface_name",
		"-e", "frame.packet_flags_direction")
	for i, line := range strings.Split(strings.TrimSpace(out), "\n") {
		way := "0x00000001"
		if records[i].Outgoing {
			way = "0x00000002"
		}
		if want := fmt.Sprintf("comment %d\t%s\t%s", i, records[i].Point, way); line != want {
			t.Errorf("tshark reads %q, want %q", line, want)
		}
	}
	info := strings.Join(strings.Fields(sandboxtest.Run(t, "", "capinfos", path)), " ")
	for _, want := range []string{"Capture comment: about the file", "Capture comment: long", "Number of packets: 6", "Filter string = udp",
		"Time resolution = 0x09", "Capture application: vethscope", "Number of stat entries = 1"} {
		if !strings.Contains(info, want) {
			t.Errorf("capinfos does not tell %q:\n%s", want, info[:min(len(info), 2000)])
		}
	}
}

// reference is what tshark reads of a file, one line a packet.
func reference(t *testing.T, path string) []string {
	t.Helper()
	out := sandboxtest.Run(t, "", "tshark", "-n", "-r", path, "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len",
		"-e", "frame.cap_len", "-e", "ip.dst", "-e", "ipv6.dst", "-E", "occurrence=f")
	return strings.Split(strings.TrimSuffix(out, "\n"), "\n")
}

// sameAsTshark compares times, lengths and addresses.
func sameAsTshark(t *testing.T, path string) []*Record {
	t.Helper()
	f := open1(t, path)
	got, want := readAll(t, f), reference(t, path)
	if f.Damage() != nil {
		t.Errorf("%s: %v", path, f.Damage())
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d packets, tshark reads %d", path, len(got), len(want))
	}
	for i, rec := range got {
		stamp := fmt.Sprintf("%d.%09d", rec.Time.Unix(), rec.Time.Nanosecond())
		if rec.Time.IsZero() {
			stamp = ""
		}
		dst4, dst6 := "", ""
		if a := rec.Summary.Dst.Addr(); a.Is4() && rec.Summary.Protocol != "arp" {
			dst4 = a.String()
		} else if a.Is6() {
			dst6 = a.String()
		}
		// tshark's first address of a family may be the inner packet's.
		line := strings.Split(want[i], "\t")
		if len(line) == 5 && dst4 != "" {
			line[4] = ""
		} else if len(line) == 5 && dst6 != "" {
			line[3] = ""
		}
		if mine := strings.Join([]string{stamp, fmt.Sprint(rec.Length), fmt.Sprint(len(rec.Data)), dst4, dst6}, "\t"); mine != strings.Join(line, "\t") {
			t.Errorf("%s: packet %d\ngot  %s\nwant %s", path, i, mine, strings.Join(line, "\t"))
		}
	}
	return got
}

func TestWiresharksVariants(t *testing.T) {
	dir := t.TempDir()
	records := corpusRecords(t)
	in := dir + "/in.pcapng"
	write(t, in, WriterOptions{}, records, noComment)
	for _, format := range []string{"pcap", "nsecpcap", "modpcap", "pcapng"} {
		out := dir + "/" + format
		sandboxtest.Run(t, "", "editcap", "-F", format, in, out)
		got := sameAsTshark(t, out)
		for i := range got {
			if !bytes.Equal(got[i].Data, records[i].Data) {
				t.Errorf("%s: packet %d differs", format, i)
			}
		}
		zipped := out + ".gz"
		zip(t, out, zipped)
		if again := sameAsTshark(t, zipped); len(again) != len(got) {
			t.Errorf("%s: %d packets, want %d", zipped, len(again), len(got))
		}
	}
	for name, args := range map[string][]string{
		"merged":     {"mergecap", "-w", "OUT", in, dir + "/nsecpcap", dir + "/pcap"},
		"interfaces": {"mergecap", "-I", "none", "-w", "OUT", in, in},
		"cut":        {"editcap", "-s", "40", in, "OUT"},
		"late":       {"editcap", "-t", "900000000.5", in, "OUT"},
		"commented":  {"editcap", "-a", "3:a comment by editcap", in, "OUT"},
	} {
		out := dir + "/" + name
		for i, a := range args {
			args[i] = strings.Replace(a, "OUT", out, 1)
		}
		sandboxtest.Run(t, "", args[0], args[1:]...)
		sameAsTshark(t, out)
	}
	if n := len(open1(t, dir+"/interfaces").Interfaces()); n != 0 {
		t.Errorf("%d interfaces before the index was asked for", n)
	}
	f := open1(t, dir+"/commented")
	if rec, err := f.Record(2); err != nil || rec.Comment != "a comment by editcap" {
		t.Errorf("comment %q, %v", rec.Comment, err)
	}
}

func zip(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	_, _ = z.Write(b)
	z.Close()
	if err := os.WriteFile(to, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestLinkTypes: the same packet behind every header.
func TestLinkTypes(t *testing.T) {
	dir := t.TempDir()
	ip4 := build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: "abc"})[14:]
	ip6 := build(t, pkt{proto: "udp", src: "[2001:db8::1]:1", dst: "[2001:db8::2]:2", payload: "abc"})[14:]
	sll := "\x00\x04\x00\x01\x00\x06\x02\x00\x00\x00\x00\x07\x00\x00"
	sll2 := "\x00\x00\x00\x00\x00\x05\x00\x01\x04\x06\x02\x00\x00\x00\x00\x07\x00\x00"
	for _, tt := range []struct {
		name     string
		linkType uint32
		head     string
		body     []byte
	}{
		{"raw4", 101, "", ip4}, {"raw6", 101, "", ip6}, {"ipv4", 228, "", ip4}, {"ipv6", 229, "", ip6}, {"old raw", 12, "", ip4},
		{"null", 0, "\x02\x00\x00\x00", ip4}, {"null ipv6", 0, "\x1e\x00\x00\x00", ip6}, {"loop", 108, "\x00\x00\x00\x02", ip4},
		{"sll", 113, sll + "\x08\x00", ip4}, {"sll ipv6", 113, sll + "\x86\xdd", ip6},
		{"sll2", 276, "\x08\x00" + sll2, ip4}, {"sll2 ipv6", 276, "\x86\xdd" + sll2, ip6},
	} {
		data := append([]byte(tt.head), tt.body...)
		path := dir + "/" + tt.name
		if err := os.WriteFile(path, pcapBytes(binary.LittleEndian, pcapNano, tt.linkType, data), 0o600); err != nil {
			t.Fatal(err)
		}
		rec := sameAsTshark(t, path)[0]
		if rec.Summary.Protocol != "udp" || rec.Summary.Dst.Port() != 2 || string(rec.payload) != "abc" {
			t.Errorf("%s: %+v", tt.name, rec.Summary)
		}
		if strings.HasPrefix(tt.name, "sll") && (!rec.Outgoing || rec.Summary.SrcMAC != "02:00:00:00:00:07") {
			t.Errorf("%s: outgoing %v, from %s", tt.name, rec.Outgoing, rec.Summary.SrcMAC)
		}
		if all := rec.Layers(); len(all) < 3 || all[len(all)-1].Name != "Data" {
			t.Errorf("%s: layers %s", tt.name, names(all))
		}
	}
	unknown := pcapBytes(binary.LittleEndian, pcapNano, 147, []byte("whatever"))
	f, err := openBytes(unknown)
	if err != nil {
		t.Fatal(err)
	}
	if rec, err := f.Record(0); err != nil || rec.Summary.Protocol != "?" || rec.Summary.Malformed != "link type not supported" || len(rec.Layers()) == 0 {
		t.Errorf("unknown link type: %+v, %v", rec, err)
	}
}

// pcapBytes is a classic pcap file.
func pcapBytes(order binary.AppendByteOrder, magic, linkType uint32, packets ...[]byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(b, 2)
	b = order.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = order.AppendUint32(b, 65535)
	b = order.AppendUint32(b, linkType)
	for i, p := range packets {
		b = order.AppendUint32(b, 1700000000)
		b = order.AppendUint32(b, uint32(i+1))
		b = order.AppendUint32(b, uint32(len(p)))
		b = order.AppendUint32(b, uint32(len(p)))
		if magic == pcapModified {
			b = append(b, make([]byte, 8)...)
		}
		b = append(b, p...)
	}
	return b
}

// TestMixedFiles: several link types in one file, and several sections one behind
// the other, are read as tshark reads them; what has a link type that we do not
// decode is shown raw among the others.
func TestMixedFiles(t *testing.T) {
	dir := t.TempDir()
	udp := build(t, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: "abc"})
	sll := "\x00\x04\x00\x01\x00\x06\x02\x00\x00\x00\x00\x07\x00\x00\x08\x00"
	acknowledged := []byte{0xd4, 0, 0, 0, 2, 0, 0, 0, 0, 9} // IEEE 802.11, control, ACK
	var files []string
	for i, tt := range []struct {
		linkType uint32
		data     []byte
	}{{1, udp}, {101, udp[14:]}, {113, append([]byte(sll), udp[14:]...)}, {0, append([]byte{2, 0, 0, 0}, udp[14:]...)}, {105, acknowledged}} {
		path := fmt.Sprintf("%s/%d", dir, i)
		if err := os.WriteFile(path, pcapBytes(binary.LittleEndian, pcapNano, tt.linkType, tt.data, tt.data), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	merged, behind := dir+"/merged", dir+"/behind"
	sandboxtest.Run(t, "", "mergecap", append([]string{"-F", "pcapng", "-w", merged}, files...)...)
	var whole []byte
	for _, path := range files {
		sandboxtest.Run(t, "", "editcap", "-F", "pcapng", path, path+".ng")
		b, err := os.ReadFile(path + ".ng")
		if err != nil {
			t.Fatal(err)
		}
		whole = append(whole, b...)
	}
	if err := os.WriteFile(behind, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{merged, behind} {
		seen := map[string]int{}
		for _, rec := range sameAsTshark(t, path) {
			seen[rec.Summary.Protocol]++
			if rec.Summary.Protocol == "?" && (!bytes.Equal(rec.Data, acknowledged) || rec.Summary.Malformed != "link type not supported") {
				t.Errorf("%s: %x is shown as %+v", path, rec.Data, rec.Summary)
			}
		}
		if seen["udp"] != 8 || seen["?"] != 2 {
			t.Errorf("%s: %v", path, seen)
		}
	}
}

func TestByteOrdersOfPcap(t *testing.T) {
	dir := t.TempDir()
	one := build(t, requestOutside(1))
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, magic := range []uint32{pcapMicro, pcapNano, pcapModified} {
			path := fmt.Sprintf("%s/%v-%x", dir, order, magic)
			if err := os.WriteFile(path, pcapBytes(order, magic, 1, one, one, one), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := sameAsTshark(t, path); len(got) != 3 {
				t.Errorf("%s: %d packets", path, len(got))
			}
		}
	}
}

// TestOffloadInFiles: a checksum that holds the pseudo header's sum is not bad.
func TestOffloadInFiles(t *testing.T) {
	for _, p := range []pkt{
		{proto: "tcp", src: "10.0.0.1:4000", dst: "10.0.0.2:80", flags: "S"}, {proto: "tcp", src: "[fd00::1]:4000", dst: "[fd00::2]:80", flags: "PA", payload: "abc"},
		{proto: "udp", src: "10.0.0.1:4000", dst: "10.0.0.2:99", payload: "abc"}, {proto: "udp", src: "[fd00::1]:4000", dst: "[fd00::2]:99", payload: "abcd"},
	} {
		whole := see(t, 0, uplink, p)
		partial := bytes.Clone(whole.Data)
		from := 14 + 20
		if whole.Summary.Src.Addr().Is6() {
			from = 14 + 40
		}
		at, end := from+6, from+whole.header+len(p.payload) // a short frame is padded
		if p.proto == "tcp" {
			at = from + 16
		}
		// What is right less what is not of the pseudo header is the pseudo header's.
		partial[at], partial[at+1] = 0, 0
		sum := uint32(^whole.Summary.Checksum)
		for i := from; i < end; i += 2 {
			w := uint32(partial[i]) << 8
			if i+1 < end {
				w |= uint32(partial[i+1])
			}
			sum += uint32(^uint16(w))
		}
		for sum > 0xffff {
			sum = sum>>16 + sum&0xffff
		}
		binary.BigEndian.PutUint16(partial[at:], uint16(sum))
		f, err := openBytes(pcapBytes(binary.LittleEndian, pcapNano, 1, whole.Data, partial, vxlan(t, 4789, 1, partial)))
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, f)
		if got[0].Offload || !got[1].Offload || got[2].Offload || !got[2].Inner().Offload {
			t.Errorf("%s %s: offloaded: %v %v %v %v, want false, true, false, true", p.proto, p.src,
				got[0].Offload, got[1].Offload, got[2].Offload, got[2].Inner().Offload)
		}
	}
}
