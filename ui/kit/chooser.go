package kit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/sahilm/fuzzy"
)

// An Item is something to choose.
type Item struct {
	Text string
	Key  string // told beside it, "" for none
	Why  string // why it cannot be chosen, "" if it can
	// Section is the heading over it and those that follow, where none is typed.
	Section string
	Run     func() tea.Cmd
}

// A Chooser picks one of a list. With Typed, the list narrows to what is typed
// (the palette, the goto line); without it, keys move in a menu, and an item's
// own key chooses it.
type Chooser struct {
	Name  string
	Items []Item
	Typed bool

	in   Input
	hits []int
	at   int
	top  int
}

// NewChooser makes a chooser of items.
func NewChooser(name string, typed bool, items []Item) *Chooser {
	c := &Chooser{Name: name, Typed: typed, Items: items, in: NewInput("")}
	c.find()
	return c
}

// maxTyped is the height of the list that narrows to what is typed.
const maxTyped = 14

// Items are what the palette offers of a list of actions: all but moving about.
func Items(actions []Action) []Item {
	var items []Item
	for _, a := range actions {
		if !a.Quiet {
			items = append(items, item(a, a.Binding.Help().Key))
		}
	}
	return items
}

func item(a Action, key string) Item {
	return Item{Text: a.Binding.Help().Desc, Key: key, Why: a.Why(), Section: a.Section, Run: a.Run}
}

// Menu is a chooser of actions; those of other menus are left out.
func Menu(name string, actions []Action) *Chooser {
	return NewChooser(name, false, Items(slices.DeleteFunc(slices.Clone(actions), Action.Chorded)))
}

// Submenu is a chooser of actions that are bound to chords: the second key of
// each chooses it.
func Submenu(name string, actions []Action) *Chooser {
	var items []Item
	for _, a := range actions {
		keys := strings.Fields(a.Binding.Help().Key)
		items = append(items, item(a, keys[len(keys)-1]))
	}
	return NewChooser(name, false, items)
}

// Title is the chooser's name.
func (c *Chooser) Title() string { return c.Name }

// Grace is none: nothing is done that is not asked for again.
func (c *Chooser) Grace() time.Duration { return 0 }

// Hint tells the keys.
func (c *Chooser) Hint() string { return "↑/↓ move · enter choose · esc close" }

func (c *Chooser) find() {
	c.hits, c.at = c.hits[:0], 0
	if c.in.Value() == "" {
		for i := range c.Items {
			c.hits = append(c.hits, i)
		}
		return
	}
	for _, m := range fuzzy.FindFrom(c.in.Value(), source(c.Items)) {
		c.hits = append(c.hits, m.Index)
	}
}

type source []Item

func (s source) String(i int) string { return s[i].Text }
func (s source) Len() int            { return len(s) }

// menuKeys are what letters mean where none is typed.
var menuKeys = map[string]string{"j": "down", "k": "up", "q": "esc", "a": "esc"}

// Update moves, narrows or chooses.
func (c *Chooser) Update(msg tea.KeyMsg) (bool, tea.Cmd) {
	pressed := msg.String()
	if !c.Typed {
		for _, it := range c.Items {
			if it.Key == pressed {
				return c.choose(it)
			}
		}
		if arrow, ok := menuKeys[pressed]; ok {
			pressed = arrow
		}
	}
	switch pressed {
	case "esc":
		return true, nil
	case "down", "ctrl+n", "tab":
		c.at = min(c.at+1, max(0, len(c.hits)-1))
	case "up", "ctrl+p", "shift+tab":
		c.at = max(0, c.at-1)
	case "enter":
		if c.at < len(c.hits) {
			return c.choose(c.Items[c.hits[c.at]])
		}
	default:
		if c.Typed && c.in.Update(msg) {
			c.find()
		}
	}
	return false, nil
}

func (c *Chooser) choose(it Item) (bool, tea.Cmd) {
	if it.Why != "" {
		return false, nil // the reason stands beside it
	}
	return true, it.Run()
}

// View draws the line being typed and the items.
func (c *Chooser) View(th *Theme, w, h int) []string {
	var lines []string
	if c.Typed {
		lines = append(lines, th.Key.Render("› ")+c.in.View(th, w-12, true)+
			th.Dim.Render(fmt.Sprintf("  %d", len(c.hits))), "")
	}
	if c.Typed {
		h = min(h, maxTyped)
	}
	list, from, to := c.list(th, w)
	room := max(1, h-len(lines))
	c.top = max(min(c.top, from), to-room, 0)
	list, c.top = Scroll(list, c.top, room)
	lines = append(lines, list...)
	if len(c.hits) == 0 {
		lines = append(lines, th.Dim.Render("Nothing is called that."))
	}
	for c.Typed && len(lines) < min(h, 2+len(c.Items), maxTyped) {
		lines = append(lines, "") // the box keeps its size while one types
	}
	return lines
}

// list draws the items with their headings, and says which lines must be in
// view: the chosen one, with the heading over it.
func (c *Chooser) list(th *Theme, w int) (lines []string, from, to int) {
	section := ""
	for i, hit := range c.hits {
		it, start := c.Items[hit], len(lines)
		if it.Section != section && !c.Typed {
			if section = it.Section; i > 0 {
				lines = append(lines, "")
			}
			start = len(lines)
			lines = append(lines, th.Dim.Render(Cut(Safe(section), w)))
		}
		lines = append(lines, c.line(th, it, i == c.at, w))
		if i == c.at {
			from, to = start, len(lines)
		}
	}
	return lines, from, to
}

func (c *Chooser) line(th *Theme, it Item, at bool, w int) string {
	text, style := Safe(it.Text), th.Text
	if it.Why != "" {
		text, style = text+" — "+Safe(it.Why), th.Dim
	}
	key := Fit(it.Key, 8)
	mark := "  "
	if at {
		mark = "▌ "
		if th.Plain {
			mark = "> "
		}
		return th.On(th.Accent).Render(mark) + th.On(th.Key).Render(key) + th.On(style).Render(Fit(text, w-10))
	}
	return mark + th.Key.Render(key) + style.Render(Cut(text, w-10))
}

// Help is a dialog with every action of the groups, and text after them.
func Help(title string, groups []Group, text string) *Reader {
	return &Reader{Name: title, Lines: func(th *Theme, w int) []string {
		var lines []string
		for _, l := range strings.Split(strings.TrimSpace(text), "\n") {
			for _, part := range Wrap(l, w) {
				lines = append(lines, th.Text.Render(part))
			}
		}
		for _, g := range groups {
			lines = append(lines, "", th.Accent.Render(g.Title))
			lines = append(lines, keys(th, g.Actions, w)...)
		}
		return lines
	}}
}

// keys lists actions in two columns where there is room.
func keys(th *Theme, actions []Action, w int) []string {
	one := func(a Action, w int) string {
		h := a.Binding.Help()
		s := th.Key.Render(Fit(h.Key, 9)) + " " + h.Desc
		return Cut(s, w)
	}
	cols := 1
	if w >= 60 && !th.Plain {
		cols = 2
	}
	rows := (len(actions) + cols - 1) / cols
	var left, right []string
	for i, a := range actions {
		if i < rows {
			left = append(left, one(a, w/cols-2))
		} else {
			right = append(right, one(a, w/cols-2))
		}
	}
	return Columns(left, right, w/cols)
}
