package kit

import (
	"fmt"
	"strings"
)

// minMore is the least height that leaves a line to tell of what is out of sight.
const minMore = 4

// more says how much is out of sight above and below: "↑ 2 more   ↓ 3 more".
func more(th *Theme, above, below int, style func(text string, below bool) string) string {
	signs := [2]string{"↑ %d more", "↓ %d more"}
	if th.Plain {
		signs = [2]string{"%d more above", "%d more below"}
	}
	var parts []string
	for i, n := range []int{above, below} {
		if n > 0 {
			parts = append(parts, style(fmt.Sprintf(signs[i], n), i == 1))
		}
	}
	return strings.Join(parts, "   ")
}

// ScrollTold is Scroll for a page that has no cursor: where not all fits, its last
// line says how many lines there are above and below.
func ScrollTold(th *Theme, lines []string, offset, h int) ([]string, int) {
	if len(lines) <= h || h < minMore {
		return Scroll(lines, offset, h)
	}
	part, offset := Scroll(lines, offset, h-1)
	told := more(th, offset, len(lines)-offset-len(part), func(text string, _ bool) string { return th.Accent.Render(text) })
	return append(part[:len(part):len(part)], "  "+told+th.Dim.Render(" (j/k)")), offset
}
