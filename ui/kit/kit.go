// Package kit holds the parts that the terminal interface is put together
// from: actions, pages, tables, forms, dialogs. It knows nothing of networks.
//
// The parts are imperative: they are told of a key and asked to draw
// themselves. None of them does I/O, keeps time of its own or starts a
// goroutine, and all of them belong to the one goroutine of the program's
// event loop.
package kit

import (
	tea "github.com/charmbracelet/bubbletea"
)

// A Page fills the space between the header and the footer. It is not a
// tea.Model: the root owns the only one.
type Page interface {
	Title() string
	// Update takes a message; keys that belong to an action of the page do
	// not come here, but run the action.
	Update(tea.Msg) tea.Cmd
	// View draws the page in exactly h lines of w cells.
	View(th *Theme, w, h int) string
	Actions() []Action
}

// A Typist is a page that may be taking text: while Typing is true, every key
// but ctrl+c goes to its Update and not to the actions. Hints tell of the keys
// that mean something all the same.
type Typist interface {
	Typing() bool
	Hints() []Action
}

// A Shower is a page that wants to know when it comes into view and leaves it.
type Shower interface {
	Show(visible bool) tea.Cmd
}

// A Teller is a page that has something to say on the status line, such as
// how many rows it holds.
type Teller interface {
	Tell() string
}

// A Leaver is a page with a level of its own to leave (an open pane, a filter)
// before the page itself is left: Leave does so, and says whether it did.
type Leaver interface {
	Leave() bool
}

// A Fetcher is a page that draws what has to be read before: Fetch is asked after
// every message that it gets, and returns a command for what is missing, or nil.
type Fetcher interface {
	Fetch() tea.Cmd
}
