package capture

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"vethscope/ops/netns"
	"vethscope/ops/sandbox/sandboxtest"
)

// dumpcap captures at the router's uplink until stop is called, which returns
// the packets. (tcpdump does not run in a sandbox with one user: it insists on
// changing its groups.)
func dumpcap(t *testing.T) (stop func() [][]byte) {
	t.Helper()
	file := t.TempDir() + "/pcap"
	cmd := exec.Command(sandboxtest.Tool(t, "dumpcap"), "-i", "up0", "-P", "-w", file)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	inNS(t, "router", cmd.Start)
	said, all := bufio.NewReader(stderr), ""
	for !strings.Contains(all, "File: ") {
		line, err := said.ReadString('\n')
		if all += line; err != nil {
			t.Fatalf("dumpcap: %s: %v", all, err)
		}
	}
	return func() [][]byte {
		time.Sleep(time.Second) // it asks for packets now and then only, and forgets them when it ends
		_ = cmd.Process.Signal(unix.SIGINT)
		_, _ = io.Copy(io.Discard, said)
		_ = cmd.Wait()
		return readPcap(t, file)
	}
}

func readPcap(t *testing.T, file string) [][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pcapgo.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var all [][]byte
	for {
		data, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
}

// echo sends one ping and waits for its answer.
func echo(t *testing.T, ns, to string) {
	t.Helper()
	c := dial(t, ns, "ip4:icmp", to)
	defer c.Close()
	msg := []byte{8, 0, 0, 0, 0x1a, 0x2b, 0, 1, 'p', 'i', 'n', 'g'}
	sum := uint32(0)
	for i := 0; i < len(msg); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(msg[i:]))
	}
	binary.BigEndian.PutUint16(msg[2:], ^uint16(sum+sum>>16))
	if _, err := c.Write(msg); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1500)); err != nil {
		t.Fatal(err)
	}
}

func TestSeesWhatDumpcapSees(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	stop := dumpcap(t)
	s := open(t, Options{}, routerUp)
	for range 50 {
		exchange(t, dial(t, "outside", "tcp", "10.10.0.1:8080"), "over tcp")
		exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "over udp")
	}
	exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), strings.Repeat("fragments", 300))
	echo(t, "inside", "10.10.0.2")
	settle()
	got, want := rest(s), stop()
	if len(want) < 500 {
		t.Fatalf("dumpcap has only %d packets", len(want))
	}
	if len(got) != len(want) {
		t.Errorf("%d records, dumpcap has %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if !bytes.Equal(got[i].Data, want[i]) {
			t.Fatalf("packet %d differs\n%x\n%x", i, got[i].Data, want[i])
		}
	}
}

func TestRecordsAreInOrder(t *testing.T) {
	newLab(t)
	echoServers(t, "inside", 80)
	points := []Point{routerUp, routerIn, insidePoint, {NS: "outside", Link: "eth0"}}
	s := open(t, Options{}, points...)
	begin := time.Now()
	for range 300 {
		exchange(t, dial(t, "outside", "udp", "10.10.0.1:8080"), "datagram")
	}
	settle()
	all := rest(s)
	if !slices.IsSortedFunc(all, func(a, b *Record) int { return a.Time.Compare(b.Time) }) {
		t.Error("records are not in the order of time")
	}
	for i, rec := range all {
		if rec.Serial != uint64(i+1) {
			t.Fatalf("record %d has the serial %d", i+1, rec.Serial)
		}
		if rec.Time.Before(begin.Add(-time.Second)) || rec.Time.After(time.Now().Add(time.Second)) {
			t.Fatalf("record %d is of %v", i, rec.Time)
		}
	}
	seen := map[Point][2]int{}
	for _, rec := range all {
		n := seen[rec.Point]
		if rec.Summary.Protocol == "udp" && rec.Outgoing {
			n[0]++
		} else if rec.Summary.Protocol == "udp" {
			n[1]++
		}
		seen[rec.Point] = n
	}
	for _, p := range points {
		if seen[p] != [2]int{300, 300} {
			t.Errorf("%s: %v datagrams out and in, want 300 each", p, seen[p])
		}
	}
	for _, st := range s.Stats() {
		if st.Packets < 600 || st.Bytes == 0 || st.Dropped != 0 || st.Skipped != 0 || st.Ended != "stopped" {
			t.Errorf("stats %+v", st)
		}
	}
}

func TestSlowReaderIsToldOfSkips(t *testing.T) {
	newLab(t)
	s := open(t, Options{Buffer: 10}, routerUp)
	c := dial(t, "outside", "udp", "10.10.0.1:9")
	defer c.Close()
	send := func(n int) {
		for range n {
			if _, err := c.Write([]byte("x")); err != nil && !errors.Is(err, unix.ECONNREFUSED) {
				t.Fatal(err)
			}
		}
	}
	send(1000)
	eventually(t, "a thousand packets", func() bool { return s.Stats()[0].Packets >= 1000 })
	handed := len(<-s.Records())
	st := s.Stats()[0]
	if handed > 10 || st.Skipped < 900 {
		t.Errorf("%d records handed out, %+v", handed, st)
	}
	settle()
	send(1) // with room again, packets are handed out again
	select {
	case batch := <-s.Records():
		handed += len(batch)
	case <-time.After(10 * time.Second):
		t.Fatal("silence after skipping")
	}
	handed += len(rest(s))
	if st = s.Stats()[0]; st.Packets != uint64(handed)+st.Skipped {
		t.Errorf("%d handed out and %d skipped are not %d", handed, st.Skipped, st.Packets)
	}
}

