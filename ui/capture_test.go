package ui

import (
	"fmt"
	"testing"
	"time"

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

// tunnelled is a drive that shows a packet that VXLAN carries.
func tunnelled(t *testing.T, w, h int, keys string) *drive {
	d := watched(t, w, h, "")
	d.send(CaptureMsg{Source: d.captured(inVXLAN(rewrites()[0].BeforeRecord))})
	d.press(keys)
	return d
}

// inVXLAN is a packet as VNI 42 carries it from 192.168.50.1 to .2.
func inVXLAN(r *capture.Record) *capture.Record {
	udp := len(r.Data) + 16
	b := []byte{2, 0, 0, 0, 9, 2, 2, 0, 0, 0, 9, 1, 8, 0, 0x45, 0, 0, byte(udp + 20), 0, 7, 0, 0, 64, 17, 0, 0,
		192, 168, 50, 1, 192, 168, 50, 2, 0xc3, 0x50, 0x12, 0xb5, 0, byte(udp), 0, 0, 8, 0, 0, 0, 0, 0, 42, 0}
	b = append(b, r.Data...)
	out := &capture.Record{Point: r.Point, Time: r.Time, Length: len(b), Data: b}
	capture.Decode(out)
	return out
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
	{"bytes", func(t *testing.T, w, h int) *drive { return watched(t, w, h, "g v j j j j j j j") }},
	{"bytes-hex", func(t *testing.T, w, h int) *drive { return watched(t, w, h, "g v space tab j j l l") }},
	{"ladder", func(t *testing.T, w, h int) *drive { return watched(t, w, h, "g l") }},
	{"encap", func(t *testing.T, w, h int) *drive { return tunnelled(t, w, h, "G e") }},
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
	d.sees("paused: 4 new", "4 of 8")
	d.press("esc esc")
	d.seesNot("flow 1")
	d.sees("8 of 8")
}

func TestRewrittenIsKnownWhenTheRewriteComesLater(t *testing.T) {
	d := built(t, 100, 30)
	d.press("r t /")
	d.typed("rewritten and dst port 8080")
	list := rewrites()
	d.send(CaptureMsg{Source: d.captured(list[0].BeforeRecord, list[0].AfterRecord)})
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

func TestTreeAndBytesAreLinked(t *testing.T) {
	d := watched(t, 100, 30, "g v G")
	d.sees("TCP options")
	d.press("g j")
	d.sees("Ethernet dst: bytes 0-5", "[02 00 00 00 00 01]")
	d.press("tab l l l l l l")
	d.sees("at 6 in Ethernet src: bytes 6-11", "[02 00 00 00 00 02]")
	d.press("j j space enter")
	d.press("tab j")
	d.seesNot("at 38")
	d.press("esc")
	d.seesNot("packet at host:up0")
}

func TestWhatAPacketCarries(t *testing.T) {
	d := tunnelled(t, 100, 40, "g e")
	d.sees("carries no other packet")
	d.press("G e")
	d.sees("outer packet, 104 bytes at host:up0", "inner packet, 54 bytes", "network 42",
		"IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14 = 50 bytes", "1500 of host:up0 − 50 = 1450")
}

// many are packets of one flow, a microsecond apart.
func many(n int) (out []*capture.Record) {
	one := rewrites()[0].BeforeRecord
	for i := range n {
		r := *one
		r.Time = one.Time.Add(time.Duration(i) * time.Microsecond)
		out = append(out, &r)
	}
	return out
}

func TestOnlyVisiblePacketsAreDecoded(t *testing.T) {
	d := watched(t, 100, 30, "")
	d.send(CaptureMsg{Source: d.captured(many(100_000)...)})
	d.sees("100004 of 100004, following")
	if d.store.decoded > 300 {
		t.Errorf("%d packets were decoded for some screens", d.store.decoded)
	}
	d.press("g")
	d.sees("1 of 100004")
}

func TestOlderPacketsAreLetGo(t *testing.T) {
	d := watched(t, 100, 30, "g space j")
	d.sees("3 of 4, 1 marked")
	d.store.first = 3
	d.send(CaptureMsg{Source: d.captured(many(5)...)})
	d.sees("1 of 7", "2 older let go")
	d.seesNot("marked")
	d.press("C")
	d.sees("No packet yet")
	d.send(CaptureMsg{Source: d.captured(many(2)...)})
	d.sees("2 of 2")
	d.seesNot("let go")
}

func TestPausedScreenKeepsWhatIsLetGo(t *testing.T) {
	d := watched(t, 100, 30, "")
	d.send(CaptureMsg{Source: d.captured(many(20)...)})
	d.press("p")
	d.store.first = 25
	d.send(CaptureMsg{Source: d.captured(many(100)...)})
	d.sees("24 of 24", "paused: 100 new", "24 older let go", "45430 → 8080")
	d.seesNot("…  ")
	d.press("/")
	d.typed("src host 172.18.0.2")
	d.sees("1 of 1", "1 of 24")
	d.press("esc p")
	d.sees("100 of 100, following")
}

func TestFilterGoesThroughPartsAndTellsWhatItMissed(t *testing.T) {
	d := watched(t, 100, 30, "/")
	d.typed("src host 10.10.0.2")
	d.press("enter")
	d.send(CaptureMsg{Source: d.captured(many(1000)...)})
	d.sees("1002 of 1004")
	d.captured(many(50)...)
	d.store.first = 1024
	d.send(CaptureMsg{Source: d.store})
	d.sees("31 of 31, 19 let go unread")
}

// TestRewritesOfLongAgo lets rewrites leave the list: their packets are known as
// rewritten all the same, for as long as the store has them.
func TestRewritesOfLongAgo(t *testing.T) {
	const n, kept = 20_500, 18_500
	d := built(t, 100, 30)
	d.press("r")
	one, list := rewrites()[0], make([]*capture.Rewrite, n)
	for i := range list {
		w, before, after := *one, *one.BeforeRecord, *one.AfterRecord
		w.BeforeRecord, w.AfterRecord = &before, &after
		list[i] = &w
		d.captured(&before, &after)
	}
	d.send(CaptureMsg{Source: d.store, Rewrites: list})
	d.sees(fmt.Sprintf("of %d", kept), "2000 older let go")
	d.press("t /")
	d.typed("rewritten and src host 172.18.0.2 or rewritten and src host 10.10.0.2")
	d.press("enter")
	d.sees(fmt.Sprintf("of %d", 2*n))
}
