package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func addTUIFlags(*cobra.Command) {}

func runTUI(cmd *cobra.Command, g *global) error { return errors.New("tui") }
