package pages

import (
	"fmt"
	"strings"

	"vethscope/capture"
	"vethscope/ops/inventory"
	"vethscope/ui/kit"
)

// overhead is what each header between the IP packet outside and the one within
// takes.
func overhead(r *capture.Record) (parts []string, sum int) {
	add := func(prefix string, l capture.Layer) {
		parts = append(parts, fmt.Sprintf("%s %d", prefix+l.Name, l.Length))
		sum += l.Length
	}
	for _, l := range headers(r) {
		if !linkLayer(l.Name) {
			add("", l)
		}
	}
	for _, l := range headers(r.Inner()) {
		if linkLayer(l.Name) {
			add("inner ", l)
		}
	}
	return parts, sum
}

func linkLayer(name string) bool {
	switch name {
	case "Ethernet", "802.1Q", "Loopback", "Linux cooked", "Linux cooked v2":
		return true
	}
	return false
}

// ipLength is how long a packet is from its IP header on.
func ipLength(r *capture.Record) int {
	n := r.Length
	for _, l := range headers(r) {
		if linkLayer(l.Name) {
			n -= l.Length
		}
	}
	return n
}

// arithmetic says what carrying the packet costs, and what that leaves.
func (p *encapPage) arithmetic(th *kit.Theme, r *capture.Record, w int) []string {
	if r.Inner() == nil {
		return []string{th.Dim.Render("This packet carries no other packet.")}
	}
	var facts []kit.Fact
	total, levels := 0, 0
	innermost := r
	for ; innermost.Inner() != nil; innermost = innermost.Inner() {
		parts, sum := overhead(innermost)
		levels++
		label := "overhead"
		if r.Inner().Inner() != nil {
			label = fmt.Sprintf("overhead %d", levels)
		}
		facts = append(facts, kit.Fact{Label: label, Value: fmt.Sprintf("%s = %d bytes", strings.Join(parts, " + "), sum)})
		total += sum
	}
	if levels > 1 {
		facts = append(facts, kit.Fact{Label: "together", Value: fmt.Sprintf("%d bytes", total)})
	}
	inside := ipLength(innermost)
	facts = append(facts, kit.Fact{Label: "this packet", Value: fmt.Sprintf("%d inside + %d = %d bytes of IP outside", inside, total, inside+total)})
	return kit.Sections(th, w, []kit.Section{{Facts: append(facts, p.mtu(r, inside, total, levels)...)}})
}

// mtu says what the MTU outside leaves for a packet of this length inside.
func (p *encapPage) mtu(r *capture.Record, inside, overhead, levels int) []kit.Fact {
	outer := p.app.link(r.Point)
	if outer == nil {
		return []kit.Fact{{Label: "MTU", Value: fmt.Sprintf("not known, as the link is not there: of 1500 it leaves %d for IP inside", 1500-overhead)}}
	}
	room := outer.MTU - overhead
	facts := []kit.Fact{{Label: "MTU", Value: fmt.Sprintf("%d of %s − %d = %d for IP inside", outer.MTU, r.Point, overhead, room)}}
	if l, where := p.app.tunnelLink(r); l != nil {
		says := "as it must be"
		switch {
		case l.MTU > room:
			says = fmt.Sprintf("%d too many: full packets are fragmented outside, or lost", l.MTU-room)
		case l.MTU < room:
			says = fmt.Sprintf("%d less than could be", room-l.MTU)
		}
		facts = append(facts, kit.Fact{Label: "the tunnel", Value: fmt.Sprintf("%s has MTU %d: %s", where, l.MTU, says)})
	}
	fits := fmt.Sprintf("yes, %d bytes are left", room-inside)
	if room < inside {
		fits = fmt.Sprintf("no, %d bytes too many: it is fragmented, segmented by the link, or lost", inside-room)
	}
	facts = append(facts, kit.Fact{Label: "it fits", Value: fits})
	if r.Summary.Src.Addr().Is4() && levels == 1 {
		facts = append(facts, kit.Fact{Label: "over IPv6", Value: fmt.Sprintf("it would be %d + 20 = %d bytes: %d − %d = %d inside",
			overhead, overhead+20, outer.MTU, overhead+20, room-20)})
	}
	return facts
}

// link is the link of a point, nil when it is not there.
func (a *App) link(at capture.Point) *inventory.Link {
	ns := a.namespace(at.NS)
	if ns == nil {
		return nil
	}
	for i := range ns.Links {
		if ns.Links[i].Name == at.Link {
			return &ns.Links[i]
		}
	}
	return nil
}

// tunnelLink is the link that makes or takes the tunnel's packets: of the
// namespace that the packet was seen in, or else of another.
func (a *App) tunnelLink(r *capture.Record) (found *inventory.Link, where string) {
	if a.Snap == nil || r.Summary.Tunnel != "vxlan" {
		return nil, ""
	}
	for i := range a.Snap.Namespaces {
		ns := &a.Snap.Namespaces[i]
		for j := range ns.Links {
			l := &ns.Links[j]
			if l.Kind != "vxlan" || l.Detail == nil || l.Detail.VNI != int(r.Summary.VNI) || found != nil && ns.Name != r.Point.NS {
				continue
			}
			found, where = l, ns.Name+":"+l.Name
		}
	}
	return found, where
}
