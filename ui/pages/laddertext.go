package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"vethscope/capture"
	"vethscope/ui/kit"
)

func quoteText(q *capture.Quote) string { return q.Protocol + " " + q.Src + " → " + q.Dst }

// repeatText says how a packet repeats an earlier one.
func repeatText(j *capture.Journey) string {
	before := j.Time.Sub(j.Repeats.Time).Round(time.Microsecond).String() + " before"
	switch j.Repeats.Kind {
	case capture.Retransmission:
		return "↻ retransmission of what was sent " + before
	case capture.Loop:
		return "↻ routed in a circle: it was here " + before + ", with a higher TTL"
	}
	return "↻ duplicate of a packet that was here " + before
}

func tunnelName(t *capture.Tunnel) string {
	name := map[string]string{"vxlan": "VXLAN", "geneve": "GENEVE", "gre": "GRE", "ipip": "IP"}[t.Kind]
	if t.Kind == "vxlan" || t.Kind == "geneve" {
		name += fmt.Sprintf(" %d", t.VNI)
	}
	return name
}

func tunnelText(t *capture.Tunnel) string { return tunnelName(t) + ": " + t.Src + " → " + t.Dst }

// news is a line of what became of a packet.
type news struct {
	text    string
	changed bool
}

// hopNews tells what became of a packet between two sightings, and by which
// rules; the rules' text only where there is room.
func hopNews(before, h *capture.Hop, direction string, room bool) (out []news) {
	switch h.Encapsulation {
	case capture.Pushed:
		out = append(out, news{fmt.Sprintf("+ into %s, %d bytes more", tunnelText(h.Tunnel), h.Tunnel.Overhead), true})
	case capture.Popped:
		out = append(out, news{"− out of " + tunnelName(before.Tunnel), true})
	case capture.Retunnel:
		out = append(out, news{"≠ " + tunnelChange(before.Tunnel, h.Tunnel), true})
	}
	if text := hopChange(before, h); text != "" {
		out = append(out, news{"≠ " + text, true})
	}
	for _, r := range h.Rules {
		what := "by "
		if direction == capture.Reply { // replies pass no rule: conntrack remembers what to undo
			what = "changed back for "
		}
		what += r.NS + ": " + ruleName(r)
		if room {
			what += ": " + brief(r.Text)
		}
		out = append(out, news{what, false})
	}
	return out
}

// hopChange lists what differs of the packet: what tells most with both values.
func hopChange(before, h *capture.Hop) string {
	var out []string
	is := func(name string) bool { return slices.Contains(h.Changed, name) }
	for _, f := range []struct {
		name    string
		was, is any
	}{{"src", before.Src, h.Src}, {"dst", before.Dst, h.Dst}, {"ttl", before.TTL, h.TTL}, {"id", before.ID, h.ID}} {
		if is(f.name) {
			out = append(out, fmt.Sprintf("%s %v → %v", f.name, f.was, f.is))
		}
	}
	for _, f := range []struct{ a, b, both, one, other string }{
		{"src_mac", "dst_mac", "MACs", "source MAC", "dest. MAC"},
		{"ip_checksum", "checksum", "checksums", "IP checksum", "checksum"},
	} {
		switch {
		case is(f.a) && is(f.b):
			out = append(out, f.both)
		case is(f.a):
			out = append(out, f.one)
		case is(f.b):
			out = append(out, f.other)
		}
	}
	if is("length") && h.Encapsulation == "" {
		out = append(out, fmt.Sprintf("length %d → %d", before.Length, h.Length))
	}
	return strings.Join(out, ", ")
}

// tunnelChange lists what differs of the tunnel.
func tunnelChange(a, b *capture.Tunnel) string {
	if a.Kind != b.Kind {
		return "out of " + tunnelName(a) + ", into " + tunnelText(b)
	}
	var out []string
	for _, f := range []struct {
		name    string
		was, is any
	}{{"VNI", a.VNI, b.VNI}, {"src", a.Src, b.Src}, {"dst", a.Dst, b.Dst}, {"ttl", a.TTL, b.TTL}, {"overhead", a.Overhead, b.Overhead}} {
		if f.was != f.is {
			out = append(out, fmt.Sprintf("%s %v → %v", f.name, f.was, f.is))
		}
	}
	return "outside: " + strings.Join(out, ", ")
}

// journeyText tells a packet's way, a line a sighting, to be copied.
func journeyText(j *capture.Journey) string {
	if j == nil {
		return ""
	}
	lines := []string{words(j.Protocol, j.Direction, j.Info)}
	for i := range j.Hops {
		lines = append(lines, hopSentence(j, i))
	}
	return strings.Join(lines, "\n")
}

// hopSentence tells a sighting in words.
func hopSentence(j *capture.Journey, i int) string {
	h := &j.Hops[i]
	text := fmt.Sprintf("At %s, %s: %s → %s, ttl %d", h.Point, map[bool]string{true: "out", false: "in"}[h.Outgoing], h.Src, h.Dst, h.TTL)
	if h.Tunnel != nil {
		text += ", in " + tunnelText(h.Tunnel)
	}
	if i == 0 {
		return text
	}
	text += ", " + h.Elapsed.Round(time.Microsecond).String() + " later"
	for _, n := range hopNews(&j.Hops[i-1], h, j.Direction, true) {
		text += ", " + strings.TrimLeft(n.text, "+−≠ ")
	}
	return text
}

// viewPlain tells the journeys in sentences, from the selected one on.
func (p *ladder) viewPlain(w, h int) string {
	lines := kit.Wrap(kit.Safe("Packets of "+p.about+". "+p.Tell()+"."), w)
	for n := max(0, slices.Index(p.all, p.at.journey)); n < len(p.all) && len(lines) < h; n++ {
		j := p.all[n]
		head := fmt.Sprintf("Packet %d, %s: %s %s.", p.gone+n+1, j.Direction, j.Protocol, j.Info)
		if j.Quotes != nil {
			head += " It is about " + quoteText(j.Quotes) + "."
		}
		if j.Repeats != nil {
			head += " It is a " + strings.TrimPrefix(repeatText(j), "↻ ") + "."
		}
		lines = append(lines, kit.Wrap(kit.Safe(head), w)...)
		first := 0
		if j == p.at.journey {
			first = p.at.hop
		}
		for i := first; i < len(j.Hops); i++ {
			lines = append(lines, kit.Wrap(kit.Safe(hopSentence(j, i))+".", w)...)
		}
		if !j.Matched {
			lines = append(lines, "It was seen at this point only.")
		}
	}
	return kit.Block(lines, w, h)
}
