package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"vethscope/ops/modes"
	"vethscope/ops/steps"
)

// verb is one action on one kind of object, in words as ip(8) has them:
// `vethscope addr add 10.0.0.1/24 dev eth0`.
type verb struct {
	// use is the grammar: words in capitals stand for what the user gives, small
	// ones are typed as they are, and brackets hold what may be left out.
	use, short, example string
	plan                func(ns string, w given) (modes.Settings, error)
}

// newNoun is the command for one kind of object. inNS says that its actions are
// in one namespace.
func newNoun(g *global, noun, short string, inNS bool, verbs ...verb) *cobra.Command {
	cmd := &cobra.Command{
		Use:   noun,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				names := make([]string, len(verbs))
				for i, v := range verbs {
					names[i] = strings.Fields(v.use)[0]
				}
				return usageError{fmt.Errorf("%s what? Actions: %s", noun, strings.Join(names, ", "))}
			}
			return noCommand(cmd, args)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, v := range verbs {
		cmd.AddCommand(newVerb(g, v, inNS))
	}
	return cmd
}

func newVerb(g *global, v verb, inNS bool) *cobra.Command {
	var ns string
	var f planFlags
	cmd := &cobra.Command{
		Use:     v.use,
		Short:   v.short,
		Example: v.example,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, grammar, _ := strings.Cut(v.use, " ")
			words, err := parseWords(grammar, args)
			if err != nil {
				return usageError{fmt.Errorf("%s: %w: it takes %s", strings.Join(strings.Fields(cmd.CommandPath())[1:], " "), err, grammar)}
			}
			settings, err := v.plan(ns, words)
			if err != nil {
				return usageError{fmt.Errorf("%s: %w", strings.Join(strings.Fields(cmd.CommandPath())[1:], " "), err)}
			}
			err = runPlan(cmd, g, f, settings.Plan)
			if _, wrong := errors.AsType[*steps.ParameterError](err); wrong {
				return usageError{err} // only the kernel knows its parameters
			}
			return err
		},
	}
	if inNS {
		nsFlag(cmd, &ns)
	}
	f.add(cmd)
	return cmd
}

// given is what the user gave, by the word in capitals that stood for it; of
// small words only those that may be left out are there.
type given map[string]string

// number is a word that must be a whole number; it is 0 where it was left out.
func (w given) number(name string) (int, error) {
	if w[name] == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(w[name])
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a number", strings.ToLower(name), w[name])
	}
	return n, nil
}

// parseWords reads arguments by a grammar: "ADDRESS dev LINK [metric METRIC]".
// What stands in brackets comes in any order, after the rest.
func parseWords(grammar string, args []string) (given, error) {
	out := given{}
	must, may := splitGrammar(grammar)
	for _, part := range must {
		if len(args) == 0 {
			return nil, fmt.Errorf("%s is missing", part)
		}
		if part == strings.ToUpper(part) {
			out[part] = args[0]
		} else if args[0] != part {
			return nil, fmt.Errorf("%q stands where %q must", args[0], part)
		}
		args = args[1:]
	}
	for len(args) > 0 {
		i := slices.IndexFunc(may, func(m []string) bool { return m[0] == args[0] })
		if i < 0 {
			return nil, fmt.Errorf("%q is not known here", args[0])
		}
		m := may[i]
		if len(args) < len(m) {
			return nil, fmt.Errorf("after %q something is missing", args[0])
		}
		if _, twice := out[m[len(m)-1]]; twice {
			return nil, fmt.Errorf("%q is said twice", args[0])
		}
		out[m[len(m)-1]] = args[len(m)-1]
		args = args[len(m):]
	}
	return out, nil
}

// splitGrammar tells what must be said from what may be.
func splitGrammar(grammar string) (must []string, may [][]string) {
	for rest := grammar; rest != ""; {
		before, after, ok := strings.Cut(rest, "[")
		must = append(must, strings.Fields(before)...)
		if !ok {
			break
		}
		inside, after, _ := strings.Cut(after, "]")
		may = append(may, strings.Fields(inside))
		rest = after
	}
	return must, may
}

// onOff reads a switch.
func onOff(text string) (bool, error) {
	switch text {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, errors.New(strconv.Quote(text) + " is neither on nor off")
}
