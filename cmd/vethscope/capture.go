package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vethscope/capture"
	"vethscope/capture/filter"
)

// captureFlags are what `capture` can be told.
type captureFlags struct {
	file     fileFlags
	filter   filterFlags
	output   string
	count    int
	duration time.Duration
	rewrites bool
	journeys bool
	talks    bool // conversations
	all      bool
	ns       string // with all
	silent   bool   // packets are written to a file, and not shown
	keep     keepFlags
}

// following is what the flags make of the packets.
func (f *captureFlags) following(points []capture.Point) following {
	o := following{
		Options:  capture.Options{Filter: f.filter.expr, Save: f.file.saveFormat(), Snaplen: f.keep.snaplen, Keep: f.keep.packets},
		records:  !f.silent && !f.rewrites && !f.journeys && !f.talks,
		rewrites: !f.journeys || f.file.commented(points),
		journeys: f.journeys,
	}
	o.forwarded = o.records // each is shown once
	if o.Keep == 0 && (f.rewrites || f.journeys || f.talks) {
		o.Keep = queued
	}
	if o.Save != "" {
		o.Snaplen = f.file.snaplen
	}
	return o
}

// queued packets may wait to be matched where nothing else is kept for: two
// seconds of 100,000 packets a second. The memory for them is bounded in any
// case.
const queued = 1 << 18

func newCaptureCmd() *cobra.Command {
	var f captureFlags
	cmd := &cobra.Command{
		Use:   "capture NAMESPACE:LINK... | --all [NETWORK|LAB...]",
		Short: "Show packets live, at any number of points",
		Long: "Captures at every NAMESPACE:LINK; \"host\" is the namespace that vethscope runs in. With two\n" +
			"points or more a packet that was seen at several is shown once, before and after, with what\n" +
			"was changed on its way and the rule that did it (--rewrites shows only these). With --journeys\n" +
			"it is shown with every point on its way, into tunnels and out of them. --conversations tells at the end, after\n" +
			"--for or ctrl+c, who talked with whom.",
		Example: "  vethscope capture host:up0\n" +
			"  vethscope capture host:up0 web-1:eth0 --rewrites\n" +
			"  vethscope capture --all web --journeys\n" +
			"  vethscope capture --all -n web-1\n" +
			"  vethscope capture --all --conversations --for 10s\n" +
			"  vethscope capture host:up0 -f 'vxlan vni 42 or icmp'\n" +
			"  vethscope capture host:up0 web-1:eth0 --for 10s -w nat.pcapng\n" +
			"  vethscope capture host:up0 -w long.pcapng --rotate-size 10MB --rotate-count 5",
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.filter.dump > 0 {
				return f.filter.print(cmd.OutOrStdout())
			}
			if _, err := f.filter.program(); err != nil {
				return err
			}
			f.file.filter = f.filter.expr
			points, err := f.points(cmd.Context(), args)
			if err != nil {
				return err
			}
			if f.journeys && f.rewrites {
				return usageError{errors.New("capture: --journeys shows what --rewrites does, and more: give one of them")}
			}
			if f.talks && (f.journeys || f.rewrites) {
				return usageError{errors.New("capture: --conversations, --journeys and --rewrites each show something else: give one of them")}
			}
			if f.output != "table" && f.output != "json" {
				return usageError{fmt.Errorf("-o %s: must be table or json", f.output)}
			}
			if _, err := f.file.options(); err != nil {
				return usageError{fmt.Errorf("capture: %w", err)}
			}
			if err := f.keep.check(); err != nil {
				return usageError{fmt.Errorf("capture: %w", err)}
			}
			f.file.snaplen = cmp.Or(f.keep.snaplen, wholePackets)
			f.silent = f.file.path != "" && !f.rewrites && !f.journeys && !f.talks && !cmd.Flags().Changed("output")
			return runCapture(cmd, points, f)
		},
	}
	f.file.add(cmd)
	f.filter.add(cmd)
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, or json: one object a line")
	cmd.Flags().IntVarP(&f.count, "count", "c", 0, "end after so many packets")
	cmd.Flags().DurationVar(&f.duration, "for", 0, "end after this time, such as 10s")
	cmd.Flags().BoolVar(&f.rewrites, "rewrites", false, "show only packets that were rewritten")
	cmd.Flags().BoolVar(&f.journeys, "journeys", false, "show every packet's way past all points")
	cmd.Flags().BoolVar(&f.talks, "conversations", false, "show at the end who talked with whom instead, the most bytes first; -c N shows N of them")
	cmd.Flags().BoolVar(&f.all, "all", false, "at every link of a namespace (-n), or of the networks or labs that are named")
	f.keep.add(cmd, "65535 by default, and all when a file is written")
	cmd.Flags().StringVarP(&f.ns, "namespace", "n", "", "with --all: the namespace; host by default")
	return cmd
}

