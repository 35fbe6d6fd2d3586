package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"vethscope/ops/modes"
	"vethscope/ops/sandbox"
)

// The exit statuses; they are part of the command line's interface.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2 // used wrongly; nothing was changed
	exitRefused = 3 // for lack of privilege or of kernel support
)

// usageError is an error of the one who typed the command.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// refusedError is a lack of privilege or of kernel support.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// exitError ends the program with a status that is not an error of ours: that
// of a command we ran.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// status prints err, if it is one, as one line on standard error, and is the
// exit status for it.
func status(err error) int {
	if err == nil {
		return exitDone
	}
	var exit exitError
	if errors.As(err, &exit) {
		return int(exit)
	}
	var usage usageError
	var refused refusedError
	var fields modes.Errors
	var noSandbox *sandbox.RefusedError
	if !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "vethscope: "+line(err))
	}
	if errors.As(err, &noSandbox) && noSandbox.Help != "" {
		fmt.Fprintln(os.Stderr, noSandbox.Help)
	}
	switch {
	case errors.As(err, &usage), errors.As(err, &fields):
		return exitUsage
	case errors.As(err, &refused), errors.As(err, &noSandbox),
		errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES), errors.Is(err, unix.EOPNOTSUPP):
		return exitRefused
	}
	return exitFailed
}

// line is an error as one line.
func line(err error) string {
	return strings.Join(strings.Split(strings.TrimSpace(err.Error()), "\n"), "; ")
}

// exactArgs is cobra.ExactArgs with a message that names what is missing.
func exactArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		what := "takes no argument"
		if len(names) > 0 {
			what = "takes " + strings.Join(names, " ")
		}
		path := cmd.CommandPath()
		return usageError{fmt.Errorf("%s %s: see `%s --help`", strings.TrimPrefix(path, "vethscope "), what, path)}
	}
}
