package capture

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The types of TLS records and handshake messages (RFC 8446, sections 5.1 and
// 4), and how long a record can be (RFC 5246, section 6.2.3).
const (
	tlsChangeCipherSpec = 20
	tlsAlert            = 21
	tlsHandshake        = 22
	tlsApplicationData  = 23
	tlsMaxRecord        = 1<<14 + 2048
)

// tlsRecord is one record, of which the end may lie in another segment.
type tlsRecord struct {
	kind    byte
	version uint16
	length  int
	body    []byte
}

// tlsRecords reads the records that begin in b; none if it is not TLS.
func tlsRecords(b []byte) []tlsRecord {
	var out []tlsRecord
	for len(b) >= 5 {
		r := tlsRecord{kind: b[0], version: binary.BigEndian.Uint16(b[1:]), length: int(binary.BigEndian.Uint16(b[3:]))}
		if r.kind < tlsChangeCipherSpec || r.kind > tlsApplicationData || r.version>>8 != 3 || r.version&0xff > 4 ||
			r.length == 0 || r.length > tlsMaxRecord {
			return nil
		}
		b = b[5:]
		n := min(r.length, len(b))
		r.body, b = b[:n], b[n:]
		out = append(out, r)
	}
	return out
}

// tlsInfo is the info line of a segment that begins with a TLS record, "" for
// others. Where the port does not speak for TLS only hellos are taken for it.
func tlsInfo(b []byte, port bool) string {
	all := tlsRecords(b)
	if len(all) == 0 || !port && !all[0].hello() {
		return ""
	}
	var parts []string
	encrypted := false
	for _, r := range all {
		parts = append(parts, r.info(encrypted))
		encrypted = encrypted || r.kind == tlsChangeCipherSpec
	}
	return strings.Join(parts, ", ")
}

func (r tlsRecord) hello() bool {
	return r.kind == tlsHandshake && len(r.body) >= 6 && (r.body[0] == 1 || r.body[0] == 2) && r.body[4] == 3
}

// info names the record; after ChangeCipherSpec a handshake cannot be read.
func (r tlsRecord) info(encrypted bool) string {
	switch r.kind {
	case tlsChangeCipherSpec:
		return "Change Cipher Spec"
	case tlsAlert:
		return "Alert"
	case tlsApplicationData:
		return "Application Data"
	}
	name := ""
	if len(r.body) >= 4 && !encrypted {
		name = handshakeNames[r.body[0]]
	}
	switch {
	case name == "" || r.handshakeLength() > 1<<17:
		return "Encrypted Handshake Message"
	case r.body[0] == 1:
		if host := serverName(r.body[4:]); host != "" {
			return fmt.Sprintf("Client Hello (SNI=%s)", host)
		}
	}
	return name
}

func (r tlsRecord) handshakeLength() int {
	return int(r.body[1])<<16 | int(r.body[2])<<8 | int(r.body[3])
}

var handshakeNames = map[byte]string{
	0: "Hello Request", 1: "Client Hello", 2: "Server Hello", 4: "New Session Ticket", 8: "Encrypted Extensions",
	11: "Certificate", 12: "Server Key Exchange", 13: "Certificate Request", 14: "Server Hello Done",
	15: "Certificate Verify", 16: "Client Key Exchange", 20: "Finished", 22: "Certificate Status",
}

// serverName finds the host's name in the body of a ClientHello, "" if there
// is none or it was not kept (RFC 8446, section 4.1.2; RFC 6066, section 3).
func serverName(b []byte) string {
	b = skip(b, 2+32)    // version, random
	b = skipVector(b, 1) // session id
	b = skipVector(b, 2) // cipher suites
	b = skipVector(b, 1) // compression methods
	for b = skip(b, 2); len(b) >= 4; /* extensions */ {
		kind, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if kind != 0 {
			b = skip(b, n)
			continue
		}
		// The list's length, the name's type (0: a host) and length.
		if len(b) < 5 || b[2] != 0 {
			return ""
		}
		if size := int(binary.BigEndian.Uint16(b[3:])); len(b) >= 5+size {
			return clean(string(b[5 : 5+size]))
		}
		return ""
	}
	return ""
}

func skip(b []byte, n int) []byte { return b[min(n, len(b)):] }

// skipVector skips a vector behind its length of so many bytes.
func skipVector(b []byte, size int) []byte {
	if len(b) < size {
		return nil
	}
	n := int(b[0])
	if size == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	return skip(b, size+n)
}

// tlsLayer lists the records that begin in the segment.
func tlsLayer(b []byte) Layer {
	l := Layer{Name: "TLS"}
	encrypted := false
	for _, r := range tlsRecords(b) {
		if len(l.Fields) == 0 {
			l.Fields = append(l.Fields, Field{Name: "record_version", Value: hex16(r.version)})
		}
		l.Fields = append(l.Fields, Field{Name: "record", Value: fmt.Sprintf("%s, %d bytes", r.info(encrypted), r.length)})
		if r.hello() && r.body[0] == 1 {
			if host := serverName(r.body[4:]); host != "" {
				l.Fields = append(l.Fields, Field{Name: "server_name", Value: host})
			}
		}
		encrypted = encrypted || r.kind == tlsChangeCipherSpec
	}
	return l
}
