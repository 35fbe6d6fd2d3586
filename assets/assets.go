// Package assets holds the texts that are built into the program.
package assets

import (
	"embed"
	"strings"
)

//go:embed modes/*.txt blocks/*.txt help/*.txt
var files embed.FS

// Mode explains a network mode in a few sentences, "" if there is no such text.
func Mode(name string) string { return text("modes/" + name + ".txt") }

// Block explains in a few sentences what a single action is about, "" if there is
// no such text.
func Block(name string) string { return text("blocks/" + name + ".txt") }

// Help explains a page in a few sentences, "" if there is no such text.
func Help(page string) string {
	return text("help/" + strings.ReplaceAll(strings.ToLower(page), " ", "-") + ".txt")
}

func text(path string) string {
	b, err := files.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
