package capture

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
)

// How much of a payload a Layer shows; the rest is told by its length.
const (
	shownBytes   = 256
	shownHeaders = 64
)

// appendPayload adds what follows the headers: HTTP/1 header lines where there
// are any, and the bytes.
func appendPayload(out []Layer, b []byte) []Layer {
	if len(b) == 0 {
		return out
	}
	if line := httpLine(b); line != "" {
		head, body, _ := bytes.Cut(b, []byte("\r\n\r\n"))
		out = append(out, httpLayer(string(head)))
		if b = body; len(b) == 0 {
			return out
		}
	}
	part := b[:min(len(b), shownBytes)]
	return append(out, Layer{"Data", []Field{
		{"length", strconv.Itoa(len(b))},
		{"text", printable(part)},
		{"hex", hex.EncodeToString(part)},
	}})
}

// httpLayer is the head of an HTTP/1 message; the names of its header fields
// are in lower case, as they mean the same in any (RFC 9110, section 5.1).
func httpLayer(head string) Layer {
	lines := strings.Split(head, "\r\n")
	name := "request"
	if strings.HasPrefix(lines[0], "HTTP/") {
		name = "status"
	}
	l := Layer{"HTTP", []Field{{name, clean(lines[0])}}}
	for _, line := range lines[1:min(len(lines), shownHeaders)] {
		key, value, _ := strings.Cut(line, ":")
		l.Fields = append(l.Fields, Field{clean(strings.ToLower(key)), clean(strings.TrimSpace(value))})
	}
	return l
}
