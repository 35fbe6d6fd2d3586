package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vethscope/capture"
	"vethscope/capture/filter"
)

// readFlags are what `read` can be told.
type readFlags struct {
	output   string
	count    int
	filter   string
	rewrites bool
	journeys bool
	about    bool
	talks    bool   // conversations
	follow   string // the conversation whose contents are shown
}

func newReadCmd() *cobra.Command {
	var f readFlags
	cmd := &cobra.Command{
		Use:   "read FILE",
		Short: "Show the packets of a pcap or pcapng file",
		Long: "Prints the packets of a file as `capture` prints live ones; gzip is decompressed. A packet\n" +
			"that was captured at several interfaces of the file is shown once, before and after, where\n" +
			"it is beyond doubt the same. With --journeys it is shown with every point on its way, into\n" +
			"tunnels and out of them. --conversations tells who talks with whom, each packet counted once;\n" +
			"--follow shows what one of them carried. A damaged file is shown up to the damage; the exit status is 1 then.",
		Example: "  vethscope read nat.pcapng\n  vethscope read nat.pcapng --rewrites -o json\n  vethscope read overlay.pcapng --journeys\n  vethscope read overlay.pcapng -f 'vni 4097 and icmp'\n  vethscope read nat.pcapng --conversations\n  vethscope read nat.pcapng --follow 3\n  vethscope read nat.pcapng --about",
		Args:    exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.output != "table" && f.output != "json" {
				return usageError{fmt.Errorf("-o %s: must be table or json", f.output)}
			}
			if f.journeys && f.rewrites {
				return usageError{errors.New("read: --journeys shows what --rewrites does, and more: give one of them")}
			}
			if f.follow != "" && (f.talks || f.about || f.journeys || f.rewrites || f.filter != "" || f.count != 0) {
				return usageError{errors.New("read: --follow shows all of one conversation: of the other flags it takes -o only")}
			}
			if f.talks && (f.about || f.journeys || f.rewrites) {
				return usageError{errors.New("read: --conversations, --about, --journeys and --rewrites each show something else: give one of them")}
			}
			display, err := filter.ParseDisplay(f.filter)
			if err != nil {
				return usageError{fmt.Errorf("read: -f: %w", err)}
			}
			file, err := capture.OpenFile(args[0])
			if errors.Is(err, os.ErrNotExist) {
				return usageError{err}
			}
			if err != nil {
				return err
			}
			defer file.Close()
			w := bufio.NewWriter(cmd.OutOrStdout())
			switch {
			case f.about:
				err = readAbout(w, file, f.output)
			case f.talks:
				err = readConversations(cmd.Context(), w, cmd.ErrOrStderr(), file, display, f)
			case f.follow != "":
				err = readFollow(cmd.Context(), w, cmd.ErrOrStderr(), file, f)
			case f.journeys:
				err = readJourneys(cmd.Context(), w, cmd.ErrOrStderr(), file, display, f)
			default:
				err = readPackets(cmd.Context(), w, file, display, f)
			}
			if ferr := w.Flush(); err == nil {
				err = ferr
			}
			if d := file.Damage(); err == nil && d != nil {
				err = fmt.Errorf("read %s: %d packets, then %w", args[0], file.Len(), d)
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&f.output, "output", "o", "table", "table, or json: one object a line")
	cmd.Flags().IntVarP(&f.count, "count", "c", 0, "end after so many packets")
	cmd.Flags().StringVarP(&f.filter, "filter", "f", "", "show only packets that match outside or inside, in the syntax of pcap-filter(7);\n"+
		"also 'vni N', 'point NS:LINK', 'ns NAME', 'rewritten' and 'flow N'")
	cmd.Flags().BoolVar(&f.rewrites, "rewrites", false, "show only packets that were rewritten")
	cmd.Flags().BoolVar(&f.journeys, "journeys", false, "show every packet's way past all interfaces of the file")
	cmd.Flags().BoolVar(&f.talks, "conversations", false, "show who talks with whom instead, the most bytes first; -f chooses those of which a packet passes")
	cmd.Flags().StringVar(&f.follow, "follow", "", "show what one conversation carried, by its number in --conversations\nor such as tcp:10.0.0.1:40000,10.0.0.2:80")
	cmd.Flags().BoolVar(&f.about, "about", false, "show what the file says of itself instead: its interfaces and comments")
	return cmd
}

// lookAhead packets are looked at for points before they are shown.
const lookAhead = 10_000

// readPackets prints packets as they are found: the first ones of a long file at
// once.
func readPackets(ctx context.Context, w io.Writer, file *capture.File, display *filter.Display, f readFlags) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	out := &captureOutput{flags: captureFlags{output: f.output, count: f.count, rewrites: f.rewrites},
		rewrites: newRewritePrinter(w, f.output), w: w, stop: stop, display: display, told: map[uint64]bool{}}
	m := capture.NewFileMatcher()
	for i := 0; ctx.Err() == nil && out.more(); i++ {
		rec, err := file.Record(i)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if i%lookAhead == 0 && !out.several { // a packet is seen twice at several points only
			file.Index(i + lookAhead)
			out.several = len(file.Points()) > 1
		}
		if !out.several {
			out.add(batch{records: []*capture.Record{rec}})
			out.release(rec.Time)
			continue
		}
		out.add(batch{records: []*capture.Record{rec}, rewrites: m.Add(rec)})
		// The file's time goes on, not ours.
		out.release(rec.Time.Add(-commentPatience))
	}
	out.add(batch{rewrites: m.Flush()})
	if err := ctx.Err(); err != nil && out.more() {
		return err
	}
	return out.finish("read")
}

