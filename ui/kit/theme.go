package kit

import (
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// Theme is every style that is drawn with, so that the pages agree. Colour
// never carries meaning alone: whatever a style says is also said by a word or
// a sign.
type Theme struct {
	Plain bool // linear text: no frames, no colour, no signs that are read out oddly
	Mono  bool // the terminal shows no colour and no attributes (NO_COLOR, TERM=dumb)

	Text    *Style // what is being read
	Strong  *Style
	Dim     *Style // what is there when looked for
	Accent  *Style
	Good    *Style
	Warn    *Style
	Bad     *Style
	Heading *Style // column titles
	Key     *Style
	Line    *Style // rules and frames
	Changed *Style // a value that differs from the one beside it
	Cursor  *Style // the cell under the text cursor
	Safe    *Style // the badge of a world where nothing can break
	Real    *Style // the badge of a world where it can
}

// colour gives each terminal what it can show: 24 bits, 256 colours or 16.
func colour(light, dark [3]string) lipgloss.CompleteAdaptiveColor {
	return lipgloss.CompleteAdaptiveColor{
		Light: lipgloss.CompleteColor{TrueColor: light[0], ANSI256: light[1], ANSI: light[2]},
		Dark:  lipgloss.CompleteColor{TrueColor: dark[0], ANSI256: dark[1], ANSI: dark[2]},
	}
}

var (
	dim      = colour([3]string{"#6e7681", "243", "8"}, [3]string{"#8b93a5", "246", "7"})
	line     = colour([3]string{"#c5cad3", "251", "7"}, [3]string{"#434a5a", "239", "8"})
	accent   = colour([3]string{"#0b5cad", "25", "4"}, [3]string{"#82b1ff", "111", "12"})
	good     = colour([3]string{"#2b7a3d", "28", "2"}, [3]string{"#8fce9b", "114", "10"})
	warn     = colour([3]string{"#9a5b00", "130", "3"}, [3]string{"#e8bf7a", "179", "11"})
	bad      = colour([3]string{"#b3261e", "124", "1"}, [3]string{"#f28b82", "210", "9"})
	selected = colour([3]string{"#e3ebf6", "254", "7"}, [3]string{"#2b3345", "237", "8"})
	onBadge  = colour([3]string{"#ffffff", "231", "15"}, [3]string{"#11151c", "233", "0"})
)

// NewTheme makes the styles for a renderer, which knows what the terminal can
// show and whether its background is light or dark.
func NewTheme(r *lipgloss.Renderer, plain bool) *Theme {
	st := r.NewStyle
	return &Theme{
		Plain:   plain,
		Mono:    plain || r.ColorProfile() == termenv.Ascii,
		Text:    newStyle(st()),
		Strong:  newStyle(st().Bold(true)),
		Dim:     newStyle(st().Foreground(dim)),
		Accent:  newStyle(st().Foreground(accent)),
		Good:    newStyle(st().Foreground(good)),
		Warn:    newStyle(st().Foreground(warn)),
		Bad:     newStyle(st().Foreground(bad)),
		Heading: newStyle(st().Foreground(dim)),
		Key:     newStyle(st().Foreground(accent).Bold(true)),
		Line:    newStyle(st().Foreground(line)),
		Changed: newStyle(st().Foreground(warn).Bold(true)),
		Cursor:  newStyle(st().Reverse(true)),
		Safe:    newStyle(st().Foreground(onBadge).Background(good).Bold(true)),
		Real:    newStyle(st().Foreground(onBadge).Background(bad).Bold(true)),
	}
}

// On is a style as it looks on the selected row.
func (th *Theme) On(s *Style) *Style { return s.on }
