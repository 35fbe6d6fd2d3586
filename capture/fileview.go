package capture

// Span is the serials of the packets that are known by now, as of a Store: the
// first one's, which is 1, and the one behind the last.
func (f *File) Span() (first, end uint64) { return 1, uint64(f.Len()) + 1 }

// Points are those of all interfaces, as far as they are known, each once:
// Brief.Point is an index into them.
func (f *File) Points() []Point {
	f.mu.Lock()
	defer f.mu.Unlock()
	points, _ := f.numbered()
	return points
}

// numbered gives every point its number. mu is held.
func (f *File) numbered() (points []Point, number map[Point]uint16) {
	number = map[Point]uint16{}
	for _, s := range f.sections {
		for _, i := range s.interfaces {
			if _, ok := number[i.Point]; !ok {
				number[i.Point] = uint16(len(points))
				points = append(points, i.Point)
			}
		}
	}
	return points, number
}

// View summarizes the packets from serial on, of those that are known by now and
// at most len(dst) of them, into dst, and returns how many. It reads them, at
// about a tenth of what decoding them costs, and ends before one that cannot be
// read. Whether a checksum was left to hardware is not found out.
func (f *File) View(serial uint64, dst []Brief) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, number := f.numbered()
	serial = max(serial, 1)
	for n := range dst {
		if serial > uint64(len(f.offsets)) {
			return n
		}
		offset := f.offsets[serial-1]
		p, err := f.format.packet(f, f.sectionAt(offset), offset)
		if err != nil {
			return n
		}
		rec := Record{Serial: serial, Time: p.time, Outgoing: p.outgoing, Length: p.length, Data: p.data}
		rec.setLink(p.from.LinkType)
		dst[n] = rec.Brief(number[p.from.Point])
		serial++
	}
	return len(dst)
}

// Brief summarizes the record as a Store does; point is the number of its point.
func (r *Record) Brief(point uint16) Brief {
	parser := briefer{vxlanPorts: []uint16{vxlanPort, vxlanKernelPort}}
	if r.Summary.Tunnel == "vxlan" {
		parser.vxlanPorts = append(parser.vxlanPorts, r.Summary.Dst.Port())
	}
	b := Brief{
		Serial: r.Serial, Time: r.Time.UnixNano(), Length: uint32(r.Length), Kept: uint32(len(r.Data)),
		Point: point, Outgoing: r.Outgoing, Offload: r.Offload,
	}
	data, framed := r.Data, !r.unframed
	if r.link != linkEthernet {
		data, framed = data[min(r.link.size(), len(data)):], false
	}
	parser.fill(&b, data, framed)
	return b
}
