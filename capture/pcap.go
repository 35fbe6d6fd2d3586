package capture

import "fmt"

// Magic numbers of classic pcap files (draft-ietf-opsawg-pcap), and the one of
// Kuznetzov's variant, whose packets have a longer header.
const (
	pcapMicro    = 0xa1b2c3d4
	pcapNano     = 0xa1b23c4d
	pcapModified = 0xa1b2cd34

	pcapHeaderBytes = 24
	pcapFrameHead   = 16 // stands before each packet that we write
	// pcapMaxPacket is the longest packet that any program writes; what claims to
	// be longer is damage. Wireshark draws the line there, too.
	pcapMaxPacket = 262144
)

// pcapEncoder appends the parts of a classic pcap file, with timestamps in
// nanoseconds. It knows one link type, and neither points nor comments.
type pcapEncoder struct {
	options  WriterOptions
	begun    bool
	linkType uint16
}

// begin waits for the first packet, which tells the link type.
func (e *pcapEncoder) begin(b []byte, _ []Point) ([]byte, error) {
	e.begun = false
	return b, nil
}

func (e *pcapEncoder) header(b []byte, linkType uint16) []byte {
	e.begun, e.linkType = true, linkType
	b = le.AppendUint32(b, pcapNano)
	b = le.AppendUint16(b, 2) // version 2.4
	b = le.AppendUint16(b, 4)
	b = le.AppendUint64(b, 0) // time zone and accuracy: not used
	snaplen := e.options.Snaplen
	if snaplen == 0 {
		snaplen = pcapMaxPacket
	}
	b = le.AppendUint32(b, uint32(snaplen))
	return le.AppendUint32(b, uint32(linkType))
}

// open writes the header of the file, unless it is there. The number means
// nothing in a pcap file.
func (e *pcapEncoder) open(b []byte, k interfaceKey) (_ []byte, id int, err error) {
	linkType, err := linkTypeOf(k)
	if err != nil {
		return b, 0, err
	}
	if !e.begun {
		b = e.header(b, linkType)
	}
	if linkType != e.linkType {
		return b, 0, fmt.Errorf("%s has another kind of link header than the points before, and a pcap file holds one kind: write pcapng", k.point)
	}
	return b, 0, nil
}

func (e *pcapEncoder) packet(b []byte, rec *Record, _ []string) ([]byte, error) {
	b, _, err := e.open(b, interfaceKey{rec.Point, rec.unframed, rec.link})
	if err != nil {
		return b, err
	}
	sec, ns := int64(0), 0
	if !rec.Time.IsZero() {
		sec, ns = rec.Time.Unix(), rec.Time.Nanosecond()
	}
	b = le.AppendUint32(b, uint32(sec))
	b = le.AppendUint32(b, uint32(ns))
	b = le.AppendUint32(b, uint32(len(rec.Data)))
	b = le.AppendUint32(b, uint32(rec.Length))
	return append(b, rec.Data...), nil
}

// end is the header of a file that got no packet.
func (e *pcapEncoder) end(b []byte) []byte {
	if e.begun {
		return b
	}
	return e.header(b, linkTypeEthernet)
}
