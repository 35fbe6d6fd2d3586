package capture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// ngFile builds pcapng files of every shape.
type ngFile struct {
	order binary.AppendByteOrder
	b     []byte
}

func (f *ngFile) block(kind uint32, body func()) {
	start := len(f.b)
	f.u32(kind)
	f.u32(0)
	body()
	n := uint32(len(f.b) - start + 4)
	f.u32(n)
	f.order.(binary.ByteOrder).PutUint32(f.b[start+4:], n)
}

func (f *ngFile) u16(v uint16) { f.b = f.order.AppendUint16(f.b, v) }
func (f *ngFile) u32(v uint32) { f.b = f.order.AppendUint32(f.b, v) }

func (f *ngFile) option(code uint16, v []byte) {
	f.u16(code)
	f.u16(uint16(len(v)))
	f.b = pad4(append(f.b, v...), len(v))
}

func (f *ngFile) section(order binary.AppendByteOrder) {
	f.order = order
	f.block(ngSection, func() {
		f.u32(ngByteOrder)
		f.u16(1)
		f.u16(0)
		f.u32(0xffffffff)
		f.u32(0xffffffff)
		f.option(ngOptComment, []byte("a section"))
		f.option(ngOptEnd, nil)
	})
}

func (f *ngFile) iface(linkType uint16, name string, resolution byte, offset int64) {
	f.block(ngInterface, func() {
		f.u16(linkType)
		f.u16(0)
		f.u32(65535)
		if name != "" {
			f.option(ngOptName, []byte(name))
		}
		if resolution != 6 {
			f.option(ngOptResolution, []byte{resolution})
		}
		if offset != 0 {
			f.option(ngOptTimeOffset, f.order.AppendUint64(nil, uint64(offset)))
		}
		f.option(ngOptEnd, nil)
	})
}

func (f *ngFile) packet(kind, id uint32, stamp uint64, data []byte) {
	f.block(kind, func() {
		switch kind {
		case ngPacketBare:
			f.u32(uint32(len(data)))
			f.b = pad4(append(f.b, data...), len(data))
			return
		case ngPacketOld:
			f.u16(uint16(id))
			f.u16(3) // drops
		default:
			f.u32(id)
		}
		f.u32(uint32(stamp >> 32))
		f.u32(uint32(stamp))
		f.u32(uint32(len(data)))
		f.u32(uint32(len(data)))
		f.b = pad4(append(f.b, data...), len(data))
	})
}

// oddShapes is a file of two sections in different byte orders, with every kind
// of packet block, resolutions of time, and blocks that nobody knows.
func oddShapes(t testing.TB) []byte {
	one, two := build(t, requestOutside(1)), build(t, answerInside())
	f := &ngFile{}
	for i, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		f.section(order)
		f.iface(1, "", 6, 0)
		f.packet(ngPacketBare, 0, 0, one)
		f.packet(ngPacket, 0, 1700000000_123456, two)
		f.iface(1, "web-1:eth0", 9, 0)
		f.packet(ngPacket, 1, 1700000001_123456789, one)
		f.block(4, func() { f.u32(0) }) // names
		f.block(0x12345, func() { f.u32(32473); f.u32(7) })
		f.iface(101, "tun\x1b0", 0x80|10, 0)
		f.packet(ngPacket, 2, 1700000000<<10|512, one[14:])
		f.iface(1, "late", 6, 3600)
		f.packet(ngPacketOld, 3, 1700000000_000007, two)
		if i == 0 {
			f.block(ngStatistics, func() { f.u32(0); f.u32(0); f.u32(0) })
		}
	}
	return f.b
}

func TestSectionsAndBlocks(t *testing.T) {
	path := t.TempDir() + "/odd.pcapng"
	if err := os.WriteFile(path, oddShapes(t), 0o600); err != nil {
		t.Fatal(err)
	}
	got := sameAsTshark(t, path)
	if len(got) != 10 {
		t.Fatalf("%d packets, want 10", len(got))
	}
	for i, want := range []Point{{NS: "file", Link: "0"}, {NS: "file", Link: "0"}, {NS: "web-1", Link: "eth0"}, {NS: "file", Link: "tun0"}, {NS: "file", Link: "late"}} {
		for _, rec := range []*Record{got[i], got[i+5]} {
			if rec.Point != want {
				t.Errorf("packet %d is of %v, want %v", rec.Serial, rec.Point, want)
			}
		}
	}
	if want := time.Unix(1700000000, 500e6); !got[3].Time.Equal(want) {
		t.Errorf("time in units of 2^-10 s: %v, want %v", got[3].Time, want)
	}
	if want := time.Unix(1700003600, 7000); !got[9].Time.Equal(want) {
		t.Errorf("time with an offset: %v, want %v", got[9].Time, want)
	}
	if all := open1(t, path).Comments(); len(all) != 1 || all[0] != "a section" {
		t.Errorf("comments %q before the index", all)
	}
}

