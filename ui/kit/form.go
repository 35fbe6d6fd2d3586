package kit

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// A Field is one line of a Form.
type Field struct {
	Name  string // what errors are told for
	Label string
	Help  string
	// Choices makes it a choice among these instead of free text.
	Choices []string
}

// Asked is what a key meant to a Form.
type Asked int

// The meanings of a key.
const (
	Nothing Asked = iota
	Edited        // a value changed: check them
	Submit        // enter
	Cancel        // esc
)

// A Form takes values, each with its error right under it.
type Form struct {
	fields []Field
	inputs []Input
	errs   map[string]string
	focus  int
	top    int
}

// NewForm makes a form that starts with the given values.
func NewForm(fields []Field, values map[string]string) *Form {
	f := &Form{fields: fields, errs: map[string]string{}}
	for _, field := range fields {
		f.inputs = append(f.inputs, NewInput(values[field.Name]))
	}
	return f
}

// Value is what a field holds, without space around it.
func (f *Form) Value(name string) string {
	for i, field := range f.fields {
		if field.Name == name {
			return strings.TrimSpace(f.inputs[i].Value())
		}
	}
	return ""
}

// Has says whether there is a field of this name.
func (f *Form) Has(name string) bool {
	return slices.ContainsFunc(f.fields, func(field Field) bool { return field.Name == name })
}

// Set replaces what a field holds.
func (f *Form) Set(name, value string) {
	for i, field := range f.fields {
		if field.Name == name {
			f.inputs[i].Set(value)
		}
	}
}

// SetErrors replaces the errors, by field name.
func (f *Form) SetErrors(errs map[string]string) { f.errs = errs }

// Valid says that no field has an error.
func (f *Form) Valid() bool { return len(f.errs) == 0 }

// FocusError goes to the first field with an error.
func (f *Form) FocusError() {
	for i, field := range f.fields {
		if f.errs[field.Name] != "" {
			f.focus = i
			return
		}
	}
}

// Update takes a key and says what it asks for.
func (f *Form) Update(msg tea.KeyMsg) Asked {
	switch msg.String() {
	case "esc":
		return Cancel
	case "enter":
		return Submit
	case "tab", "down":
		f.focus = (f.focus + 1) % len(f.fields)
		return Nothing
	case "shift+tab", "up":
		f.focus = (f.focus + len(f.fields) - 1) % len(f.fields)
		return Nothing
	}
	in := &f.inputs[f.focus]
	if choices := f.fields[f.focus].Choices; choices != nil {
		return f.choose(in, choices, msg.String())
	}
	if in.Update(msg) {
		return Edited
	}
	return Nothing
}

func (f *Form) choose(in *Input, choices []string, pressed string) Asked {
	by := map[string]int{"right": 1, " ": 1, "left": -1}[pressed]
	if by == 0 || len(choices) == 0 {
		return Nothing
	}
	at := slices.Index(choices, in.Value()) + by
	in.Set(choices[(at+len(choices))%len(choices)])
	return Edited
}

// View draws the form in at most h lines of w cells; the focused field is always
// among them. Where not all fit, the last line says how many fields there are
// above and below.
func (f *Form) View(th *Theme, w, h int) []string {
	label := 0
	for _, field := range f.fields {
		label = max(label, Width(field.Label))
	}
	var lines []string
	begins := make([]int, len(f.fields))
	to := 0 // where the focused field ends
	roomy, tight := h >= 3*len(f.fields), h < 2*len(f.fields)
	for i := range f.fields {
		if i > 0 && roomy {
			lines = append(lines, "")
		}
		begins[i] = len(lines)
		lines = append(lines, f.field(th, i, label, w, tight)...)
		if i == f.focus {
			to = len(lines)
		}
	}
	tell := len(lines) > h && h >= minMore
	if tell {
		h--
	}
	f.top = min(f.top, begins[f.focus])
	f.top = max(f.top, min(to-h, begins[f.focus]))
	lines, f.top = Scroll(lines, f.top, h)
	if tell {
		lines = append(slices.Clip(lines), "  "+f.hidden(th, begins, h))
	}
	return lines
}

// hidden says how many fields are out of sight above and below, h lines being seen,
// and whether there is an error among them.
func (f *Form) hidden(th *Theme, begins []int, h int) string {
	var count [2]int
	var wrong [2]bool
	for i, at := range begins {
		if f.top <= at && at < f.top+h {
			continue
		}
		side := 0
		if at >= f.top+h {
			side = 1
		}
		count[side]++
		wrong[side] = wrong[side] || f.errs[f.fields[i].Name] != ""
	}
	return more(th, count[0], count[1], func(text string, below bool) string {
		if below && wrong[1] || !below && wrong[0] {
			return th.Bad.Render(text + " ✗")
		}
		return th.Accent.Render(text)
	})
}

// field draws a field with a line for its error or its help under it, which a
// tight form only has where there is one.
func (f *Form) field(th *Theme, i, label, w int, tight bool) []string {
	field, focused := f.fields[i], i == f.focus
	room := w - label - 6
	name, mark := th.Dim, "  "
	if focused {
		name, mark = th.Strong, th.Accent.Render("▌")+" "
	}
	value := f.inputs[i].View(th, room, focused && field.Choices == nil)
	if field.Choices != nil && focused {
		value = th.Accent.Render("‹ ") + value + th.Accent.Render(" ›")
	}
	if th.Plain {
		mark = map[bool]string{true: "> ", false: "  "}[focused]
	}
	lines := []string{mark + name.Render(Fit(field.Label, label)) + "  " + value}
	indent := strings.Repeat(" ", label+4)
	if err := f.errs[field.Name]; err != "" {
		for _, l := range Wrap("✗ "+Safe(err), room) {
			lines = append(lines, indent+th.Bad.Render(l))
		}
		return lines
	}
	help := ""
	if focused {
		help = field.Help
	} else if tight {
		return lines
	}
	return append(lines, indent+th.Dim.Render(Cut(help, room)))
}