// points are those that the command line names.
func (f *captureFlags) points(ctx context.Context, args []string) ([]capture.Point, error) {
	if f.all {
		return allPoints(ctx, f.ns, args)
	}
	if f.ns != "" {
		return nil, usageError{errors.New("capture: -n goes with --all; otherwise a point is NAMESPACE:LINK")}
	}
	points, err := parsePoints(args)
	if err != nil {
		return nil, usageError{fmt.Errorf("capture: %w", err)}
	}
	return points, nil
}

// parsePoints reads NAMESPACE:LINK words.
func parsePoints(args []string) ([]capture.Point, error) {
	if len(args) == 0 {
		return nil, errNoPoint
	}
	var points []capture.Point
	for _, arg := range args {
		// A namespace's name may hold a colon (pid:7), a link's may not.
		i := strings.LastIndexByte(arg, ':')
		if i <= 0 || i == len(arg)-1 {
			return nil, fmt.Errorf("%q: %w", arg, errNoPoint)
		}
		path, err := nsPath(arg[:i])
		if err != nil {
			return nil, err
		}
		points = append(points, capture.Point{NS: arg[:i], Path: path, Link: arg[i+1:]})
	}
	return points, nil
}

func runCapture(cmd *cobra.Command, points []capture.Point, flags captureFlags) (err error) {
	ctx, stop := context.WithCancel(cmd.Context())
	defer stop()
	if flags.duration > 0 {
		ctx, stop = context.WithTimeout(ctx, flags.duration)
		defer stop()
	}
	about := ""
	if flags.file.saveFormat() == capture.FormatPCAPNG {
		about = surroundings(ctx, points)
	}
	if flags.silent && !flags.file.commented(points) {
		return savePackets(ctx, points, flags, about, cmd.ErrOrStderr())
	}
	f, err := follow(ctx, points, flags.following(points))
	if err != nil {
		return captureError(err)
	}
	w := bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10)
	out := &captureOutput{flags: flags, rewrites: newRewritePrinter(w, flags.output), w: w, stop: stop,
		journeys: journeyPrinter{w: w, json: flags.output == "json"},
		several:  len(points) > 1, told: map[uint64]bool{}}
	if flags.file.path != "" {
		count := 0
		if flags.silent {
			count = flags.count
		}
		if out.file, err = flags.file.save(f.session, points, about, count); err != nil {
			f.close()
			return fmt.Errorf("capture: %w", err)
		}
	}
	if flags.talks {
		f.talks = capture.NewConversations(0)
	}
	f.run(ctx, func(b batch) {
		for _, n := range b.notices {
			fmt.Fprintln(cmd.ErrOrStderr(), "vethscope: "+n)
		}
		if f.talks != nil {
			tellRewrites(f.talks, b.rewrites)
		}
		out.take(b)
		out.err = errors.Join(out.err, w.Flush())
	})
	err = out.close()
	if f.talks != nil {
		err = errors.Join(err, printConversations(w, cmd.ErrOrStderr(), conversed{
			all: f.talks.Snapshot(0, nil), points: f.session.Points(), counts: f.talks.Counts()}, flags.output, flags.count))
	}
	err = errors.Join(err, w.Flush())
	tellStats(cmd.ErrOrStderr(), f.stats())
	if f.journeys != nil {
		tellOther(cmd.ErrOrStderr(), f.journeys.Other())
	}
	if n := f.skipped.Load(); n > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d packets skipped: they came faster than they were shown\n", n)
	}
	return err
}

