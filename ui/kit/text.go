package kit

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Safe makes text from outside fit to be drawn: whatever could steer the
// terminal or reorder what stands beside it is removed. These are the control
// characters and the invisible format characters, the bidirectional ones among
// them (Unicode UAX #9, categories Cc and Cf); line breaks and tabs become
// spaces and bytes that are not UTF-8 become U+FFFD.
func Safe(s string) string {
	if plain(s) {
		return s
	}
	return safe(s)
}

func safe(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || r == '\r' || r == '\u2028' || r == '\u2029':
			b.WriteByte(' ')
		case r == utf8.RuneError:
			b.WriteRune(utf8.RuneError)
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs):
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain says that every byte of s is a character that takes one cell.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// Width is the number of cells that s takes, styling left out.
func Width(s string) int {
	if plain(s) {
		return len(s)
	}
	return ansi.StringWidth(s)
}

// Cut shortens s to at most w cells; "…" stands for what is missing.
func Cut(s string, w int) string {
	switch {
	case w <= 0:
		return ""
	case len(s) <= w: // no character takes more cells than it has bytes
		return s
	case plain(s):
		return s[:w-1] + "…"
	}
	return ansi.Truncate(s, w, "…")
}

// CutMiddle shortens s, which has no styling, to at most w cells and keeps both
// of its ends, for text whose end says as much as its beginning.
func CutMiddle(s string, w int) string {
	n := Width(s)
	if n <= w || w < 8 {
		return Cut(s, w)
	}
	tail := w / 2
	return ansi.Truncate(s, w-tail-1, "") + "…" + dropLeft(s, n-tail)
}

// dropLeft is s without its first n cells; a space stands for half a character.
func dropLeft(s string, n int) string {
	left := max(0, Width(s)-n)
	for more := 0; ; more++ {
		if rest := ansi.TruncateLeft(s, n+more, ""); Width(rest) <= left {
			return strings.Repeat(" ", max(0, left-Width(rest))) + rest
		}
	}
}

// Fit makes s exactly w cells wide.
func Fit(s string, w int) string {
	s = Cut(s, w)
	if n := w - Width(s); n > 0 {
		s += strings.Repeat(" ", n)
	}
	return s
}

// FitRight is Fit with the padding before the text.
func FitRight(s string, w int) string {
	s = Cut(s, w)
	if n := w - Width(s); n > 0 {
		s = strings.Repeat(" ", n) + s
	}
	return s
}

// Wrap breaks s, which has no styling, into lines of at most w cells: between
// words, and within those that are longer than a line. Unlike ansi.Wrap it
// never breaks at a hyphen, for names and shell words have them.
func Wrap(s string, w int) []string {
	w = max(w, 1)
	var lines []string
	for _, paragraph := range strings.Split(s, "\n") {
		line := ""
		for _, word := range strings.Fields(paragraph) {
			switch {
			case line == "":
				line = word
			case Width(line)+1+Width(word) <= w:
				line += " " + word
			default:
				lines = append(lines, line)
				line = word
			}
			for Width(line) > w {
				head := ansi.Truncate(line, w, "")
				if head == "" { // one character is wider than the line
					head = Cut(line, 1)
					line = head
					break
				}
				lines = append(lines, head)
				line = line[len(head):]
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// Block makes lines exactly w cells wide and h many, cutting or padding.
func Block(lines []string, w, h int) string {
	var b strings.Builder
	for i := 0; i < h; i++ {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i < len(lines) {
			b.WriteString(Fit(lines[i], w))
		} else {
			b.WriteString(strings.Repeat(" ", max(w, 0)))
		}
	}
	return b.String()
}

// Scroll is the part of lines that a window of h lines shows from offset on,
// and the offset moved to where there is something to show.
func Scroll(lines []string, offset, h int) ([]string, int) {
	offset = max(0, min(offset, len(lines)-h))
	return lines[offset:min(len(lines), offset+max(h, 0))], offset
}

// Columns lays two blocks side by side, left being w cells wide.
func Columns(left, right []string, w int) []string {
	out := make([]string, max(len(left), len(right)))
	for i := range out {
		var l, r string
		if i < len(left) {
			l = left[i]
		}
		if i < len(right) {
			r = right[i]
		}
		out[i] = Fit(l, w) + r
	}
	return out
}
