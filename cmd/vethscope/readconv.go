package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"vethscope/capture"
	"vethscope/capture/filter"
)

// fileConversations are how many are kept of a file.
const fileConversations = 200_000

// conversed is what a file tells of its conversations.
type conversed struct {
	all    []capture.Conversation // in the order of their first packets
	points []capture.Point
	counts capture.ConversationCounts
	passed map[int]bool // of which a packet passed the filter
}

// converse reads the whole file. Without a filter, and where packets were seen
// at one point only, none needs decoding.
func converse(ctx context.Context, file *capture.File, display *filter.Display) (*conversed, error) {
	file.Index(-1)
	c := capture.NewConversations(fileConversations)
	out := &conversed{points: file.Points()}
	_, end := file.Span()
	if display == nil && len(out.points) < 2 {
		briefs := make([]capture.Brief, 512)
		for serial := uint64(1); serial < end; {
			n := file.View(serial, briefs)
			if ctx.Err() != nil {
				break
			}
			if n == 0 {
				_, err := file.Record(int(serial) - 1) // says why it cannot be read
				return nil, err
			}
			for i := range briefs[:n] {
				c.See(&briefs[i])
			}
			serial += uint64(n)
		}
	} else if err := out.decode(ctx, file, c, display); err != nil {
		return nil, err
	}
	out.all, out.counts = c.Snapshot(0, nil), c.Counts()
	return out, ctx.Err()
}

// decode looks at every packet, for the filter and for rewrites.
func (out *conversed) decode(ctx context.Context, file *capture.File, c *capture.Conversations, display *filter.Display) error {
	number := map[capture.Point]uint16{}
	for i, p := range out.points {
		number[p] = uint16(i)
	}
	out.passed = map[int]bool{}
	m := capture.NewFileMatcher()
	for i := 0; ctx.Err() == nil; i++ {
		rec, err := file.Record(i)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		b := rec.Brief(number[rec.Point])
		c.See(&b)
		tellRewrites(c, m.Add(rec))
		if of, ok := c.Of(&b); ok && (display == nil || display.Match(rec.Subject(false, 0))) {
			out.passed[of.Number] = true
		}
	}
	tellRewrites(c, m.Flush())
	return nil
}

func tellRewrites(c *capture.Conversations, rewrites []*capture.Rewrite) {
	for _, r := range rewrites {
		c.Tell(r)
	}
}

// shown are those to show, the most bytes first.
func (out *conversed) shown(count int) []capture.Conversation {
	shown := slices.DeleteFunc(slices.Clone(out.all), func(c capture.Conversation) bool { return out.passed != nil && !out.passed[c.Number] })
	slices.SortStableFunc(shown, func(a, b capture.Conversation) int { return cmp.Compare(b.Bytes(), a.Bytes()) })
	if count > 0 {
		shown = shown[:min(count, len(shown))]
	}
	return shown
}

// conversationDisplay is the filter that chooses conversations, nil for none.
func conversationDisplay(display *filter.Display, text string) (*filter.Display, error) {
	for _, word := range []string{"rewritten", "flow"} {
		if slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r < 'a' || r > 'z' }), word) {
			return nil, usageError{fmt.Errorf("read: -f: %q cannot choose conversations: the FLOW column tells which were rewritten", word)}
		}
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	return display, nil
}

// readConversations prints who talked with whom.
func readConversations(ctx context.Context, w, errs io.Writer, file *capture.File, display *filter.Display, f readFlags) error {
	display, err := conversationDisplay(display, f.filter)
	if err != nil {
		return err
	}
	out, err := converse(ctx, file, display)
	if err != nil {
		return err
	}
	return printConversations(w, errs, *out, f.output, f.count)
}

// printConversations prints count of them, or all for 0, and what there was
// besides.
func printConversations(w, errs io.Writer, out conversed, output string, count int) error {
	shown := out.shown(count)
	if output == "json" {
		enc := json.NewEncoder(w)
		for i := range shown {
			if err := enc.Encode(conversationJSONOf(&shown[i], out.points)); err != nil {
				return err
			}
		}
	} else if err := conversationTable(shown, out.points, out.all).write(w); err != nil {
		return err
	}
	if n := out.counts.LetGo; n > 0 {
		fmt.Fprintf(errs, "warning: %d conversations were let go to make room, those that had been silent for longest\n", n)
	}
	if n := out.counts.Packets - out.counts.Addressed; n > 0 {
		fmt.Fprintf(errs, "warning: %d packets have no addresses and belong to no conversation\n", n)
	}
	return nil
}

func conversationTable(shown []capture.Conversation, points []capture.Point, all []capture.Conversation) lsTable {
	t := lsTable{header: []string{"N", "PROTO", "A", "B", "A→B", "BYTES", "B→A", "BYTES", "START", "DURATION", "BYTES/S", "STATE", "AGAIN", "FLOW", "AT", "IN"}}
	start := int64(0)
	for i := range all {
		if i == 0 || all[i].First < start {
			start = all[i].First
		}
	}
	some := func(n uint64) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	for i := range shown {
		c := &shown[i]
		a, b := c.Ends()
		rate := ""
		if d := c.Duration(); d > 0 {
			rate = fmt.Sprintf("%.0f", float64(c.Bytes())/d.Seconds())
		}
		at := points[c.Point].String()
		if c.Points > 1 {
			at += fmt.Sprintf(" +%d", c.Points-1)
		}
		t.rows = append(t.rows, []string{fmt.Sprint(c.Number), c.Name(), a, b,
			fmt.Sprint(c.AB.Packets), fmt.Sprint(c.AB.Bytes), fmt.Sprint(c.BA.Packets), fmt.Sprint(c.BA.Bytes),
			fmt.Sprintf("%.6f", time.Duration(c.First-start).Seconds()), fmt.Sprintf("%.6f", c.Duration().Seconds()), rate,
			c.State.String(), some(c.AB.Again + c.BA.Again), some(uint64(c.Flow)), at, c.TunnelText()})
	}
	return t
}

// conversationJSON is what `read --conversations -o json` prints.
type conversationJSON struct {
	Number   int         `json:"number"`
	Protocol string      `json:"protocol"`
	A        string      `json:"a"`
	B        string      `json:"b"`
	ID       uint16      `json:"id,omitempty"` // ICMP's identifier
	Tunnel   string      `json:"tunnel,omitempty"`
	VNI      uint32      `json:"vni,omitempty"`
	Flow     int         `json:"flow,omitempty"`
	State    string      `json:"state,omitempty"`
	Start    time.Time   `json:"start"`
	Duration int64       `json:"duration_ns"`
	Point    string      `json:"point"`
	Points   int         `json:"points"`
	AB       trafficJSON `json:"a_to_b"`
	BA       trafficJSON `json:"b_to_a"`
}

type trafficJSON struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Again   uint64 `json:"again"`
	Late    uint64 `json:"late"`
}

func conversationJSONOf(c *capture.Conversation, points []capture.Point) conversationJSON {
	a, b := c.Ends()
	traffic := func(t capture.Traffic) trafficJSON { return trafficJSON{t.Packets, t.Bytes, t.Again, t.Late} }
	out := conversationJSON{Number: c.Number, Protocol: c.Name(), A: a, B: b, Tunnel: capture.TunnelName(c.Tunnel), VNI: c.VNI, Flow: c.Flow,
		State: c.State.String(), Start: c.Start(), Duration: int64(c.Duration()), Point: points[c.Point].String(), Points: c.Points,
		AB: traffic(c.AB), BA: traffic(c.BA)}
	if !c.Streams() {
		out.ID = c.Key.SrcPort
	}
	return out
}
