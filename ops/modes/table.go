package modes

import (
	"strings"

	"vethscope/ops"
)

// Settings are those of one mode: what to make, before the world is asked
// whether it fits. Their JSON names are those of the flags and of lab files.
type Settings interface {
	// Plan validates the settings against w and says every step. The error is of
	// type Errors when a setting is at fault.
	Plan(w World) (*ops.Plan, error)
}

// Mode is a network mode, or a change to a network, by its name in lab files.
type Mode struct {
	Name string
	// New makes settings that say nothing yet: a pointer to a struct.
	New func() Settings
}

// All are the modes, those that make networks first.
func All() []Mode {
	return []Mode{
		{"none", func() Settings { return &None{} }},
		{"host", func() Settings { return &Host{} }},
		{"container", func() Settings { return &Container{} }},
		{"veth", func() Settings { return &Veth{} }},
		{"bridge", func() Settings { return &Bridge{} }},
		{"overlay", func() Settings { return &Overlay{} }},
		{"macvlan", func() Settings { return &Macvlan{} }},
		{"ipvlan", func() Settings { return &Ipvlan{} }},
		{addMode, func() Settings { return &Add{} }},
		{connectMode, func() Settings { return &Connect{} }},
		{"publish", func() Settings { return &Publish{} }},
	}
}

// New makes settings of the mode called name, nil if there is no such mode.
func New(name string) Settings {
	for _, m := range All() {
		if m.Name == name {
			return m.New()
		}
	}
	return nil
}

// Names are those of all modes, for a message.
func Names() string {
	var names []string
	for _, m := range All() {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}
