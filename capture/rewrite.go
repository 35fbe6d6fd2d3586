package capture

// rewrite is what happened to the packet between its first sighting and its
// last.
func (g *group) rewrite() *Rewrite {
	first, last := g.seen[0], g.seen[len(g.seen)-1]
	before, after := first.rec, last.rec
	w := &Rewrite{
		Time: before.Time, Flow: g.flow.number, Direction: g.key.direction, Protocol: g.key.protocol,
		Before: seenOf(before), After: seenOf(after),
		Elapsed: after.Time.Sub(before.Time), Info: before.Summary.Info,
		BeforeRecord: before, AfterRecord: after,
	}
	w.Changed = changed(&w.Before, &w.After)
	if first.rank != last.rank {
		w.Rule = g.flow.rule(g.key.direction, w.Before.Src != w.After.Src, w.Before.Dst != w.After.Dst)
	}
	return w
}

func seenOf(rec *Record) Seen {
	s := &rec.Summary
	seen := Seen{
		Point: rec.Point.String(), Src: endpoint(s.Protocol, s.Src), Dst: endpoint(s.Protocol, s.Dst), TTL: int(s.TTL),
		ID: int(s.ICMPID), SrcMAC: s.SrcMAC, DstMAC: s.DstMAC,
		Checksum: hex16(s.Checksum), Offload: rec.Offload, Length: rec.Length,
	}
	if s.Src.Addr().Is4() {
		seen.IPChecksum = hex16(s.IPChecksum)
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
