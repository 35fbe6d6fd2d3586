package ui

import (
	"fmt"
	"io"
	"testing"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// coloured lets a drive draw for a terminal of 24 bits of colour.
func coloured(o *Options) {
	o.Renderer = lipgloss.NewRenderer(io.Discard)
	o.Renderer.SetColorProfile(termenv.TrueColor)
	o.Renderer.SetHasDarkBackground(true)
}

// BenchmarkFrame draws the list of packets after each batch that came, as while
// a capture runs.
func BenchmarkFrame(b *testing.B) {
	for _, size := range []struct{ w, h int }{{80, 24}, {160, 45}} {
		b.Run(fmt.Sprintf("%dx%d", size.w, size.h), func(b *testing.B) {
			d := built(b, size.w, size.h, coloured)
			d.press("r t")
			packets(d)
			st := d.captured(many(100_000)...)
			for i, r := range st.records {
				r.Length += i % 1400
			}
			all := st.records
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				st.records = all[:1000+100*i%99_000]
				d.m.Update(CaptureMsg{Source: st})
				_ = d.m.View()
			}
		})
	}
}
