package capture

// Scan hands the packets from serial on to see, at most so many of them, and
// returns the serial behind the last; missed is how many of them were let go
// before. They are not decoded, which costs a tenth: good for Subject, and valid
// until see returns.
func (st *Store) Scan(serial uint64, most int, see func(*Record)) (next, missed uint64) {
	var rec Record
	for range most {
		st.mu.Lock()
		if serial < st.first {
			missed += st.first - serial
			serial = st.first
		}
		if serial >= st.next {
			st.mu.Unlock()
			break
		}
		st.copyTo(&rec, st.order[serial%uint64(len(st.order))])
		rec.Serial = serial
		st.mu.Unlock()
		see(&rec)
		serial++
	}
	return serial, missed
}

// Scan is what Store's is. It goes no further than the index, and ends before a
// packet that cannot be read. see must not ask the File for anything.
func (f *File) Scan(serial uint64, most int, see func(*Record)) (next, missed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rec Record
	for range most {
		if serial == 0 || serial > uint64(len(f.offsets)) {
			break
		}
		offset := f.offsets[serial-1]
		p, err := f.format.packet(f, f.sectionAt(offset), offset)
		if err != nil {
			break
		}
		rec = Record{Serial: serial, Point: p.from.Point, Time: p.time, Outgoing: p.outgoing, Length: p.length, Data: p.data, Comment: clean(p.comment)}
		rec.setLink(p.from.LinkType)
		see(&rec)
		serial++
	}
	return serial, 0
}
