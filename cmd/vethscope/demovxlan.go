package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"vethscope/capture"
	"vethscope/ops"
	"vethscope/ops/inventory"
	"vethscope/ops/modes"
	"vethscope/ops/netns"
	"vethscope/ops/probe"
)

// vxlanDemo is the traffic that the demonstration makes, and what it must see.
type vxlanDemo struct {
	made   ops.Made
	from   ops.Container // pings
	to     ops.Container // answers
	hosts  [2]ops.SimHost
	points []capture.Point // along the way of a request
	mtu    int             // between the hosts
	inside int             // in the containers

	sightings map[echo][]*capture.Record
	shown     []*capture.Record
	out       io.Writer
	json      bool
	err       error
}

// echo tells the packets of the pings apart.
type echo struct {
	kind    uint8 // ICMP type
	id, seq uint16
	length  int // of the container's frame
}

// pings of two sizes, a request and an answer each
const vxlanDemoPackets = 4

func demoVXLAN(ctx context.Context, w io.Writer, output string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoTime, errors.New("took too long"))
	defer cancel()
	before, err := world(ctx)
	if err != nil {
		return err
	}
	plan, err := modes.Overlay{Name: "demo0", Hosts: 2, Subnet: "10.0.1.0/24", VNI: 4097}.Plan(before)
	if err != nil {
		return fmt.Errorf("demo vxlan: %w", err)
	}
	x := &ops.Executor{Journal: journal()}
	if err := x.Run(ctx, plan); err != nil {
		return err
	}
	d := newVXLANDemo(plan.Made, w, output)
	err = d.watch(ctx)
	_, undoErr := x.Undo(context.WithoutCancel(ctx), plan.ID)
	if err := errors.Join(err, undoErr); err != nil {
		return err
	}
	return d.verdict()
}

func newVXLANDemo(made ops.Made, w io.Writer, output string) *vxlanDemo {
	d := &vxlanDemo{made: made, from: made.Containers[0], to: made.Containers[1], hosts: [2]ops.SimHost(made.Hosts),
		sightings: map[echo][]*capture.Record{}, out: w, json: output == "json"}
	for _, p := range [][2]string{{d.from.Name, d.from.Link}, {d.hosts[0].Name, d.hosts[0].Link},
		{d.hosts[1].Name, d.hosts[1].Link}, {d.to.Name, d.to.Link}} {
		d.points = append(d.points, capture.Point{NS: p[0], Path: netns.Path(p[0]), Link: p[1]})
	}
	return d
}

// watch makes the traffic and shows each packet when it has arrived.
func (d *vxlanDemo) watch(ctx context.Context) error {
	if err := d.readMTUs(ctx); err != nil {
		return err
	}
	session, err := capture.Open(ctx, d.points, capture.Options{VXLANPorts: []uint16{uint16(d.made.VXLANPort)}})
	if err != nil {
		return err
	}
	defer session.Close()
	if !d.json {
		d.introduce()
	}
	traffic := make(chan error, 1)
	go func() { traffic <- d.traffic(ctx) }()
	for records := range session.Records() {
		for _, rec := range records {
			d.take(rec)
		}
		if len(d.shown) == vxlanDemoPackets || d.err != nil {
			session.Stop()
		}
	}
	return errors.Join(d.err, <-traffic)
}

// readMTUs asks the kernel, so that the arithmetic is about what is.
func (d *vxlanDemo) readMTUs(ctx context.Context) error {
	snap, err := inventory.Collect(ctx)
	if err != nil {
		return err
	}
	for _, want := range []struct {
		ns, link string
		mtu      *int
	}{{d.hosts[0].Name, d.hosts[0].Link, &d.mtu}, {d.from.Name, d.from.Link, &d.inside}} {
		n := snap.Namespace(want.ns)
		if n == nil || n.Link(want.link) == nil {
			return fmt.Errorf("demo vxlan: no link %s in namespace %s", want.link, want.ns)
		}
		*want.mtu = n.Link(want.link).MTU
	}
	return nil
}

// Lengths of the headers of an echo request, in bytes.
const (
	ip4Header  = 20
	icmpHeader = 8
)

