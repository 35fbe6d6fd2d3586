package capture

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
)

// UDP and TCP ports of what has no beginning that tells it.
const (
	dnsPort        = 53
	mdnsPort       = 5353
	dhcpServerPort = 67
	dhcpClientPort = 68
)

// application finds what the transport carries, and its line for the info
// column; both are "" when it is nothing that we know. The error says that it
// is that, but broken.
func (d *decoder) application(rec *Record) (name, info string, err error) {
	s, b := &rec.Summary, rec.payload
	if len(b) == 0 {
		return "", "", nil
	}
	either := func(ports ...uint16) bool {
		return slices.Contains(ports, s.Dst.Port()) || slices.Contains(ports, s.Src.Port())
	}
	udp, tcp := s.Protocol == "udp", s.Protocol == "tcp"
	switch {
	case udp && either(dnsPort):
		name = "dns"
		info, err = dnsInfo(b, false)
	case udp && either(mdnsPort):
		name = "mdns"
		info, err = dnsInfo(b, true)
	case udp && either(dhcpServerPort, dhcpClientPort):
		name = "dhcp"
		info, err = dhcpInfo(b)
	case tcp && either(dnsPort) && dnsSegment(b) != nil:
		name = "dns"
		info, err = dnsInfo(dnsSegment(b), false)
	case tcp:
		if info = httpLine(b); info != "" {
			return "http", info, nil
		}
		name, info = "tls", tlsInfo(b, either(443, 8443))
	}
	if info == "" {
		name = ""
	}
	return name, info, err
}

// dnsSegment is the message in a segment that holds exactly one: over TCP its
// length stands before it (RFC 1035, section 4.2.2). It is nil otherwise.
func dnsSegment(b []byte) []byte {
	if len(b) < 14 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return nil
	}
	return b[2:]
}

// How much of a payload a Layer shows; the rest is told by its length.
const (
	shownBytes   = 256
	shownHeaders = 64
)

// appendPayload adds what follows the headers: what is known of it, and the
// bytes of the rest. at is where b begins in the record's Data.
func (r *Record) appendPayload(out []Layer, b []byte, at int) []Layer {
	if len(b) == 0 {
		return out
	}
	whole := func(l Layer, n int) Layer {
		l.Offset, l.Length = at, n
		return l
	}
	switch r.Summary.App {
	case "http":
		head, body, found := bytes.Cut(b, []byte("\r\n\r\n"))
		n := len(head)
		if found {
			n += 4
		}
		out = append(out, whole(httpLayer(string(head)), n))
		at, b = at+n, body
	case "dns", "mdns":
		m := b
		if r.Summary.Protocol == "tcp" {
			m = dnsSegment(b)
		}
		return append(out, whole(dnsLayer(m), len(b)))
	case "dhcp":
		return append(out, whole(dhcpLayer(b), len(b)))
	case "tls":
		return append(out, whole(tlsLayer(b), len(b)))
	}
	if len(b) == 0 {
		return out
	}
	part := b[:min(len(b), shownBytes)]
	return append(out, Layer{Name: "Data", Offset: at, Length: len(b), Fields: []Field{
		{Name: "length", Value: strconv.Itoa(len(b))},
		{Name: "text", Value: printable(part)},
		{Name: "hex", Value: hex.EncodeToString(part)},
	}})
}

// httpLine is the request or status line that the payload begins with, "" if
// it begins with none (RFC 9112, sections 3 and 4).
func httpLine(payload []byte) string {
	line, _, whole := bytes.Cut(payload[:min(len(payload), 2048)], []byte("\r\n"))
	if !whole {
		return ""
	}
	if bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return string(line)
	}
	word := bytes.Split(line, []byte(" "))
	if len(word) != 3 || !bytes.HasPrefix(word[2], []byte("HTTP/1.")) {
		return ""
	}
	switch string(word[0]) {
	case "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH":
		return string(line)
	}
	return ""
}

// httpLayer is the head of an HTTP/1 message; the names of its header fields
// are in lower case, as they mean the same in any (RFC 9110, section 5.1).
func httpLayer(head string) Layer {
	lines := strings.Split(head, "\r\n")
	name := "request"
	if strings.HasPrefix(lines[0], "HTTP/") {
		name = "status"
	}
	l := Layer{Name: "HTTP", Fields: []Field{{Name: name, Value: clean(lines[0])}}}
	for _, line := range lines[1:min(len(lines), shownHeaders)] {
		key, value, _ := strings.Cut(line, ":")
		l.Fields = append(l.Fields, Field{Name: clean(strings.ToLower(key)), Value: clean(strings.TrimSpace(value))})
	}
	return l
}
