package capture

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"vethscope/capture/internal/ring"
	"vethscope/ops/sandbox/sandboxtest"
)

// save begins to save to a file; done waits until all is saved.
func save(t *testing.T, s *Session, path string, points []Point, fo FileOptions, o SaveOptions) (done func() *FileWriter) {
	t.Helper()
	w, err := CreateFile(path, points, fo)
	if err != nil {
		t.Fatal(err)
	}
	saved := make(chan error)
	go func() { saved <- s.Save(w, o) }()
	return func() *FileWriter {
		t.Helper()
		if err := errors.Join(<-saved, w.WriteStats(s.Stats()), w.Close()); err != nil {
			t.Errorf("save: %v", err)
		}
		return w
	}
}

// TestSave: the file holds what Records hands out, packet for packet.
func TestSave(t *testing.T) {
	for _, path := range []string{"x.pcapng", "x.pcap"} {
		t.Run(path, func(t *testing.T) {
			newLab(t)
			echoServers(t, "inside", 80)
			points := []Point{routerUp, routerIn, insidePoint}
			format := FormatOf(path)
			s := open(t, Options{Save: format}, points...)
			path = filepath.Join(t.TempDir(), path)
			done := save(t, s, path, points, FileOptions{}, SaveOptions{})
			for i := range 100 {
				exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), strings.Repeat("x", i+1))
				exchange(t, dial(t, "outside", "tcp", "10.10.0.1:8080"), "over tcp")
			}
			want := rest(s)
			w := done()
			got := readAll(t, open1(t, path))
			if len(got) != len(want) || len(got) < 3*700 || w.Count() != len(got) {
				t.Fatalf("%d packets are saved, %d counted; want %d", len(got), w.Count(), len(want))
			}
			for i, g := range got {
				r := want[i]
				if !bytes.Equal(g.Data, r.Data) || !g.Time.Equal(r.Time) || g.Length != r.Length || g.Summary.Info != r.Summary.Info ||
					format == FormatPCAPNG && (g.Point != r.Point || g.Outgoing != r.Outgoing) {
					t.Fatalf("packet %d\ngot  %+v\nwant %+v", i, g, r)
				}
			}
			if n := strings.Count(sandboxtest.Run(t, "", "tshark", "-n", "-r", path), "\n"); n != len(got) {
				t.Errorf("tshark reads %d packets, want %d", n, len(got))
			}
		})
	}
}

// TestSaveOnly: nothing is kept but the file, which comes in parts.
func TestSaveOnly(t *testing.T) {
	newLab(t)
	points := []Point{routerUp}
	s := open(t, Options{Save: FormatPCAPNG, Keep: KeepNone}, points...)
	done := save(t, s, filepath.Join(t.TempDir(), "x.pcapng"), points, FileOptions{RotateSize: 20_000}, SaveOptions{})
	inNS(t, "router", func() error { // somebody has to be there, who need not read
		sink, err := net.ListenPacket("udp4", ":9")
		if err == nil {
			t.Cleanup(func() { sink.Close() })
		}
		return err
	})
	c := dial(t, "outside", "udp", "10.10.0.1:9")
	defer c.Close()
	const sent = 2000
	for i := range sent {
		if _, err := fmt.Fprintf(c, "number %d.", i); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	w := done()
	if s.Store().Len() != 0 {
		t.Errorf("%d packets are kept", s.Store().Len())
	}
	var all []*Record
	for _, path := range w.Files() {
		part := readAll(t, open1(t, path))
		if info, err := os.Stat(path); err != nil || info.Size() > 20_000 || len(part) == 0 {
			t.Errorf("%s: %d packets, %d bytes, %v", path, len(part), info.Size(), err)
		}
		all = append(all, part...)
	}
	st := s.Stats()[0]
	if len(w.Files()) < 5 || len(all) != int(st.Packets) || st.Dropped != 0 || st.Overrun != 0 {
		t.Errorf("%d packets in %d files; %+v", len(all), len(w.Files()), st)
	}
	numbers := 0
	for _, r := range all {
		if !r.Outgoing && r.Summary.Protocol == "udp" {
			if want := fmt.Sprintf("number %d.", numbers); string(r.payload) != want {
				t.Fatalf("payload %q, want %q", r.payload, want)
			}
			numbers++
		}
	}
	if numbers != sent {
		t.Errorf("%d datagrams, want %d", numbers, sent)
	}
}

// TestSaveWithComments: a packet that is held gets its comment, one that was
// written does not.
func TestSaveWithComments(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	points := []Point{routerUp, insidePoint}
	s := open(t, Options{Save: FormatPCAPNG, Filter: "udp"}, points...)
	path := filepath.Join(t.TempDir(), "x.pcapng")
	release := make(chan struct{})
	done := save(t, s, path, points, FileOptions{}, SaveOptions{Hold: 400 * time.Millisecond, Release: release})
	exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "first")
	eventually(t, "four packets", func() bool { return s.Store().Len() == 4 })
	for _, serial := range []uint64{1, 3, 4} {
		if !s.Comment(serial, fmt.Sprintf("comment %d →", serial)) {
			t.Errorf("packet %d: too late", serial)
		}
	}
	eventually(t, "the packets are written", func() bool { return len(readAll(t, open1(t, path))) == 4 })
	if s.Comment(2, "late") {
		t.Error("a comment on what is written was taken")
	}
	exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "last")
	s.Stop()
	eventually(t, "the last packets", func() bool { return s.Store().Len() == 8 })
	if !s.Comment(5, "comment 5 →") {
		t.Error("what waits when the capture ends is written at once")
	}
	close(release)
	done()
	var got []string
	for _, r := range readAll(t, open1(t, path)) {
		got = append(got, r.Comment)
	}
	if want := []string{"comment 1 →", "", "comment 3 →", "comment 4 →", "comment 5 →", "", "", ""}; !slices.Equal(got, want) {
		t.Errorf("comments %q, want %q", got, want)
	}
}