// traffic is a ping of the usual size, and the longest that fits.
func (d *vxlanDemo) traffic(ctx context.Context) error {
	to := netip.MustParseAddr(d.to.Addr)
	for _, size := range []int{0, d.inside - ip4Header - icmpHeader} {
		if _, err := probe.Ping(ctx, netns.Path(d.from.Name), to, probe.PingOptions{Count: 1, Size: size}); err != nil && !errors.Is(err, context.Canceled) {
			return fmt.Errorf("ping %s: %w", to, err)
		}
	}
	return nil
}

// take sorts the echoes, and shows one when it was seen all along its way.
func (d *vxlanDemo) take(rec *capture.Record) {
	frame := rec
	if in := rec.Inner(); in != nil {
		frame = in
	}
	s := &frame.Summary
	if s.Protocol != "icmp" || s.ICMPID == 0 {
		return
	}
	key := echo{s.ICMPType, s.ICMPID, s.ICMPSeq, frame.Length}
	d.sightings[key] = append(d.sightings[key], rec)
	seen := d.sightings[key]
	if len(seen) != len(d.points) || d.err != nil {
		return
	}
	if d.err = d.check(seen); d.err == nil {
		d.shown = append(d.shown, seen[1])
		d.err = d.show(seen)
	}
}

// check holds the sightings of a packet against what VXLAN should make of it:
// plain at the containers, wrapped between the hosts, and the same inside.
func (d *vxlanDemo) check(seen []*capture.Record) error {
	for i, rec := range seen {
		in := rec.Inner()
		wrapped := i == 1 || i == 2
		switch s := &rec.Summary; {
		case !wrapped && in != nil, wrapped && in == nil:
			return fmt.Errorf("demo vxlan: at %s the packet is not what it should be there: %s", rec.Point, s.Info)
		case !wrapped:
			continue
		case s.Tunnel != "vxlan" || int(s.VNI) != d.made.VNI || int(s.Dst.Port()) != d.made.VXLANPort:
			return fmt.Errorf("demo vxlan: at %s: %s to %s, not VXLAN of VNI %d on port %d", rec.Point, s.Info, s.Dst, d.made.VNI, d.made.VXLANPort)
		case !bytes.Equal(in.Data, seen[0].Data):
			return fmt.Errorf("demo vxlan: at %s there is something else inside than what %s sent", rec.Point, seen[0].Point)
		}
	}
	if !bytes.Equal(seen[0].Data, seen[len(seen)-1].Data) {
		return fmt.Errorf("demo vxlan: what arrived at %s is not what %s sent", seen[len(seen)-1].Point, seen[0].Point)
	}
	return nil
}

// vxlanJSON is one packet of `demo vxlan -o json`, as it was on its way between
// the hosts.
type vxlanJSON struct {
	Time     time.Time  `json:"time"`
	Point    string     `json:"point"`
	Packet   string     `json:"packet"` // "request" or "reply"
	Length   int        `json:"length"` // of the outer frame
	Overhead int        `json:"overhead"`
	VNI      uint32     `json:"vni"`
	Outer    packetJSON `json:"outer"`
	Inner    packetJSON `json:"inner"`
	// Path is where it was seen, in the order of time.
	Path []vxlanHop `json:"path"`
	Info string     `json:"info"`
}

type vxlanHop struct {
	Point   string        `json:"point"`
	Length  int           `json:"length"`
	Tunnel  string        `json:"tunnel,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns"` // since the first
}

// show prints a packet as it left the first host, from its side.
func (d *vxlanDemo) show(seen []*capture.Record) error {
	if !d.json {
		_, err := io.WriteString(d.out, d.text(seen))
		return err
	}
	rec := seen[1]
	outer, inner := recordJSON(rec), recordJSON(rec.Inner())
	outer.Inner = nil
	p := vxlanJSON{Time: rec.Time, Point: rec.Point.String(), Packet: direction(rec.Inner()), Length: rec.Length,
		Overhead: rec.Length - inner.Length, VNI: rec.Summary.VNI, Outer: outer, Inner: inner, Info: inner.Info}
	for _, r := range seen {
		p.Path = append(p.Path, vxlanHop{r.Point.String(), r.Length, r.Summary.Tunnel, r.Time.Sub(seen[0].Time)})
	}
	enc := json.NewEncoder(d.out)
	enc.SetEscapeHTML(false)
	return enc.Encode(p)
}

func direction(rec *capture.Record) string {
	if rec.Summary.ICMPType == 8 {
		return "request"
	}
	return "reply"
}

