package netfilter

import (
	"strings"
	"unicode"
)

// clean takes out of a text from the kernel what could act on a terminal:
// control characters, invalid UTF-8, and the format characters that turn the
// direction of writing.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar || unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
