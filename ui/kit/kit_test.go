package kit

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
	"github.com/muesli/termenv"
)

func theme(p termenv.Profile) *Theme {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(p)
	return NewTheme(r, false)
}

func press(name string) tea.KeyMsg {
	for t, n := range map[tea.KeyType]string{tea.KeyEnter: "enter", tea.KeyEsc: "esc", tea.KeyTab: "tab", tea.KeyShiftTab: "shift+tab",
		tea.KeyDown: "down", tea.KeyUp: "up", tea.KeyLeft: "left", tea.KeyRight: "right", tea.KeyBackspace: "backspace"} {
		if n == name {
			return tea.KeyMsg{Type: t}
		}
	}
	return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)}
}

func TestSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                   "plain",
		"a\x1b[31mb\x07":          "a[31mb",
		"tab\there\nand":          "tab here and",
		"\u202eevil\u2066x\u200f": "evilx",
		"C1\u009b31m":             "C131m",
		"bad\xffbyte":             "bad\uFFFDbyte",
		"wide 漢字 é":               "wide 漢字 é",
		"del\x7f":                 "del",
		"zero\u200bwidth\ufeff":   "zerowidth",
		"private\ue000use":        "privateuse",
		"line\u2028sep\u2029end":  "line sep end",
	} {
		if got := Safe(in); got != want {
			t.Errorf("Safe(%q) = %q, not %q", in, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	f.Add("a\x1b]52;c;aGk=\x07b")
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if got != Safe(got) {
			t.Errorf("Safe(%q) = %q is not safe", s, got)
		}
		if strings.ContainsAny(got, "\x1b\n\r\t\x00\x7f\u009b\u202e") {
			t.Errorf("Safe(%q) = %q has a control character", s, got)
		}
		for w := range 12 {
			if n := Width(Fit(got, w)); n != w {
				t.Errorf("Fit(%q, %d) has %d cells", got, w, n)
			}
			for _, l := range Wrap(got, w) {
				if n := Width(l); n > max(w, 1) {
					t.Errorf("Wrap(%q, %d): %q has %d cells", got, w, l, n)
				}
			}
			if n := Width(CutMiddle(got, w)); n > w {
				t.Errorf("CutMiddle(%q, %d) has %d cells", got, w, n)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in   string
		w    int
		want string
	}{
		{"one two three", 7, "one two|three"},
		{"ip link set v-web-1 up", 14, "ip link set|v-web-1 up"},
		{"a verylongword b", 5, "a|veryl|ongwo|rd b"},
		{"漢字漢字", 5, "漢字|漢字"},
		{"one\ntwo", 9, "one|two"},
		{"", 9, ""},
	} {
		if got := strings.Join(Wrap(c.in, c.w), "|"); got != c.want {
			t.Errorf("Wrap(%q, %d) = %q, not %q", c.in, c.w, got, c.want)
		}
	}
}

func TestFooterDropsTheLeastImportant(t *testing.T) {
	act := func(k, does string, bar int, why string) Action {
		return Action{Binding: Bind(k, does), Bar: bar, Disabled: func() string { return why }}
	}
	actions := []Action{act("q", "quit", 9, ""), act("b", "second thing", 2, ""), act("a", "first", 1, ""),
		act("x", "cannot", 1, "because"), act("y", "never shown", 0, ""), act("?", "help", 99, "")}
	th := theme(termenv.Ascii)
	if got, want := Footer(th, actions, 80), " a first   b second thing   q quit   ? help"; got != want {
		t.Errorf("wide: %q, not %q", got, want)
	}
	if got, want := Footer(th, actions, 28), " a first   q quit   ? help"; got != want {
		t.Errorf("narrow: %q, not %q", got, want)
	}
}

// question is a stack with a confirm dialog just opened, and its clock.
func question() (s *Stack, yes *int, pass func(time.Duration)) {
	now := time.Unix(0, 0)
	s = &Stack{Now: func() time.Time { return now }}
	yes = new(int)
	s.Open(&Confirm{Ask: "Delete web?", Objects: []string{"bridge web", "namespace web-1"}, Yes: func() tea.Cmd { *yes++; return nil }})
	return s, yes, func(d time.Duration) { now = now.Add(d) }
}

func TestConfirmIgnoresKeysAtFirst(t *testing.T) {
	s, yes, pass := question()
	pass(399 * time.Millisecond)
	s.Update(press("y"))
	s.Update(press("esc"))
	if *yes != 0 || s.Len() != 1 {
		t.Fatalf("a key within 400 ms was taken: yes %d, open %d", *yes, s.Len())
	}
	pass(time.Millisecond)
	s.Update(press("y"))
	if *yes != 1 || s.Len() != 0 {
		t.Errorf("y after 400 ms: yes %d, open %d", *yes, s.Len())
	}
}

func TestConfirmDefaultsToNo(t *testing.T) {
	for keys, want := range map[string]int{"enter": 0, "esc": 0, "n": 0, "q": 0, "right enter": 1, "tab tab enter": 0, "y": 1} {
		s, yes, pass := question()
		pass(time.Second)
		for _, k := range strings.Fields(keys) {
			s.Update(press(k))
		}
		if *yes != want || s.Len() != 0 {
			t.Errorf("%s: yes %d, open %d", keys, *yes, s.Len())
		}
	}
}

func TestConfirmNamesEveryObject(t *testing.T) {
	s, _, pass := question()
	pass(time.Second)
	c := s.open[0].Dialog.(*Confirm)
	for i := range 30 {
		c.Objects = append(c.Objects, fmt.Sprintf("namespace n%d", i))
	}
	seen := ""
	for range 40 {
		lines := c.View(theme(termenv.Ascii), 60, 12)
		if len(lines) > 12 {
			t.Fatalf("%d lines in a height of 12", len(lines))
		}
		seen += strings.Join(lines, "\n")
		c.Update(press("j"))
	}
	for _, o := range c.Objects {
		if !strings.Contains(seen, o) {
			t.Errorf("%s is not named", o)
		}
	}
}

func TestOverlayKeepsTheScreensSize(t *testing.T) {
	for _, p := range []termenv.Profile{termenv.Ascii, termenv.TrueColor} {
		th := theme(p)
		s, _, _ := question()
		screen := Block([]string{th.Bad.Render("漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字"), "second"}, 61, 17)
		lines := strings.Split(s.View(th, screen, 61, 17), "\n")
		if len(lines) != 17 {
			t.Errorf("%d lines", len(lines))
		}
		for _, l := range lines {
			if n := Width(l); n > 61 {
				t.Errorf("%d cells: %q", n, l)
			}
		}
	}
}

func TestFormMovesAndTells(t *testing.T) {
	f := NewForm([]Field{{Name: "a", Label: "A"}, {Name: "b", Label: "B", Choices: []string{"one", "two"}}, {Name: "c", Label: "C"}},
		map[string]string{"a": "x", "b": "one"})
	if got := f.Update(press("y")); got != Edited || f.Value("a") != "xy" {
		t.Errorf("a letter: %v, %q", got, f.Value("a"))
	}
	f.Update(press("tab"))
	if got := f.Update(press("right")); got != Edited || f.Value("b") != "two" {
		t.Errorf("right in a choice: %v, %q", got, f.Value("b"))
	}
	f.Update(press("right"))
	f.Update(press("left"))
	if f.Value("b") != "two" {
		t.Errorf("choices do not go round: %q", f.Value("b"))
	}
	f.SetErrors(map[string]string{"c": "is missing"})
	text := strings.Join(f.View(theme(termenv.Ascii), 60, 20), "\n")
	if c, e := strings.Index(text, "C "), strings.Index(text, "✗ is missing"); c < 0 || e < c {
		t.Errorf("the error does not stand under its field:\n%s", text)
	}
	f.FocusError()
	if f.Update(press("z")); f.Value("c") != "z" {
		t.Errorf("the field with the error has not the focus")
	}
	if f.Update(press("enter")) != Submit || f.Update(press("esc")) != Cancel {
		t.Error("enter submits, esc cancels")
	}
}

func TestFormShowsTheFocusedFieldWhereItIsLow(t *testing.T) {
	var fields []Field
	for i := range 10 {
		fields = append(fields, Field{Name: fmt.Sprint(i), Label: fmt.Sprintf("field %d", i)})
	}
	f := NewForm(fields, nil)
	for i := range 25 {
		lines := f.View(theme(termenv.Ascii), 50, 6)
		if want := fmt.Sprintf("▌ field %d", i%10); !strings.Contains(strings.Join(lines, "\n"), want) || len(lines) > 6 {
			t.Fatalf("%q is not among %q", want, lines)
		}
		f.Update(press("tab"))
	}
}

// TestFormSaysThatThereIsMore: the fields that are out of sight are counted, on
// their side, and an error among them is told.
func TestFormSaysThatThereIsMore(t *testing.T) {
	var fields []Field
	for i := range 10 {
		fields = append(fields, Field{Name: fmt.Sprint(i), Label: fmt.Sprintf("field %d", i)})
	}
	f := NewForm(fields, nil)
	last := func(th *Theme, h int) string {
		t.Helper()
		lines := f.View(th, 50, h)
		if len(lines) > h {
			t.Fatalf("%d lines, %d are allowed", len(lines), h)
		}
		return strings.TrimSpace(lines[len(lines)-1])
	}
	th := theme(termenv.Ascii)
	// The focused field takes two lines, for its help.
	if got := last(th, 6); got != "↓ 6 more" {
		t.Errorf("at the top: %q", got)
	}
	for range 6 {
		f.Update(press("tab"))
		f.View(th, 50, 6)
	}
	if got := last(th, 6); got != "↑ 3 more   ↓ 3 more" {
		t.Errorf("in the middle: %q", got)
	}
	f.SetErrors(map[string]string{"8": "is wrong"})
	if got := last(th, 6); got != "↑ 3 more   ↓ 3 more ✗" {
		t.Errorf("with an error below: %q", got)
	}
	plain := *th
	plain.Plain = true
	if got := last(&plain, 6); got != "3 more above   3 more below ✗" {
		t.Errorf("in plain text: %q", got)
	}
	if got := last(th, 40); strings.Contains(got, "more") {
		t.Errorf("all of it is there, and still: %q", got)
	}
}

func TestScrollToldCounts(t *testing.T) {
	var lines []string
	for i := range 20 {
		lines = append(lines, fmt.Sprint("line ", i))
	}
	th := theme(termenv.Ascii)
	for offset, want := range map[int]string{0: "↓ 11 more (j/k)", 5: "↑ 5 more   ↓ 6 more (j/k)", 99: "↑ 11 more (j/k)"} {
		part, at := ScrollTold(th, lines, offset, 10)
		if len(part) != 10 || strings.TrimSpace(part[9]) != want || part[0] != fmt.Sprint("line ", at) {
			t.Errorf("from %d: %q at %d, want the last to be %q", offset, part, at, want)
		}
	}
	if part, _ := ScrollTold(th, lines, 3, 20); len(part) != 20 || part[19] != "line 19" {
		t.Errorf("all fit, and still: %q", part)
	}
	if lines[9] != "line 9" {
		t.Errorf("the lines were written over: %q", lines[9])
	}
}

func TestChooserFindsAndRuns(t *testing.T) {
	ran := ""
	item := func(text, key, why string) Item {
		return Item{Text: text, Key: key, Why: why, Run: func() tea.Cmd { ran = text; return nil }}
	}
	items := []Item{item("create bridge network", "n", ""), item("publish a port", "P", ""), item("undo", "z", "nothing has been changed")}
	c := NewChooser("Find", true, items)
	for _, r := range "pblsh" {
		c.Update(press(string(r)))
	}
	if done, _ := c.Update(press("enter")); !done || ran != "publish a port" {
		t.Errorf("fuzzy: %v, %q", done, ran)
	}
	menu := NewChooser("Menu", false, items)
	if done, _ := menu.Update(press("z")); done || ran == "undo" {
		t.Error("a disabled item ran")
	}
	if done, _ := menu.Update(press("n")); !done || ran != "create bridge network" {
		t.Errorf("an item's own key: %v, %q", done, ran)
	}
}

func TestToastEndsWithItsOwnTimer(t *testing.T) {
	toast := Toast{Tick: tea.Tick}
	toast.Show(Info, "first")
	old := ToastEnd{toast.serial}
	toast.Show(Failure, "second\x1b[2J")
	toast.End(old)
	th := theme(termenv.Ascii)
	if got := toast.View(th, 40); !strings.Contains(got, "second[2J") {
		t.Errorf("the first toast's end took the second away: %q", got)
	}
	toast.End(ToastEnd{toast.serial})
	if got := toast.View(th, 40); got != "" {
		t.Errorf("%q is still there", got)
	}
}

func TestCompareMarksWithoutColour(t *testing.T) {
	pairs := []Pair{{Heading: "IPv4"}, {Label: "ttl", Before: "64", After: "63", Changed: true}, {Label: "id", Before: "1", After: "1"}}
	all := strings.Join(Compare(theme(termenv.Ascii), 70, "host:up0", "web-1:eth0", pairs, false), "\n")
	if !strings.Contains(all, "≠ ttl") || strings.Contains(all, "≠ id") {
		t.Errorf("marks:\n%s", all)
	}
	only := strings.Join(Compare(theme(termenv.Ascii), 70, "host:up0", "web-1:eth0", pairs, true), "\n")
	if strings.Contains(only, "id ") || !strings.Contains(only, "IPv4") {
		t.Errorf("only what changed:\n%s", only)
	}
}

func TestSyncWriterMarksEachWriteAndIsATerminal(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var out io.Writer = NewSyncWriter(w)
	if f, ok := out.(term.File); !ok || f.Fd() != w.Fd() {
		t.Error("Bubble Tea would not find the terminal")
	}
	if n, err := out.Write([]byte("frame")); n != 5 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	w.Close()
	got, err := io.ReadAll(r)
	if want := "\x1b[?2026hframe\x1b[?2026l"; string(got) != want || err != nil {
		t.Errorf("%q, %v, not %q", got, err, want)
	}
	if n, err := out.Write([]byte("frame")); n != 0 || err == nil {
		t.Errorf("Write to a closed file: %d, %v", n, err)
	}
	r.Close()
}

func TestInputKeepsTheCursorInView(t *testing.T) {
	in := NewInput(strings.Repeat("漢字x", 30))
	th := theme(termenv.Ascii)
	for range 100 {
		if s := in.View(th, 20, true); Width(s) > 20 || !strings.Contains(s, "▏") {
			t.Fatalf("%q", s)
		}
		in.Update(press("left"))
	}
	if in.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("\x1b"), Paste: true}); strings.Contains(ansi.Strip(in.Value()), "\x1b") {
		t.Error("a control character was pasted")
	}
}

// TestSignsAreMeasuredRight holds the short ways to the library's long one.
func TestSignsAreMeasuredRight(t *testing.T) {
	var signs []rune
	for r := rune(0); r < 0x30000; r++ {
		if single(r) {
			signs = append(signs, r)
		}
	}
	if len(signs) < 100 {
		t.Fatalf("only %d signs are known", len(signs))
	}
	pieces := []string{"\x1b[1m", "\x1b[0m", "\x1b[38;2;139;147;165;48;5;23m", "a", " ", "~", "é", "é", "世", "\u200d", "\ufe0f", "👩", "\u200b", "\x07", "\x1b]0;x\x07", "\x1b[2J", "\xff"}
	for _, r := range signs {
		if n := ansi.StringWidth(string(r)); n != 1 || Safe(string(r)) != safe(string(r)) {
			t.Errorf("%q takes %d cells", r, n)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 5_000 {
		var b strings.Builder
		for range random.IntN(12) {
			if n := random.IntN(2 * len(pieces)); n < len(pieces) && random.IntN(3) > 0 {
				b.WriteString(pieces[n%6+random.IntN(2)*(n-n%6)])
			} else {
				b.WriteRune(signs[random.IntN(len(signs))])
			}
		}
		s := b.String()
		if got, want := Width(s), ansi.StringWidth(s); got != want {
			t.Fatalf("%q is %d cells wide, not %d", s, got, want)
		}
		if got, want := Safe(s), safe(s); got != want {
			t.Fatalf("%q is safe as %q, not %q", s, got, want)
		}
		for w := 1; w < 10; w++ {
			if got, want := Cut(s, w), ansi.Truncate(s, w, "…"); got != want {
				t.Fatalf("%q is cut to %d cells as %q, not %q", s, w, got, want)
			}
		}
	}
}

// TestStylesRender holds styles to what the library makes of them.
func TestStylesRender(t *testing.T) {
	for _, p := range []termenv.Profile{termenv.Ascii, termenv.ANSI, termenv.ANSI256, termenv.TrueColor} {
		th := theme(p)
		for _, s := range []*Style{th.Text, th.Strong, th.Dim, th.Key, th.Cursor, th.Safe, th.On(th.Changed), th.On(th.Text), th.Good.Bold()} {
			for _, text := range []string{"", "x", "some text", "  ", "→ ●", "two\nlines, one longer", "a\tb", "\r\n", "a\x1b[1mb"} {
				if got, want := s.Render(text), s.base.Render(text); got != want {
					t.Errorf("%q is drawn as %q, not %q", text, got, want)
				}
			}
		}
		if got, want := th.On(th.Good).Render("x"), th.Good.base.Background(selected).Render("x"); got != want {
			t.Errorf("the selected row has %q, not %q", got, want)
		}
	}
}
