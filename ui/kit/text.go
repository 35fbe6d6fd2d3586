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
	if _, ok := cells(s, false); ok {
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
	if n, ok := cells(s, true); ok {
		return n
	}
	return ansi.StringWidth(s)
}

// cells counts the cells of s, if it has no characters but those that always
// take one, and, where styled is true, what styles are made of. Of all others
// the library knows more, and takes ten times as long.
func cells(s string, styled bool) (n int, ok bool) {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c >= 0x20 && c < 0x7f:
			i++
			n++
		case c >= utf8.RuneSelf:
			r, size := utf8.DecodeRuneInString(s[i:])
			if !single(r) {
				return 0, false
			}
			i += size
			n++
		default:
			size := sgr(s[i:])
			if !styled || size == 0 {
				return 0, false
			}
			i += size
		}
	}
	return n, true
}

// single says of the signs that we draw ourselves that they take one cell and
// join no other character.
func single(r rune) bool {
	switch r {
	case '·', '…', '←', '↑', '→', '↓', '‖', '●', '○', '■', '▸', '▾', '›', '✓', '✗', '⇒':
		return true
	}
	return r >= '─' && r <= '▟' // frames and blocks
}

// sgr is the length of the sequence that s begins with, if it is one that sets
// a style (ECMA-48, SGR); 0 if it is not.
func sgr(s string) int {
	if !strings.HasPrefix(s, "\x1b[") {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
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
	switch n, ok := cells(s, true); {
	case !ok:
		return ansi.Truncate(s, w, "…")
	case n <= w:
		return s
	}
	return cut(s, w)
}

// cut is Cut of what cells can count and is wider than w.
func cut(s string, w int) string {
	b, n := make([]byte, 0, len(s)), 0
	for i := 0; i < len(s); {
		size := sgr(s[i:])
		if size > 0 { // the style goes on
			b = append(b, s[i:i+size]...)
			i += size
			continue
		}
		_, size = utf8.DecodeRuneInString(s[i:])
		if n++; n < w {
			b = append(b, s[i:i+size]...)
		} else if n == w {
			b = append(b, "…"...)
		}
		i += size
	}
	return string(b)
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