// TestCutFiles: of a file that ends anywhere, whole packets are shown, and the
// damage is told where it begins.
func TestCutFiles(t *testing.T) {
	one := build(t, requestOutside(1))
	for name, whole := range map[string][]byte{
		"pcapng": oddShapes(t), "pcap": pcapBytes(binary.BigEndian, pcapNano, 1, one, one, one),
	} {
		f, err := openBytes(whole)
		if err != nil {
			t.Fatal(err)
		}
		f.Index(-1)
		starts := f.offsets
		for n := range whole {
			f, err := openBytes(whole[:n])
			if err != nil {
				if n > 64 {
					t.Fatalf("%s: the first %d bytes: %v", name, n, err)
				}
				continue
			}
			got := readAll(t, f)
			complete := 0
			for i := range starts {
				end := int64(len(whole))
				if i+1 < len(starts) {
					end = starts[i+1]
				}
				if packetEnd(name, whole, starts[i], end) <= int64(n) {
					complete++
				}
			}
			if len(got) != complete {
				t.Fatalf("%s: %d packets of the first %d bytes, want %d", name, len(got), n, complete)
			}
			d := f.Damage()
			if d == nil && f.next != int64(n) {
				t.Fatalf("%s: cut at %d, no damage told", name, n)
			}
			if d != nil && (d.Offset != f.next || d.Offset > int64(n) || !strings.Contains(d.Error(), "the file ends within")) {
				t.Fatalf("%s: cut at %d: %v", name, n, d)
			}
		}
	}
}

// packetEnd is where the packet at start ends; the next one may be further on.
func packetEnd(name string, b []byte, start, next int64) int64 {
	if name == "pcap" {
		return next
	}
	if n := int64(binary.LittleEndian.Uint32(b[start+4:])); n < 1<<16 {
		return start + n
	}
	return start + int64(binary.BigEndian.Uint32(b[start+4:]))
}

func TestDamage(t *testing.T) {
	one := build(t, requestOutside(1))
	good := &ngFile{}
	good.section(binary.LittleEndian)
	good.iface(1, "", 6, 0)
	good.packet(ngPacket, 0, 1, one)
	at := int64(len(good.b))
	with := func(f func(n *ngFile)) []byte {
		n := &ngFile{order: binary.LittleEndian, b: bytes.Clone(good.b)}
		f(n)
		return n.b
	}
	tail := with(func(n *ngFile) { n.packet(ngPacket, 0, 2, one) })
	binary.LittleEndian.PutUint32(tail[len(tail)-4:], 12)
	pcap := pcapBytes(binary.LittleEndian, pcapMicro, 1, one, one)
	second := int64(24 + 16 + len(one))
	binary.LittleEndian.PutUint32(pcap[second+8:], 1<<31)
	for _, tt := range []struct {
		name   string
		b      []byte
		at     int64
		reason string
	}{
		{"block too short", with(func(n *ngFile) { n.u32(6); n.u32(8); n.u32(8) }), at, "a block of 8 bytes, which there cannot be"},
		{"block too long", with(func(n *ngFile) { n.u32(6); n.u32(0xfffffff0); n.u32(8) }), at, "which there cannot be"},
		{"block not whole words", with(func(n *ngFile) { n.u32(6); n.u32(33); n.u32(8) }), at, "a block of 33 bytes"},
		{"lengths differ", tail, at, "and at its end that it is 12"},
		{"no such interface", with(func(n *ngFile) { n.packet(ngPacket, 5, 2, one) }), at, "a packet of interface 5"},
		{"packet longer than its block", with(func(n *ngFile) {
			n.block(ngPacket, func() {
				for _, v := range []uint32{0, 0, 0, 500, 500, 0, 0} {
					n.u32(v)
				}
			})
		}), at, "a packet of 500 bytes in a block of 40"},
		{"resolution", with(func(n *ngFile) { n.iface(1, "", 40, 0) }), at, "resolution of time"},
		{"byte order", with(func(n *ngFile) { n.block(ngSection, func() { n.u32(7); n.u32(1); n.u32(0); n.u32(0) }) }), at, "whose byte order"},
		{"pcap", pcap, second, "a packet of 2147483648 bytes"},
	} {
		f, err := openBytes(tt.b)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if got := readAll(t, f); len(got) != 1 {
			t.Errorf("%s: %d packets before the damage, want 1", tt.name, len(got))
		}
		if d := f.Damage(); d == nil || d.Offset != tt.at || !strings.Contains(d.Reason, tt.reason) {
			t.Errorf("%s: damage %v, want %q at %d", tt.name, d, tt.reason, tt.at)
		}
	}
}