// captureError is the error of opening points.
func captureError(err error) error {
	var bad *filter.Error
	if errors.Is(err, os.ErrNotExist) || errors.As(err, &bad) {
		return usageError{fmt.Errorf("capture: %w", err)}
	}
	return fmt.Errorf("capture: %w", err)
}

// tellStats tells how many packets there were at each point.
func tellStats(w io.Writer, all []capture.Stats) {
	for _, s := range all {
		fmt.Fprintf(w, "%s: %d packets, %d dropped by the kernel, %d overrun%s\n",
			s.Point, s.Packets, s.Dropped, s.Overrun, ended(s))
	}
}

func ended(s capture.Stats) string {
	if s.Ended == "" || s.Ended == capture.Stopped {
		return ""
	}
	return "; " + s.Ended
}

// captureOutput shows and writes what is captured, until it was enough. With
// several points every packet is shown once: those that may still turn out to
// be a rewritten one wait for a moment.
type captureOutput struct {
	flags    captureFlags
	rewrites *rewritePrinter
	journeys journeyPrinter
	w        io.Writer
	file     *packetFile // nil when none is written
	stop     func()
	several  bool
	waiting  []*capture.Record
	display  *filter.Display // nil shows all
	told     map[uint64]bool // serials of waiting records that a rewrite has shown
	count    int
	began    time.Time
	err      error
}

// patience is how long a packet waits for its other sighting.
const patience = 200 * time.Millisecond

func (o *captureOutput) take(b batch) {
	if o.file != nil {
		o.file.comment(b.rewrites)
	}
	if o.flags.silent || o.flags.talks {
		return
	}
	if o.flags.journeys {
		o.travel(b.journeys)
		return
	}
	o.add(b)
	until := time.Now().Add(-patience)
	if !o.several {
		until = time.Now()
	}
	o.release(until)
}

// travel shows journeys.
func (o *captureOutput) travel(journeys []*capture.Journey) {
	for _, j := range journeys {
		if !o.more() {
			break
		}
		o.count++
		o.journeys.print(j)
		o.err = errors.Join(o.err, o.journeys.err)
	}
	if !o.more() {
		o.stop()
	}
}

// add shows what was rewritten; what was not waits for release.
func (o *captureOutput) add(b batch) {
	if !o.flags.rewrites {
		o.waiting = append(o.waiting, b.records...)
	}
	for _, r := range b.rewrites {
		if !r.ChangesEnds() && (o.flags.rewrites || r.Before.Point == r.After.Point) {
			continue
		}
		switch {
		case !o.more():
		case !o.passes(r.BeforeRecord, r) && !o.passes(r.AfterRecord, r):
			o.tell(r) // one packet, and not of those that were asked for
		default:
			o.count++
			o.tell(r)
			o.rewrites.print(r)
			o.err = errors.Join(o.err, o.rewrites.err)
		}
	}
}

// passes says whether the packet is one that was asked for; w is what became of
// it, nil if that is not known.
func (o *captureOutput) passes(r *capture.Record, w *capture.Rewrite) bool {
	if o.display == nil {
		return true
	}
	if w == nil {
		return o.display.Match(r.Subject(false, 0))
	}
	return o.display.Match(r.Subject(w.ChangesEnds(), w.Flow))
}

// tell notes that both sightings of a packet have been shown.
func (o *captureOutput) tell(r *capture.Rewrite) {
	if o.flags.rewrites || len(o.waiting) == 0 {
		return // nothing waits to be shown a second time
	}
	if first := o.waiting[0].Serial; len(o.told) > 4096 {
		maps.DeleteFunc(o.told, func(serial uint64, _ bool) bool { return serial < first })
	}
	o.told[r.BeforeRecord.Serial], o.told[r.AfterRecord.Serial] = true, true
}

// release shows the packets that were seen before until, and not as part of a
// rewrite.
func (o *captureOutput) release(until time.Time) {
	n := 0
	for _, r := range o.waiting {
		if r.Time.After(until) {
			break
		}
		n++
		if o.told[r.Serial] {
			delete(o.told, r.Serial)
			continue
		}
		if o.more() && o.passes(r, nil) {
			o.count++
			o.err = o.record(r)
		}
	}
	o.waiting = o.waiting[n:]
	if !o.more() {
		o.stop()
	}
}

