package ui

import (
	"testing"

	"vethscope/capture"
)

// watched is a drive that shows the packets of a request.
func watched(t *testing.T, w, h int, keys string) *drive {
	d := built(t, w, h)
	d.press("r t")
	packets(d)
	d.press(keys)
	return d
}

// captureScreens are the capture page and what opens over it.
var captureScreens = []struct {
	name string
	at   func(t *testing.T, w, h int) *drive
}{
	{"filter", func(t *testing.T, w, h int) *drive {
		d := watched(t, w, h, "/")
		d.typed("dst port 80 and rewritten")
		return d
	}},
	{"filter-error", func(t *testing.T, w, h int) *drive {
		d := watched(t, w, h, "/")
		d.typed("tcp and dst prt 80")
		return d
	}},
}

func TestCaptureScreens(t *testing.T) {
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"160x45", 160, 45}} {
		for _, s := range captureScreens {
			t.Run(s.name+"/"+size.name, func(t *testing.T) {
				golden(t, "capture-"+s.name+"-"+size.name, s.at(t, size.w, size.h).look())
			})
		}
	}
}

func TestDisplayFilterIsLive(t *testing.T) {
	d := watched(t, 100, 30, "/")
	d.typed("src host 172.18.0.2")
	d.sees("1 of 4", "80 → 45430")
	d.typed(" and po")
	d.sees("column 25", "1 of 4") // the last right one holds
	d.press("esc")
	d.seesNot("column")
	d.sees("4 of 4")
	d.press("/")
	d.typed("ns web-1 and flow 1")
	d.press("enter")
	d.sees("2 of 4")
	packets(d)
	d.sees("4 of 8")
	d.press("p")
	packets(d)
	d.sees("paused: 4 new", "4 of 12")
	d.press("esc esc")
	d.seesNot("flow 1")
	d.sees("8 of 8")
}

func TestRewrittenIsKnownWhenTheRewriteComesLater(t *testing.T) {
	d := built(t, 100, 30)
	d.press("r t /")
	d.typed("rewritten and dst port 8080")
	list := rewrites()
	d.send(CaptureMsg{Records: []*capture.Record{list[0].BeforeRecord, list[0].AfterRecord}})
	d.sees("0 of 2")
	d.send(CaptureMsg{Rewrites: list[:1]})
	d.sees("1 of 2")
}

func TestMarkedPacketsAndTimes(t *testing.T) {
	d := watched(t, 100, 30, "g space j space g m")
	d.sees("3 of 4, 2 marked")
	d.press("m")
	d.sees("1 of 4, 2 marked")
	d.press("T")
	d.sees("12:00:00.000031")
}
