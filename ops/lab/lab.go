// Package lab reads and writes lab files: several networks in one YAML file,
// which stand or fall together.
//
//	lab: shop                # its name, by which `delete -f` finds it again
//	title: A shop and its database
//	networks:                # made in this order
//	  - mode: bridge
//	    name: web
//	    containers: 2
//	    subnet: 172.18.0.0/24
//	    publish: ["8080:80"]
//	  - mode: bridge
//	    name: db
//	    containers: 1
//	    subnet: 172.19.0.0/24
//	  - mode: connect        # a change to a network stands in the list, too
//	    network: db
//	    container: web-1
//	proofs:                  # beside those that every mode has of its own
//	  - {kind: ping, from: web-1, target: 172.19.0.2, want: true, why: …}
//
// The keys of a network are those of the settings of its mode, package modes.
package lab

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"vethscope/ops"
	"vethscope/ops/modes"
	"vethscope/ops/probe"
)

// Lab is one lab file, read and understood, but not yet held against a world.
type Lab struct {
	File   string // for messages
	Name   string
	Title  string
	Proofs []ops.Proof

	networks []network
	proofs   []ast.Node
}

// network is one entry of the list with its place in the file.
type network struct {
	settings modes.Settings
	node     ast.Node
}

// Error is what is wrong with one field of a lab file.
type Error struct {
	File    string
	Line    int    // from 1; 0 for the file as a whole
	Field   string // "networks[0].subnet", "" for the file's form
	Message string
}

func (e Error) Error() string {
	text := e.File + ":"
	if e.Line > 0 {
		text += fmt.Sprintf("%d:", e.Line)
	}
	if e.Field != "" {
		text += " " + e.Field + ":"
	}
	return text + " " + plain(e.Message)
}

// Errors is everything that is wrong with a lab file.
type Errors []Error

// Error has one line for each.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// document is the form of a lab file.
type document struct {
	Lab      string `yaml:"lab"`
	Title    string `yaml:"title,omitempty"`
	Networks []node `yaml:"networks"`
	Proofs   []node `yaml:"proofs,omitempty"`
}

// node keeps a part of the file for later, with its place.
type node struct{ ast.Node }

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (n *node) UnmarshalYAML(part ast.Node) error {
	n.Node = part
	return nil
}

// Parse reads a lab file; file is its name, for messages. The error is of type
// Errors when the file is at fault.
func Parse(file string, data []byte) (*Lab, error) {
	tree, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, formError(file, "", nil, err)
	}
	if len(tree.Docs) > 1 {
		return nil, Errors{{File: file, Message: fmt.Sprintf("holds %d documents: a lab is one", len(tree.Docs))}}
	}
	if len(tree.Docs) == 0 || tree.Docs[0].Body == nil {
		return nil, Errors{{File: file, Message: "is empty: see `vethscope apply bridge-nat --show` for a lab"}}
	}
	var d document
	if err := yaml.NodeToValue(tree.Docs[0].Body, &d, yaml.Strict()); err != nil {
		return nil, formError(file, "", tree.Docs[0].Body, err)
	}
	l := &Lab{File: file, Name: d.Lab, Title: plain(d.Title)}
	var errs Errors
	if !namePattern.MatchString(d.Lab) {
		errs = append(errs, Error{file, line(tree.Docs[0].Body, "lab"), "lab",
			fmt.Sprintf("%q must be a name of letters, digits and '-', such as shop", d.Lab)})
	}
	if len(d.Networks) == 0 {
		errs = append(errs, Error{file, line(tree.Docs[0].Body, "networks"), "networks", "is missing: a lab has at least one network"})
	}
	for i, n := range d.Networks {
		settings, err := readNetwork(file, fmt.Sprintf("networks[%d]", i), n.Node)
		errs = append(errs, err...)
		l.networks = append(l.networks, network{settings, n.Node})
	}
	for i, n := range d.Proofs {
		proof, err := readProof(file, fmt.Sprintf("proofs[%d]", i), n.Node)
		errs = append(errs, err...)
		l.Proofs, l.proofs = append(l.Proofs, proof), append(l.proofs, n.Node)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return l, nil
}

// readNetwork reads one entry of the list into the settings of its mode.
func readNetwork(file, at string, part ast.Node) (modes.Settings, Errors) {
	mapping, ok := part.(ast.MapNode)
	if !ok {
		return nil, Errors{{file, lineOf(part), at, "must have keys and values, the first of them mode"}}
	}
	mode := ""
	var rest []*ast.MappingValueNode
	for it := mapping.MapRange(); it.Next(); {
		if keyOf(it.KeyValue()) != "mode" {
			rest = append(rest, it.KeyValue())
		} else if err := yaml.NodeToValue(it.Value(), &mode, yaml.Strict()); err != nil {
			return nil, formError(file, at, part, err)
		}
	}
	settings := modes.New(mode)
	switch {
	case mode == "":
		return nil, Errors{{file, lineOf(part), at + ".mode", "is missing: one of " + modes.Names()}}
	case settings == nil:
		return nil, Errors{{file, line(part, "mode"), at + ".mode", fmt.Sprintf("unknown mode %q: one of %s", mode, modes.Names())}}
	}
	if len(rest) == 0 {
		return settings, nil
	}
	if err := yaml.NodeToValue(ast.Mapping(part.GetToken(), false, rest...), settings, yaml.Strict()); err != nil {
		return nil, formError(file, at, part, err)
	}
	return settings, nil
}

// readProof reads one probe.
func readProof(file, at string, part ast.Node) (ops.Proof, Errors) {
	var p ops.Proof
	if err := yaml.NodeToValue(part, &p, yaml.Strict()); err != nil {
		return p, formError(file, at, part, err)
	}
	var errs Errors
	add := func(field, message string) {
		errs = append(errs, Error{file, line(part, field), at + "." + field, message})
	}
	if p.From == "" {
		add("from", "is missing: the namespace that tries it")
	}
	if p.Target == "" {
		add("target", "is missing: an address, a URL, or ADDRESS:PORT for udp")
	} else if field, message := probe.Check(p); field != "" {
		add(field, message)
	}
	return p, errs
}

// formError is what the YAML library says of a part of the file, in our form.
func formError(file, at string, part ast.Node, err error) Errors {
	e := Error{File: file, Field: at, Line: lineOf(part), Message: err.Error()}
	var y yaml.Error
	if errors.As(err, &y) {
		e.Message = y.GetMessage()
		if tk := y.GetToken(); tk != nil && tk.Position != nil {
			e.Line = tk.Position.Line
		}
	}
	var wrongType *yaml.TypeError
	var wrongNode *yaml.UnexpectedNodeTypeError
	switch {
	case errors.As(err, &wrongType):
		e.Message = "must be " + typeWords(wrongType.DstType.Kind())
		e.Field = below(at, part, wrongType.Token)
	case errors.As(err, &wrongNode):
		e.Message = "must be a " + strings.ToLower(wrongNode.Expected.YAMLName())
		e.Field = below(at, part, wrongNode.Token)
	}
	e.Message, _, _ = strings.Cut(e.Message, "\n")
	return Errors{e}
}

// below is the field of a part of the file that holds a token.
func below(at string, part ast.Node, tk *token.Token) string {
	if tk == nil || tk.Position == nil {
		return at
	}
	return strings.Trim(at+"."+keyAt(part, tk.Position.Offset), ".")
}

// typeWords says what a setting takes.
func typeWords(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "keys and values"
	}
	return "a whole number"
}
