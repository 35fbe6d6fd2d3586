package ui

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vethscope/capture"
)

// captureFile writes the packets of a request, as they were seen at two points,
// and behind them n of one flow.
func captureFile(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nat.pcapng")
	list := rewrites()
	points := []capture.Point{list[0].BeforeRecord.Point, list[0].AfterRecord.Point}
	w, err := capture.CreateFile(path, points, capture.FileOptions{WriterOptions: capture.WriterOptions{
		Comments: []string{"vethscope capture at host:up0\n\n== rules ==\nevil \x1b[31m rule\n"}, Filter: "tcp"}})
	if err != nil {
		t.Fatal(err)
	}
	var records []*capture.Record
	for _, r := range list {
		records = append(records, r.BeforeRecord, r.AfterRecord)
	}
	for i, r := range many(n) {
		r.Time = noon.Add(time.Second + time.Duration(i)*time.Microsecond)
		records = append(records, r)
	}
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// looking is a drive that was started with a file.
func looking(t *testing.T, w, h int, path string) *drive {
	t.Helper()
	f, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return newDrive(t, w, h, func(o *Options) {
		o.World, o.File = World{File: path, ReadOnly: "this is a file"}, f
	})
}

var fileScreens = []struct {
	name string
	at   func(t *testing.T, w, h int) *drive
}{
	{"packets", func(t *testing.T, w, h int) *drive { return looking(t, w, h, captureFile(t, 3)) }},
	{"rewrites", func(t *testing.T, w, h int) *drive {
		d := looking(t, w, h, captureFile(t, 0))
		d.press("t enter")
		return d
	}},
}

func TestFileScreens(t *testing.T) {
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"160x45", 160, 45}} {
		for _, s := range fileScreens {
			t.Run(s.name+"/"+size.name, func(t *testing.T) {
				golden(t, "file-"+s.name+"-"+size.name, s.at(t, size.w, size.h).look())
			})
		}
	}
}

func TestFileIsLookedAt(t *testing.T) {
	d := looking(t, 100, 30, captureFile(t, 5000))
	d.sees("■ file nat.pcapng  5004 packets  ·  host:up0  ·  web-1:eth0", "1 of 5004", "file nat.pcapng", "1 Capture")
	for _, not := range []string{"Links", "reading…", "read-only", "HTTP request"} {
		d.seesNot(not)
	}
	d.press("ctrl+d ctrl+d G")
	d.sees("5004 of 5004", "1.004999")
	d.seesNot("…   ")
	d.press("g j v")
	d.sees("packet at web-1:eth0", "172.18.0.2")
	d.press("esc /")
	d.typed("rewritten")
	d.press("enter")
	d.sees("4 of 5004", "80 → 45430")
	d.press("esc A")
	d.sees("About nat.pcapng", "filter", "tcp", "== rules ==", "evil")
	d.press("esc p")
	d.sees("this is a file, not a capture")
	d.press("n")
	d.sees("read-only: this is a file")
}

func TestDamagedFileIsShownUpToTheDamage(t *testing.T) {
	path := captureFile(t, 100)
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	d := looking(t, 120, 30, path)
	d.sees("! damaged at byte 49", "what stands before is shown", "45430 → 8080")
	d.press("G")
	d.seesNot("…   ")
}

func TestFileInPlaceOfACapture(t *testing.T) {
	path := captureFile(t, 0)
	d := watched(t, 100, 30, "")
	d.press("o")
	d.typed(path)
	d.press("enter")
	d.called("capture []")
	d.sees("■ file nat.pcapng  4 packets")
	packets(d) // was on its way
	d.sees("4 packets", "1 of 4")
	d.press("o")
	d.typed("/nonexistent/x.pcap")
	d.press("enter")
	d.sees("/nonexistent/x.pcap: no such file", "■ file nat.pcapng")
	d.press("r")
	d.seesNot("■ file")
	d.store = nil
	packets(d)
	d.sees("● capturing", "1  → original")
	d.wait()
	d.sees("1 of 2")
	d.press("A")
	d.sees("no file is open")
}

