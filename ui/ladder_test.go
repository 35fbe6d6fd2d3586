package ui

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"vethscope/capture"
)

// at is a record as it is seen at another point, later.
func at(r *capture.Record, later time.Duration, ns, link string, outgoing bool) *capture.Record {
	out := &capture.Record{Point: capture.Point{NS: ns, Link: link}, Time: r.Time.Add(later), Length: r.Length, Data: r.Data, Outgoing: outgoing}
	capture.Decode(out)
	return out
}

// echo is a ping from one address to another, as it looks on the wire.
func echo(after time.Duration, src, dst string, typ byte, seq uint16) *capture.Record {
	r := frame(capture.Point{NS: "red-a1", Link: "eth0"}, noon.Add(after), src+":0", dst+":0", 64)
	b := append([]byte{}, r.Data[:34]...)
	b[23] = 1
	b = append(b, typ, 0, 0, 0, 0x12, 0x34)
	b = binary.BigEndian.AppendUint16(b, seq)
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	r.Data, r.Length = b, len(b)
	capture.Decode(r)
	return r
}

// overlay is a ping through an overlay, and its answer, at ten points.
func overlay(after time.Duration, seq uint16) (out []*capture.Record) {
	us := time.Microsecond
	way := func(r *capture.Record, points ...string) {
		r.Point, r.Outgoing = capture.Point{NS: strings.Split(points[0], ":")[0], Link: strings.Split(points[0], ":")[1]}, true
		for i, pt := range points {
			ns, link, _ := strings.Cut(pt, ":")
			seen := at(r, time.Duration(i)*5*us, ns, link, i%2 == 0)
			if i >= 3 && i <= 6 {
				seen = at(inVXLAN(r), time.Duration(i)*5*us, ns, link, i%2 == 1)
			}
			out = append(out, seen)
		}
	}
	points := []string{"red-a1:eth0", "red-a:v-red-a1", "red-a:vx-red", "red-a:eth0", "host:v-red-a", "host:v-red-b", "red-b:eth0", "red-b:vx-red", "red-b:v-red-b1", "red-b1:eth0"}
	way(echo(after, "10.0.1.2", "10.0.1.3", 8, seq), points...)
	back := make([]string, len(points))
	for i, pt := range points {
		back[len(points)-1-i] = pt
	}
	way(echo(after+100*us, "10.0.1.3", "10.0.1.2", 0, seq), back...)
	return out
}

// climbed is a drive on the ladder of a ping through an overlay.
func climbed(t *testing.T, w, h int, keys string) *drive {
	d := built(t, w, h)
	d.press("r t")
	d.send(CaptureMsg{Source: d.captured(overlay(0, 1)...), Translations: &capture.Translations{}})
	d.press("g l " + keys)
	return d
}

// troubled is a drive on the ladder of a TCP connection in trouble: a segment is
// sent again, and in the end a router answers.
func troubled(t *testing.T, w, h int, keys string) *drive {
	d := built(t, w, h)
	d.press("r t")
	syn := rewrites()[0].BeforeRecord
	again := at(syn, time.Second, "host", "up0", false)
	again.Data = append([]byte{}, again.Data...)
	again.Data[19]++ // another IP id
	capture.Decode(again)
	answer := echo(1100*time.Millisecond, "172.18.0.1", "10.10.0.2", 3, 0)
	b := append(append([]byte{}, answer.Data...), syn.Data[14:42]...)
	b[35] = 1 // host unreachable
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)-14))
	unreachable := &capture.Record{Point: capture.Point{NS: "host", Link: "up0"}, Time: answer.Time, Length: len(b), Data: b, Outgoing: true}
	capture.Decode(unreachable)
	d.send(CaptureMsg{Source: d.captured(syn, again, at(again, 31*time.Microsecond, "host", "web", true), unreachable), Translations: &capture.Translations{}})
	d.press("g l " + keys)
	return d
}

var ladderScreens = []struct {
	name string
	at   func(t *testing.T, w, h int) *drive
}{
	{"nat", func(t *testing.T, w, h int) *drive { return rewritten(t, w, h, "l") }},
	{"overlay", func(t *testing.T, w, h int) *drive { return climbed(t, w, h, "") }},
	{"overlay-end", func(t *testing.T, w, h int) *drive { return climbed(t, w, h, "G k k") }},
	{"trouble", func(t *testing.T, w, h int) *drive { return troubled(t, w, h, "") }},
	{"hop", func(t *testing.T, w, h int) *drive { return climbed(t, w, h, "j j j v") }},
	{"hop-encap", func(t *testing.T, w, h int) *drive { return climbed(t, w, h, "j j j e") }},
}

func TestLadderScreens(t *testing.T) {
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"160x45", 160, 45}} {
		for _, s := range ladderScreens {
			t.Run(s.name+"/"+size.name, func(t *testing.T) {
				golden(t, "ladder-"+s.name+"-"+size.name, s.at(t, size.w, size.h).look())
			})
		}
	}
}

func TestJourneysOfAFlow(t *testing.T) {
	d := rewritten(t, 100, 40, "l")
	d.sees("journeys", "tcp 10.10.0.2:45430 ↔ 10.10.0.1:8080", "packet 1 of 2", "+31µs", "├───", "◀", "dst 10.10.0.1:8080 → 172.18.0.2:80",
		"by host: vethscope-web/prerouting handle 5", "changed back for", "● live")
	d.press("T")
	d.sees("12:00:00.000")
	d.press("j j j v")
	d.sees("packet after, at host:up0", "≠ src")
	d.press("esc esc")
	d.sees("REWRITTEN")
}

