package capture

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/gopacket/layers"

	"vethscope/ops/sandbox/sandboxtest"
)

func matchAll(points []Point, records []*Record) (out []*Rewrite) {
	m := NewFileMatcher(points...)
	for _, rec := range records {
		out = append(out, m.Add(rec)...)
	}
	return append(out, m.Flush()...)
}

func TestFileMatcherConcludesNAT(t *testing.T) {
	echo := layers.CreateICMPv4TypeCode(8, 0)
	ping := func(us int, at Point, src, dst string, typ layers.ICMPv4TypeCode, ttl uint8) *Record {
		return see(t, us, at, pkt{proto: "icmp", src: src, dst: dst, ttl: ttl, ipID: 9, icmp: typ, icmpSeq: 1, payload: "0123456789"})
	}
	syn := func(us int, at Point, src, dst, flags string, seq, ack uint32, ttl uint8) *Record {
		return see(t, us, at, pkt{proto: "tcp", src: src, dst: dst, ttl: ttl, seq: seq, ack: ack, flags: flags})
	}
	got := matchAll([]Point{uplink, container}, []*Record{
		syn(0, uplink, "10.10.0.2:4000", "10.10.0.1:8080", "S", 100, 0, 64),
		syn(10, container, "10.10.0.2:4000", "172.18.0.2:80", "S", 100, 0, 63),
		syn(20, container, "172.18.0.2:80", "10.10.0.2:4000", "SA", 900, 101, 64),
		syn(30, uplink, "10.10.0.1:8080", "10.10.0.2:4000", "SA", 900, 101, 63),
		ping(40, container, "172.18.0.2:7", "10.10.0.2:7", echo, 64),
		ping(50, uplink, "10.10.0.1:7", "10.10.0.2:7", echo, 63),
		ping(60, uplink, "10.10.0.2:7", "10.10.0.1:7", 0, 64),
		ping(70, container, "10.10.0.2:7", "172.18.0.2:7", 0, 63),
	})
	want := []string{
		"tcp original dst 10.10.0.1:8080 -> 172.18.0.2:80", "tcp reply src 172.18.0.2:80 -> 10.10.0.1:8080",
		"icmp original src 172.18.0.2 -> 10.10.0.1", "icmp reply dst 10.10.0.1 -> 172.18.0.2",
	}
	var lines []string
	for _, r := range got {
		text, _, _ := strings.Cut(strings.TrimPrefix(r.Comment(), "rewritten: "), " between ")
		lines = append(lines, r.Protocol+" "+r.Direction+" "+text)
		if !slices.Contains(r.Changed, "ttl") {
			t.Errorf("%s: changed %v", text, r.Changed)
		}
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
}

// TestFileMatcherTakesNoChances: two clients that send the same are not taken
// for one that was rewritten.
func TestFileMatcherTakesNoChances(t *testing.T) {
	udp := func(us int, at Point, src, dst, payload string) *Record {
		return see(t, us, at, pkt{proto: "udp", src: src, dst: dst, payload: payload})
	}
	for name, records := range map[string][]*Record{
		"nothing to tell by": {udp(0, uplink, "10.0.0.1:1", "10.0.0.9:9", "abc"), udp(1, container, "10.0.0.2:1", "10.0.0.9:9", "abc")},
		"two candidates": {udp(0, uplink, "10.0.0.1:1", "10.0.0.9:9", "abcdefgh"), udp(1, uplink, "10.0.0.2:1", "10.0.0.9:9", "abcdefgh"),
			udp(2, container, "10.0.0.3:1", "10.0.0.9:9", "abcdefgh")},
		"no address in common": {udp(0, uplink, "10.0.0.1:1", "10.0.0.9:9", "abcdefgh"), udp(1, container, "10.0.0.2:1", "10.0.0.8:9", "abcdefgh")},
		"the same point":       {udp(0, uplink, "10.0.0.1:1", "10.0.0.9:9", "abcdefgh"), udp(1, uplink, "10.0.0.2:1", "10.0.0.9:9", "abcdefgh")},
		"too late":             {udp(0, uplink, "10.0.0.1:1", "10.0.0.9:9", "abcdefgh"), udp(3e6, container, "10.0.0.2:1", "10.0.0.9:9", "abcdefgh")},
		"other payload":        {udp(0, uplink, "10.0.0.1:1", "10.0.0.9:9", "abcdefgh"), udp(1, container, "10.0.0.2:1", "10.0.0.9:9", "abcdefgX")},
	} {
		for _, r := range matchAll([]Point{uplink, container}, records) {
			if r.Comment() != "" {
				t.Errorf("%s: %s", name, r.Comment())
			}
		}
	}
}

// TestFileJourneys: through tunnels, and past several hosts that rewrite.
func TestFileJourneys(t *testing.T) {
	router, far := Point{NS: "router", Link: "wan"}, Point{NS: "far", Link: "eth0"}
	udp := func(us int, at Point, src, dst string, ttl uint8) *Record {
		return see(t, us, at, pkt{proto: "udp", src: src, dst: dst, ttl: ttl, ipID: 5, payload: "a question"})
	}
	in := pkt{proto: "udp", src: "10.0.1.2:5000", dst: "10.0.1.3:53", ipID: 3, payload: "question"}
	as := pkt{proto: "udp", src: "10.0.2.1:5000", dst: "10.0.1.3:53", ipID: 3, payload: "question", ttl: 63}
	report := func(us int, at Point, src string) *Record {
		return see(t, us, at, pkt{proto: "icmp6", src: src, dst: "[ff02::16]:0", icmp6: layers.CreateICMPv6TypeCode(143, 0), payload: "0123456789"})
	}
	tests := []struct {
		name    string
		records []*Record
		want    []string
	}{
		{"rewritten by two hosts", []*Record{
			udp(0, container, "172.18.0.2:7", "9.9.9.9:53", 64), udp(5, veth, "172.18.0.2:7", "9.9.9.9:53", 64), udp(10, uplink, "10.10.0.1:7", "9.9.9.9:53", 63),
			udp(20, router, "1.1.1.1:99", "9.9.9.9:53", 62), udp(30, far, "1.1.1.1:99", "9.9.9.9:53", 62),
			udp(40, far, "9.9.9.9:53", "1.1.1.1:99", 64), udp(50, router, "9.9.9.9:53", "1.1.1.1:99", 64), udp(60, uplink, "9.9.9.9:53", "10.10.0.1:7", 63),
			udp(70, veth, "9.9.9.9:53", "172.18.0.2:7", 62), udp(75, container, "9.9.9.9:53", "172.18.0.2:7", 62)},
			[]string{"original c1:eth0 host:veth1[] host:up0[src,ttl,ip_checksum,checksum] router:wan[src,ttl,ip_checksum,checksum] far:eth0[]",
				"reply far:eth0 router:wan[] host:up0[dst,ttl,ip_checksum,checksum] host:veth1[dst,ttl,ip_checksum,checksum] c1:eth0[]"}},
		{"rewritten, then into a tunnel", []*Record{see(t, 0, container, in), see(t, 5, veth, as), inVXLAN(t, 9, uplink, as, 42), see(t, 12, far, as)},
			[]string{"original c1:eth0 host:veth1[src,ttl,ip_checksum,checksum] host:up0(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50)[length pushed] far:eth0[length popped]"}},
		{"rewritten and put into a tunnel", []*Record{see(t, 0, container, in), inVXLAN(t, 9, uplink, as, 42)},
			[]string{"original c1:eth0 host:up0(vxlan 42 192.0.2.1:54321>192.0.2.2:4789 50)[src,ttl,ip_checksum,checksum,length pushed]"}},
		{"two of the same, from different machines", []*Record{udp(0, container, "172.18.0.2:7", "9.9.9.9:53", 64), udp(1, veth, "172.18.0.3:7", "9.9.9.9:53", 64),
			udp(5, uplink, "10.10.0.1:7", "9.9.9.9:53", 63)},
			[]string{"original c1:eth0 unmatched", "original host:veth1 unmatched", "original host:up0 unmatched"}},
		{"what nothing rewrites", []*Record{report(0, container, "[::]:0"), report(5, uplink, "[fe80::1]:0")},
			[]string{"original c1:eth0 unmatched", "original host:up0 unmatched"}},
	}
	for _, tt := range tests {
		m := NewFileJourneys()
		var all []*Journey
		for _, r := range tt.records {
			all = append(all, m.Add(r)...)
		}
		if got := trips(append(all, m.Flush()...)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
		}
	}
}

// TestFileMatcherIsQuick: packets that are all the same are not compared with
// all the others.
func TestFileMatcherIsQuick(t *testing.T) {
	m := NewFileMatcher(uplink, container)
	rec := see(t, 0, uplink, pkt{proto: "udp", src: "10.0.0.1:1", dst: "10.0.0.9:9", payload: "the same again"})
	for range 60_000 { // 1.8e9 comparisons, if each were compared with each
		r := *rec
		m.Add(&r)
	}
}

func TestFileMatcherIsBounded(t *testing.T) {
	m := NewFileMatcher(uplink, container)
	rec := see(t, 0, uplink, requestOutside(1))
	for i := range maxSighted + 5000 {
		r := *rec
		r.Data = slices.Clone(rec.Data)
		binary.BigEndian.PutUint32(r.Data[38:], uint32(i)) // TCP's sequence number
		Decode(&r)
		m.Add(&r)
	}
	if len(m.c.order) > maxSighted+1 || len(m.c.recent) > maxSighted+1 {
		t.Errorf("%d packets are remembered, more than %d", len(m.c.order), maxSighted)
	}
}

func TestRotation(t *testing.T) {
	for _, name := range []string{"x.pcapng", "x.pcap"} {
		dir := t.TempDir()
		w, err := CreateFile(filepath.Join(dir, name), []Point{uplink}, FileOptions{RotateSize: 3000, RotateCount: 3,
			WriterOptions: WriterOptions{Comments: []string{"what the host looks like"}}})
		if err != nil {
			t.Fatal(err)
		}
		rec := see(t, 0, uplink, requestOutside(1))
		for range 200 {
			if err := w.Write(rec, "a comment"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if w.Count() != 200 {
			t.Errorf("%d were written", w.Count())
		}
		there, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil || len(there) != 3 || !slices.Equal(there, w.Files()) || strings.HasSuffix(there[0], "_00001"+filepath.Ext(name)) {
			t.Errorf("files %v, told %v, %v", there, w.Files(), err)
		}
		for _, path := range there {
			info, err := os.Stat(path)
			if err != nil || info.Size() > 3000 {
				t.Errorf("%s: %d bytes, %v", path, info.Size(), err)
			}
			f := open1(t, path)
			if n := f.Index(-1); n < 5 || f.Damage() != nil {
				t.Errorf("%s: %d packets, %v", path, n, f.Damage())
			}
			if c := f.Comments(); strings.HasSuffix(name, "ng") && len(c) != 1 {
				t.Errorf("%s: comments %q", path, c)
			}
			sandboxtest.Run(t, "", "tshark", "-r", path)
		}
	}
}

func TestRotationOfNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	for _, o := range []FileOptions{{RotateCount: 2}, {RotateSize: -1}, {WriterOptions: WriterOptions{Format: "snoop"}}} {
		if w, err := CreateFile(path, []Point{uplink}, o); err == nil {
			w.Close()
			t.Errorf("%+v was taken", o)
		}
	}
}

// TestPCAPHoldsOneLinkType: and an empty file is one.
func TestPCAPHoldsOneLinkType(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcap")
	w, err := CreateFile(path, []Point{uplink}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rec := see(t, 0, uplink, requestOutside(1))
	bare := *rec
	bare.Data, bare.unframed = rec.Data[14:], true
	if err := w.Write(rec); err != nil {
		t.Error(err)
	}
	if err := w.Write(&bare); err == nil || !strings.Contains(err.Error(), "write pcapng") {
		t.Errorf("two link types: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if n := open1(t, path).Index(-1); n != 1 {
		t.Errorf("%d packets", n)
	}
	w, err = CreateFile(path, []Point{uplink}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if n := open1(t, path).Index(-1); n != 0 {
		t.Errorf("%d packets in an empty file", n)
	}
	sandboxtest.Run(t, "", "tshark", "-r", path)
}
