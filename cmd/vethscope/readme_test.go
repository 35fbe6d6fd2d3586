package main

import (
	"os"
	"strings"
	"testing"

	"vethscope/ui"
)

// TestReadmeKeys: the README's table of keys is the one that the program goes by.
func TestReadmeKeys(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(ui.KeyTable()); !strings.Contains(string(readme), want) {
		t.Errorf("README.md lacks the table of keys as it is now:\n%s", want)
	}
}

// TestReadmeCommands: every command is in the README.
func TestReadmeCommands(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range newRootCmd().Commands() {
		if cmd.Hidden || cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if !strings.Contains(string(readme), "`vethscope "+cmd.Name()) && !strings.Contains(string(readme), "`"+cmd.Name()+"`") {
			t.Errorf("README.md does not tell of `vethscope %s`", cmd.Name())
		}
	}
}
