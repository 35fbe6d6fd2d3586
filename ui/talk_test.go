package ui

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"vethscope/capture"
)

// segment is a TCP segment as it looks on the wire, of which so many bytes were
// kept, or all for 0.
func segment(us int, src, dst string, seq, ack uint32, flags byte, text string, kept int) *capture.Record {
	s, t := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	b := []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0}
	binary.BigEndian.PutUint16(b[16:], uint16(40+len(text)))
	b = append(append(b, s.Addr().AsSlice()...), t.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, s.Port())
	b = binary.BigEndian.AppendUint16(b, t.Port())
	b = binary.BigEndian.AppendUint32(b, seq)
	b = binary.BigEndian.AppendUint32(b, ack)
	b = append(append(b, 0x50, flags, 0xfa, 0xf0, 0x4d, 0x4d, 0, 0), text...)
	r := &capture.Record{Point: capture.Point{NS: "web-1", Link: "eth0"}, Time: noon.Add(time.Duration(us) * time.Microsecond), Length: len(b), Data: b}
	if kept > 0 {
		r.Data = b[:kept]
	}
	capture.Decode(r)
	return r
}

const (
	browser = "10.10.0.2:50000"
	server  = "172.18.0.2:80"
)

// spoken is a drive that has captured a small web page, some of which is missing,
// beside a rewritten packet.
func spoken(t *testing.T, w, h int) *drive {
	d := watched(t, w, h, "")
	d.captured(
		segment(1000, browser, server, 99, 0, 2, "", 0),
		segment(1010, server, browser, 499, 100, 0x12, "", 0),
		segment(1020, browser, server, 100, 500, 0x18, "GET /evil\x1b[2J HTTP/1.1\r\nHost: web\r\n\r\n", 0),
		segment(1500, server, browser, 500, 137, 0x18, "HTTP/1.1 200 OK\r\n\r\n", 0),
		segment(1510, server, browser, 529, 137, 0x18, "<p>"+strings.Repeat("many words, ", 20)+"</p>", 54+103),
		segment(1512, server, browser, 529, 137, 0x18, "<p>", 0),
		segment(1600, browser, server, 137, 776, 0x10, "", 0),
	)
	d.send(CaptureMsg{Source: d.store})
	return d
}

// clipboard is what was copied last, with OSC 52.
func (d *drive) clipboard() string {
	d.t.Helper()
	out := d.out.String()
	_, text, ok := strings.Cut(out[max(0, strings.LastIndex(out, "\x1b]52;")):], ";c;")
	text, _, end := strings.Cut(text, "\x07")
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || !end || err != nil {
		d.t.Fatalf("nothing was copied: %q, %v", out, err)
	}
	return string(b)
}

func TestTalkScreens(t *testing.T) {
	for _, size := range []struct {
		name string
		w, h int
	}{{"80x24", 80, 24}, {"160x45", 160, 45}} {
		for name, keys := range map[string]string{
			"conversations": "K", "conversations-detail": "K o", "stream": "K f", "stream-hex": "K f x", "stream-of-b": "K f tab tab",
		} {
			t.Run(name+"/"+size.name, func(t *testing.T) {
				d := spoken(t, size.w, size.h)
				d.press(keys)
				golden(t, "talk-"+name+"-"+size.name, d.look())
			})
		}
	}
}

func TestConversationsAreLive(t *testing.T) {
	d := spoken(t, 120, 30)
	d.press("K")
	d.sees("1 of 3", "tcp", browser, server, "established", "11 packets at all points")
	d.captured(segment(90_000, browser, server, 137, 776, 0x11, "", 0))
	d.seesNot("half closed")
	d.wait()
	d.sees("half closed", "12 packets at all points")
	for range 3 { // one timer at a time, whatever happens
		d.press("esc K")
	}
	d.wait()
	if n := len(d.timers); n != 1 {
		t.Errorf("%d timers run", n)
	}
	d.press("esc")
	d.wait()
	d.wait()
	if n := len(d.timers); n != 0 {
		t.Errorf("%d timers run for a page that is not seen", n)
	}
}

func TestRewrittenConversationsAreLinked(t *testing.T) {
	d := spoken(t, 160, 45)
	d.press("K /")
	d.typed("45430")
	d.press("enter")
	d.sees("1 of 2 (all: 3)", "10.10.0.2:45430   10.10.0.1:8080    answered         1", "10.10.0.2:45430   172.18.0.2:80     answered         1", "1, which NAT rewrites")
}

