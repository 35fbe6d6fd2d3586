package main

import (
	"context"
	"errors"
	"fmt"
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
}

func (f *fileFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.path, "write", "w", "", "also write the packets to this file: pcapng, with an interface for each point, or pcap if it ends so")
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

// packetFile writes captured packets. With several points they wait for a
// moment, so that those that were rewritten are written with a comment.
type packetFile struct {
	w        *capture.FileWriter
	several  bool
	waiting  []*capture.Record
	comments map[uint64]string // of waiting records, by serial
}

// How long a packet waits for its comment: longer than the matcher waits for
// further points. The number is bounded: who captures a flood wants it whole.
const (
	commentPatience = time.Second
	commentWaiting  = 1 << 16
)

// createFile begins the file with a description of the world around it.
func createFile(ctx context.Context, f fileFlags, points []capture.Point) (*packetFile, error) {
	o, err := f.options()
	if err != nil {
		return nil, usageError{err}
	}
	if o.Format == "" {
		o.Format = capture.FormatOf(f.path)
	}
	if o.Format == capture.FormatPCAPNG {
		o.Comments = []string{surroundings(ctx, points)}
	}
	o.Filter = f.filter
	w, err := capture.CreateFile(f.path, points, o)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		err = usageError{err}
	}
	return &packetFile{w: w, several: len(points) > 1, comments: map[uint64]string{}}, err
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

// take writes what is due.
func (p *packetFile) take(b batch) error {
	for _, r := range b.rewrites {
		if text := r.Comment(); text != "" {
			p.comments[r.BeforeRecord.Serial], p.comments[r.AfterRecord.Serial] = text, text
		}
	}
	p.waiting = append(p.waiting, b.records...)
	if !p.several {
		return p.write(len(p.waiting))
	}
	until := time.Now().Add(-commentPatience)
	n := max(len(p.waiting)-commentWaiting, 0)
	for n < len(p.waiting) && !p.waiting[n].Time.After(until) {
		n++
	}
	return p.write(n)
}

// write writes the first n of those that wait.
func (p *packetFile) write(n int) error {
	for _, r := range p.waiting[:n] {
		var comments []string
		if text, ok := p.comments[r.Serial]; ok {
			comments = []string{text}
			delete(p.comments, r.Serial)
		}
		if err := p.w.Write(r, comments...); err != nil {
			return err
		}
	}
	p.waiting = p.waiting[n:]
	if len(p.waiting) == 0 {
		clear(p.comments) // of packets that were written before it was known
	}
	return nil
}

// close writes the rest and the counts of the points.
func (p *packetFile) close(stats []capture.Stats) error {
	err := p.write(len(p.waiting))
	if serr := p.w.WriteStats(stats); err == nil {
		err = serr
	}
	if cerr := p.w.Close(); err == nil {
		err = cerr
	}
	return err
}
