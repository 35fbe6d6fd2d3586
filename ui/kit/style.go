package kit

import (
	"strings"

	"github.com/charmbracelet/lipgloss"
)

// A Style is how text looks. What the terminal is told before and after a text
// is found out once: a screen has hundreds of cells, and is drawn 20 times a
// second while packets come.
type Style struct {
	base          lipgloss.Style
	before, after string
	on            *Style // as it looks on the selected row
}

func newStyle(base lipgloss.Style) *Style {
	s := bare(base)
	s.on = bare(base.Background(selected))
	s.on.on = s.on
	return s
}

func bare(base lipgloss.Style) *Style {
	const text = "x"
	before, after, _ := strings.Cut(base.Render(text), text)
	return &Style{base: base, before: before, after: after}
}

// Render is text in this style.
func (s *Style) Render(text string) string {
	if strings.ContainsAny(text, "\n\t") { // every line by itself; no tabs
		return s.base.Render(text)
	}
	return s.before + text + s.after
}

// Bold is the style, but bold.
func (s *Style) Bold() *Style { return newStyle(s.base.Bold(true)) }