func TestSaveCount(t *testing.T) {
	newLab(t)
	points := []Point{routerUp}
	s := open(t, Options{Save: FormatPCAP, Keep: KeepNone}, points...)
	path := filepath.Join(t.TempDir(), "x.pcap")
	done := save(t, s, path, points, FileOptions{}, SaveOptions{Count: 3})
	for range 5 {
		echo(t, "outside", "10.10.0.1")
	}
	if w := done(); w.Count() != 3 || len(readAll(t, open1(t, path))) != 3 {
		t.Errorf("%d packets are saved", w.Count())
	}
	eventually(t, "the point has ended", func() bool { return s.Stats()[0].Ended == Stopped })
}

// TestSaveWithoutLinkLayer: packets of a link without Ethernet are of another
// interface of the file; a pcap file holds one kind.
func TestSaveWithoutLinkLayer(t *testing.T) {
	ns := sandboxtest.NS(t, "tunneled")
	tun := tunLink(t, ns, "tun0")
	for _, line := range []string{"addr add 10.9.0.1/24 dev tun0", "link set tun0 up", "link set lo up"} {
		ip(t, ns, line)
	}
	points := []Point{{NS: ns, Link: "lo"}, {NS: ns, Link: "tun0"}}
	for _, format := range []Format{FormatPCAPNG, FormatPCAP} {
		s := open(t, Options{Save: format, Keep: KeepNone, Filter: "ip"}, points...)
		w, err := CreateFile(filepath.Join(t.TempDir(), "x"), points, FileOptions{WriterOptions: WriterOptions{Format: format}})
		if err != nil {
			t.Fatal(err)
		}
		saved := make(chan error)
		go func() { saved <- s.Save(w, SaveOptions{}) }()
		for range 3 {
			echo(t, ns, "127.0.0.1")
			if _, err := tun.Write(datagram(9)); err != nil {
				t.Fatal(err)
			}
		}
		settle()
		s.Stop()
		err = <-saved
		if format == FormatPCAP {
			if err == nil || !strings.Contains(err.Error(), "write pcapng") {
				t.Errorf("pcap: %v", err)
			}
			w.Close()
			continue
		}
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		seen := map[string]int{}
		for _, r := range readAll(t, open1(t, w.Files()[0])) {
			seen[r.Point.Link+" "+r.Summary.Protocol]++
		}
		if seen["lo icmp"] != 6 || seen["tun0 udp"] != 3 {
			t.Errorf("saved: %v", seen)
		}
	}
}

