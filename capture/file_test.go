package capture

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"vethscope/ops/sandbox/sandboxtest"
)

// written is a file of three points, of which one saw nothing, and its
// records.
func written(t *testing.T) (file string, records []*Record) {
	t.Helper()
	file = t.TempDir() + "/out.pcapng"
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f, []Point{uplink, veth, container})
	if err != nil {
		t.Fatal(err)
	}
	cut := see(t, 30, uplink, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.2:2", payload: strings.Repeat("x", 100)})
	cut.Data = cut.Data[:61]
	bare := recordOf(build(t, answerInside())[14:], veth, 40)
	bare.unframed, bare.Point = true, Point{NS: "vpn", Link: "tun0"}
	Decode(bare)
	records = []*Record{see(t, 0, uplink, requestOutside(1)), see(t, 10, container, requestInside(1)), cut, bare}
	for _, rec := range records {
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Count() != len(records) {
		t.Errorf("count %d, want %d", w.Count(), len(records))
	}
	return file, records
}

func TestWriter(t *testing.T) {
	file, records := written(t)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewNgReader(f, pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, rec := range records {
		data, ci, err := r.ReadPacketData()
		if err != nil {
			t.Fatal(err)
		}
		in, err := r.Interface(ci.InterfaceIndex)
		if err != nil || in.Name != rec.Point.String() {
			t.Errorf("packet %d: interface %q, want %q: %v", i, in.Name, rec.Point, err)
		}
		if !bytes.Equal(data, rec.Data) || ci.Length != rec.Length || !ci.Timestamp.Equal(rec.Time) {
			t.Errorf("packet %d: %d of %d bytes at %v, want %d of %d at %v", i, len(data), ci.Length, ci.Timestamp, len(rec.Data), rec.Length, rec.Time)
		}
	}
	if n := r.NInterfaces(); n != 4 {
		t.Errorf("%d interfaces, want the three points and the one without headers", n)
	}
}

func TestTsharkReadsWhatWeWrite(t *testing.T) {
	file, records := written(t)
	out := sandboxtest.Run(t, "", "tshark", "-r", file, "-T", "fields", "-e", "frame.interface_name",
		"-e", "frame.interface_description", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len", "-e", "ip.dst")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != len(records) {
		t.Fatalf("tshark reads %d packets, want %d:\n%s", len(lines), len(records), out)
	}
	for i, rec := range records {
		want := fmt.Sprintf("%s\tlink %s in namespace %s\t%d.%09d\t%d\t%d\t%s", rec.Point, rec.Point.Link, rec.Point.NS,
			rec.Time.Unix(), rec.Time.Nanosecond(), rec.Length, len(rec.Data), rec.Summary.Dst.Addr())
		if lines[i] != want {
			t.Errorf("packet %d\ngot  %s\nwant %s", i, lines[i], want)
		}
	}
}

type full struct{ room int }

var errFull = errors.New("no space left on device")

func (f *full) Write(b []byte) (int, error) {
	if len(b) > f.room {
		return 0, errFull
	}
	f.room -= len(b)
	return len(b), nil
}

func TestWriterTellsOfFullDisk(t *testing.T) {
	w, err := NewWriter(&full{room: 8000}, []Point{uplink})
	if err != nil {
		t.Fatal(err)
	}
	rec := see(t, 0, uplink, requestOutside(1))
	for range 5000 {
		if err = w.Write(rec); err != nil {
			break
		}
	}
	if !errors.Is(err, errFull) {
		t.Errorf("writing: %v", err)
	}
	if err := w.Close(); !errors.Is(err, errFull) {
		t.Errorf("closing: %v", err)
	}
}

func TestWriterNeedsAPoint(t *testing.T) {
	if _, err := NewWriter(&bytes.Buffer{}, nil); err == nil {
		t.Error("a file without interfaces was begun")
	}
}