func TestPathsAreCompleted(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a-one.pcap", "a-two.pcap", "b.pcap"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := built2(t, 160, 24, "5 o")
	d.typed(dir + "/a")
	d.press("tab")
	d.sees(fmt.Sprintf("Open %s/a-▏", dir), "a-one.pcap  a-two.pcap")
	d.typed("t")
	d.press("tab enter")
	d.sees("a-two.pcap: the file is empty")
	d.press("o esc")
	d.seesNot("Open /")
}

// saved are the packets of a file.
func saved(t *testing.T, path string) (out []string) {
	t.Helper()
	f, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i := range f.Index(-1) {
		r, err := f.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprint(r.Point, " ", r.Summary.Src, " ", r.Comment))
	}
	return out
}

func TestPacketsAreWrittenToAFile(t *testing.T) {
	dir := t.TempDir()
	d := watched(t, 120, 30, "")
	d.send(CaptureMsg{Source: d.captured(many(3000)...)})
	write := func(name, told string) []string {
		d.press("W")
		d.sees(told)
		d.typed(filepath.Join(dir, name))
		d.press("enter")
		d.sees("wrote ")
		return saved(t, filepath.Join(dir, name))
	}
	if all := write("all.pcapng", "Write 3004 packets to"); len(all) != 3004 || all[1] != "web-1:eth0 10.10.0.2:45430 "+rewrites()[0].Comment() {
		t.Errorf("%d packets, the second %q", len(all), all[1])
	}
	d.press("g space j j space")
	if some := write("some.pcap", "Write 2 marked packets to"); len(some) != 2 {
		t.Errorf("marked: %v", some)
	}
	d.press("esc /")
	d.typed("src port 80")
	d.press("enter")
	want := "web-1:eth0 172.18.0.2:80 " + rewrites()[1].Comment()
	if some := write("filtered.pcapng", "Write 1 filtered packets to"); len(some) != 1 || some[0] != want {
		t.Errorf("filtered: %q, want %q", some, want)
	}
	d.press("W")
	d.typed(filepath.Join(dir, "all.pcapng"))
	d.press("enter")
	d.sees("it exists; give another name")
	d.press("esc W") // what is let go meanwhile is told
	d.store.first = 3000
	d.typed(filepath.Join(dir, "late.pcapng"))
	d.press("enter")
	d.sees("wrote 5 packets", "2999 had been let go")
	d.send(CaptureMsg{Source: d.captured(many(95)...)})
	d.press("G p g space") // but not of a screen that is paused
	d.store.first = 3090
	d.send(CaptureMsg{Source: d.store})
	if got := write("paused.pcapng", "Write 1 marked packets to"); len(got) != 1 {
		t.Errorf("paused, marked: %q", got)
	}
	d.press("esc")
	if got := write("all-paused.pcapng", "Write 100 packets to"); len(got) != 100 {
		t.Errorf("paused: %d packets", len(got))
	}
	d.press("/")
	d.typed("src host 10.10.0.2")
	d.press("enter")
	if got := write("filtered-paused.pcapng", "Write 100 filtered packets to"); len(got) != 100 {
		t.Errorf("paused, filtered: %d packets", len(got))
	}
}

func TestPartOfAFileIsWritten(t *testing.T) {
	d := looking(t, 100, 30, captureFile(t, 10))
	d.press("/")
	d.typed("rewritten")
	d.press("enter W")
	path := filepath.Join(t.TempDir(), "part.pcapng")
	d.typed(path)
	d.press("enter")
	if got := saved(t, path); len(got) != 4 {
		t.Errorf("%q", got)
	}
	f, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if c := strings.Join(f.Comments(), "|"); !strings.Contains(c, "nat.pcapng") || !strings.Contains(c, "== rules ==") {
		t.Errorf("comments %q", c)
	}
}
