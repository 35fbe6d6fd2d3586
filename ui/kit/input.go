package kit

import (
	"github.com/charmbracelet/bubbles/key"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
)

// Input is one line of text being typed.
type Input struct {
	m textinput.Model
}

// maxInput bounds what can be pasted into a line.
const maxInput = 1000

// NewInput holds text, with the cursor behind it.
func NewInput(text string) Input {
	m := textinput.New()
	m.Prompt = ""
	m.CharLimit = maxInput
	// ctrl+v would run a clipboard program of the machine; terminals paste by
	// themselves.
	m.KeyMap.Paste = key.NewBinding(key.WithDisabled())
	m.SetValue(Safe(text))
	m.CursorEnd()
	m.Focus()
	return Input{m: m}
}

// Value is the text.
func (in *Input) Value() string { return in.m.Value() }

// Set replaces the text.
func (in *Input) Set(text string) {
	in.m.SetValue(Safe(text))
	in.m.CursorEnd()
}

// Update takes a key and says whether the text changed.
func (in *Input) Update(msg tea.KeyMsg) bool {
	before := in.m.Value()
	in.m, _ = in.m.Update(msg) // the command only blinks a cursor that we draw ourselves
	return in.m.Value() != before
}

// View draws the text in at most w cells, the cursor with it if focused.
func (in *Input) View(th *Theme, w int, focused bool) string {
	text := Safe(in.m.Value())
	if !focused {
		return th.Text.Render(Cut(text, w))
	}
	runes := []rune(text)
	at := min(in.m.Position(), len(runes))
	before, under, after := string(runes[:at]), " ", ""
	if at < len(runes) {
		under, after = string(runes[at]), string(runes[at+1:])
	}
	if over := Width(before) + Width(under) + 1 - w; over > 0 {
		before = ansi.TruncateLeft(before, over+2, "…") // a wide character may leave half a cell
	}
	if th.Mono {
		return Cut(before+"▏"+under+after, w)
	}
	return Cut(th.Text.Render(before)+th.Cursor.Render(under)+th.Text.Render(after), w)
}
