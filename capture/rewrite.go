package capture

import "time"

// rewrite is what happened to the packet between its first sighting and its
// last.
func (m *Matcher) rewrite(g *group) *Rewrite {
	first, last := &g.seen[0], &g.seen[len(g.seen)-1]
	w := &Rewrite{
		Time: first.When(), Flow: m.t.numberOf(g), Direction: place{reply: g.reply}.direction(),
		Protocol: first.Innermost().Name(), Before: m.t.seenOf(first), After: m.t.seenOf(last),
		Elapsed: time.Duration(last.Time - first.Time), BeforeRecord: first.rec, AfterRecord: last.rec,
		before: first.Serial, after: last.Serial,
	}
	if m.Lookup != nil {
		w.Load(m.Lookup)
	} else if first.rec != nil {
		w.Info = inmost(first.rec).Summary.Info
	}
	w.Changed = changed(&w.Before, &w.After)
	rules := g.flow.rules(g.reply, first.rank, last.rank, w.Before.Src != w.After.Src, w.Before.Dst != w.After.Dst)
	if len(rules) > 0 {
		w.Rule = rules[0]
	}
	return w
}

// Load finds the records of packets that were seen as Briefs, and fills in Info:
// for a Matcher without Lookup, to decode elsewhere than where packets are
// matched. A record that is kept no more stays nil.
func (w *Rewrite) Load(lookup func(serial uint64) (*Record, bool)) {
	if w.BeforeRecord == nil {
		w.BeforeRecord, _ = lookup(w.before)
	}
	if w.AfterRecord == nil {
		w.AfterRecord, _ = lookup(w.after)
	}
	if w.BeforeRecord != nil {
		w.Info = inmost(w.BeforeRecord).Summary.Info
	}
}

func (m *Matcher) record(s *sighting) *Record {
	if s.rec == nil && m.Lookup != nil {
		s.rec, _ = m.Lookup(s.Serial)
	}
	return s.rec
}

func (m *tracker) seenOf(s *sighting) Seen {
	h := s.Innermost()
	seen := Seen{Point: m.names[s.Point], TTL: int(h.TTL), Offload: s.Offload, Length: int(s.Length)}
	// All texts are cut out of one.
	var room [192]byte
	b, ends := room[:0], [6]int{}
	src, dst := h.Key.Addrs()
	b = h.Key.appendEndpoint(b, src)
	ends[0] = len(b)
	b = h.Key.appendEndpoint(b, dst)
	ends[1] = len(b)
	b = appendHex16(b, h.Checksum)
	ends[2] = len(b)
	if h.Key.Version == 4 {
		b = appendHex16(b, h.IPChecksum)
	}
	ends[3] = len(b)
	if h.framed {
		b = appendMAC(b, h.SrcMAC)
		ends[4] = len(b)
		b = appendMAC(b, h.DstMAC)
		ends[5] = len(b)
	}
	text := string(b)
	seen.Src, seen.Dst = text[:ends[0]], text[ends[0]:ends[1]]
	seen.Checksum, seen.IPChecksum = text[ends[1]:ends[2]], text[ends[2]:ends[3]]
	switch {
	case h.framed:
		seen.SrcMAC, seen.DstMAC = text[ends[3]:ends[4]], text[ends[4]:ends[5]]
	case s.rec != nil:
		seen.SrcMAC, seen.DstMAC = s.rec.Summary.SrcMAC, s.rec.Summary.DstMAC
	}
	if h.Key.Protocol == protoICMP || h.Key.Protocol == protoICMPv6 {
		seen.ID = int(h.Key.SrcPort)
	}
	return seen
}

// ChangesEnds says that addresses, ports or an ICMP identifier were rewritten; of a
// packet that was only forwarded it is false.
func (r *Rewrite) ChangesEnds() bool {
	return r.Before.Src != r.After.Src || r.Before.Dst != r.After.Dst || r.Before.ID != r.After.ID
}

// changed names what differs. A transport checksum that was left to hardware
// says nothing, so it counts only when both are filled in.
func changed(a, b *Seen) []string {
	out := make([]string, 0, 9)
	for _, f := range [...]struct {
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
