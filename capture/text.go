package capture

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// clean takes out of text from a packet what could steer a terminal or hide
// what it says: control characters, and the invisible ones that turn the
// writing direction. A byte that is not UTF-8 becomes a dot.
func clean(s string) string {
	if plain(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return '.'
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, s)
}

// plain says that s is printable ASCII, and arrows between ports and addresses,
// as most is.
func plain(s string) bool {
	const arrow = "→"
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] >= ' ' && s[i] <= '~':
		case s[i] == arrow[0] && strings.HasPrefix(s[i:], arrow):
			i += len(arrow) - 1
		default:
			return false
		}
	}
	return true
}

// printable shows bytes as a hex dump's right column does.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}