// TestSaveTellsOfFullDisk: and the capture ends.
func TestSaveTellsOfFullDisk(t *testing.T) {
	newLab(t)
	points := []Point{routerUp}
	s := open(t, Options{Save: FormatPCAPNG}, points...)
	w, err := CreateFile("/dev/full", points, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	saved := make(chan error)
	go func() { saved <- s.Save(w, SaveOptions{}) }()
	echo(t, "outside", "10.10.0.1")
	if err := <-saved; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("saving: %v", err)
	}
	for range s.Records() { // until it is closed
	}
}

func TestSaveRefuses(t *testing.T) {
	newLab(t)
	s := open(t, Options{}, routerUp)
	w, err := CreateFile(filepath.Join(t.TempDir(), "x.pcap"), []Point{routerUp}, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := s.Save(w, SaveOptions{}); err == nil || s.Comment(1, "x") {
		t.Errorf("a session that keeps nothing for a file saves: %v", err)
	}
	if s, err := Open(t.Context(), []Point{routerUp}, Options{Keep: KeepNone}); err == nil {
		s.Close()
		t.Error("a session for nothing was opened")
	}
}

// TestSaveAllocatesNothing for a packet, from the frame to the file.
func TestSaveAllocatesNothing(t *testing.T) {
	s := &Session{opts: Options{Save: FormatPCAPNG, Keep: KeepNone}, store: newStore(0, 4, nil), saver: newSaver()}
	s.store.open(uplink)
	w, err := CreateFile("/dev/null", []Point{uplink}, FileOptions{WriterOptions: WriterOptions{Format: FormatPCAPNG}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	v := saving{s: s, w: w, framing: ngFrame}
	packet := build(t, requestOutside(1))
	refs := make([]ref, 0, chunkPackets)
	if n := testing.AllocsPerRun(100, func() {
		number, ok := s.store.chunkFor(-1)
		if !ok {
			t.Fatal("no chunk")
		}
		c := s.store.chunk(number)
		refs = refs[:0]
		for i := range chunkPackets {
			end := c.used + ngFrame.size(len(packet))
			copy(c.data[c.used+ngFrameHead:], packet)
			frameNG(c.data[c.used:end], 0, int64(i), len(packet), len(packet), true)
			c.at[c.n] = uint32(c.used + ngFrameHead)
			c.used = end
			c.n++
			refs = append(refs, ref(number<<refBits|i))
		}
		c.framed = true
		s.store.give(number)
		v.chunks = s.store.allChunks()
		if err := v.write(refs); err != nil {
			t.Fatal(err)
		}
		s.store.saved(refs)
	}); n > 0 {
		t.Errorf("%v allocations for %d packets", n, chunkPackets)
	}
}

// TestReaderAllocatesNothing for a packet on its way from the ring to the store,
// or to the file.
func TestReaderAllocatesNothing(t *testing.T) {
	packet := build(t, requestOutside(1))
	for _, o := range []Options{{Keep: 2000}, {Keep: KeepNone, Save: FormatPCAPNG}, {Keep: 2000, Save: FormatPCAP}} {
		s := &Session{opts: o, store: newStore(max(o.Keep, 0), 64, nil), wake: make(chan struct{}, 1)}
		s.store.open(uplink)
		if o.Save != "" {
			s.saver = newSaver()
			s.store.holders = 1 + min(o.Keep+1, 1)
		}
		r := &reader{session: s, number: -1, framed: true, framing: o.Save.framing(), unseen: o.Keep == KeepNone,
			briefer: briefer{vxlanPorts: []uint16{vxlanPort}}}
		m := merger{session: s, runs: []run{{}}}
		v := saving{s: s, framing: o.Save.framing()}
		pkt := ring.Packet{Length: len(packet), Data: packet}
		round := func() {
			r.entries = r.entries[:0]
			for range 1000 {
				pkt.Time++
				if !r.room(r.framing.size(len(packet))) {
					t.Fatal("no room")
				}
				r.copy(&pkt, len(packet))
			}
			m.runs[0].take(r.entries)
			r.entries = m.runs[0].spare
			m.final = m.final[:0]
			m.merge(endOfTime)
			s.deliver(m.final)
			if s.saver != nil {
				v.waiting, _ = s.saver.take(v.waiting[:0])
				s.store.saved(v.waiting)
			}
		}
		for range 20 { // until all is as large as it gets
			round()
		}
		if n := testing.AllocsPerRun(50, round); n > 0 {
			t.Errorf("%+v: %v allocations for 1000 packets", o, n)
		}
	}
}