// more is false when it was enough, or nothing can be written any more.
func (o *captureOutput) more() bool {
	return o.err == nil && (o.flags.count == 0 || o.count < o.flags.count)
}

// record prints one packet as seen at one point.
func (o *captureOutput) record(r *capture.Record) error {
	if o.flags.output == "json" {
		return json.NewEncoder(o.w).Encode(recordJSON(r))
	}
	if o.began.IsZero() {
		o.began = r.Time
	}
	way := "in "
	if r.Outgoing {
		way = "out"
	}
	s := r.Summary
	_, err := fmt.Fprintf(o.w, "%10.6f  %-14s %s  %s → %s  %s  %d bytes  %s\n", r.Time.Sub(o.began).Seconds(), r.Point, way,
		endpoint(s.Src.Addr().IsValid(), s.Src.Addr().String(), s.SrcMAC), endpoint(s.Dst.Addr().IsValid(), s.Dst.Addr().String(), s.DstMAC),
		s.Protocol, r.Length, s.Info)
	if err == nil && r.Comment != "" {
		_, err = fmt.Fprintf(o.w, "            # %s\n", r.Comment)
	}
	return err
}

// endpoint is the address, or the MAC of a packet that has none.
func endpoint(valid bool, addr, mac string) string {
	if valid {
		return addr
	}
	return mac
}

func (o *captureOutput) close() error {
	if o.file != nil {
		o.err = errors.Join(o.err, o.file.close())
	}
	return o.finish("capture")
}

// finish shows what still waits. The error is the first that came, of what.
func (o *captureOutput) finish(what string) error {
	o.release(time.Unix(1<<40, 0)) // also what bears a time that is yet to come
	if o.err != nil {
		return fmt.Errorf("%s: %w", what, o.err)
	}
	return nil
}

// packetJSON is one packet of `capture -o json`.
type packetJSON struct {
	Time      time.Time `json:"time"`
	Point     string    `json:"point"`
	Outgoing  bool      `json:"outgoing"`
	Length    int       `json:"length"`
	Protocol  string    `json:"protocol"`
	Src       string    `json:"src,omitempty"`
	Dst       string    `json:"dst,omitempty"`
	SrcMAC    string    `json:"src_mac"`
	DstMAC    string    `json:"dst_mac"`
	TTL       int       `json:"ttl,omitempty"`
	Offload   bool      `json:"offload,omitempty"`
	Info      string    `json:"info"`
	Malformed string    `json:"malformed,omitempty"`
	VLAN      uint16    `json:"vlan,omitempty"`
	App       string    `json:"app,omitempty"`
	Comment   string    `json:"comment,omitempty"`
	// The packet within the packet, and what carries it.
	Tunnel string      `json:"tunnel,omitempty"`
	VNI    *uint32     `json:"vni,omitempty"`
	Inner  *packetJSON `json:"inner,omitempty"`
}

func recordJSON(r *capture.Record) packetJSON {
	s := r.Summary
	p := packetJSON{Time: r.Time, Point: r.Point.String(), Outgoing: r.Outgoing, Length: r.Length, Protocol: s.Protocol,
		SrcMAC: s.SrcMAC, DstMAC: s.DstMAC, TTL: int(s.TTL), Offload: r.Offload, Info: s.Info, Malformed: s.Malformed,
		VLAN: s.VLAN, App: s.App, Comment: r.Comment, Tunnel: s.Tunnel}
	if s.Tunnel == "vxlan" || s.Tunnel == "geneve" {
		p.VNI = &s.VNI
	}
	if in := r.Inner(); in != nil {
		inner := recordJSON(in)
		p.Inner = &inner
	}
	if s.Src.Addr().IsValid() {
		p.Src, p.Dst = s.Src.Addr().String(), s.Dst.Addr().String()
		if s.Src.Port() != 0 || s.Dst.Port() != 0 {
			p.Src, p.Dst = s.Src.String(), s.Dst.String()
		}
	}
	return p
}
