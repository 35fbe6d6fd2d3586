package capture

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// AppendJSON appends the JSON form of w to b: what encoding/json makes of it
// with HTML left as it is, several times as fast. Rewrites come by tens of
// thousands a second.
func (w *Rewrite) AppendJSON(b []byte) []byte {
	b = append(b, `{"time":"`...)
	b = w.Time.AppendFormat(b, time.RFC3339Nano)
	b = strconv.AppendInt(append(b, `","flow":`...), int64(w.Flow), 10)
	b = appendText(append(b, `,"direction":`...), w.Direction)
	b = appendText(append(b, `,"protocol":`...), w.Protocol)
	b = w.Before.appendJSON(append(b, `,"before":`...))
	b = w.After.appendJSON(append(b, `,"after":`...))
	b = append(b, `,"changed":[`...)
	for i, name := range w.Changed {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, name)
	}
	b = strconv.AppendInt(append(b, `],"elapsed_ns":`...), int64(w.Elapsed), 10)
	b = w.Rule.appendJSON(append(b, `,"rule":`...))
	return append(appendText(append(b, `,"info":`...), w.Info), '}')
}

func (s *Seen) appendJSON(b []byte) []byte {
	b = appendText(append(b, `{"point":`...), s.Point)
	b = appendText(append(b, `,"src":`...), s.Src)
	b = appendText(append(b, `,"dst":`...), s.Dst)
	b = strconv.AppendInt(append(b, `,"ttl":`...), int64(s.TTL), 10)
	if s.ID != 0 {
		b = strconv.AppendInt(append(b, `,"id":`...), int64(s.ID), 10)
	}
	b = appendText(append(b, `,"src_mac":`...), s.SrcMAC)
	b = appendText(append(b, `,"dst_mac":`...), s.DstMAC)
	if s.IPChecksum != "" {
		b = appendText(append(b, `,"ip_checksum":`...), s.IPChecksum)
	}
	b = appendText(append(b, `,"checksum":`...), s.Checksum)
	if s.Offload {
		b = append(b, `,"offload":true`...)
	}
	return append(strconv.AppendInt(append(b, `,"length":`...), int64(s.Length), 10), '}')
}

func (r *RuleRef) appendJSON(b []byte) []byte {
	if r == nil {
		return append(b, "null"...)
	}
	b = appendText(append(b, `{"ns":`...), r.NS)
	b = appendText(append(b, `,"engine":`...), r.Engine)
	b = appendText(append(b, `,"family":`...), r.Family)
	b = appendText(append(b, `,"table":`...), r.Table)
	b = appendText(append(b, `,"chain":`...), r.Chain)
	b = strconv.AppendUint(append(b, `,"handle":`...), r.Handle, 10)
	return append(appendText(append(b, `,"text":`...), r.Text), '}')
}

// appendText appends a JSON string. What is not plain ASCII is left to
// encoding/json.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			var text bytes.Buffer
			enc := json.NewEncoder(&text)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // a string can always be encoded
			return append(b, bytes.TrimSuffix(text.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
