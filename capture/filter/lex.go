package filter

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

type tokenKind int

const (
	tokEnd    tokenKind = iota
	tokWord             // a keyword
	tokName             // of a port or a protocol
	tokNumber           // its value is in number
	tokIP4              // 10.0.0.1, or the beginning of one: 10.0
	tokIP6
	tokMAC
	tokOp
	tokText // whatever stands behind "point" and "ns"
)

// token is one word of an expression.
type token struct {
	kind   tokenKind
	text   string
	number uint32
	col    int // in characters from 1
}

func (t token) is(words ...string) bool {
	if t.kind != tokWord && t.kind != tokOp {
		return false
	}
	for _, w := range words {
		if t.text == w {
			return true
		}
	}
	return false
}

// maxExpression bounds the work; 4096 instructions seldom hold as much.
const maxExpression = 16 << 10

// The scanner takes the longest match of all; of equals the first in this
// order: keyword, MAC, number, IPv4, IPv6, name. It is that of libpcap, so
// "len-5" is a name and "len - 5" a difference.
var (
	macPattern    = longest(`(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}|(?:[0-9A-Fa-f]{1,2}-){5}[0-9A-Fa-f]{1,2}|(?:[0-9A-Fa-f]{1,2}\.){5}[0-9A-Fa-f]{1,2}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}|[0-9A-Fa-f]{12}`)
	numberPattern = longest(`[0-9]+|0[xX][0-9A-Fa-f]+`)
	ip4Pattern    = longest(`[0-9]+(?:\.[0-9]+){1,3}`)
	ip6Run        = longest(`[0-9A-Fa-f:.]{1,45}`)
	namePattern   = longest(`[A-Za-z0-9](?:[-_.A-Za-z0-9]*[.A-Za-z0-9])?`)
	quotedPattern = longest(`\\[^ !()\n\t]+`)
	textPattern   = longest(`[^ ()\n\t\r]+`)
	opPattern     = longest(`[-+*/%:\[\]!<>()&|^=]|>=|<=|!=|==|<<|>>|&&|\|\|`)
)

func longest(pattern string) *regexp.Regexp {
	r := regexp.MustCompile(`^(?:` + pattern + `)`)
	r.Longest()
	return r
}

// lex cuts an expression into tokens; the last one is the end.
func lex(s string, display bool) []token {
	if len(s) > maxExpression {
		bail(token{col: 1, text: s[:20] + "…"}, "longer than %d bytes", maxExpression)
	}
	var tokens []token
	col := 1
	for i := 0; i < len(s); {
		if strings.IndexByte(" \t\r\n", s[i]) >= 0 {
			i++
			col++
			continue
		}
		t := scan(s[i:], display && wantsText(tokens))
		t.col = col
		if t.kind == tokEnd {
			_, size := utf8.DecodeRuneInString(s[i:])
			t.text = s[i : i+size]
			bail(t, "no filter has this character")
		}
		n := len(t.text)
		col += utf8.RuneCountInString(t.text)
		i += n
		tokens = append(tokens, finish(t, display))
	}
	return append(tokens, token{col: col})
}

// wantsText says that the word before takes what follows as it stands.
func wantsText(before []token) bool {
	return len(before) > 0 && before[len(before)-1].is("point", "ns")
}

// scan finds the token that s begins with; its kind is tokEnd when there is none.
func scan(s string, text bool) token {
	var best token
	try := func(kind tokenKind, n int) {
		if n > len(best.text) {
			best = token{kind: kind, text: s[:n]}
		}
	}
	if text {
		try(tokText, len(textPattern.FindString(s)))
		return best
	}
	if i := opPattern.FindString(s); i != "" && s[0] != '\\' {
		try(tokOp, len(i))
	}
	try(tokMAC, len(macPattern.FindString(s)))
	try(tokNumber, len(numberPattern.FindString(s)))
	try(tokIP4, len(ip4Pattern.FindString(s)))
	try(tokIP6, ip6Prefix(ip6Run.FindString(s)))
	try(tokName, len(namePattern.FindString(s)))
	if q := quotedPattern.FindString(s); q != "" {
		try(tokName, len(q))
	}
	return best
}

// ip6Prefix is the length of the longest IPv6 address that s begins with.
func ip6Prefix(s string) int {
	for strings.Count(s, ":") > 1 {
		if a, err := netip.ParseAddr(s); err == nil && a.Is6() {
			return len(s)
		}
		s = s[:len(s)-1]
	}
	return 0
}

// finish tells keywords and constants from names, and reads numbers.
func finish(t token, display bool) token {
	switch t.kind {
	case tokName:
		if n, ok := constants[t.text]; ok {
			t.kind, t.number = tokNumber, n
		} else if keywords[t.text] || display && displayWords[t.text] {
			t.kind = tokWord
		}
	case tokNumber:
		n, err := strconv.ParseUint(t.text, 0, 32)
		if err != nil {
			bail(t, "not a number of 32 bits (a leading 0 makes it octal)")
		}
		t.number = uint32(n)
	case tokOp:
		switch t.text {
		case "&&":
			t.kind = tokWord
		case "||":
			t.kind = tokWord
		}
	}
	return t
}

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// printable removes control characters from a word that is shown in an error.
func printable(s string) string {
	if utf8.RuneCountInString(s) > 40 {
		s = string([]rune(s)[:40]) + "…"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}
