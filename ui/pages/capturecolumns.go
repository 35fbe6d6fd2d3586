package pages

import (
	"fmt"
	"strings"
	"time"

	"vethscope/capture"
	"vethscope/ui/kit"
)

// packet is a row of the capture page: a rewrite, or a packet at one point.
type packet struct {
	serial  uint64
	rewrite *capture.Rewrite // nil for a packet
	record  *capture.Record  // nil for a rewrite, and for a packet that is gone or not read yet
}

func packetKey(r packet) uint64 { return r.serial }

func (p *Capture) newRewriteTable() *kit.Table[uint64, packet] {
	return kit.NewTable(packetKey,
		kit.Column[packet]{Title: "Time", Cell: p.time, Right: true, Style: dimCell[packet]},
		kit.Column[packet]{Title: "Flow", Cell: func(r packet) string { return fmt.Sprint(r.rewrite.Flow) }, Right: true},
		kit.Column[packet]{Title: "Way", Cell: way, Style: wayStyle},
		kit.Column[packet]{Title: "Proto", Cell: func(r packet) string { return r.rewrite.Protocol }, Style: dimCell[packet], Priority: 3},
		kit.Column[packet]{Title: "Rewritten", Cell: func(r packet) string { return rewritten(r.rewrite) }, Style: strongCell[packet], Min: 20},
		kit.Column[packet]{Title: "Between", Cell: func(r packet) string { return r.rewrite.Before.Point + " → " + r.rewrite.After.Point }, Style: dimCell[packet], Priority: 4},
		kit.Column[packet]{Title: "By", Cell: func(r packet) string { return ruleName(r.rewrite.Rule) }, Style: dimCell[packet], Priority: 5, Max: 36},
		kit.Column[packet]{Title: "Packet", Cell: func(r packet) string { return behindPorts(r.rewrite.Info) }, Flex: true, Min: 8, Priority: 2},
		kit.Column[packet]{Title: "Took", Cell: func(r packet) string { return r.rewrite.Elapsed.Round(time.Microsecond).String() }, Right: true, Wide: true, Priority: 6},
	)
}

func (p *Capture) newPacketTable() *kit.Table[uint64, packet] {
	return kit.NewTable(packetKey,
		kit.Column[packet]{Title: "Time", Cell: p.time, Right: true, Style: dimCell[packet]},
		kit.Column[packet]{Title: "Point", Cell: cell(func(r *capture.Record) string { return r.Point.String() }), Max: 24},
		kit.Column[packet]{Title: "Way", Cell: cell(wayOut), Style: dimCell[packet], Priority: 3},
		kit.Column[packet]{Title: "Proto", Cell: cell(func(r *capture.Record) string { return r.Summary.Protocol }), Style: strongCell[packet], Priority: 2},
		kit.Column[packet]{Title: "Source", Cell: cell(func(r *capture.Record) string { return endpoint(r, false) }), Max: 46, Flex: true, Min: 16, Ends: true, Priority: 1},
		kit.Column[packet]{Title: "Destination", Cell: cell(func(r *capture.Record) string { return endpoint(r, true) }), Max: 46, Flex: true, Min: 16, Ends: true, Priority: 1},
		kit.Column[packet]{Title: "Length", Cell: cell(func(r *capture.Record) string { return fmt.Sprint(r.Length) }), Right: true, Style: dimCell[packet], Priority: 4},
		kit.Column[packet]{Title: "Packet", Cell: cell(func(r *capture.Record) string { return r.Summary.Info }), Flex: true, Min: 18},
	)
}

// cell is a column of packets.
func cell(text func(*capture.Record) string) func(packet) string {
	return func(r packet) string {
		if r.record == nil {
			return "…"
		}
		return text(r.record)
	}
}

func wayOut(r *capture.Record) string {
	if r.Outgoing {
		return "out"
	}
	return "in"
}

func (p *Capture) time(r packet) string {
	var t time.Time
	switch {
	case r.rewrite != nil:
		t = r.rewrite.Time
	case r.record != nil:
		t = r.record.Time
	default:
		return ""
	}
	if p.absolute {
		return t.Format("15:04:05.000000")
	}
	return fmt.Sprintf("%.6f", t.Sub(p.start).Seconds())
}

func way(r packet) string {
	if r.rewrite.Direction == capture.Reply {
		return "← reply"
	}
	return "→ original"
}

func wayStyle(th *kit.Theme, r packet) *kit.Style {
	if r.rewrite.Direction == capture.Reply {
		return th.Good
	}
	return th.Accent
}

// rewritten says which ends of a packet were rewritten, and how.
func rewritten(r *capture.Rewrite) string {
	var out []string
	if r.Before.Src != r.After.Src {
		out = append(out, "src "+r.Before.Src+" → "+r.After.Src)
	}
	if r.Before.Dst != r.After.Dst {
		out = append(out, "dst "+r.Before.Dst+" → "+r.After.Dst)
	}
	if len(out) == 0 {
		return strings.Join(r.Changed, " ")
	}
	return strings.Join(out, ", ")
}

// behindPorts is the part of a TCP packet's line that does not repeat its
// ports: "[SYN, ACK] Seq=…".
func behindPorts(info string) string {
	if at := strings.Index(info, "["); at > 0 {
		return info[at:]
	}
	return info
}

func ruleName(r *capture.RuleRef) string {
	if r == nil {
		return "-"
	}
	return fmt.Sprintf("%s/%s handle %d", r.Table, r.Chain, r.Handle)
}

func endpoint(r *capture.Record, dst bool) string {
	a, mac := r.Summary.Src, r.Summary.SrcMAC
	if dst {
		a, mac = r.Summary.Dst, r.Summary.DstMAC
	}
	switch {
	case !a.Addr().IsValid():
		return mac
	case a.Port() == 0:
		return a.Addr().String()
	}
	return a.String()
}

func value(r packet) string {
	if r.rewrite != nil {
		return rewritten(r.rewrite)
	}
	if r.record == nil {
		return ""
	}
	return endpoint(r.record, true)
}

func rowText(r packet) string {
	switch {
	case r.rewrite != nil:
		w := r.rewrite
		return words(w.Protocol, w.Direction, w.Before.Point, w.Before.Src, "→", w.Before.Dst, "⇒",
			w.After.Point, w.After.Src, "→", w.After.Dst, w.Info)
	case r.record != nil:
		return words(r.record.Point.String(), endpoint(r.record, false), "→", endpoint(r.record, true), r.record.Summary.Info)
	}
	return ""
}