func TestConversationBecomesAFilter(t *testing.T) {
	d := spoken(t, 120, 30)
	d.press("K enter")
	d.sees("7 of 11", "tcp and host 10.10.0.2 and host 172.18.0.2 and port 50000 and port 80", "GET /evil")
	d.seesNot("45430")
	d.press("K y")
	if got := d.clipboard(); got != "tcp and host 10.10.0.2 and host 172.18.0.2 and port 50000 and port 80" {
		t.Errorf("copied %q", got)
	}
}

func TestConversationsTellWhatTheyMissed(t *testing.T) {
	d := spoken(t, 120, 30)
	d.press("K esc")
	var later []*capture.Record
	for i := range 100 {
		later = append(later, segment(2000+i, browser, server, 137, 776, 0x10, "", 0))
	}
	d.captured(later...)
	d.store.first = 62
	d.press("K")
	d.sees("50 packets were let go before they were counted", "61 packets at all points")
	d.seesNot("counting began")
	other := *d.store
	d.send(CaptureMsg{Source: &other}) // another capture
	d.wait()
	d.sees("61 packets had been let go before the counting began", "50 packets at all points")
	d.seesNot("before they were counted")
	d.send(CaptureMsg{Source: &packetStore{first: 1}})
	d.wait()
	d.sees("No packet yet")
	d.seesNot("let go")
}

func TestStream(t *testing.T) {
	d := spoken(t, 100, 30)
	d.press("K f")
	d.sees("→ GET /evil.[2J HTTP/1.1", "→ Host: web", "← HTTP/1.1 200 OK", "← [10 bytes missing: no packet with them was seen]", "← <p>many words, ",
		"bytes not kept]", "A 10.10.0.2:50000 37 B", "B 172.18.0.2:80")
	if s := d.look(); strings.Contains(s, "\x1b[2J") {
		t.Error("a control character of the stream is drawn")
	}
	d.press("tab")
	d.sees("GET /evil")
	d.seesNot("HTTP/1.1 200")
	d.press("tab x")
	d.seesNot("GET /evil")
	d.sees("← 000000  48 54 54 50 2f 31 2e 31 20 32 30 30 20 4f 4b 0d  HTTP/1.1 200 OK.", "← 00001d  3c 70 3e 6d")
	d.press("x tab /")
	d.typed("ok")
	d.sees("▌HTTP/1.1 200 OK")
	d.typed("x")
	d.sees("not found")
	d.press("backspace backspace backspace")
	d.typed("HT")
	d.sees("▌GET")
	d.press("enter")
	d.sees("▌HTTP/1.1 200 OK")
	d.press("esc Y")
	if got := d.clipboard(); !strings.HasPrefix(got, "GET /evil.[2J HTTP/1.1\nHost: web\n\nHTTP/1.1 200 OK\n") {
		t.Errorf("copied %q", got)
	}
}

func TestStreamOfAPacketIsLive(t *testing.T) {
	d := spoken(t, 100, 30)
	d.press("t t G f") // the last packet's
	d.sees("A 10.10.0.2:50000 37 B")
	var more []*capture.Record
	for i := range 60 {
		more = append(more, segment(3000+i, server, browser, 776+uint32(i*9), 137, 0x18, fmt.Sprintf("row %4d\n", i), 0))
	}
	d.captured(more...)
	d.press("G")
	d.seesNot("row")
	d.wait()
	d.sees("row   59")
	d.seesNot("row    1")
	d.press("g")
	d.captured(segment(9000, server, browser, 776+540, 137, 0x18, "the end\n", 0))
	d.wait()
	d.sees("GET /evil")
	d.seesNot("the end")
	d.press("G")
	d.sees("the end")
	d.press("esc")
	d.store.first = 50
	d.press("g")
	d.send(CaptureMsg{Source: d.store})
	d.press("f")
	d.sees("stream")
}

func TestTalkInAFile(t *testing.T) {
	d := looking(t, 120, 30, captureFile(t, 3000))
	d.press("K")
	d.sees("1 of 2", "10.10.0.1:8080", "3004 packets at all points, mean rates", "162 kB/s")
	d.press("G f")
	d.sees("Nothing was said.", "172.18.0.2:80")
	d.press("esc enter")
	d.sees("2 of 3004", "port 45430 and port 80")
	d.press("esc G f")
	d.sees("stream", "at host:up0")
}