func TestCloseCountsWhatWasNotTaken(t *testing.T) {
	newLab(t)
	s := open(t, Options{}, routerUp)
	s.Records()
	echo(t, "outside", "10.10.0.1")
	settle()
	s.Close()
	if st := s.Stats()[0]; st.Packets == 0 || st.Skipped != st.Packets {
		t.Errorf("%+v", st)
	}
	if batch, open := <-s.Records(); open {
		t.Errorf("%d records after Close", len(batch))
	}
	s.Close()
}

func TestContextEndsSession(t *testing.T) {
	newLab(t)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := Open(ctx, []Point{routerUp}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for range s.Records() { // until it is closed
	}
	s.Close()
}

func TestPointEndsWithItsLink(t *testing.T) {
	newLab(t)
	ip(t, "router", "link add gone0 type veth peer name gone1")
	ip(t, "router", "link add down0 type veth peer name down1")
	ip(t, "router", "link set gone0 up")
	s := open(t, Options{}, Point{NS: "router", Link: "gone0"}, Point{NS: "router", Link: "down0"}, routerUp)
	ip(t, "router", "link del gone0")
	ip(t, "router", "link del down0")
	for i := range 2 {
		eventually(t, "the end of a point", func() bool { return s.Stats()[i].Ended != "" })
		if got := s.Stats()[i].Ended; got != "the link was deleted or moved away" {
			t.Errorf("ended because %q", got)
		}
	}
	echo(t, "outside", "10.10.0.1")
	if st := s.Stats()[2]; st.Ended != "" {
		t.Errorf("the other point has ended: %s", st.Ended)
	}
	settle()
	if all := rest(s); len(all) < 2 {
		t.Errorf("%d records from the other point", len(all))
	}
}

func TestPointOutlivesLinkDown(t *testing.T) {
	newLab(t)
	s := open(t, Options{}, routerUp)
	ip(t, "router", "link set up0 down")
	ip(t, "router", "link set up0 up")
	echo(t, "outside", "10.10.0.1")
	settle()
	if st := s.Stats()[0]; st.Ended != "" {
		t.Fatalf("ended: %s", st.Ended)
	}
	if !slices.ContainsFunc(rest(s), func(r *Record) bool { return r.Summary.Protocol == "icmp" }) {
		t.Error("nothing was seen after the link came up again")
	}
}

func TestPointEndsWithItsNamespace(t *testing.T) {
	newLab(t)
	s := open(t, Options{}, insidePoint)
	if err := netns.Delete("inside"); err != nil {
		t.Fatal(err)
	}
	for range s.Records() { // closed when the last point ends
	}
	if got := s.Stats()[0].Ended; got != "namespace inside is gone" {
		t.Errorf("ended because %q", got)
	}
	eventually(t, "the end of the veth into the namespace", func() bool {
		_, err := sandboxtest.Try(t, "router", "ip", "link", "show", "in0")
		return err != nil
	})
}

// The kernel takes a VLAN tag off and keeps it beside the packet.
func TestVLANTagIsPutBack(t *testing.T) {
	newLab(t)
	s := open(t, Options{}, routerUp)
	frame := append([]byte{255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 9, 0x81, 0, 0x60, 42, 0x88, 0xb5}, make([]byte, 50)...)
	inNS(t, "outside", func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Index})
	})
	settle()
	all := rest(s)
	i := slices.IndexFunc(all, func(r *Record) bool { return bytes.Equal(r.Data, frame) })
	if i < 0 {
		t.Fatalf("the frame is not among %d records", len(all))
	}
	if all[i].Length != len(frame) || all[i].Outgoing {
		t.Errorf("length %d, outgoing %v", all[i].Length, all[i].Outgoing)
	}
}

func TestSnaplen(t *testing.T) {
	newLab(t)
	s := open(t, Options{Snaplen: 60}, routerUp)
	c := dial(t, "outside", "udp", "10.10.0.1:9")
	defer c.Close()
	if _, err := c.Write(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	settle()
	for _, rec := range rest(s) {
		if rec.Summary.Protocol == "udp" {
			if len(rec.Data) != 60 || rec.Length != 542 || rec.Summary.Payload != 500 {
				t.Errorf("kept %d of %d bytes, payload %d", len(rec.Data), rec.Length, rec.Summary.Payload)
			}
			return
		}
	}
	t.Error("the datagram was not seen")
}

func TestOpenAllOrNone(t *testing.T) {
	newLab(t)
	tests := []struct {
		name   string
		points []Point
		opts   Options
		want   string
		is     error
	}{
		{"no namespace", []Point{routerUp, {NS: "nowhere", Link: "eth0"}}, Options{}, "capture at nowhere:eth0: no namespace nowhere", fs.ErrNotExist},
		{"no link", []Point{routerUp, {NS: "router", Link: "up9"}}, Options{}, "capture at router:up9: no such link in namespace router", fs.ErrNotExist},
		{"twice", []Point{routerUp, routerUp}, Options{}, "capture at router:up0: the point is given twice", nil},
		{"no point", nil, Options{}, "capture: no point given", nil},
		{"no size", []Point{routerUp}, Options{Snaplen: -1}, "capture: no such size", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Open(context.Background(), tt.points, tt.opts)
			if err == nil {
				s.Close()
				t.Fatal("opened")
			}
			if !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %q, want %q…", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
}