func TestNoCaptureFile(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct{ content, want string }{
		"empty": {"", "the file is empty"}, "text": {"hello world", "neither a pcap nor a pcapng file"},
		"short": {"\xd4\xc3", "neither a pcap nor a pcapng file"}, "header": {"\xd4\xc3\xb2\xa1\x02\x00", "it ends within its header, after 6 bytes"},
		"section": {"\x0a\x0d\x0d\x0a\x1c\x00", "no pcapng file"}, "zstd": {"\x28\xb5\x2f\xfd    ", "zstd"},
		"gzip": {"\x1f\x8b\x00\x00", "gzip"},
	} {
		path := dir + "/" + name
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := OpenFile(path)
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	if _, err := OpenFile(dir + "/missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := OpenFile(dir); err == nil {
		t.Error("a directory was opened")
	}
}

func TestCutGzip(t *testing.T) {
	dir := t.TempDir()
	one := bytes.Repeat([]byte(build(t, requestOutside(1))), 1)
	var many [][]byte
	for range 5000 {
		many = append(many, one)
	}
	if err := os.WriteFile(dir+"/x", pcapBytes(binary.LittleEndian, pcapNano, 1, many...), 0o600); err != nil {
		t.Fatal(err)
	}
	zip(t, dir+"/x", dir+"/x.gz")
	b, err := os.ReadFile(dir + "/x.gz")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/cut.gz", b[:len(b)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	f := open1(t, dir+"/cut.gz")
	n := f.Index(-1)
	if d := f.Damage(); n < 100 || n >= 5000 || d == nil || !strings.Contains(d.Reason, "gzip") {
		t.Errorf("%d packets, damage %v", n, d)
	}
	if _, err := f.Record(n - 1); err != nil {
		t.Error(err)
	}
	if _, err := f.Record(n); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last packet: %v", err)
	}
}

// FuzzFile: whatever a file holds, it is read or refused, without a panic.
func FuzzFile(f *testing.F) {
	one := build(f, requestOutside(1))
	f.Add(oddShapes(f))
	f.Add(pcapBytes(binary.BigEndian, pcapMicro, 1, one, one))
	f.Add(pcapBytes(binary.LittleEndian, pcapNano, 113, one))
	f.Add(pcapBytes(binary.LittleEndian, pcapModified, 276, one))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := openBytes(b)
		if err != nil {
			return
		}
		n := file.Index(-1)
		for i := range n {
			rec, err := file.Record(i)
			if err != nil {
				t.Fatalf("packet %d of %d: %v", i, n, err)
			}
			_ = rec.Layers()
			if len(rec.Data) > len(b) {
				t.Fatalf("a packet of %d bytes in a file of %d", len(rec.Data), len(b))
			}
		}
	})
}

// BenchmarkIndex: a file of 1,000,000 packets, as in its first screen.
func BenchmarkIndex(b *testing.B) {
	path := b.TempDir() + "/million.pcapng"
	rec := see(b, 0, uplink, requestOutside(1))
	w, err := CreateFile(path, []Point{uplink}, FileOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for range 1_000_000 {
		if err := w.Write(rec); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f, err := OpenFile(path)
		if err != nil {
			b.Fatal(err)
		}
		if n := f.Index(-1); n != 1_000_000 {
			b.Fatalf("%d packets", n)
		}
		for i := range 50 {
			if _, err := f.Record(i); err != nil {
				b.Fatal(err)
			}
		}
		f.Close()
	}
}
