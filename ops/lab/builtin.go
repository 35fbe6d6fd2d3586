package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"vethscope/assets"
)

// List are the labs that are built into the program, by name.
func List() ([]*Lab, error) {
	files, err := fs.Glob(assets.Labs(), "*.yaml")
	if err != nil {
		return nil, err
	}
	var out []*Lab
	for _, file := range files {
		l, err := Load(strings.TrimSuffix(file, ".yaml"))
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// Load is the built-in lab called name. It fails with fs.ErrNotExist.
func Load(name string) (*Lab, error) {
	data, err := Source(name)
	if err != nil {
		return nil, err
	}
	return Parse(name+".yaml", data)
}

// Source is the text of the built-in lab called name. It fails with
// fs.ErrNotExist.
func Source(name string) ([]byte, error) {
	if !namePattern.MatchString(name) {
		return nil, fmt.Errorf("lab %q: %w", name, fs.ErrNotExist)
	}
	data, err := fs.ReadFile(assets.Labs(), name+".yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("lab %q: %w", name, fs.ErrNotExist)
	}
	return data, err
}
