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

	Text    lipgloss.Style // what is being read
	Strong  lipgloss.Style
	Dim     lipgloss.Style // what is there when looked for
	Accent  lipgloss.Style
	Good    lipgloss.Style
	Warn    lipgloss.Style
	Bad     lipgloss.Style
	Heading lipgloss.Style // column titles
	Key     lipgloss.Style
	Line    lipgloss.Style // rules and frames
	Changed lipgloss.Style // a value that differs from the one beside it
	Cursor  lipgloss.Style // the cell under the text cursor
	Safe    lipgloss.Style // the badge of a world where nothing can break
	Real    lipgloss.Style // the badge of a world where it can

	selected lipgloss.TerminalColor
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
	th := &Theme{
		Plain:    plain,
		Mono:     plain || r.ColorProfile() == termenv.Ascii,
		Text:     st(),
		Strong:   st().Bold(true),
		Dim:      st().Foreground(dim),
		Accent:   st().Foreground(accent),
		Good:     st().Foreground(good),
		Warn:     st().Foreground(warn),
		Bad:      st().Foreground(bad),
		Heading:  st().Foreground(dim),
		Key:      st().Foreground(accent).Bold(true),
		Line:     st().Foreground(line),
		Changed:  st().Foreground(warn).Bold(true),
		Cursor:   st().Reverse(true),
		Safe:     st().Foreground(onBadge).Background(good).Bold(true),
		Real:     st().Foreground(onBadge).Background(bad).Bold(true),
		selected: selected,
	}
	return th
}

// On is a style as it looks on the selected row.
func (th *Theme) On(s lipgloss.Style) lipgloss.Style { return s.Background(th.selected) }
