package capture

import "time"

// rewrite is what happened to the packet between its first sighting and its
// last.
func (m *Matcher) rewrite(g *group) *Rewrite {
	first, last := &g.seen[0], &g.seen[len(g.seen)-1]
	w := &Rewrite{
		Time: first.When(), Flow: m.t.numberOf(g), Direction: place{reply: g.reply}.direction(),
		Protocol: first.Innermost().Name(), Before: m.t.seenOf(first), After: m.t.seenOf(last),
		Elapsed: time.Duration(last.Time - first.Time), BeforeRecord: m.record(first), AfterRecord: m.record(last),
	}
	if w.BeforeRecord != nil {
		w.Info = inmost(w.BeforeRecord).Summary.Info
	}
	w.Changed = changed(&w.Before, &w.After)
	rules := g.flow.rules(g.reply, first.rank, last.rank, w.Before.Src != w.After.Src, w.Before.Dst != w.After.Dst)
	if len(rules) > 0 {
		w.Rule = rules[0]
	}
	return w
}

func (m *Matcher) record(s *sighting) *Record {
	if s.rec == nil && m.Lookup != nil {
		s.rec, _ = m.Lookup(s.Serial)
	}
	return s.rec
}

func (m *tracker) seenOf(s *sighting) Seen {
	h := s.Innermost()
	src, dst := h.Key.Addrs()
	seen := Seen{
		Point: m.points[s.Point].String(), Src: h.Key.endpoint(src), Dst: h.Key.endpoint(dst), TTL: int(h.TTL),
		Checksum: hex16(h.Checksum), Offload: s.Offload, Length: int(s.Length),
	}
	if h.Key.Protocol == protoICMP || h.Key.Protocol == protoICMPv6 {
		seen.ID = int(h.Key.SrcPort)
	}
	switch {
	case h.framed:
		seen.SrcMAC, seen.DstMAC = macText(h.SrcMAC), macText(h.DstMAC)
	case s.rec != nil:
		seen.SrcMAC, seen.DstMAC = s.rec.Summary.SrcMAC, s.rec.Summary.DstMAC
	}
	if h.Key.Version == 4 {
		seen.IPChecksum = hex16(h.IPChecksum)
	}
	return seen
}

// changed names what differs. A transport checksum that was left to hardware
// says nothing, so it counts only when both are filled in.
func changed(a, b *Seen) []string {
	out := []string{}
	for _, f := range []struct {
		name   string
		differ bool
	}{
		{"src", a.Src != b.Src},
		{"dst", a.Dst != b.Dst},
		{"ttl", a.TTL != b.TTL},
		{"id", a.ID != b.ID},
		{"src_mac", a.SrcMAC != b.SrcMAC},
		{"dst_mac", a.DstMAC != b.DstMAC},
		{"ip_checksum", a.IPChecksum != b.IPChecksum},
		{"checksum", a.Checksum != b.Checksum && !a.Offload && !b.Offload},
		{"length", a.Length != b.Length},
	} {
		if f.differ {
			out = append(out, f.name)
		}
	}
	return out
}
