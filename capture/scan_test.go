package capture

import (
	"bytes"
	"slices"
	"testing"

	"vethscope/capture/filter"
)

// TestScanOfAFile: what is scanned is what is read, and a filter chooses the
// same of both.
func TestScanOfAFile(t *testing.T) {
	path := t.TempDir() + "/x.pcapng"
	write(t, path, WriterOptions{}, corpusRecords(t), noComment)
	f := open1(t, path)
	all := f.Index(-1)
	d, err := filter.ParseDisplay("udp or vni 42 or point c1:eth0")
	if err != nil {
		t.Fatal(err)
	}
	var scanned, read []uint64
	n := 0
	next, missed := f.Scan(1, all+5, func(r *Record) {
		n++
		if d.Match(r.Subject(false, 0)) {
			scanned = append(scanned, r.Serial)
		}
	})
	for i, r := range readAll(t, f) {
		if d.Match(r.Subject(false, 0)) {
			read = append(read, uint64(i+1))
		}
	}
	if n != all || next != uint64(all+1) || missed != 0 || len(read) == 0 || len(read) == all || !slices.Equal(scanned, read) {
		t.Errorf("%d of %d packets scanned up to %d; %v pass, of those that are read %v", n, all, next, scanned, read)
	}
	if next, _ := f.Scan(next, 3, func(*Record) { t.Error("a packet behind the last") }); next != uint64(all+1) {
		t.Errorf("went on to %d", next)
	}
}

func TestScanOfAStore(t *testing.T) {
	st := newStore(4, 8, nil)
	st.open(uplink)
	number, _ := st.chunkFor(-1)
	c := st.chunk(number)
	var refs []ref
	for i := range 6 {
		c.briefs[i] = Brief{Length: 100, Kept: 2, Time: int64(i)}
		c.at[i] = uint32(c.used)
		c.used += copy(c.data[c.used:], []byte{byte(i), 7})
		c.n++
		refs = append(refs, ref(number<<refBits|i))
	}
	st.add(refs)
	var got []byte
	next, missed := st.Scan(1, 3, func(r *Record) {
		got = append(got, r.Data...)
		if r.Point != uplink || r.Length != 100 || r.Serial != uint64(r.Data[0])+1 || r.Time.UnixNano() != int64(r.Data[0]) {
			t.Errorf("scanned %+v", r)
		}
	})
	if next != 6 || missed != 2 || !bytes.Equal(got, []byte{2, 7, 3, 7, 4, 7}) {
		t.Errorf("scanned %v up to %d, missed %d", got, next, missed)
	}
	if next, missed = st.Scan(next, 9, func(*Record) {}); next != 7 || missed != 0 {
		t.Errorf("then up to %d, missed %d", next, missed)
	}
}
