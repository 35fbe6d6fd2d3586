package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"vethscope/capture"
	"vethscope/ops/inventory"
)

// fileFlags say how captured packets are written.
type fileFlags struct {
	path        string
	format      string
	rotateSize  string
	rotateCount int
	filter      string // what was captured only; for those who read the file
	snaplen     int    // the most that is written of a packet
}

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.path, "write", "w", "", "write the packets to this file: pcapng, with an interface for each point, or pcap if it ends so;\n"+
		"none is shown then, unless --rewrites, --journeys or -o asks for it")
	cmd.Flags().StringVar(&f.format, "format", "", "pcapng or pcap, whatever the file's name")
	cmd.Flags().StringVar(&f.rotateSize, "rotate-size", "", "begin a new file, FILE_00001 and so on, when one has reached this size, such as 10MB")
	cmd.Flags().IntVar(&f.rotateCount, "rotate-count", 0, "keep only so many files, the latest")
}

// options are the flags as capture takes them.
func (f *fileFlags) options() (o capture.FileOptions, err error) {
	if f.path == "" {
		if f.format != "" || f.rotateSize != "" || f.rotateCount != 0 {
			return o, errors.New("--format, --rotate-size and --rotate-count are of no use without -w FILE")
		}
		return o, nil
	}
	switch o.Format = capture.Format(f.format); o.Format {
	case "", capture.FormatPCAP, capture.FormatPCAPNG:
	default:
		return o, fmt.Errorf("--format %s: must be pcapng or pcap", f.format)
	}
	if o.RotateCount = f.rotateCount; o.RotateCount < 0 {
		return o, fmt.Errorf("--rotate-count %d: must be positive", o.RotateCount)
	}
	if f.rotateSize == "" {
		if o.RotateCount > 0 {
			return o, errors.New("--rotate-count: give --rotate-size, too")
		}
		return o, nil
	}
	o.RotateSize, err = parseSize(f.rotateSize)
	return o, err
}

// parseSize reads a number of bytes with a unit of ten's or of two's powers.
func parseSize(s string) (int64, error) {
	number := strings.TrimRight(s, "kKMGiBb")
	unit := strings.ToUpper(strings.TrimSuffix(strings.ToUpper(s[len(number):]), "B"))
	factor, ok := map[string]int64{"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}[unit]
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || !ok || n <= 0 || n > 1<<50/factor {
		return 0, fmt.Errorf("--rotate-size %s: must be a size, such as 500KB, 10MB or 1GiB", s)
	}
	return n * factor, nil
}

// commentPatience is how long a packet of several points waits for its comment:
// longer than the matcher waits for further points.
const commentPatience = time.Second

// wholePackets is the snaplen of what is saved: no packet is longer.
const wholePackets = 262144

// saveFormat is the format in which packets are saved; "" when they are not.
func (f *fileFlags) saveFormat() capture.Format {
	switch {
	case f.path == "":
		return ""
	case f.format != "":
		return capture.Format(f.format)
	}
	return capture.FormatOf(f.path)
}

// commented says that packets get comments: those that are rewritten between
// several points, where the format can hold them.
func (f *fileFlags) commented(points []capture.Point) bool {
	return f.saveFormat() == capture.FormatPCAPNG && len(points) > 1
}

// packetFile is a file to which a session saves its packets.
type packetFile struct {
	w       *capture.FileWriter
	session *capture.Session
	release chan struct{} // closed when no more comments come
	saved   chan error
}

// save begins the file, with what it is to tell of the world around it, and
// saves the packets of the session to it. A count other than 0 ends the session
// when so many are written.
func (f *fileFlags) save(session *capture.Session, points []capture.Point, about string, count int) (*packetFile, error) {
	o, err := f.options()
	if err != nil {
		return nil, usageError{err}
	}
	o.Format, o.Filter, o.Snaplen = f.saveFormat(), f.filter, f.snaplen
	if about != "" {
		o.Comments = []string{about}
	}
	w, err := capture.CreateFile(f.path, points, o)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		err = usageError{err}
	}
	if err != nil {
		return nil, err
	}
	p := &packetFile{w: w, session: session, release: make(chan struct{}), saved: make(chan error, 1)}
	so := capture.SaveOptions{Count: count, Release: p.release}
	if f.commented(points) {
		so.Hold = commentPatience
	}
	go func() { p.saved <- session.Save(w, so) }()
	return p, nil
}

// comment writes down what was rewritten.
func (p *packetFile) comment(rewrites []*capture.Rewrite) {
	for _, r := range rewrites {
		if text := r.Comment(); text != "" {
			for _, rec := range []*capture.Record{r.BeforeRecord, r.AfterRecord} {
				if rec != nil { // otherwise the store has let it go
					p.session.Comment(rec.Serial, text)
				}
			}
		}
	}
}

// close waits until the session has ended and all is written, and adds the
// counts of the points.
func (p *packetFile) close() error {
	close(p.release)
	return errors.Join(<-p.saved, p.w.WriteStats(p.session.Stats()), p.w.Close())
}

// savePackets does nothing but to save packets.
func savePackets(ctx context.Context, points []capture.Point, flags captureFlags, about string, tell io.Writer) error {
	session, err := capture.Open(context.WithoutCancel(ctx), points, capture.Options{
		Filter: flags.filter.expr, Snaplen: flags.file.snaplen, Save: flags.file.saveFormat(), Keep: capture.KeepNone})
	if err != nil {
		return captureError(err)
	}
	defer session.Close()
	file, err := flags.file.save(session, points, about, flags.count)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	defer context.AfterFunc(ctx, session.Stop)()
	fmt.Fprintf(tell, "writing %s; ctrl+c ends it\n", flags.file.path)
	err = file.close()
	tellStats(tell, session.Stats())
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return nil
}

// surroundings is what exists while the capture begins, as `ls` lists it, so
// that a file explains itself.
func surroundings(ctx context.Context, points []capture.Point) string {
	var b strings.Builder
	fmt.Fprintf(&b, "vethscope capture at")
	for _, p := range points {
		fmt.Fprintf(&b, " %s", p)
	}
	snap, err := inventory.Collect(ctx)
	if err != nil {
		fmt.Fprintf(&b, "\nWhat existed then could not be read: %v\n", err)
		return b.String()
	}
	fmt.Fprintf(&b, " on %s\n", time.Now().UTC().Format(time.RFC3339))
	for _, k := range lsKinds {
		fmt.Fprintf(&b, "\n== %s ==\n", k.name)
		if err := k.table(snap.Namespaces, lsFlags{output: "wide"}).write(&b); err != nil {
			fmt.Fprintf(&b, "%v\n", err)
		}
	}
	for _, w := range snap.Warnings {
		fmt.Fprintf(&b, "warning: %s\n", safeLine(w))
	}
	return b.String()
}
