package ui

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vethscope/capture"
)

var update = flag.Bool("update", false, "write testdata/*.golden anew")

// golden compares a screen with the one that was looked at and found right.
func golden(t *testing.T, name, screen string) {
	t.Helper()
	lines := strings.Split(screen, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	got := strings.Join(lines, "\n") + "\n"
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: the screen is\n%s\nbut was\n%s", name, got, want)
	}
}

func packets(d *drive) {
	list := rewrites()
	msg := CaptureMsg{Rewrites: list, Translations: translations()}
	for _, r := range list {
		msg.Source = d.captured(r.BeforeRecord, r.AfterRecord)
	}
	msg.Stats = []capture.Stats{{Point: list[0].BeforeRecord.Point, Packets: 2, Bytes: 148}, {Point: list[0].AfterRecord.Point, Packets: 2, Bytes: 148}}
	d.send(msg)
}

// screens are what a person sees on the way through the program.
var screens = []struct {
	name string
	at   func(t *testing.T, w, h int) *drive
}{
	{"start", func(t *testing.T, w, h int) *drive { return newDrive(t, w, h) }},
	{"namespaces", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "1") }},
	{"links", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "2 j j") }},
	{"links-detail", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "2 j j j enter") }},
	{"links-of-one", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "1 enter") }},
	{"links-filter", func(t *testing.T, w, h int) *drive {
		d := built2(t, w, h, "2 /")
		d.typed("bridge")
		return d
	}},
	{"routes", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "3") }},
	{"rules", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "4") }},
	{"rules-detail", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "4 o enter enter") }},
	{"rules-none", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("4")
		return d
	}},
	{"capture-none", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "5") }},
	{"capture", func(t *testing.T, w, h int) *drive {
		d := built(t, w, h)
		d.press("r")
		packets(d)
		return d
	}},
	{"capture-all-fields", func(t *testing.T, w, h int) *drive {
		d := built(t, w, h)
		d.press("r")
		packets(d)
		d.press("j x")
		return d
	}},
	{"capture-packets", func(t *testing.T, w, h int) *drive {
		d := built(t, w, h)
		d.press("r t enter")
		packets(d)
		return d
	}},
	{"changes", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "6") }},
	{"new", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n") }},
	{"form-veth", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n v tab tab right") }},
	{"form-none", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n n") }},
	{"form-host", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n h") }},
	{"form-container", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n c") }},
	{"form-overlay", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n o") }},
	{"form-overlay-errors", func(t *testing.T, w, h int) *drive {
		d := built2(t, w, h, "n o tab tab ctrl+u")
		d.typed("one")
		d.press("tab tab tab tab 0 0 0 0 0")
		return d
	}},
	{"form-macvlan", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n m tab tab right") }},
	{"form-ipvlan", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n i tab tab tab right") }},
	{"form-add", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n +") }},
	{"form-connect", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n x") }},
	{"result-veth", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n v enter enter y") }},
	{"result-none", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n n enter enter y") }},
	{"result-host", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n h enter enter y") }},
	{"result-container", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n c enter enter y") }},
	{"result-overlay", func(t *testing.T, w, h int) *drive {
		return built2(t, w, h, "n o tab tab tab backspace 2 tab tab tab tab tab tab right enter enter y")
	}},
	{"result-macvlan", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n m enter enter y") }},
	{"result-shim", func(t *testing.T, w, h int) *drive {
		return built2(t, w, h, "n m tab tab right tab tab tab tab right enter enter y")
	}},
	{"result-ipvlan", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n i tab tab tab right enter enter y") }},
	{"proofs", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "n m enter enter y t") }},
	{"proofs-wrong", func(t *testing.T, w, h int) *drive {
		d := built2(t, w, h, "n m enter enter y")
		d.b.wrong = 2
		d.press("t")
		return d
	}},
	{"labs", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("n l")
		return d
	}},
	{"result-lab", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("n l /")
		d.typed("two bridge")
		d.press("enter enter enter y")
		return d
	}},
	{"change-namespace", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "1 G e") }},
	{"change-link", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "2 j j j e") }},
	{"form-link", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "1 e l") }},
	{"form-route", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "3 e n tab tab 1") }},
	{"preview-block", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "2 j j j e u") }},
	{"menu-links", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "2 j j a") }},
	{"form", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("n b")
		return d
	}},
	{"form-errors", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("n b")
		d.typed("-with-a-long-name")
		d.press("tab backspace")
		d.typed("0")
		d.press("tab ctrl+u")
		d.typed("10.10.0.0/25")
		return d
	}},
	{"preview", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("n b enter j j")
		return d
	}},
	{"confirm", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.press("n b enter enter")
		return d
	}},
	{"failed", func(t *testing.T, w, h int) *drive {
		d := newDrive(t, w, h)
		d.send(SnapshotMsg{Snapshot: world()})
		d.b.fail = errors.New("create bridge network web: step 3 (ip link add web type bridge): operation not permitted")
		d.press("n b enter enter y")
		return d
	}},
	{"result", func(t *testing.T, w, h int) *drive { return built(t, w, h) }},
	{"publish", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "P") }},
	{"delete", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "1 G d") }},
	{"menu", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "1 a") }},
	{"help", func(t *testing.T, w, h int) *drive { return built2(t, w, h, "4 ?") }},
	{"palette", func(t *testing.T, w, h int) *drive {
		d := built2(t, w, h, "1 ctrl+p")
		d.typed("pub")
		return d
	}},
	{"goto", func(t *testing.T, w, h int) *drive {
		d := built2(t, w, h, "1 :")
		d.typed("ro")
		return d
	}},
}

func built2(t *testing.T, w, h int, keys string) *drive {
	d := built(t, w, h)
	d.press("esc")
	d.press(keys)
	return d
}

func TestScreens(t *testing.T) {
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"160x45", 160, 45}} {
		for _, s := range screens {
			t.Run(s.name+"/"+size.name, func(t *testing.T) {
				golden(t, s.name+"-"+size.name, s.at(t, size.w, size.h).look())
			})
		}
	}
}

func statsOf(p capture.Point, packets, dropped, skipped uint64) capture.Stats {
	return capture.Stats{Point: p, Packets: packets, Dropped: dropped, Skipped: skipped}
}
