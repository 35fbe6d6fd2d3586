package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"vethscope/capture"
)

// readFollow prints what a conversation carried.
func readFollow(ctx context.Context, w, errs io.Writer, file *capture.File, f readFlags) error {
	name, err := parseTalk(f.follow)
	if err != nil {
		return usageError{fmt.Errorf("read: --follow %s: %w", f.follow, err)}
	}
	all, err := converse(ctx, file, nil)
	if err != nil {
		return err
	}
	c, others, err := name.find(all.all)
	if err != nil {
		return usageError{fmt.Errorf("read: --follow %s: %w", f.follow, err)}
	}
	if others > 0 {
		fmt.Fprintf(errs, "warning: %d more conversations are between these two: --conversations lists them, --follow N shows one\n", others)
	}
	out := &streamPrinter{w: w, json: f.output == "json"}
	out.begin(c, all.points[c.Point])
	s := capture.NewStream(*c, all.points[c.Point])
	briefs := make([]capture.Brief, 512)
	for serial := c.FirstSerial; serial <= c.LastSerial && !s.Over() && out.err == nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := file.View(serial, briefs)
		if n == 0 {
			_, err := file.Record(int(serial) - 1) // says why it cannot be read
			return err
		}
		for i := range briefs[:n] {
			if !s.Takes(&briefs[i]) {
				continue
			}
			rec, err := file.Record(int(briefs[i].Serial) - 1)
			if err != nil {
				return err
			}
			out.print(s.Add(rec))
		}
		serial += uint64(n)
	}
	out.print(s.Flush())
	return out.end()
}

// talkName says which conversation is to be followed: by its number, or by its
// protocol and ends.
type talkName struct {
	number   int
	protocol string
	a, b     netip.AddrPort
}

func parseTalk(text string) (w talkName, err error) {
	if n, err := strconv.Atoi(text); err == nil && n > 0 {
		return talkName{number: n}, nil
	}
	protocol, ends, ok := strings.Cut(text, ":")
	a, b, two := strings.Cut(ends, ",")
	if ok && two && (protocol == "tcp" || protocol == "udp") {
		var err1, err2 error
		w.protocol = protocol
		w.a, err1 = netip.ParseAddrPort(a)
		w.b, err2 = netip.ParseAddrPort(b)
		return w, errors.Join(err1, err2)
	}
	return w, errors.New("must be a number of --conversations, or such as tcp:10.0.0.1:40000,10.0.0.2:80")
}

// find is the conversation, and how many others are meant as well.
func (w talkName) find(all []capture.Conversation) (found *capture.Conversation, others int, err error) {
	for i := range all {
		c := &all[i]
		src, dst := c.Key.Addrs()
		meant := c.Number == w.number
		if w.number == 0 {
			meant = c.Streams() && c.Name() == w.protocol && (src == w.a && dst == w.b || src == w.b && dst == w.a)
		}
		switch {
		case meant && found == nil:
			found = c
		case meant:
			others++
		}
	}
	switch {
	case found == nil && len(all) == 0:
		return nil, 0, errors.New("there are no conversations in the file")
	case found == nil:
		return nil, 0, fmt.Errorf("no such conversation among %d: --conversations lists them", len(all))
	case !found.Streams():
		return nil, 0, fmt.Errorf("this is %s: only tcp and udp carry what can be followed", found.Name())
	}
	return found, others, nil
}

// chunkJSON is what `read --follow -o json` prints of a part of a stream.
type chunkJSON struct {
	From    string    `json:"from"` // "a" or "b" of the conversation
	Time    time.Time `json:"time"`
	Packet  uint64    `json:"packet"`            // its number in the file
	Data    []byte    `json:"data,omitempty"`    // in base64
	Missing int64     `json:"missing,omitempty"` // so many bytes are not there
	NotKept bool      `json:"not_kept,omitempty"`
}

// streamPrinter writes a stream as lines, each with an arrow for who said it, or
// as one JSON object a part. It keeps the first error.
type streamPrinter struct {
	w      io.Writer
	json   bool
	line   []byte // that is not complete
	fromB  bool   // who says it
	spoken bool   // there was something
	err    error
}

func (p *streamPrinter) begin(c *capture.Conversation, at capture.Point) {
	if p.json {
		return
	}
	a, b := c.Ends()
	in := ""
	if c.Tunnel != capture.NoTunnel {
		in = " in " + c.TunnelText()
	}
	p.write(fmt.Sprintf("conversation %d, %s%s at %s: A %s, B %s\n", c.Number, c.Name(), in, at, a, b))
}

func (p *streamPrinter) print(chunks []capture.Chunk) {
	for _, c := range chunks {
		if p.err != nil {
			return
		}
		p.spoken = true
		if p.json {
			from := "a"
			if c.FromB {
				from = "b"
			}
			p.err = json.NewEncoder(p.w).Encode(chunkJSON{from, c.Time, c.Serial, c.Data, c.Missing, c.NotKept})
			continue
		}
		if c.FromB != p.fromB {
			p.breakLine()
			p.fromB = c.FromB
		}
		if text := missingText(c); text != "" {
			p.breakLine()
			p.write(p.arrow() + text + "\n")
			continue
		}
		p.say(c.Data)
	}
}

// maxLine is where a line without an end is broken.
const maxLine = 4096

func (p *streamPrinter) say(data []byte) {
	for len(data) > 0 {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if room := maxLine - len(p.line); len(line) > room {
			line, rest, whole = data[:room], data[room:], true
		}
		p.line = append(p.line, line...)
		data = rest
		if whole {
			p.write(p.arrow() + capture.Printable(bytes.TrimSuffix(p.line, []byte{'\r'})) + "\n")
			p.line = p.line[:0]
		}
	}
}

// breakLine ends a line that its sender did not end.
func (p *streamPrinter) breakLine() {
	if len(p.line) > 0 {
		p.write(p.arrow() + capture.Printable(bytes.TrimSuffix(p.line, []byte{'\r'})) + "\n")
		p.line = p.line[:0]
	}
}

func (p *streamPrinter) arrow() string {
	if p.fromB {
		return "← "
	}
	return "→ "
}

func (p *streamPrinter) write(s string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, s)
	}
}

func (p *streamPrinter) end() error {
	if !p.json {
		p.breakLine()
		if !p.spoken {
			p.write("Nothing was said.\n")
		}
	}
	if p.err != nil {
		return fmt.Errorf("read: %w", p.err)
	}
	return nil
}

// missingText says what is missing, "" when nothing is.
func missingText(c capture.Chunk) string {
	switch {
	case c.Missing == 0:
		return ""
	case c.NotKept:
		return fmt.Sprintf("[%d bytes not kept]", c.Missing)
	}
	return fmt.Sprintf("[%d bytes missing: no packet with them was seen]", c.Missing)
}