// TestLadderGoesOn: with the capture, unless it is paused, and unless one looks
// at something.
func TestLadderGoesOn(t *testing.T) {
	d := climbed(t, 100, 40, "")
	more := func(seq int) {
		d.send(CaptureMsg{Source: d.captured(overlay(d.clock.Sub(noon), uint16(seq))...)})
		d.clock = d.clock.Add(time.Second)
		d.wait() // until the journeys are complete
	}
	more(2)
	d.sees("packet 1 of 4")
	d.press("G")
	d.sees("packet 4 of 4, following")
	more(3)
	d.sees("packet 6 of 6, following", "▌         +5µs")
	d.press("p")
	more(4)
	d.sees("packet 6 of 6, paused", "‖ paused")
	d.press("p")
	d.sees("packet 8 of 8, following")
	d.press("shift+tab")
	more(5)
	d.sees("packet 7 of 10")
	d.press("p")
	d.sees("packet 10 of 10, following")
	d.press("5") // another page: nothing is looked for meanwhile
	d.send(CaptureMsg{Source: d.captured(frame(capture.Point{NS: "x", Link: "y"}, noon, "10.0.0.1:1", "10.0.0.2:2", 9))})
}

// TestLadderIsBounded: and what is looked at stays.
func TestLadderIsBounded(t *testing.T) {
	d := climbed(t, 100, 40, "")
	for i := range 60 {
		var all []*capture.Record
		for k := range 10 {
			all = append(all, overlay(d.clock.Sub(noon)+time.Duration(k)*time.Millisecond, uint16(2+i*10+k))...)
		}
		d.send(CaptureMsg{Source: d.captured(all...)})
		d.clock = d.clock.Add(time.Second)
		d.wait()
	}
	d.sees("packet 1 of 1", "G for more") // a thousand, or what a look brings at once
	d.press("G G G")
	d.sees("packet 1000 of 1000, following", "202 older let go")
}

// TestLadderOfMarkedPackets: of several flows at once.
func TestLadderOfMarkedPackets(t *testing.T) {
	d := built(t, 100, 40)
	d.press("r t")
	d.send(CaptureMsg{Source: d.captured(append(overlay(0, 1), many(1)...)...), Translations: &capture.Translations{}})
	d.press("g space G space l")
	d.sees("and of 1 packet more", "of 3", "Echo (ping) request")
	d.press("g")
	d.sees("[SYN]")
}

// TestLadderBeginsAnew: when it turns out that the flow is rewritten.
func TestLadderBeginsAnew(t *testing.T) {
	d := built(t, 100, 40)
	d.press("r t")
	r, log := rewrites()[0], &capture.Translations{}
	d.send(CaptureMsg{Source: d.captured(r.BeforeRecord, r.AfterRecord), Translations: log})
	d.press("G l")
	d.sees("packet 1 of 1", "web-1:eth0", "seen at this point only")
	told, _ := translations().Since(0)
	log.Add(told[0])
	d.send(CaptureMsg{Source: d.store})
	d.sees("packet 1 of 1", "host:up0    web-1:eth0", "├───", "▌        +31µs")
}

// TestLadderOfAFile: there are no translations, and what was rewritten is
// concluded.
func TestLadderOfAFile(t *testing.T) {
	d := built(t, 100, 40)
	d.press("r t")
	r := rewrites()[0]
	d.send(CaptureMsg{Source: d.captured(r.BeforeRecord, r.AfterRecord)})
	d.press("g l")
	d.sees("Looking for packets")
	d.wait()
	d.sees("packet 1 of 1", "├───", "dst 10.10.0.1:8080 → 172.18.0.2:80")
}

func TestLadderOfWhatIsGone(t *testing.T) {
	d := climbed(t, 100, 40, "esc")
	d.store.first = 21
	d.store.records = d.store.records[:20]
	d.press("l")
	d.sees("is kept any more")
	arp := &capture.Record{Point: capture.Point{NS: "x", Link: "y"}, Time: noon, Length: 60, Data: make([]byte, 60)}
	capture.Decode(arp)
	d.store.first = 1
	d.send(CaptureMsg{Source: d.captured(arp)})
	d.press("esc G l")
	d.sees("belongs to no flow")
}

// TestLadderWithManyPoints: where there is no room for lanes the rows say it.
func TestLadderWithManyPoints(t *testing.T) {
	d := built(t, 60, 24)
	d.press("r t")
	r := rewrites()[0].BeforeRecord
	var all []*capture.Record
	for i := range 30 {
		all = append(all, at(r, time.Duration(i)*time.Microsecond, fmt.Sprintf("namespace-%d", i), "eth0", i%2 == 0))
	}
	d.send(CaptureMsg{Source: d.captured(all...), Translations: &capture.Translations{}})
	d.press("g l")
	d.sees("namespace-9:eth0  in", "packet 1 of 1")
	d.seesNot("│")
}

func TestPlainLadder(t *testing.T) {
	d := newDrive(t, 100, 40, func(o *Options) { o.Plain = true })
	d.send(SnapshotMsg{Snapshot: world()})
	d.press("5 t")
	d.send(CaptureMsg{Source: d.captured(overlay(0, 1)...), Translations: &capture.Translations{}})
	d.press("g l")
	d.sees("Packet 1, original: icmp Echo (ping) request", "At red-a:v-red-a1, in: 10.0.1.2 → 10.0.1.3, ttl 64, 5µs later.",
		"into VXLAN 42: 192.168.50.1:50000 → 192.168.50.2:4789, 50 bytes more")
}