// readJourneys prints journeys as they are complete.
func readJourneys(ctx context.Context, w, errw io.Writer, file *capture.File, display *filter.Display, f readFlags) error {
	out := &journeyPrinter{w: w, json: f.output == "json"}
	more := func() bool { return out.err == nil && (f.count == 0 || out.count < f.count) }
	print := func(journeys []*capture.Journey) {
		for _, j := range journeys {
			if more() && journeyPasses(display, j) {
				out.print(j)
			}
		}
	}
	m := capture.NewFileJourneys()
	for i := 0; more(); i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		rec, err := file.Record(i)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		print(m.Add(rec))
	}
	print(m.Flush())
	if f.filter == "" && f.count == 0 { // otherwise nobody asked for all
		tellOther(errw, m.Other())
	}
	if out.err != nil {
		return fmt.Errorf("read: %w", out.err)
	}
	return nil
}

// journeyPasses says whether the packet was asked for, as it was seen anywhere.
func journeyPasses(display *filter.Display, j *capture.Journey) bool {
	changed := j.Rewritten()
	return slices.ContainsFunc(j.Hops, func(h capture.Hop) bool { return display.Match(h.Record.Subject(changed, j.Flow)) })
}

// aboutJSON is what `read --about -o json` prints.
type aboutJSON struct {
	Packets    int             `json:"packets"`
	Interfaces []interfaceJSON `json:"interfaces"`
	Comments   []string        `json:"comments"`
	Damage     string          `json:"damage,omitempty"`
}

type interfaceJSON struct {
	Point       string `json:"point"`
	Description string `json:"description,omitempty"`
	Filter      string `json:"filter,omitempty"`
	LinkType    int    `json:"link_type"`
	Snaplen     int    `json:"snaplen,omitempty"`
}

func readAbout(w io.Writer, file *capture.File, output string) error {
	a := aboutJSON{Packets: file.Index(-1), Interfaces: []interfaceJSON{}, Comments: append([]string{}, file.Comments()...)}
	for _, i := range file.Interfaces() {
		a.Interfaces = append(a.Interfaces, interfaceJSON{i.Point.String(), i.Description, i.Filter, i.LinkType, i.Snaplen})
	}
	if d := file.Damage(); d != nil {
		a.Damage = d.Error()
	}
	if output == "json" {
		return writeJSON(w, a)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d packets\n", a.Packets)
	for _, i := range a.Interfaces {
		fmt.Fprintf(&b, "interface %s  link type %d", i.Point, i.LinkType)
		if i.Description != "" {
			fmt.Fprintf(&b, "  %s", i.Description)
		}
		if i.Filter != "" {
			fmt.Fprintf(&b, "  filter %s", i.Filter)
		}
		b.WriteByte('\n')
	}
	if len(a.Comments) > 0 {
		b.WriteByte('\n')
	}
	for _, c := range a.Comments { // long ones were cut into parts
		b.WriteString(c)
	}
	if s := b.String(); !strings.HasSuffix(s, "\n") {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}