// verdict fails unless everything was really seen.
func (d *vxlanDemo) verdict() error {
	if n := len(d.shown); n != vxlanDemoPackets {
		return fmt.Errorf("demo vxlan: saw %d of %d packets on their way through the tunnel", n, vxlanDemoPackets)
	}
	if d.json {
		return nil
	}
	return d.explain()
}

func (d *vxlanDemo) introduce() {
	fmt.Fprintf(d.out, "%s (%s) lives on the host %s (%s), %s (%s) on the host %s (%s).\n"+
		"To them they are on one network, %s. The hosts know only each other, on %s: what the\n"+
		"containers send each other travels inside UDP packets to port %d, marked with the number %d.\n"+
		"%s pings %s.\n\n",
		d.from.Name, d.from.Addr, d.hosts[0].Name, d.hosts[0].Addr, d.to.Name, d.to.Addr, d.hosts[1].Name, d.hosts[1].Addr,
		d.made.Network, d.made.Underlay, d.made.VXLANPort, d.made.VNI, d.from.Name, d.to.Name)
}

// text is one packet, header by header.
func (d *vxlanDemo) text(seen []*capture.Record) string {
	rec := seen[1]
	in := rec.Inner()
	var b strings.Builder
	fmt.Fprintf(&b, "%d. echo %s, seen at %s:\n", len(d.shown), direction(in), rec.Point)
	side := "outer"
	for _, l := range rec.Layers() {
		if l.Name == "Data" {
			continue
		}
		n := l.Length
		if l.Name == "ICMP" {
			n = rec.Length - l.Offset
		}
		fmt.Fprintf(&b, "   %-5s  %-8s  %-52s %5d bytes\n", side, l.Name, layerText(rec, l), n)
		if side = ""; l.Name == "VXLAN" {
			side = "inner"
		}
	}
	fmt.Fprintf(&b, "   %d bytes: the %d that %s sent, and %d around them\n   ", rec.Length, in.Length, seen[0].Point, rec.Length-in.Length)
	for i, r := range seen {
		if i > 0 {
			fmt.Fprintf(&b, " → %s (%s)", r.Point, r.Time.Sub(seen[i-1].Time).Round(time.Microsecond))
			continue
		}
		b.WriteString(r.Point.String())
	}
	b.WriteString("\n\n")
	return b.String()
}

// layerText is what matters of a header in this demonstration.
func layerText(rec *capture.Record, l capture.Layer) string {
	v := map[string]string{}
	for _, f := range l.Fields {
		v[f.Name] = f.Value
	}
	switch l.Name {
	case "Ethernet":
		return v["src"] + " → " + v["dst"]
	case "IPv4":
		return fmt.Sprintf("%s → %s  ttl %s", v["src"], v["dst"], v["ttl"])
	case "UDP":
		sum, why, _ := strings.Cut(v["checksum"], " ")
		if rec.Offload {
			why = "(left to hardware)"
		}
		return fmt.Sprintf("%s → %s  checksum %s %s", v["src_port"], v["dst_port"], sum, why)
	case "VXLAN":
		return "VNI " + v["vni"]
	}
	return rec.Inner().Summary.Info
}

// explain ends the demonstration with the arithmetic behind it.
func (d *vxlanDemo) explain() error {
	first := d.shown[0]
	overhead := first.Length - first.Inner().Length
	checksum := "The outer UDP checksum is 0, \"none\": VXLAN allows that over IPv4 (RFC 7348), as what is inside\n" +
		"has checksums of its own."
	if first.Summary.Checksum != 0 {
		checksum = "The outer UDP checksum is left to hardware that never comes between local links: tcpdump calls\n" +
			"that \"bad udp cksum\", but nothing is wrong. Others send 0, \"none\", as VXLAN allows (RFC 7348)."
	}
	_, err := fmt.Fprintf(d.out, "%d packets were carried, each byte for byte as the container sent it.\n\n"+
		"Each got %d bytes more: IPv4 20 + UDP 8 + VXLAN 8 + the container's own Ethernet header 14, which\n"+
		"is cargo here. The link between the hosts takes IP packets of %d bytes, so that the containers'\n"+
		"may have %d - %d = %d: that is the MTU inside. The long ping was such a packet, and just fits.\n\n%s\n",
		len(d.shown), overhead, d.mtu, d.mtu, overhead, d.inside, checksum)
	return err
}
