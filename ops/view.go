package ops

import "strings"

// View is a plan for a reader: what `--dry-run -o json` prints.
type View struct {
	Title string     `json:"title"`
	Name  string     `json:"name"`
	Mode  string     `json:"mode"`
	Steps []StepView `json:"steps"`
	Notes []string   `json:"notes,omitempty"`
	Made  Made       `json:"made"`
}

// StepView is one step for a reader.
type StepView struct {
	Kind  string `json:"kind"`
	Why   string `json:"why"`
	Shell string `json:"shell"`
}

// View is p for a reader.
func (p *Plan) View() View {
	v := View{Title: p.Title, Name: p.Name, Mode: p.Mode, Notes: p.Notes, Made: p.Made, Steps: make([]StepView, len(p.Steps))}
	for i, s := range p.Steps {
		v.Steps[i] = StepView{s.Kind(), s.Why(), s.Shell()}
	}
	return v
}

// Script is p as a shell script that stops at the first failure. A reason that
// serves several steps in a row stands there once.
func (p *Plan) Script() string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# " + p.Title + "\nset -e\n")
	last := ""
	for _, s := range p.Steps {
		if why := s.Why(); why != last {
			b.WriteString("\n# " + why + "\n")
			last = why
		}
		b.WriteString(s.Shell() + "\n")
	}
	return b.String()
}
