package capture

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"vethscope/ops/sandbox/sandboxtest"
)

// writeCorpus makes a pcapng file of packets, a millisecond apart.
func writeCorpus(t testing.TB, path string, samples []sample) []*Record {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(f, []Point{uplink})
	if err != nil {
		t.Fatal(err)
	}
	var all []*Record
	d := NewDecoder() // one for all, as for the packets of a point
	for i, s := range samples {
		rec := recordOf(s.data, uplink, i*1000)
		d.Decode(rec)
		all = append(all, rec)
		if err := w.Write(rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// innermost is the packet within all others.
func innermost(rec *Record) *Record {
	for in := rec.Inner(); in != nil; in = rec.Inner() {
		rec = in
	}
	return rec
}

// wiresharks are the ways in which we differ from Wireshark on purpose.
var wiresharks = []struct {
	theirs *regexp.Regexp
	ours   string
}{
	{regexp.MustCompile(` {2,}`), " "},
	{regexp.MustCompile(`seq=(\d+)/\d+`), "seq=$1"},
	{regexp.MustCompile(` \((no response found!|reply in \d+|request in \d+)\)`), ""},
	{regexp.MustCompile(` \[Reassembled in #\d+\]`), ""},
	{regexp.MustCompile(` \[(ETHERNET FRAME CHECK SEQUENCE INCORRECT|Packet size limited.*)\]`), ""},
	{regexp.MustCompile(` \(duplicate use of .* detected!\)`), ""},
	{regexp.MustCompile(`  *$`), ""},
}

func TestInfoIsWiresharks(t *testing.T) {
	samples := corpus(t)
	file := t.TempDir() + "/corpus.pcapng"
	records := writeCorpus(t, file, samples)
	out := sandboxtest.Run(t, "", "tshark", "-n", "-r", file, "-o", "tcp.desegment_tcp_streams:FALSE", "-d", "udp.port==8472,vxlan",
		"-o", "gui.column.format:Info,%i", "-T", "text")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	if len(lines) != len(samples) {
		t.Fatalf("tshark reads %d packets, want %d:\n%s", len(lines), len(samples), out)
	}
	for i, s := range samples {
		want := lines[i]
		for _, w := range wiresharks {
			want = w.theirs.ReplaceAllString(want, w.ours)
		}
		if s.info != "" {
			want = s.info
		}
		got, _, _ := strings.Cut(innermost(records[i]).Summary.Info, ", about ")
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", s.name, got, want)
		}
	}
}
