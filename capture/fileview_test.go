package capture

import "testing"

func TestViewOfAFileIsThatOfItsRecords(t *testing.T) {
	path := t.TempDir() + "/x.pcapng"
	write(t, path, WriterOptions{}, corpusRecords(t), noComment)
	f := open1(t, path)
	if n := f.View(1, make([]Brief, 1)); n != 0 {
		t.Errorf("%d packets before any is known", n)
	}
	all := f.Index(-1)
	first, end := f.Span()
	if first != 1 || int(end) != all+1 {
		t.Fatalf("the span of %d packets is from %d to %d", all, first, end)
	}
	view, points := make([]Brief, all+5), f.Points()
	if n := f.View(0, view); n != all {
		t.Fatalf("%d of %d packets", n, all)
	}
	m := newTracker(points)
	for i := range all {
		rec, err := f.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		want := m.brief(rec)
		want.Offload = false
		if view[i] != want {
			t.Errorf("packet %d at %s:\n%+v, its record's is\n%+v", i+1, rec.Point, view[i], want)
		}
	}
	if n := f.View(end-2, view); n != 2 || view[0].Serial != end-2 || view[1].Serial != end-1 {
		t.Errorf("the last %d are %d and %d", n, view[0].Serial, view[1].Serial)
	}
	if n := f.View(end, view); n != 0 {
		t.Errorf("%d packets behind the last", n)
	}
}
