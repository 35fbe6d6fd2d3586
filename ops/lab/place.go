package lab

import (
	"regexp"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml/ast"
)

// namePattern is what a lab may be called: it is a word on the command line.
var namePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

// line is where the key stands in a mapping, or the mapping itself.
func line(part ast.Node, key string) int {
	if mapping, ok := part.(ast.MapNode); ok {
		for it := mapping.MapRange(); it.Next(); {
			if keyOf(it.KeyValue()) == key {
				return lineOf(it.Key())
			}
		}
	}
	return lineOf(part)
}

func keyOf(pair *ast.MappingValueNode) string {
	if tk := pair.Key.GetToken(); tk != nil {
		return tk.Value
	}
	return ""
}

// lineOf is where a part of the file begins: for a mapping, at its first key.
func lineOf(part ast.Node) int {
	if mapping, ok := part.(ast.MapNode); ok {
		if it := mapping.MapRange(); it.Next() {
			part = it.Key()
		}
	}
	if part == nil {
		return 0
	}
	if part.GetToken() == nil || part.GetToken().Position == nil {
		return 0
	}
	return part.GetToken().Position.Line
}

// keyAt is the key of a mapping whose value holds what stands at an offset of the
// file, "" for none.
func keyAt(part ast.Node, offset int) string {
	mapping, ok := part.(ast.MapNode)
	if !ok {
		return ""
	}
	key := ""
	for it := mapping.MapRange(); it.Next(); {
		if tk := it.Key().GetToken(); tk != nil && tk.Position != nil && tk.Position.Offset <= offset {
			key = keyOf(it.KeyValue())
		}
	}
	return key
}

// plain takes out of text from a file what could act on a terminal.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return -1
		}
		return r
	}, s)
}
